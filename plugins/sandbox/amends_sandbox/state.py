"""The sandbox's memory on disk: a journal fsynced before anything is answered, the clock, the attempts.

After `kill -9` at any moment the world is what the journal says; a last line cut short was never answered.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from amends import InputError
from amends.testing.faults import Dice, Faults
from amends.testing.journal import Entry
from amends.testing.marketplace import START, Marketplace

fcntl: Any
try:
    fcntl = import_module("fcntl")
except ImportError:  # Windows: two sandboxes on one state are not noticed there
    fcntl = None


class World(BaseModel):
    """What a state directory was made with; it cannot be changed later."""

    model_config = ConfigDict(frozen=True)

    seed: int
    orders: int
    days: int
    start: datetime = START


class Log:
    """An append-only file; lines added within one tick of the event loop share one fsync."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lines: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._broken: OSError | None = None

    def add(self, line: bytes) -> None:
        """Queue a line. It is not durable, and must not be answered for, before `settled` returns."""
        if self._broken is not None:
            raise self._broken
        self._lines.append(line + b"\n")
        if self._waiting is None:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            loop.call_soon(self._flush)

    async def settled(self) -> None:
        """Return once everything added so far is on disk."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)
        if self._broken is not None:
            raise self._broken

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, None
        data, self._lines = b"".join(self._lines), []
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            # The world in memory is ahead of the disk now: answer nothing any more until a restart.
            self._broken = error
        if waiting is not None:
            waiting.set_result(None)

    def close(self) -> None:
        if self._lines:
            self._flush()
        os.close(self._file)


class State:
    """A marketplace and its files in one directory: journal.jsonl, attempts.log, control.json, world.json."""

    def __init__(self, folder: Path, world: World, faults: Faults | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = _lock(folder / "lock")
        made = folder / "world.json"
        if made.exists():
            earlier = World.model_validate_json(made.read_bytes())
            if earlier != world:
                asked, kept = world.model_dump(mode="json"), earlier.model_dump(mode="json")
                differs = ", ".join(f"{k}={kept[k]} (asked: {asked[k]})" for k in kept if kept[k] != asked[k])
                raise InputError(
                    f"{folder} holds another world: {differs}", hint="Use another --state directory."
                )
        else:
            write(made, world.model_dump(mode="json"))
        control: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            control = json.loads((folder / "control.json").read_bytes())
        self.webhook: str = control.get("webhook", "")
        kept_faults = Faults.model_validate(control["faults"]) if "faults" in control else Faults()
        self.market = Marketplace(
            seed=world.seed, orders=world.orders, days=world.days, start=world.start, journal=self._commit
        )
        self.market.replay(_entries(folder / "journal.jsonl"))
        if "now" in control:
            self.market.now = max(self.market.now, datetime.fromisoformat(control["now"]))
        self.log = Log(folder / "journal.jsonl")
        self._attempts = os.open(folder / "attempts.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        counts = _attempts(folder / "attempts.log")
        self.dice = Dice(world.seed, faults or kept_faults, attempts=counts, note=self._note)
        self.market.visibility_lag = self.dice.faults.visibility_lag
        self.save()

    def _commit(self, entry: Entry) -> None:
        self.log.add(entry.model_dump_json().encode())

    def _note(self, identity: str) -> None:
        # Not fsynced: a killed process loses nothing that way, and after a power cut only draws differ.
        os.write(self._attempts, identity.encode() + b"\n")

    def set_faults(self, faults: Faults) -> None:
        self.dice.faults = faults
        self.market.visibility_lag = faults.visibility_lag
        self.save()

    def save(self) -> None:
        """Keep clock, webhook address and faults for the next start."""
        write(
            self.folder / "control.json",
            {
                "now": self.market.now.isoformat(),
                "webhook": self.webhook,
                "faults": self.dice.faults.model_dump(mode="json"),
            },
        )

    def close(self) -> None:
        self.log.close()
        os.close(self._attempts)
        if self._lock is not None:
            os.close(self._lock)


def write(path: Path, value: dict[str, Any]) -> None:
    """Replace a small JSON file whole: after a crash it is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, json.dumps(value).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(path)


def _entries(path: Path) -> Iterator[Entry]:
    """The journal's whole lines; a cut last one is removed, so that the next append begins a line."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    for line in data[:whole].splitlines():
        yield Entry.model_validate_json(line)


def _attempts(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in path.read_bytes().decode(errors="replace").splitlines():
        counts[line] = counts.get(line, 0) + 1
    return counts


def _lock(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is None:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError(f"another sandbox already serves {path.parent}") from None
    return handle
