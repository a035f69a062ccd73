"""A Postgres cluster of one's own in a temporary folder, on loopback, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "amends_test"


def binaries() -> Path | None:
    """The newest folder that holds `initdb` and `postgres`; None where neither is installed."""
    there = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    for folder in [*reversed(there), *map(Path, filter(None, [shutil.which("postgres")]))]:
        folder = folder if folder.is_dir() else folder.parent
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def cluster(*databases: str) -> Iterator[str]:
    """Its address without a database, such as `postgresql://amends_test@127.0.0.1:40123`."""
    found = binaries()
    assert found is not None, "no initdb here: apt install postgresql"
    # Postgres refuses to run as root.
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="amends-postgres-") as folder:
        if user:
            shutil.chown(folder, "postgres", "postgres")
        data, log = f"{folder}/data", Path(folder, "log")
        made = subprocess.run(
            [found / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            capture_output=True, text=True, cwd="/", check=False, **user,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [found / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-c", "max_connections=200"],
                stdout=out, stderr=out, cwd="/", start_new_session=True, **user,
            )  # fmt: skip
        try:
            for name in databases:
                _create(found, port, name, server, log)
            yield f"postgresql://{USER}@127.0.0.1:{port}"
        finally:
            server.send_signal(2)  # fast: clients are sent away
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _create(found: Path, port: int, name: str, server: subprocess.Popen[bytes], log: Path) -> None:
    command = [found / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, name]
    until = time.monotonic() + 60
    while (made := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert server.poll() is None and time.monotonic() < until, made.stderr + log.read_text()
        time.sleep(0.2)
