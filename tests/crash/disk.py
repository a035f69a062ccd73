"""SQLite's own disk in a test's hands: sees every write, sync, truncation and deletion of a ledger file, and may refuse it.

It replaces two entries of SQLite's file layer (its "VFS") through ctypes, in this process only, so it needs neither a
compiler nor rights. It needs a Python whose `sqlite3` lets SQLite's symbols be found; `there()` tells.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAIN_DB, JOURNAL = 0x100, 0x800  # SQLITE_OPEN_MAIN_DB and SQLITE_OPEN_MAIN_JOURNAL
FULL, IOERR_WRITE = 13, 778

_OPEN = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_int, c.c_void_p)
_DELETE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, c.c_int)
_WRITE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.c_int64)
_TRUNCATE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int64)
_SYNC = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int)


class _Vfs(c.Structure):
    """The beginning of `sqlite3_vfs`, whose layout SQLite promises."""

    _fields_ = [
        ("version", c.c_int), ("size", c.c_int), ("longest", c.c_int), ("next", c.c_void_p), ("name", c.c_char_p),
        ("data", c.c_void_p), ("open", _OPEN), ("delete", _DELETE),
    ]  # fmt: skip


class _Methods(c.Structure):
    """`sqlite3_io_methods` of version 3."""

    _fields_ = [
        ("version", c.c_int), ("close", c.c_void_p), ("read", c.c_void_p), ("write", _WRITE), ("truncate", _TRUNCATE),
        ("sync", _SYNC), ("rest", c.c_void_p * 13),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Op:
    """One thing that SQLite did to a file: `write`, `truncate`, `sync`, `delete`, or `make` for its first opening."""

    what: str
    journal: bool
    offset: int = 0  # of a write; the new size of a truncation
    data: bytes = b""


Hook = Callable[[Op], "int | bytes | None"]
"""Told before each operation. None lets it pass, a number refuses it with that SQLite code; bytes are written instead."""


def _library() -> Any:
    import _sqlite3

    library = c.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = c.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [c.c_char_p]
    return library


def there() -> bool:
    """Whether this Python's SQLite can be watched."""
    try:
        return bool(_library().sqlite3_vfs_find(None))
    except (ImportError, AttributeError, OSError):
        return False


class Disk:
    """Watches every SQLite file that is opened from now on; `hook` may be changed at any time."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self._vfs = _library().sqlite3_vfs_find(None).contents
        self._journals: dict[int, bool] = {}
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}
        self._kept: list[Any] = []
        self._before = (c.cast(self._vfs.open, c.c_void_p).value, c.cast(self._vfs.delete, c.c_void_p).value)
        self._open, self._delete = _OPEN(self._before[0]), _DELETE(self._before[1])
        self._ours = (_OPEN(self._opened), _DELETE(self._deleted))
        self._vfs.open, self._vfs.delete = self._ours

    def remove(self) -> None:
        """Leave files that are opened from now on alone. This object must outlive the watched connections."""
        self._vfs.open, self._vfs.delete = _OPEN(self._before[0]), _DELETE(self._before[1])

    def _opened(self, vfs: int, name: int, file: int, flags: int, out: int) -> int:
        fresh = bool(name) and not Path(c.string_at(name).decode()).exists()
        answer = self._open(vfs, name, file, flags, out)
        if answer == 0 and flags & (MAIN_DB | JOURNAL):
            self._journals[file] = bool(flags & JOURNAL)
            methods = c.cast(file, c.POINTER(c.c_void_p))
            methods[0] = c.addressof(self._table(methods[0]))
            if fresh:
                self.hook(Op("make", bool(flags & JOURNAL)))
        return int(answer)

    def _table(self, address: int) -> _Methods:
        """A copy of that table of methods, with three of them ours."""
        if address not in self._tables:
            theirs = _Methods.from_address(address)
            ours = _Methods.from_buffer_copy(theirs)

            def write(file: int, data: int, size: int, offset: int) -> int:
                op = Op("write", self._journals[file], offset, c.string_at(data, size))
                answer = self.hook(op)
                if isinstance(answer, bytes):
                    return int(theirs.write(file, c.cast(answer, c.c_void_p).value, len(answer), offset))
                return int(theirs.write(file, data, size, offset)) if answer is None else answer

            def truncate(file: int, size: int) -> int:
                answer = self.hook(Op("truncate", self._journals[file], size))
                return answer if isinstance(answer, int) else int(theirs.truncate(file, size))

            def sync(file: int, flags: int) -> int:
                answer = self.hook(Op("sync", self._journals[file]))
                return answer if isinstance(answer, int) else int(theirs.sync(file, flags))

            ours.write, ours.truncate, ours.sync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
            self._tables[address] = ours, theirs
            self._tables[c.addressof(ours)] = ours, theirs
        return self._tables[address][0]

    def _deleted(self, vfs: int, name: bytes, durable: int) -> int:
        answer = self.hook(Op("delete", name.endswith(b"-journal"), durable))
        return answer if isinstance(answer, int) else int(self._delete(vfs, name, durable))


_alive: list[Disk] = []


@contextmanager
def watched(hook: Hook) -> Iterator[Disk]:
    """A disk that is watched; close the connections that were opened meanwhile before this ends."""
    disk = Disk(hook)
    _alive.append(disk)  # SQLite may call ours as long as the process lives
    try:
        yield disk
    finally:
        disk.hook = lambda op: None
        disk.remove()
