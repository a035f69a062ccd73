"""Forks workers from one process that has imported everything, so that a worker costs milliseconds, and reaps the killed.

`Farm()` starts `python -m tests.crash.farm`; each job is a line of JSON that `worker.py` understands.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a worker is not slow but stuck."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: its exit code, -9 where it was killed; its last words; seconds that it lived and used."""

    code: int
    words: str
    seconds: float
    cpu: float

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Farm:
    """The one who asks. Use it as a context manager."""

    def __init__(self, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "tests.crash.farm"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(
        self, job: dict[str, Any], *, kill_after: float = PATIENCE, began: Callable[[int], None] | None = None
    ) -> Ended:
        """Fork a worker for that job and wait for its end; `began` hears its process id."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the farm has pipes")
        asked = {"job": job, "log": str(self._log), "kill_after": kill_after, "warm": False}
        self._process.stdin.write(json.dumps(asked) + "\n")
        told = json.loads(self._process.stdout.readline() or '{"failed": "the farm has died"}')
        if began is not None:
            began(told["pid"])
        ended = json.loads(self._process.stdout.readline())
        return Ended(ended["code"], self._log.read_text(errors="replace"), ended["seconds"], ended["cpu"])

    def warm(self, job: dict[str, Any]) -> None:
        """Do that job in the process that forks."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps({"job": job, "warm": True}) + "\n")

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _child(job: dict[str, Any], log: str) -> int:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for handle, fd in ((nowhere, 0), (words, 1), (words, 2)):
        os.dup2(handle, fd)
    from tests.crash import worker

    try:
        worker.carry_out(job)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    from tests.crash import worker

    worker.prepare()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["warm"]:
            worker.warm(asked["job"])
            gc.collect()
            gc.freeze()
            continue
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(_child(asked["job"], asked["log"]))
        handle = os.pidfd_open(pid)
        _tell({"pid": pid})
        if not select.select([handle], [], [], asked["kill_after"])[0]:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        os.close(handle)
        lived, cpu = time.monotonic() - began, used.ru_utime + used.ru_stime
        _tell({"code": os.waitstatus_to_exitcode(status), "seconds": lived, "cpu": cpu})


if __name__ == "__main__":
    main()
