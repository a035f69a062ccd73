"""Starts Prefect's own server on loopback, for the demo and for tests, in a process and a folder of its own.

    with PrefectServer(home=state / "prefect", report=print) as server:
        from amends.workflows.sweep import sweep     # Prefect, once imported, talks to this server
        await sweep(shop="flagship")

The user's `~/.prefect` and PREFECT_ variables are neither read nor changed. The server ends with the process that
started it, also after `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from amends.errors import AmendsError

Report = Callable[[str], object]

LIMIT = 300.0
"""Seconds that the server may take to answer: a cold disk and slow cores need over 20, Prefect's own limit."""

_LOOPBACK = "127.0.0.1"
_TRIES = 3  # another process may take the free port between looking and binding
_LAST_LINES = 8

_CLIENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    # Flows log warnings and errors to the server; what a run does is told by its task runs and artifacts.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLI_PROMPT": "false",
}
_SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P2D",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "1209600",  # two weeks: what counts is in the ledger
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "5",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
}


def environment(url: str, home: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process that is to use the server at `url` and nothing else of Prefect's.

    `base` is what it starts from (default: this process's own); its PREFECT_ variables are left out.
    """
    base = os.environ if base is None else base
    found = {name: value for name, value in base.items() if not name.upper().startswith("PREFECT_")}
    for name in ("NO_PROXY", "no_proxy"):
        there = [part for part in found.get(name, "").split(",") if part]
        found[name] = ",".join([*there, *(host for host in (_LOOPBACK, "localhost") if host not in there)])
    return {**found, **_CLIENT, "PREFECT_API_URL": url, "PREFECT_HOME": str(home)}


def use(server: PrefectServer) -> Callable[[], None]:
    """Point this process at the server; the answer undoes it. Best called before Prefect is imported.

    A Prefect that is imported already reads its settings anew.
    """
    before = dict(os.environ)
    wanted = environment(server.url, server.home)
    _replace_environment(wanted)

    def undo() -> None:
        changed = {name for name in wanted.keys() | before.keys() if wanted.get(name) != before.get(name)}
        now = {name: value for name, value in os.environ.items() if name not in changed}
        _replace_environment(now | {name: before[name] for name in changed if name in before})

    return undo


def _replace_environment(wanted: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        refresh_global_settings_context()
        setup_logging()


class PrefectServer:
    """Prefect's server on loopback with all its data in `home`; as a context manager also `use`d by this process.

    `report` is told about once a second what is waited for. `ui` serves Prefect's user interface at `ui_url`.
    """

    def __init__(
        self, home: Path, *, report: Report | None = None, ui: bool = True, limit: float = LIMIT
    ) -> None:
        self.home = home.absolute()
        self.url = ""
        self._report = report or (lambda _: None)
        self._ui = ui
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._undo: Callable[[], None] | None = None

    @property
    def ui_url(self) -> str:
        """Where a browser finds it."""
        return self.url.removesuffix("/api")

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.home / "server.log"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for a child process that is to use this server."""
        return environment(self.url, self.home, base)

    def start(self) -> PrefectServer:
        """Start it and wait until it answers; raises `AmendsError` with its last words where it does not."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        began = time.monotonic()
        for tries_left in reversed(range(_TRIES)):
            port = _free_port()
            self.url = f"http://{_LOOPBACK}:{port}/api"
            self._process = self._launch(port)
            if self._answers(began):
                return self
            if tries_left and "already in use" in self._last_words():
                continue
            break
        ended = self._process is None or self._process.poll() is not None
        words = self._last_words()
        self.stop()
        what = "ended before it answered" if ended else f"did not answer within {self._limit:.0f} s"
        raise AmendsError(
            f"Prefect's server {what}:\n{words or '(it printed nothing)'}", hint=f"See {self.log}."
        )

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        env = self.environment() | _SERVER
        env["PREFECT_SERVER_UI_ENABLED"] = str(self._ui).lower()
        env["PREFECT_UI_STATIC_DIRECTORY"] = str(self.home / "ui")
        env["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://{_LOOPBACK}:{port}"
        env["PREFECT_SERVER_ENCRYPTION_KEY"] = _encryption_key(self.home / "encryption.key")
        # The child starts elsewhere: a relative path that led here would not lead there.
        source = str(Path(__file__).resolve().parents[2])
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [source, env.get("PYTHONPATH")]))
        command = [sys.executable, "-m", __name__, str(os.getpid()), "--host", _LOOPBACK, "--port", str(port)]
        with self.log.open("wb") as out:
            # A session of its own: Ctrl-C is for the work, and whoever started the server stops it afterwards.
            return subprocess.Popen(
                command, cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _answers(self, began: float) -> bool:
        said = -1
        while self._process is not None and self._process.poll() is None:
            if _healthy(self.url):
                return True
            waited = time.monotonic() - began
            if waited > self._limit:
                return False
            if int(waited) > said:
                said = int(waited)
                self._report(f"Prefect's server is starting ({said} s)…")
            time.sleep(0.1)
        return False

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self.log.open(encoding="utf-8", errors="replace") as lines:
            return "".join(deque((line for line in lines if line.strip()), _LAST_LINES)).rstrip()
        return ""

    def stop(self) -> None:
        """End it, by its own process id; what this process still has to tell it is sent first."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            _tell_the_rest()
            for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGINT, 5.0)):
                process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
                    return
            process.kill()
        process.wait()

    def use(self) -> None:
        """Point this process at it until `__exit__`; once is enough."""
        if self._undo is None:
            self._undo = use(self)

    def __enter__(self) -> PrefectServer:
        self.start()
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._undo is not None:
            self._undo()
            self._undo = None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_LOOPBACK, 0))
        return int(found.getsockname()[1])


def _healthy(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(f"{url}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _encryption_key(path: Path) -> str:
    """The key for Prefect's Secret blocks; unset, Prefect would keep one in the same database as the blocks."""
    from cryptography.fernet import Fernet

    with contextlib.suppress(FileExistsError):
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
    return path.read_text(encoding="ascii")


def _tell_the_rest(timeout: float = 10.0) -> None:
    """Send what Prefect's background threads of this process still hold: events (task runs are events) and logs."""
    services = []
    if "prefect.events.worker" in sys.modules:
        services.append(sys.modules["prefect.events.worker"].EventsWorker)
    if "prefect.logging.handlers" in sys.modules:
        services.append(sys.modules["prefect.logging.handlers"].APILogWorker)
    # In a thread of its own: inside an event loop these calls would answer with coroutines.
    with ThreadPoolExecutor(1) as pool:
        for service in services:
            # The server may be gone already; the ledger has everything that counts.
            with contextlib.suppress(Exception):
                pool.submit(service.drain_all, timeout=timeout).result(timeout + 1)


def _end_with(parent: int) -> None:
    """Wait until the parent is gone, then end this process: politely, then certainly."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(1)


def _main() -> None:
    """Run `prefect server start` in this process until it is stopped or its parent ends."""
    parent, *options = sys.argv[1:]
    if os.name == "posix":
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    sys.argv = ["prefect", "server", "start", *options]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
