"""What a simulated world is made of beside the marketplace: time without waiting, a ledger in one thread, a back office."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from amends.hooks.requests import Receipt
from amends.ledger import Ledger, Tx
from amends.testing.marketplace import Marketplace

P = ParamSpec("P")
R = TypeVar("R")


class Instant(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: when there is nothing else to do, it is later at once."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        self._now += seconds


class _Leaping(selectors.DefaultSelector):
    def __init__(self, loop: Instant) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self._loop.leap(timeout)
            timeout = 0
        return super().select(timeout)


class HereLedger(Ledger):
    """The ledger in the caller's own thread, so that what happens first does not depend on the system's scheduler."""

    def do(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._once(work, args, kwargs)

    async def run(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._once(work, args, kwargs)


class InOneGo:
    """A ledger for the scripted operator, who does a whole round of tasks in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def do(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return work(self._tx, *args, **kwargs)


class BackOffice:
    """What the operator sees and does at the marketplace: the part of `SandboxControl` that people use."""

    def __init__(self, market: Marketplace) -> None:
        self._market = market
        self.seen = market.seen
        self.reading = market.reading

    def act(self, order: str, op: Any, *, round: int = 0, **more: Any) -> Receipt:
        remedy = more.get("remedy")
        kind = f"grant:{remedy.kind}" if op == "grant" and remedy else op
        done = self._market.seen(order, kind, round=round)
        return (
            self._market.receipt(done[0])
            if done
            else self._market.back_office(order, op, round=round, **more)
        )
