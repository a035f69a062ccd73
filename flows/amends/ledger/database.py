"""Opens the ledger and runs transactions on it: one writing thread on SQLite, a pool on Postgres, the same functions on both.

Every ledger operation elsewhere is a plain function whose first argument is a `Tx`. No network call ever happens
inside one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    Select,
    create_engine,
    event,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool

from amends.errors import LedgerCorrupt, LedgerError, LedgerFull, LedgerLocked, LedgerNewer
from amends.ledger.schema import REVISION, meta
from amends.ledger.vault import Vault

P = ParamSpec("P")
R = TypeVar("R")

BUSY = 30.0
"""Seconds to wait for another process's lock on a SQLite ledger."""


class Tx:
    """One open transaction: a connection, and the vault."""

    __slots__ = ("conn", "postgres", "vault")

    def __init__(self, conn: Connection, vault: Vault) -> None:
        self.conn = conn
        self.vault = vault
        self.postgres = conn.dialect.name == "postgresql"

    def execute(
        self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        return self.conn.execute(statement, parameters)

    def locked(self, query: Select[Any]) -> Select[Any]:
        """The query with its rows locked until commit; SQLite's one writer needs no more."""
        return query.with_for_update() if self.postgres else query

    def upsert(self, table: Any) -> Any:
        """An INSERT that can say `on_conflict_do_…`."""
        if self.postgres:
            from sqlalchemy.dialects.postgresql import insert as pg_insert

            return pg_insert(table)
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)


class Ledger:
    """The ledger at one address. `run` is for the event loop, `do` for plain code; both commit or leave no trace."""

    def __init__(self, url: str, vault: Vault) -> None:
        self.url = make_url(url)
        self.vault = vault
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._engine: Engine | None = None
        self._async: Any = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._guard = threading.Lock()

    @classmethod
    def open(cls, url: str, vault: Vault) -> Ledger:
        """Open, make or upgrade; raises `LedgerNewer` for one that a newer amends wrote, and `LedgerError` where the
        key is not the one that it was made with.
        """
        ledger = cls(url, vault)
        try:
            with translated(ledger.where):
                ledger.migrate()
                ledger.do(_fit)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @property
    def where(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def migrate(self) -> None:
        found = self.do(_revision)
        if found == REVISION:
            return
        if found is not None and found > REVISION:
            raise LedgerNewer(f"{self.where} is at schema {found}; this amends knows up to {REVISION}")
        from amends.ledger.migrate import upgrade

        self.do(upgrade)

    def do(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(tx, …)` in one transaction and wait for it."""
        if self.sqlite:
            return self._thread.submit(self._once, work, args, kwargs).result()
        result: R = _in_fresh_loop(self._once_async(work, args, kwargs, pooled=False))
        return result

    async def run(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same without blocking the event loop."""
        if self.sqlite:
            return await asyncio.wrap_future(self._thread.submit(self._once, work, args, kwargs))
        return await self._once_async(work, args, kwargs, pooled=True)

    def _once(self, work: Callable[..., R], args: Any, kwargs: Any) -> R:
        with translated(self.where), self._sqlite().connect() as conn, conn.begin():
            return work(Tx(conn, self.vault), *args, **kwargs)

    async def _once_async(self, work: Callable[..., R], args: Any, kwargs: Any, *, pooled: bool) -> R:
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        url = self.url.set(drivername="postgresql+asyncpg")
        if not pooled:
            engine = create_async_engine(url, poolclass=NullPool)
        else:
            loop = asyncio.get_running_loop()
            if self._async is None or self._async[0] is not loop:
                self._async = (
                    loop,
                    create_async_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True),
                )
            engine = self._async[1]
        with translated(self.where):
            async with engine.begin() as conn:
                result: R = await conn.run_sync(lambda sync: work(Tx(sync, self.vault), *args, **kwargs))
        return result

    def _sqlite(self) -> Engine:
        with self._guard:
            if self._engine is None:
                self._engine = _sqlite_engine(self.url.database or "")
            return self._engine

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    async def aclose(self) -> None:
        if self._async is not None:
            await self._async[1].dispose()
            self._async = None
        self.close()


def _sqlite_engine(path: str) -> Engine:
    """Rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL file that two processes checkpoint at once."""
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if not Path(path).exists():
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise _no_place(path) from error
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": BUSY}
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode=TRUNCATE",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _revision(tx: Tx) -> str | None:
    if tx.postgres:
        there = tx.execute(text("SELECT to_regclass('alembic_version')")).scalar()
    else:
        there = tx.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).scalar()
    if not there:
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _fit(tx: Tx) -> None:
    """Note which key the ledger was made with, as a signature; refuse any other before it writes a thing."""
    mark = tx.vault.mac(b"ledger").hex()
    tx.execute(tx.upsert(meta).values(key="key", value=mark).on_conflict_do_nothing())
    if tx.execute(select(meta.c.value).where(meta.c.key == "key")).scalar() != mark:
        raise LedgerError(
            "the ledger's key does not fit this ledger", hint="Use the key with which the ledger was made."
        )


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the driver's errors into ours, each with what to do."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _ours(error, where) from error


def _ours(error: Exception, where: str) -> LedgerError:
    what = str(getattr(error, "orig", error)).lower()
    if "deadlock" in what:
        return LedgerLocked(
            f"{where}: two workers stood in each other's way", hint="Run again; nothing was written."
        )
    if "locked" in what or "busy" in what:
        return LedgerLocked(f"{where} was locked by another process for more than {BUSY:.0f} s")
    if "disk is full" in what or "no space" in what or "disk full" in what:
        return LedgerFull(f"no room left on the disk of {where}; the last transaction was rolled back")
    if "could not decode" in what:  # the driver would show what it could not read
        return LedgerCorrupt(f"{where} is damaged: a text in it is none any more")
    if "malformed" in what or "not a database" in what or "corrupt" in what:
        return LedgerCorrupt(f"{where} is damaged: {what.splitlines()[0]}")
    if "unable to open" in what or "readonly" in what or "read-only" in what:
        return _no_place(where)
    if isinstance(error, OperationalError):
        return LedgerError(f"{where}: {what.splitlines()[0]}", hint="Is the database running and reachable?")
    raise error


def _no_place(where: str) -> LedgerError:
    return LedgerError(f"{where} cannot be opened for writing", hint="Check the path and its permissions.")


def _in_fresh_loop(coroutine: Any) -> Any:
    """Run a coroutine to its end, also from inside a running loop (then in a thread of its own)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
