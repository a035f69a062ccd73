"""A connector that calls the marketplace model directly: for tests of steps and policies, without sockets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel

from amends.cases.orders import Order, Tracking
from amends.errors import Rejected, Throttled, TimedOut, Unavailable, Unsupported
from amends.hooks.requests import (
    AnyRequest,
    Event,
    Extension,
    Filing,
    Grant,
    Message,
    Note,
    OrderPage,
    Receipt,
    ReplyPage,
    Ruling,
)
from amends.hooks.specs import ConnectorSpec
from amends.testing.faults import Dice, Fault, Faults
from amends.testing.marketplace import Marketplace
from amends.testing.operations import OPERATIONS
from amends.testing.webhooks import verify

T = TypeVar("T")
SECRET = "sandbox"  # noqa: S105  # guards nothing: made-up data in one process


class InProcess:
    """Connector and desk on a `Marketplace` in the same process, with the sandbox's faults on request."""

    def __init__(self, market: Marketplace, faults: Faults | None = None, *, secret: str = SECRET) -> None:
        self.market = market
        self.dice = Dice(market.seed, faults or Faults())
        self._secret = secret
        market.visibility_lag = self.dice.faults.visibility_lag

    async def changed_orders(self, cursor: str) -> OrderPage:
        return self._read(f"orders {cursor}", lambda: self.market.changed_orders(cursor))

    async def order(self, number: str) -> Order:
        return self._read(f"order {number}", lambda: self.market.order(number))

    async def tracking(self, order: Order) -> Tracking | None:
        return self._read(f"tracking {order.number}", lambda: self.market.tracking(order.number))

    async def replies(self, cursor: str) -> ReplyPage:
        return self._read(f"replies {cursor}", lambda: self.market.replies(cursor))

    async def find(self, request: AnyRequest) -> Receipt | None:
        name = f"find {request.op} {request.order} {request.round}"
        return self._read(name, lambda: self.market.find(request))

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        return self._read(f"ruling {order}", lambda: self.market.ruling(order, ref))

    async def message(self, request: Message) -> Receipt:
        return self._write(request, lambda: self.market.message(request))

    async def grant(self, request: Grant) -> Receipt:
        return self._write(request, lambda: self.market.grant(request))

    async def extend(self, request: Extension) -> Receipt:
        return self._write(request, lambda: self.market.extend(request))

    async def note(self, request: Note) -> Receipt:
        return self._write(request, lambda: self.market.note(request))

    async def respond(self, request: Filing) -> Receipt:
        return self._write(request, lambda: self.market.respond(request))

    async def arbitrate(self, request: Filing) -> Receipt:
        return self._write(request, lambda: self.market.arbitrate(request))

    async def complain(self, request: Filing) -> Receipt:
        raise Unsupported("sandbox: complaints are filed by hand, in the back office")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        verify(self._secret, headers, body, now=self.market.now, age=timedelta(hours=12))
        try:
            return (Event.model_validate_json(body),)
        except ValueError:
            raise Rejected("sandbox: the webhook's body is not one of ours") from None

    async def aclose(self) -> None:
        """Nothing to close."""

    def _read(self, identity: str, work: Callable[[], T]) -> T:
        self._before(self.dice.roll(identity, write=False))
        return work()

    def _write(self, request: AnyRequest, work: Callable[[], T]) -> T:
        fault = self.dice.roll(identity(request), write=True)
        self._before(fault)
        done = work()
        if fault is Fault.FAILED_AFTER:
            raise Unavailable("sandbox: HTTP 500 on purpose")
        if fault is Fault.RESET_AFTER:
            raise TimedOut("sandbox: the connection broke on purpose")
        return done

    def _before(self, fault: Fault) -> None:
        if fault is Fault.THROTTLED:
            raise Throttled("sandbox: HTTP 429 on purpose", retry_after=self.dice.faults.retry_after)
        if fault is Fault.FAILED:
            raise Unavailable("sandbox: HTTP 503 on purpose")


def identity(request: AnyRequest) -> str:
    """What makes two attempts the same request: never the key, which a broken ledger may draw at random."""
    kind = f"grant:{request.remedy.kind}" if isinstance(request, Grant) else request.op
    if isinstance(request, Note):
        kind = f"note:{request.about}"
    return f"{kind} {request.order} {request.round}"


class _NoConfig(BaseModel):
    """The in-process sandbox needs no settings."""


def in_process_spec(market: Marketplace, faults: Faults | None = None) -> ConnectorSpec:
    """A spec named `sandbox` whose every connector is one on `market`: for a registry in tests."""
    connector = InProcess(market, faults)
    return ConnectorSpec(
        name="sandbox",
        config=_NoConfig,
        factory=lambda config, context: connector,
        operations=OPERATIONS,
        rules="pdd",
        quota=(math.inf, 1),  # its clock is virtual, a quota's is not
        description="The marketplace model in the same process",
    )
