"""Opens the ledger and runs transactions on it: one writing thread on SQLite, a pool on Postgres, the same functions on both.

Every ledger operation elsewhere is a plain function whose first argument is a `Tx`. No network call ever happens
inside one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from sqlalchemy.pool import StaticPool

from amends.errors import LedgerCorrupt, LedgerError, LedgerNewer
from amends.ledger.pool import Pool
from amends.ledger.schema import REVISION, meta
from amends.ledger.troubles import BUSY, no_place, ours, translated
from amends.ledger.vault import Vault

P = ParamSpec("P")
R = TypeVar("R")

_EMPTIED = (
    "Stop all workers and restore the last backup: a ledger begun anew would write to every customer again. "
    "If there never was anything in it, remove the file."
)


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
        self._pool = None if self.sqlite else Pool(self.url, self.where)
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

        if self._pool is not None:
            self.do(upgrade)
        else:
            self._thread.submit(self._unreferenced, upgrade).result()

    def _unreferenced(self, work: Callable[[Tx], None]) -> None:
        """Without foreign keys, which cannot be turned off inside a transaction: SQLite can change most things of a table
        only by making it anew, and dropping the old one would break every reference to it.
        """
        with self._sqlite().connect() as conn:
            driver: Any = conn.connection.driver_connection
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                with translated(self.where), _begun(conn):
                    work(Tx(conn, self.vault))
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    def do(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(tx, …)` in one transaction and wait for it."""
        return self._submit(work, args, kwargs).result()

    async def run(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same without blocking the event loop. Whoever is cancelled meanwhile leaves it to its own end."""
        return await asyncio.shield(asyncio.wrap_future(self._submit(work, args, kwargs)))

    def _submit(self, work: Callable[..., R], args: Any, kwargs: Any) -> Future[R]:
        if self._pool is not None:
            return self._pool.submit(lambda conn: work(Tx(conn, self.vault), *args, **kwargs))
        return self._thread.submit(self._once, work, args, kwargs)

    def _once(self, work: Callable[..., R], args: Any, kwargs: Any) -> R:
        with translated(self.where), self._sqlite().connect() as conn:
            try:
                with _begun(conn):
                    return work(Tx(conn, self.vault), *args, **kwargs)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # Rows that nobody wrote: a page that is another's reads without complaint.
                driver: Any = conn.connection.driver_connection
                if driver.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                    raise LedgerCorrupt(f"{self.where} is damaged: its pages are not in order") from error
                raise

    def _sqlite(self) -> Engine:
        with self._guard:
            if self._engine is None:
                self._engine = _sqlite_engine(self.url.database or "")
            return self._engine

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        if self._pool is not None:
            self._pool.close()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)


def _sqlite_engine(path: str) -> Engine:
    """Rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL file that two processes checkpoint at once."""
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if not Path(path).exists():
                _make_file(Path(path))
            elif Path(path).is_file() and not Path(path).stat().st_size:
                raise LedgerCorrupt(f"{path} is empty: what was in it is gone", hint=_EMPTIED)
        except OSError as error:
            raise no_place(path) from error
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

    return engine


@contextlib.contextmanager
def _begun(conn: Connection) -> Iterator[None]:
    """A transaction that may write from its beginning. Said here, as a listener would be asked at every statement."""
    with conn.begin():
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def _make_file(path: Path) -> None:
    """A new database, for its owner only. It is never seen empty, so that an emptied one is told from a new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(fresh)) as connection:
            connection.execute(f"PRAGMA application_id={int.from_bytes(b'amds', 'big')}")
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(fresh, path)
    except sqlite3.Error as error:
        raise ours(error, str(path)) from error
    finally:
        fresh.unlink(missing_ok=True)
        fresh.with_name(f"{fresh.name}-journal").unlink(missing_ok=True)


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
