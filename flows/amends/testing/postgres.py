"""A private Postgres cluster on loopback, for tests and benchmarks: made, stopped and removed by whoever needs it.

Uses the server programs of an installed package (Debian: `postgresql`), never the cluster that the package may have
started itself. Where the tests run as root, the server runs as a user of its own, because Postgres refuses root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amends.errors import AmendsError

INSTALLED = "/usr/lib/postgresql"
"""Where Debian and Ubuntu put the programs of each version, outside of PATH."""
USERS = ("postgres", "nobody")
"""Whom the server runs as where we are root: the first that exists."""


def programs() -> Path:
    """The folder of the newest server programs; raises `AmendsError` where there are none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    there = [path for path in Path(INSTALLED).glob("*/bin") if (path / "initdb").exists()]
    if not there:
        raise AmendsError(
            "Postgres is not installed here: no initdb in PATH or under " + INSTALLED,
            hint="On Debian and Ubuntu: apt install postgresql. Or name a server in AMENDS_TEST_POSTGRES.",
        )
    return max(there, key=lambda path: float(path.parent.name))


class Cluster:
    """One cluster in a temporary folder. `settings` are Postgres' own; everything is durable unless they say otherwise.

    Entering starts it, leaving stops it by its own process id and removes its folder. On Linux it ends with the thread that
    started it, too, so also where the tests are killed.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, *, wait: float = 60.0) -> None:
        self.settings = dict(settings or {})
        self.wait = wait
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self._bin = programs()
        self._as: dict[str, Any] = _own_user()

    def __enter__(self) -> Cluster:
        self.folder = Path(tempfile.mkdtemp(prefix="amends-postgres-"))
        try:
            if self._as:
                os.chown(self.folder, self._as["user"], self._as["group"])
            options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
            self._run("initdb", "--pgdata", str(self.folder / "data"), *options)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.crash()  # nothing of it is kept
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers; at the port that it had before, or else a free one."""
        for _ in range(3 if not self.port else 1):  # somebody may take a free port just before we do
            port = self.port or _free_port()
            self.process = self._serve(port)
            if self._answers(port):
                self.port = port
                return
            self.stop()
        last = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-3:]
        raise AmendsError("Postgres did not start: " + " / ".join(last), hint="Is its port taken?")

    def stop(self) -> None:
        """Shut down in order; connections are cut, transactions under way rolled back."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End at once, as `pg_ctl stop -m immediate` does: nothing is written any more, the next start recovers."""
        self._end(signal.SIGQUIT)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; answers with its address."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database)
        return self.url(database)

    def _serve(self, port: int) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            **self.settings,
        }
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with_parent = shutil.which("setpriv")  # Linux; after the change of user, which would undo it
        if with_parent:
            command = [with_parent, "--pdeathsig", "INT", *command]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self._as
            )

    def _answers(self, port: int) -> bool:
        until = time.monotonic() + self.wait
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                return False
            if subprocess.run(ready, check=False).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            check=False, capture_output=True, text=True, cwd=self.folder, **self._as,
        )  # fmt: skip
        if done.returncode:
            raise AmendsError(f"{program} failed: {done.stderr.strip()}")


def _own_user() -> dict[str, Any]:
    """How to start a process as another user, where we are root."""
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AmendsError(f"Postgres refuses to run as root, and there is no user {' or '.join(USERS)}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
