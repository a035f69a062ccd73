"""How a demo or a test starts the sandbox, moves its clock, reads its journal and does its hand work."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from amends.cases.offers import Remedy
from amends.errors import AmendsError, InputError
from amends.hooks.requests import Receipt
from amends.testing.journal import Entry, Op


class SandboxControl:
    """The sandbox's control side, which has no faults: for whoever directs a demo or a test. Synchronous."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        response = self._client.request(method, f"/control{path}", **options)
        if response.status_code >= 300:
            raise InputError(f"sandbox: {path}: HTTP {response.status_code}: {response.text[:300]}")
        return response.json()

    def clock(self) -> datetime:
        return datetime.fromisoformat(self._ask("GET", "/clock")["now"])

    def set_clock(self, now: datetime) -> dict[str, Any]:
        """Move the virtual time on; answers once the due webhooks were tried: `{now, sent, failed}`."""
        found: dict[str, Any] = self._ask("POST", "/clock", json={"now": now.isoformat()})
        return found

    def journal(self, after: int = 0) -> list[Entry]:
        """Every committed effect with `n` above `after`."""
        found = self._ask("GET", "/journal", params={"after": after})
        return [Entry.model_validate(item) for item in found["entries"]]

    def seen(self, order: str, op: str = "", *, round: int | None = None, key: str = "") -> list[Entry]:
        """What a person sees in the back office about that order."""
        asked = {"order": order, "op": op, "key": key, **({} if round is None else {"round": round})}
        return [Entry.model_validate(item) for item in self._ask("GET", "/seen", params=asked)["entries"]]

    def act(
        self,
        order: str,
        op: Op,
        *,
        round: int = 0,
        key: str = "",
        remedy: Remedy | None = None,
        until: datetime | None = None,
        look_first: bool = True,
    ) -> Receipt:
        """Do something by hand in the back office; unless told otherwise only where it is not there yet."""
        asked = {"order": order, "op": op, "round": round, "key": key, "look_first": look_first}
        asked["remedy"] = remedy.model_dump(mode="json", exclude_none=True) if remedy else None
        asked["until"] = until.isoformat() if until else None
        return Receipt.model_validate(self._ask("POST", "/act", json=asked))

    def reading(self, event: str) -> str:
        """What a person reads in a customer's words: accept, decline, counter or cancel."""
        return str(self._ask("GET", f"/reading/{event}")["means"])

    def fates(self) -> dict[str, str]:
        found: dict[str, str] = self._ask("GET", "/fates")
        return found

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", "/stats")
        return found

    def faults(self, text: str) -> dict[str, Any]:
        """Set the fault knobs as on the command line, e.g. `none` or `p_429=0.1`."""
        found: dict[str, Any] = self._ask("POST", "/faults", json={"faults": text})
        return found

    def webhook(self, url: str) -> None:
        """Where to push webhooks; empty: nowhere."""
        self._ask("POST", "/webhook", json={"url": url})

    def close(self) -> None:
        self._client.close()


class SandboxProcess:
    """The sandbox in a process of its own, started by `launch`."""

    def __init__(self, process: subprocess.Popen[bytes], state: Path, url: str) -> None:
        self.process, self.state, self.url = process, state, url
        self.control = SandboxControl(url)

    def kill(self) -> None:
        """End it without warning, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.control.close()

    def stop(self) -> None:
        self.control.close()
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(
    state: Path, *, seed: int = 7, orders: int = 200, days: int = 10, faults: str = "none", wait: float = 60.0
) -> SandboxProcess:
    """Start the sandbox on a free loopback port (the same as before, where it can) and wait until it answers.

    The process ends with its parent. Raises `AmendsError` with its log's last words where it does not start.
    """
    state.mkdir(parents=True, exist_ok=True)
    ready, log = state / "sandbox.json", state / "sandbox.log"
    command = [sys.executable, "-m", "amends_sandbox", "--state", str(state), "--seed", str(seed)]
    command += ["--orders", str(orders), "--days", str(days), "--faults", faults, "--with-parent"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    until = time.monotonic() + wait
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(ready.read_bytes())
            if told["pid"] == process.pid:
                return SandboxProcess(process, state, told["url"])
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
    last = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise AmendsError("the sandbox did not start: " + " / ".join(last), hint=f"See {log}.")
