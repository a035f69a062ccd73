"""One shop in a test's hands: a platform that does what a script says, a policy, a clock, a ledger in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from amends import ChannelSpec, ConnectorSpec, PolicySpec, hookimpl
from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import Order, OrderStatus
from amends.clock import FixedClock
from amends.errors import BadAnswer
from amends.hooks.protocols import CaseView, PolicyContext
from amends.hooks.registry import Registry
from amends.hooks.requests import AnyRequest, OrderPage, Receipt, Reply, ReplyPage, Ruling, Unreadable
from amends.hooks.specs import Operation
from amends.ledger import Ledger, Tx, Vault, chain, effects, holds, tasks, views
from amends.ledger.effects import Effect, EffectState
from amends.settings import Settings
from amends.steps import people, reading, sending
from amends.steps.shop import Shop
from amends.steps.sweep import Summary, sweep

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
QUIET = 5 * MINUTE
COUPON = Remedy(kind=RemedyKind.COUPON, amount=Money.of("10.00", "CNY"))
WAYS: Mapping[str, Operation] = {
    "idempotent": Operation.idempotent(window=DAY),
    "queryable": Operation.queryable(quiet=QUIET),
    "blind": Operation.blind(),
    "by-hand": Operation.by_hand("back office › Messages", limits="one a day"),
}
READS = {name: Operation.read() for name in ("changed_orders", "order", "replies", "find", "ruling")}


@dataclass(frozen=True)
class After:
    """Trouble that comes after the platform has done it: the answer is lost."""

    error: Exception


@dataclass(frozen=True)
class Done:
    """One act that took place."""

    op: str
    order: str
    round: int
    key: str
    request: AnyRequest


class Platform:
    """Connector, desk or channel. Acts of the idempotent class know a key again; all others are done each time."""

    def __init__(self, clock: FixedClock, operations: Mapping[str, Operation]) -> None:
        self.clock, self.operations = clock, operations
        self.orders: dict[str, Order] = {}
        self.script: defaultdict[str, list[Exception | After | None]] = defaultdict(list)
        self.always: dict[str, Exception] = {}
        self.calls: list[AnyRequest] = []
        self.looks: list[str] = []
        self.sought: list[AnyRequest] = []
        self.done: list[Done] = []
        self.answers: list[Reply] = []
        self.rulings: dict[str, Ruling] = {}
        self.meanwhile: Callable[[AnyRequest], None] = lambda request: None
        self.behind = timedelta()  # how old the order's own page is
        self.odd: dict[str, str] = {}  # orders that cannot be read, and why
        self.closed = False

    def show(self, number: str = "A-1", **changes: Any) -> Order:
        """Put an order there: by default unshipped, an hour past its deadline."""
        now = self.clock.now()
        plain: dict[str, Any] = {
            "number": number, "amount": Money.of("200.00", "CNY"), "placed_at": now - 3 * DAY, "paid_at": now - 3 * DAY,
            "ship_by": now - HOUR, "status": OrderStatus.TO_SHIP, "customer": f"c-{number}", "observed_at": now,
        }  # fmt: skip
        known = self.orders.get(number)
        if known is not None:
            plain = {name: getattr(known, name) for name in Order.model_fields}
        self.orders[number] = Order(**(plain | changes | {"updated_at": now}))
        return self.orders[number]

    def say(self, answer: f.Answer | None, number: str = "A-1", **more: Any) -> Reply:
        """Let the customer answer."""
        plain = {
            "event": f"e-{len(self.answers) + 1}",
            "order": number,
            "at": self.clock.now(),
            "answer": answer,
        }
        self.answers.append(Reply(**(plain | more)))
        return self.answers[-1]

    def _trouble(self, name: str) -> Exception | After | None:
        if self.script[name]:
            return self.script[name].pop(0)
        return self.always.get(name)

    def _read(self, name: str) -> None:
        trouble = self._trouble(name)
        if isinstance(trouble, Exception):
            raise trouble

    async def changed_orders(self, cursor: str) -> OrderPage:
        self._read("changed_orders")
        now = self.clock.now()
        since = datetime.fromisoformat(cursor) if cursor else None
        found = [
            o for o in self.orders.values() if since is None or o.updated_at is None or o.updated_at >= since
        ]
        return OrderPage(
            orders=tuple(
                o.model_copy(update={"observed_at": now}) for o in found if o.number not in self.odd
            ),
            unreadable=tuple(Unreadable(order=n, why=why) for n, why in self.odd.items()),
            cursor=now.isoformat(),
        )

    async def order(self, number: str) -> Order:
        self.looks.append(number)
        self._read("order")
        if number in self.odd:
            raise BadAnswer(self.odd[number])
        self._read(f"order {number}")
        return self.orders[number].model_copy(update={"observed_at": self.clock.now() - self.behind})

    async def replies(self, cursor: str) -> ReplyPage:
        self._read("replies")
        start = int(cursor or 0)
        return ReplyPage(replies=tuple(self.answers[start:]), cursor=str(len(self.answers)))

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        self._read("ruling")
        return self.rulings.get(order)

    async def find(self, request: AnyRequest) -> Receipt | None:
        self._read("find")
        self.sought.append(request)
        found = [d for d in self.done if (d.op, d.key) == (request.op, request.key)]
        return Receipt(ref=f"found-{request.key}") if found else None

    async def message(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def grant(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def extend(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def note(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def complain(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def respond(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    async def arbitrate(self, request: AnyRequest) -> Receipt:
        return self._write(request)

    def _write(self, request: AnyRequest) -> Receipt:
        self.calls.append(request)
        self.meanwhile(request)
        trouble = self._trouble(request.op)
        if isinstance(trouble, Exception):
            raise trouble
        kind = f"grant:{request.remedy.kind}" if request.op == "grant" else request.op
        operation = self.operations.get(kind) or self.operations[request.op]
        known = [d for d in self.done if (d.op, d.key) == (request.op, request.key)]
        if not (known and operation.effect == "idempotent"):
            self.done.append(Done(request.op, request.order, request.round, request.key, request))
        if isinstance(trouble, After):
            raise trouble.error
        state = "requested" if operation.reviewed else "done"
        return Receipt(ref=f"{request.op}-{request.order}-{request.round}", state=state)

    async def aclose(self) -> None:
        self.closed = True


class OnePolicy:
    """Proposes the same coupon and date each round, unless a test says otherwise."""

    def __init__(self) -> None:
        self.offer: Callable[[CaseView, PolicyContext], Any] = lambda view, context: Offer(
            remedy=COUPON, new_ship_by=(view.now or NOW) + 2 * DAY, cause="stock", why="late"
        )
        self.views: list[CaseView] = []

    def propose(self, view: CaseView, context: PolicyContext) -> Any:
        self.views.append(view)
        return self.offer(view, context)


class Hasty:
    """asyncio whose pauses take no time; it remembers them."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class NoConfig(BaseModel):
    """These plugins need no settings."""


@dataclass
class Workshop:
    """The shop, and everything that a test looks at."""

    clock: FixedClock
    platform: Platform
    policy: OnePolicy
    sms: Platform
    ledger: Ledger
    settings: Settings
    registry: Registry
    shop: Shop
    hasty: Hasty = field(default_factory=Hasty)

    async def sweep(self, after: timedelta = timedelta(), shop: Shop | None = None) -> Summary:
        """Sweep once, that much later."""
        self.clock.advance(after)
        return await sweep(shop or self.shop)

    async def second(self) -> Shop:
        """Another worker on the same ledger."""
        return await Shop.open(
            self.settings, "stall", ledger=self.ledger, registry=self.registry, clock=self.clock
        )

    def do(self, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return self.ledger.do(work, *args, **more)

    def case(self, number: str = "A-1") -> views.CaseLine:
        return self.do(views.case_lines, number=number)[0]  # type: ignore[no-any-return]

    def facts(self, number: str = "A-1") -> list[Any]:
        """The bodies of the case's facts, in order."""
        id_ = self.case(number).id
        return [fact.body for fact in self.do(chain.load, [id_])[id_]]

    def kinds(self, number: str = "A-1") -> list[str]:
        return [body.kind for body in self.facts(number)]

    def last(self, kind: str, number: str = "A-1") -> Any:
        return [body for body in self.facts(number) if body.kind == kind][-1]

    def effects(self, op: str = "message", number: str = "A-1") -> list[Effect]:
        id_ = self.case(number).id
        return [e for e in self.do(effects.of_cases, [id_])[id_] if e.op == op]

    def effect(self, op: str = "message", number: str = "A-1") -> Effect:
        (found,) = self.effects(op, number)
        return found

    def tasks(self, *, open_only: bool = True) -> list[tasks.Task]:
        return self.do(tasks.listing, open_only=open_only)  # type: ignore[no-any-return]

    def finish(self, kind: str, outcome: str, **more: Any) -> Any:
        """Let a person finish the one open task whose kind begins like that."""
        (task,) = [t for t in self.tasks() if t.kind.startswith(kind)]
        return self.do(people.finish_task, task.id, outcome, by="wang", now=self.clock.now(), **more)

    def holds(self) -> list[holds.Hold]:
        return self.do(holds.current)  # type: ignore[no-any-return]

    def check(self) -> None:
        """What must hold after whatever happened: nothing forgotten, nothing loose, chains whole."""
        assert self.do(views.forgotten) == []
        assert self.do(_leases) == []
        assert self.do(chain.verify).breaks == ()

    def done(self, op: str = "message", number: str = "A-1") -> int:
        return sum(d.op == op and d.order == number for d in [*self.platform.done, *self.sms.done])


def _leases(tx: Tx) -> list[Any]:
    from sqlalchemy import select

    from amends.ledger.schema import cases

    return list(tx.execute(select(cases.c.id).where(cases.c.lease_owner.is_not(None))))


@asynccontextmanager
async def workshop(
    *,
    operations: Mapping[str, Operation] | None = None,
    playbook: Mapping[str, Any] | None = None,
    caps: Mapping[str, Any] | None = None,
    sms: Operation | None = None,
    orders: Iterable[str] = ("A-1",),
    now: datetime = NOW,
    holds: Iterable[str] = (),
    ledger: str = "sqlite:///:memory:",
) -> AsyncIterator[Workshop]:
    """A shop named `stall` on the scripted platform, with the named overdue orders."""
    clock = FixedClock(now)
    every = READS | {"message": WAYS["queryable"], "grant": WAYS["idempotent"]} | dict(operations or {})
    platform = Platform(clock, every)
    reach = sms or Operation.queryable(quiet=QUIET)
    channel = Platform(clock, {"message": reach, "find": Operation.read()})
    policy, hasty = OnePolicy(), Hasty()

    class Plugin:
        @hookimpl
        def amends_connectors(self) -> Iterable[ConnectorSpec]:
            yield ConnectorSpec("stall", NoConfig, every, factory=lambda config, context: platform)

        @hookimpl
        def amends_channels(self) -> Iterable[ChannelSpec]:
            yield ChannelSpec("sms", NoConfig, channel.operations, factory=lambda config, context: channel)

        @hookimpl
        def amends_policies(self) -> Iterable[PolicySpec]:
            yield PolicySpec("one", NoConfig, lambda config: policy)

    registry = Registry()
    assert registry.add(Plugin(), name="stall").state == "loaded"
    tables = {
        "shops": {
            "stall": {
                "connector": "stall",
                "policy": "one",
                "time_zone": "UTC",
                "playbook": "p",
                "holds": tuple(holds),
            }
        },
        "playbooks": {"p": {"silence": "refused", "then": [], "rounds": 1, **(playbook or {})}},
        "caps": dict(caps or {}),
    }
    settings = Settings.model_validate(tables)
    opened = Ledger.open(ledger, Vault(b"k" * 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "asyncio", hasty)
        patch.setattr(reading, "asyncio", hasty)
        for number in orders:
            platform.show(number)
        shop = await Shop.open(settings, "stall", ledger=opened, registry=registry, clock=clock)
        try:
            yield Workshop(clock, platform, policy, channel, opened, settings, registry, shop, hasty)
        finally:
            await shop.aclose()
            opened.close()


__all__ = [
    "COUPON", "DAY", "HOUR", "MINUTE", "NOW", "QUIET", "WAYS", "After", "EffectState", "Platform", "Workshop", "workshop",
]  # fmt: skip
