"""The one thing that a plugin's author writes for the contract suites: a small make-believe of the service.

A fake keeps neutral values (`self.orders`, `self.replies`, `self.rulings`), shows them in the service's own
words in `handle`, and notes in `self.effects`, by `self.act(...)`, each write that took place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

import httpx

from amends.cases.orders import Order
from amends.hooks.protocols import Clock
from amends.hooks.requests import AnyRequest, Reply, Ruling
from amends.testing.contracts import samples

Refusal = Literal[
    "unauthorized",
    "forbidden",
    "not-allowed",
    "risk-control",
    "not-found",
    "throttled",
    "rejected",
    "unavailable",
]

STATUS = {
    "unauthorized": 401, "forbidden": 403, "not-found": 404,
    "throttled": 429, "rejected": 400, "unavailable": 503,
}  # fmt: skip

RETRY_AFTER = 7


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that took place at the fake: which operation, for which order, under which key it came."""

    op: str
    order: str
    key: str = ""
    ref: str = ""
    to: str = ""


class Fake:
    """The base of every fake service. Name the spec that it stands for, give `config`, write `handle`."""

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    """The spec's name, as config uses it."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Complete and made up; secrets of at least eight characters, so that a leaked one is recognised."""
    http: ClassVar[bool] = True
    """False for a service that is not reached over HTTP; then override `provoke` as far as possible."""
    currency: ClassVar[str] = "CNY"
    time_zone: ClassVar[str] = "Asia/Shanghai"
    volatile: ClassVar[tuple[str, ...]] = ()
    """Headers, query or body fields that differ when one request is sent twice: time, nonce, signature."""
    remedies: ClassVar[tuple[str, ...]] = ("coupon",)
    """Remedy kinds to try where `grant` is declared as a whole."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.orders: dict[str, Order] = {}
        self.effects: list[Effect] = []

    async def start(self) -> None:
        """Called before each check: start a server here if there is one."""

    async def stop(self) -> None:
        """Called after each check."""

    def settings(self) -> Mapping[str, Any]:
        """The config for the plugin; override where a value (a port) is known only after `start`."""
        return self.config

    def handle(self, request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        """Answer one request as the service would, effects included."""
        raise NotImplementedError(f"{type(self).__name__} must answer {request.method} {request.url.path}")

    def act(self, op: str, order: str, *, key: str = "", to: str = "") -> str:
        """Note that a write took place; returns a reference for it."""
        ref = f"{op}-{len(self.effects) + 1}"
        self.effects.append(Effect(op=op, order=order, key=key, ref=ref, to=to))
        return ref

    def acted(self, op: str, *, key: str, order: str = "") -> Effect | None:
        """The write that took place under this key (of this order), as a service's own record of it."""
        found = (e for e in self.effects if e.op == op and e.key == key and order in ("", e.order))
        return next(found, None)

    def refuse(self, why: Refusal, request: httpx.Request) -> httpx.Response | None:
        """The service's own way to refuse; None: it has none. Override where it answers 200 with a code."""
        if why not in STATUS:
            return None
        headers = {"Retry-After": str(RETRY_AFTER)} if why == "throttled" else {}
        # What services do: repeat what they were sent. None of it may reach a log or an exception.
        said = request.content.decode("utf-8", "replace")
        return httpx.Response(
            STATUS[why], headers=headers, json={"error": why, "message": f"refused: {said}"}
        )

    def provoke(self, trouble: str) -> bool:
        """Without HTTP: make the next act go wrong that way; False where it cannot be played.

        `trouble` is a name from `contracts.troubles`: "no connection", "an answer that never comes" …
        """
        return False

    def request(self, op: str, variant: str, *, order: Order, key: str, round: int = 1) -> AnyRequest:
        """A write to try; override where the service needs a certain text, template or address."""
        return samples.request(
            op,
            variant,
            order=order,
            key=key,
            now=self.clock.now(),
            dispute=self.prepare(op, order),
            round=round,
        )

    def prepare(self, op: str, order: Order) -> str:
        """Get ready for that write: open a dispute, say, and return its id."""
        return ""


class FakePlatform(Fake):
    """A make-believe platform or desk, for `ConnectorContract` and `DeskContract`.

    The suites put neutral orders into `self.orders`, replies into `self.replies`, decisions into
    `self.rulings` (by the reference that the filing returned); `handle` shows them in the platform's words.
    """

    kind = "connector"
    many: ClassVar[int] = 25
    """How many orders make more than two pages; lower the fake's page size rather than raise this."""
    lag: ClassVar[timedelta] = timedelta(seconds=60)
    """How much later than its `updated_at` a change may show up in the list."""
    precision: ClassVar[timedelta] = timedelta(seconds=1)
    """Of the platform's times."""
    shows: ClassVar[tuple[str, ...]] = ("amount", "placed_at", "updated_at")
    """Fields of `Order` that must come out exactly as they were put in."""
    required: ClassVar[tuple[str, ...]] = ()
    """Names, as the platform spells them, of fields without which an order cannot be read."""
    spare: ClassVar[tuple[str, ...]] = ()
    """Names of fields whose absence changes nothing worth a word, although an order then differs."""
    webhook_window: ClassVar[timedelta | None] = None
    """How old a signed webhook may be; None where the platform signs no time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.replies: list[Reply] = []
        self.rulings: dict[str, Ruling] = {}

    def number(self, n: int) -> str:
        """An order number in the platform's form."""
        return str(100_000 + n)

    def changed(self, since: datetime | None = None, until: datetime | None = None) -> list[Order]:
        """Orders last changed in `[since, until]`, oldest first, then by number: what most lists answer."""
        found = [
            order
            for order in self.orders.values()
            if order.updated_at is not None
            and (since is None or order.updated_at >= since)
            and (until is None or order.updated_at <= until)
        ]
        return sorted(found, key=lambda order: (order.updated_at, order.number))

    def webhook(self, order: Order) -> bytes:
        """The body of a webhook that tells of this order."""
        raise NotImplementedError(
            f"{type(self).__name__}.webhook: the body of a webhook that tells of an order"
        )

    def sign(self, body: bytes, at: datetime) -> Mapping[str, str]:
        """The headers with which the platform sends that body at that time."""
        raise NotImplementedError(f"{type(self).__name__}.sign: the headers of a genuine webhook")


class FakeChannel(Fake):
    """A make-believe mail, text-message or chat service, for `ChannelContract`; pass `to=` to `self.act`."""

    kind = "channel"
    unreachable: ClassVar[bool] = True
    """Whether a customer without phone, e-mail or address cannot be reached by this channel."""
