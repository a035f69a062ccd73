"""Commits what many requests bring in one transaction: each waits for the disk once, however many come at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from amends.errors import LedgerError
from amends.ledger import Ledger, Tx

R = TypeVar("R")

MOST = 64
"""Pieces of work in one transaction."""


class Together:
    """Gathers work on one ledger while an earlier transaction is under way. What was answered is committed."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._waiting: list[tuple[Callable[[Tx], Any], asyncio.Future[Any]]] = []
        self._draining: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[Tx], R]) -> R:
        """What `work` answers once it is committed; raises what it raises, or a `LedgerError`. It may be run twice."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            batch = [
                (work, answer) for work, answer in batch if not answer.done()
            ]  # nobody waits for those any more
            try:
                found = await self.ledger.run(_all, [work for work, _ in batch])
            except LedgerError as error:
                for _, answer in batch:
                    _fail(answer, error)
            except Exception:  # one is at fault: alone, each of the others succeeds
                for work, answer in batch:
                    try:
                        _give(answer, await self.ledger.run(work))
                    except Exception as error:
                        _fail(answer, error)
            else:
                for (_, answer), value in zip(batch, found, strict=True):
                    _give(answer, value)


def _all(tx: Tx, works: Sequence[Callable[[Tx], Any]]) -> list[Any]:
    return [work(tx) for work in works]


def _give(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
