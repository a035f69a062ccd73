"""Turns the databases' own errors into the ledger's, each with what to do about it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from amends.errors import LedgerCorrupt, LedgerError, LedgerFull, LedgerLocked

BUSY = 30.0
"""Seconds to wait for another process's lock."""
LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
"""Postgres' classes and codes of a connection that ended: shut down, crashed, starting, idle for too long."""
REFUSED = ("28", "3D", "42501")
"""Of an address that leads to a server where we may not do what we want: user, password, database, rights."""


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the driver's errors as ours."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        raise ours(error, where) from error


def ours(error: Exception, where: str) -> LedgerError:
    """The ledger's error for one of a driver's; raises what is nobody's but the programmer's."""
    orig = getattr(error, "orig", error)
    state = getattr(orig, "sqlstate", None) or ""
    what = str(orig).lower()
    line = (what.splitlines() or [""])[0]
    if isinstance(error, PoolTimeout):
        return LedgerLocked(f"{where}: no connection became free within {BUSY:.0f} s")
    if state == "40P01":
        return LedgerLocked(
            f"{where}: two workers stood in each other's way", hint="Run again; nothing was written."
        )
    if state == "55P03" or (not state and ("locked" in what or "busy" in what)):
        return LedgerLocked(f"{where} was locked by another process for more than {BUSY:.0f} s")
    if state == "53100" or "disk is full" in what or "no space" in what or "disk full" in what:
        return LedgerFull(f"no room left on the disk of {where}; the last transaction was rolled back")
    if not state and "could not decode" in what:  # the driver would show what it could not read
        return LedgerCorrupt(f"{where} is damaged: a text in it is none any more")
    if not state and "disk i/o error" in what:
        return LedgerError(
            f"the disk of {where} failed; the last transaction was rolled back",
            hint="Look at the disk and its limits (`dmesg`, `ulimit -f`), then run again; nothing was lost.",
        )
    if state[:2] == "XX" or (
        not state and any(word in what for word in ("malformed", "not a database", "corrupt"))
    ):
        return LedgerCorrupt(f"{where} is damaged: {line}")
    if state == "25006" or (
        not state and any(word in what for word in ("unable to open", "readonly", "read-only"))
    ):
        return no_place(where)
    if state.startswith(REFUSED):
        return LedgerError(
            f"{where}: {line}", hint="Check user, password and database of the ledger's address."
        )
    if state.startswith(LOST) or getattr(error, "connection_invalidated", False) or "connection" in line:
        return cut(where)
    if isinstance(error, OperationalError):
        return LedgerError(f"{where}: {line}", hint="Is the database running and reachable?")
    raise error


def cut(where: str) -> LedgerError:
    return LedgerError(
        f"{where} ended the connection in the middle of a transaction: it was rolled back, or just committed",
        hint="Run again: what was sent and not written down is settled then.",
    )


def unreachable(where: str, error: BaseException, waited: float) -> LedgerError:
    since = f" for {waited:.0f} s" if waited >= 1 else ""
    why = str(error) or type(error).__name__
    return LedgerError(
        f"{where} cannot be reached{since}: {why.splitlines()[0]}",
        hint="Is the database running and reachable? Run again once it is; nothing was lost.",
    )


def no_place(where: str) -> LedgerError:
    return LedgerError(f"{where} cannot be opened for writing", hint="Check the path and its permissions.")
