"""What the objects behind the specs must be able to do. A connector implements what its spec declares, no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from amends.cases.lateness import Lateness
from amends.cases.money import Money
from amends.cases.offers import Offer
from amends.cases.orders import Order, Tracking
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

if TYPE_CHECKING:
    import httpx


class Clock(Protocol):
    """Tells the time: aware, UTC."""

    def now(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What the host gives a factory: the shop's name and zone, a clock, and how to get an HTTP client.

    `http()` makes an `httpx.AsyncClient` on the fast transport; tests give one with a `MockTransport`.
    """

    shop: str
    time_zone: str
    clock: Clock
    http: Any  # Callable[..., httpx.AsyncClient]; kept loose so that importing this needs no httpx

    def client(self, **options: Any) -> httpx.AsyncClient:
        client: httpx.AsyncClient = self.http(**options)
        return client


class Connector(Protocol):
    """One platform for one shop. Every method may raise a `PlatformError`, which says whether a write was done."""

    async def changed_orders(self, cursor: str) -> OrderPage:
        """Orders changed since `cursor` (empty: from the start of what is worth looking at), oldest first."""
        ...

    async def order(self, number: str) -> Order: ...

    async def tracking(self, order: Order) -> Tracking | None: ...

    async def replies(self, cursor: str) -> ReplyPage: ...

    async def message(self, request: Message) -> Receipt: ...

    async def grant(self, request: Grant) -> Receipt: ...

    async def extend(self, request: Extension) -> Receipt: ...

    async def note(self, request: Note) -> Receipt:
        """Leave our visible trace on the order, for the merchant's people alone. May fail: no case waits for it."""
        ...

    async def find(self, request: AnyRequest) -> Receipt | None:
        """The receipt of a write that did take place; None means proven absent. Raise where it cannot be known."""
        ...

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        """The events of a webhook; raises `Rejected` where the signature or its age is wrong."""
        ...

    async def aclose(self) -> None: ...


class Desk(Protocol):
    """Where disputes are fought: the same object as the connector, or another platform's."""

    async def complain(self, request: Filing) -> Receipt: ...

    async def respond(self, request: Filing) -> Receipt: ...

    async def arbitrate(self, request: Filing) -> Receipt: ...

    async def with_dispute(self, order: Order) -> Order:
        """The order as this desk sees it: disputed, with the dispute's id and due date, where it is (`disputes`)."""
        ...

    async def replies(self, cursor: str) -> ReplyPage:
        """What customers wrote at the desk, where it is another platform than the connector's."""
        ...

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        """The decision on what was filed as `ref`; None while there is none."""
        ...

    async def find(self, request: AnyRequest) -> Receipt | None: ...

    async def aclose(self) -> None: ...


class Channel(Protocol):
    """Sends a text to an address outside the platform.

    It may have `async def check(self) -> None` besides, which signs in and sends nothing: `amends doctor` calls it, and
    that of a connector or desk, which it else asks for a page of changed orders or replies.
    """

    async def message(self, request: Message) -> Receipt: ...

    async def find(self, request: AnyRequest) -> Receipt | None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CaseView:
    """What a policy may know of a case: no personal values."""

    order: Order
    lateness: Lateness
    round: int  # the round that is to be proposed, from 1
    penalty: Money | None
    earlier: tuple[Offer, ...]  # offers of this generation, oldest first
    counter_ship_by: datetime | None = None
    counter_remedy: Any = None  # Remedy | None
    now: datetime | None = None
    can: frozenset[str] = frozenset()  # remedy kinds that connector or people can grant: "coupon", "refund" …


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """The money still free under each cap, and the playbook's words that bear on an offer."""

    left: Mapping[str, Money]
    reply_by: datetime
    last_round: int


class Policy(Protocol):
    """Proposes the offer of a round. Pure: no clock, no network, no memory."""

    def propose(self, case: CaseView, context: PolicyContext) -> Offer: ...
