"""The marketplace that the killed workers talk to: many small worlds behind one real HTTP server, in the test's own process.

It outlives every worker, so its journal says what really happened. A world's script says what goes wrong with which
request, and at which request the worker that sent it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import uvicorn

from amends.testing.faults import Fault, Faults
from amends.testing.journal import Entry
from amends.testing.marketplace import Marketplace
from amends_sandbox.server import Dropped, Service

WRITES = {"/messages": "message", "/grants": "grant", "/extensions": "extend", "/responses": "respond",
          "/arbitrations": "arbitrate"}  # fmt: skip
ANSWERED = {
    "none": Fault.NONE,
    "429": Fault.THROTTLED,
    "500": Fault.FAILED,
    "500-after": Fault.FAILED_AFTER,
    "reset-after": Fault.RESET_AFTER,
}
SILENT = ("timeout", "timeout-after")
"""Faults that the server makes itself: the request is never answered, undone or done."""

Message = MutableMapping[str, Any]


class Worker:
    """A process that may be killed from here, and no other that has got its number since."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        with suppress(OSError):  # it may be gone already
            self._handle: int | None = os.pidfd_open(pid)
            return
        self._handle = None

    def kill(self) -> None:
        if self._handle is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass
class Kill:
    """Kill the worker when its n-th write of that kind (empty: any) has arrived, that much later.

    `then` says what becomes of the request: `done`, `lost`, or `late`: done only when the clock moves on.
    """

    op: str
    nth: int = 1
    then: str = "done"
    after: float = 0.0


class _Script:
    """In place of the sandbox's dice: the first attempt at each act, and the first look for one, goes wrong."""

    def __init__(self, fault: str) -> None:
        self.faults = Faults(retry_after=1)
        self.fault = fault
        self.seen: Counter[str] = Counter()

    def roll(self, identity: str, *, write: bool) -> Fault:
        if not write and not identity.startswith("find "):
            return Fault.NONE
        self.seen[identity] += 1
        wanted = ANSWERED.get(self.fault, Fault.NONE) if self.seen[identity] == 1 else Fault.NONE
        return Fault.NONE if not write and wanted in (Fault.FAILED_AFTER, Fault.RESET_AFTER) else wanted


@dataclass
class World:
    """One marketplace, its faults, and the worker that is at work on it."""

    market: Marketplace
    dice: Any
    latency: Callable[[], float] | None = None
    kill: Kill | None = None
    worker: Worker | None = None
    killed_while: Counter[str] = field(default_factory=Counter)
    webhook: str = ""
    _writes: Counter[str] = field(default_factory=Counter)
    _silenced: set[str] = field(default_factory=set)
    _late: list[tuple[Message, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self
        self.app: Any = Service(self).app()  # type: ignore[arg-type]  # all that it asks of a state

    async def settled(self) -> None:
        """The journal is in memory: it is there at once."""

    def save(self) -> None:
        """Nothing is kept: the server outlives all that is killed."""

    @property
    def journal(self) -> list[Entry]:
        return self.market.entries

    def begin(self, worker: Worker | None, kill: Kill | None = None) -> None:
        """Another worker is at work from now on; it is killed at that request."""
        if self.worker is not None:
            self.worker.close()
        self.worker, self.kill = worker, kill
        self._writes.clear()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/control/clock" and scope["method"] == "POST":
            body = await _body(receive)
            if datetime.fromisoformat(json.loads(body)["now"]) > self.market.now:
                await self._land()
            await self.app(scope, _given(body, receive), send)
            return
        op = WRITES.get(path) if scope["method"] == "POST" else None
        if op is None:
            await self.app(scope, receive, send)
            return
        if self.latency is not None:
            await asyncio.sleep(self.latency())
        body = await _body(receive)
        kill = self._struck(op)
        if kill is not None and kill.then == "late":
            self._late.append((dict(scope), body))
        if kill is not None and kill.then != "done":
            await _gone(receive)
            return
        fault = getattr(self.dice, "fault", "")
        if fault in SILENT and kill is None and op not in self._silenced:
            self._silenced.add(op)
            if fault == "timeout-after":
                await self.app(scope, _given(body), _swallow)
            await _gone(receive)
            return
        await self.app(scope, _given(body, receive), send)

    def _struck(self, op: str) -> Kill | None:
        """Count this write; the kill that it brings about."""
        self._writes.update([op, ""])
        kill = self.kill
        if kill is None or kill.op not in ("", op) or self._writes[kill.op] != kill.nth:
            return None
        self.kill = None
        worker = self.worker
        if worker is None:
            raise AssertionError("a worker that nobody told of")
        self.killed_while[op] += 1
        if kill.after:
            asyncio.get_running_loop().call_later(kill.after, worker.kill)
        else:
            worker.kill()
        return kill

    async def _land(self) -> None:
        """Requests that were under way when their worker was killed arrive now."""
        while self._late:
            scope, body = self._late.pop(0)
            with suppress(Dropped):  # nobody waits for the answer any more
                await self.app(scope, _given(body), _swallow)


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _gone(receive: Any) -> None:
    """Until whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(message: Message) -> None:
    del message


def _given(body: bytes, receive: Any = None) -> Any:
    told = False

    async def give() -> Message:
        nonlocal told
        if told and receive is not None:
            found: Message = await receive()
            return found
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


class Served:
    """The server: `worlds[name]` answers under `url(name)`. Runs in a thread of its own until closed."""

    def __init__(self) -> None:
        self.worlds: dict[str, World] = {}
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            log_level="error",
            lifespan="off",
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    async def _app(self, scope: Message, receive: Any, send: Any) -> None:
        _, name, rest = scope["path"].split("/", 2)
        path = f"/{rest}"
        await self.worlds[name](
            {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, send
        )

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


def scripted(market: Marketplace, fault: str = "none") -> World:
    return World(market, _Script(fault))


def slow(seed: int, most: float) -> Callable[[], float]:
    """Draws how long each write takes to arrive, so that kills find requests under way."""
    draw = random.Random(f"latency {seed}")
    return lambda: draw.uniform(0, most)
