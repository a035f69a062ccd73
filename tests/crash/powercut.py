"""A simulated power cut: which files a disk may hold afterwards, from a recording of what SQLite wrote and synced.

What was synced is there. Of what was not, any part may be: each write wholly, not at all, or some of its 512-byte
sectors; a truncation or not. That is what SQLite itself asks of a disk ("powersafe overwrite"). Not simulated: a disk
that says it has synced and has not, and one that damages sectors that nobody wrote.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.crash.disk import Op

SECTOR = 512
Cut = Literal["nothing", "all", "last-torn", "some", "some-torn"]
CUTS: tuple[Cut, ...] = ("nothing", "all", "last-torn", "some", "some-torn")
"""What became of the operations that had not been synced."""


@dataclass
class _File:
    """One file: what is certainly on the disk, and what was done to it since."""

    there: bool = False
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)

    def note(self, op: Op) -> None:
        match op.what:
            case "sync":
                self.durable = _applied(self.durable, self.pending)
                self.pending, self.there = [], True
            case "delete" if op.offset:  # with its folder synced
                self.there, self.durable, self.pending = False, bytearray(), []
            case _:
                self.pending.append(op)

    def image(self, cut: Cut, draw: random.Random) -> bytes | None:
        kept = list(self.pending)
        if cut == "nothing":
            kept = []
        elif cut.startswith("some"):
            kept = [op for op in kept if draw.random() < 0.5]
        if cut.endswith("torn"):
            torn = kept[-1:] if cut == "last-torn" else kept
            kept = [op if op not in torn else _torn(op, draw) for op in kept]
        if not self.there and not kept:
            return None
        return bytes(_applied(bytearray(self.durable), kept, draw if cut.endswith("torn") else None))


def _torn(op: Op, draw: random.Random) -> Op:
    if op.what != "write":
        return op
    return Op("torn", op.journal, op.offset, op.data)


def _applied(data: bytearray, ops: list[Op], draw: random.Random | None = None) -> bytearray:
    data = bytearray(data)
    for op in ops:
        if op.what == "truncate":
            del data[op.offset :]
        elif op.what == "delete":
            data = bytearray()
        elif op.what in ("write", "torn"):
            for start in range(0, len(op.data), SECTOR):
                if op.what == "torn" and draw is not None and draw.random() < 0.5:
                    continue
                part = op.data[start : start + SECTOR]
                place = op.offset + start
                data.extend(bytes(max(0, place - len(data))))
                data[place : place + len(part)] = part
    return data


@dataclass
class Recording:
    """What was done to a ledger and around it, in order. A hook for `disk.watched`."""

    ops: list[Op | str] = field(default_factory=list)

    def __call__(self, op: Op) -> None:
        self.ops.append(op)

    def mark(self, text: str) -> None:
        self.ops.append(text)

    def cuts(self, path: Path, seed: int, kinds: tuple[Cut, ...] = CUTS) -> Iterator[tuple[int, Cut]]:
        """Write to `path` (and its journal) what a power cut after each operation may leave behind, one by one."""
        files = {False: _File(), True: _File()}
        journal = path.with_name(f"{path.name}-journal")
        for place, op in enumerate(self.ops):
            if isinstance(op, str):
                continue
            files[op.journal].note(op)
            if not files[False].there:
                continue  # nothing was there to lose yet
            for kind in kinds:
                draw = random.Random(f"{seed} {place} {kind}")
                for target, file in ((path, files[False]), (journal, files[True])):
                    data = file.image(kind, draw)
                    if data is None:
                        target.unlink(missing_ok=True)
                    else:
                        target.write_bytes(data)
                yield place, kind


def digest(path: Path) -> str:
    """A hash of all rows of all tables, after SQLite has rolled back what was half-done."""
    connection = sqlite3.connect(path)
    try:
        seal = hashlib.sha256()
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608  # its own names
            seal.update(repr((name, sorted(map(repr, rows)))).encode())
        return seal.hexdigest()
    finally:
        connection.close()
