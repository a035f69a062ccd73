"""Connections to a Postgres ledger: a few of them, on an event loop in a thread of their own.

So plain code and any event loop use the same ones, transactions of one process run side by side, and whoever is
cancelled while it waits does not tear a transaction.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from amends.ledger.troubles import BUSY, LOST, ours, translated, unreachable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

R = TypeVar("R")

PATIENCE = 30.0
"""Seconds to wait for a server that was there before and is gone: a restart, a failover."""
SIZE = 8
"""Connections of one process."""
STALLED = 15
"""Seconds after which the server ends a transaction of a worker that does nothing in it: one that was stopped would
keep all others waiting. Our transactions do no network, so a worker that is alive is never so slow."""
STARTING, FULL = "57P03", "53300"
"""What a server answers that is just starting (or stopping), and one that has no connection left."""
SETTINGS = {
    "application_name": "amends",
    "idle_in_transaction_session_timeout": str(STALLED * 1000),
    "lock_timeout": str(int(BUSY * 1000)),
    # A machine that is gone without a word is noticed within half a minute, not within hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


class Pool:
    """Runs functions of a connection, each in one transaction. Nothing is connected before the first one."""

    def __init__(self, url: URL, where: str) -> None:
        self._url = url.set(drivername="postgresql+asyncpg")
        self._where = where
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: AsyncEngine | None = None
        self._known = False  # whether the server has ever answered

    def submit(self, work: Callable[[Connection], R]) -> Future[R]:
        return asyncio.run_coroutine_threadsafe(self._transaction(work), self._running())

    async def _transaction(self, work: Callable[[Connection], R]) -> R:
        conn = await self._connection()
        try:
            with translated(self._where):
                try:
                    async with conn.begin():
                        return await conn.run_sync(work)
                except DBAPIError:
                    await conn.invalidate()  # whatever state it is in: nobody else is to have it
                    raise
        finally:
            await conn.close()

    async def _connection(self) -> AsyncConnection:
        """A live connection; waits for a server that has answered before, and for one that is just starting."""
        began, pause = time.monotonic(), 0.05
        while True:
            try:
                conn = await self._made().connect()
            except PoolTimeout as error:
                raise ours(error, self._where) from error
            except Exception as error:
                state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
                if not (isinstance(error, OSError) or state.startswith((*LOST, FULL))):
                    raise ours(error, self._where) from error
                waited = time.monotonic() - began
                if waited > PATIENCE or not (self._known or state.startswith((STARTING, FULL))):
                    raise unreachable(self._where, error, waited) from error
            else:
                self._known = True
                return conn
            await asyncio.sleep(pause)
            pause = min(1.0, 2 * pause)

    def _made(self) -> AsyncEngine:
        if self._engine is None:
            from sqlalchemy.ext.asyncio import create_async_engine

            self._engine = create_async_engine(
                self._url, pool_size=SIZE, max_overflow=0, pool_timeout=BUSY,
                connect_args={"server_settings": SETTINGS, "timeout": 10},
            )  # fmt: skip
            event.listen(self._engine.sync_engine, "checkout", _still_open)
        return self._engine

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ledger-postgres", daemon=True).start()
            return self._loop

    def close(self) -> None:
        with self._guard:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        if self._engine is not None:
            engine, self._engine = self._engine, None
            asyncio.run_coroutine_threadsafe(engine.dispose(), loop).result(BUSY)
        loop.call_soon_threadsafe(loop.stop)


def _still_open(connection: Any, *_: object) -> None:
    """Replace connections that the server has closed meanwhile. Costs no round trip, unlike a ping in a transaction."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
