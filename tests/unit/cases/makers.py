"""Orders, rule books, terms and facts for the tests of the domain: the plainest that will do, and Hypothesis strategies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from amends.cases import facts as f
from amends.cases.lateness import Lateness
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, Item, Order, OrderStatus, Parcel, Tag
from amends.cases.playbook import Playbook
from amends.cases.rules import Confidence, Rule, RuleBook, RuleName
from amends.cases.snapshot import Pending, Snapshot, fold
from amends.cases.stages import Terms

T0 = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVERYTHING = dict.fromkeys(
    ("message", "grant", "extend", "complain", "respond", "arbitrate", "ruling"), "api"
)


def yuan(amount: str) -> Money:
    return Money.of(amount, "CNY")


def order(**changes: Any) -> Order:
    """Paid at T0, to be shipped within two days."""
    plain: dict[str, Any] = {
        "number": "A-1", "amount": yuan("199.00"), "placed_at": T0, "paid_at": T0, "observed_at": T0, "updated_at": T0,
        "ship_by": T0 + 2 * DAY, "status": OrderStatus.TO_SHIP,
    }  # fmt: skip
    return Order(**(plain | changes))


def rule(name: RuleName, kind: str = "text", **more: Any) -> Rule:
    plain: dict[str, Any] = {"platform": "pdd", "source": "a test", "confidence": Confidence.HIGH}
    return Rule(name=name, kind=kind, **(plain | more))  # type: ignore[arg-type]


def book(*rules: Rule, overrides: Sequence[Rule] = ()) -> RuleBook:
    return RuleBook(rules, platform="pdd", overrides=overrides)


LABEL_COUNTS = book(rule(RuleName.LATE_DEFINITION, text="label"))
PICKUP_COUNTS = book(rule(RuleName.LATE_DEFINITION, text="pickup"))


def terms(
    playbook: Playbook | None = None, rules: RuleBook = PICKUP_COUNTS, can: dict[str, str] | None = None
) -> Terms:
    return Terms(playbook or Playbook(), rules, EVERYTHING if can is None else can)


OPENED = f.Opened(why="overdue", playbook="p1", policy="l1")


def snapshot(
    *bodies: f.Body | tuple[f.Body, datetime], pending: Sequence[Pending] = (), blocked: str = ""
) -> Snapshot:
    """A case of these facts, each at T0 or at the time given with it; `opened` comes by itself."""
    found = []
    for seq, item in enumerate((OPENED, *bodies), 1):
        body, at = item if isinstance(item, tuple) else (item, T0)
        found.append(f.Fact(seq=seq, at=at, actor="amends", body=body))  # type: ignore[arg-type]
    return fold(found, case=1, shop="shop", number="A-1", pending=pending, blocked=blocked)


# Strategies: every value of the domain

ANY_CURRENCY = st.sampled_from(["CNY", "USD", "EUR", "JPY", "KWD", "BHD", "KRW", "RSD", "CLF"])
MINOR = st.integers(-(10**15), 10**15)
MONEY = st.builds(Money, minor=MINOR, currency=ANY_CURRENCY)
TIMES = st.datetimes(
    min_value=datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    max_value=datetime(2035, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    timezones=st.sampled_from([UTC]),
)
SECONDS = st.integers(-(10**8), 10**8).map(lambda s: timedelta(seconds=s))
WORDS = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=12)


@st.composite
def remedies(draw: st.DrawFn) -> Remedy:
    kind = draw(st.sampled_from(RemedyKind))
    if kind is RemedyKind.POINTS:
        return Remedy(kind=kind, points=draw(st.integers(1, 10**6)), name=draw(WORDS))
    if kind in (RemedyKind.GIFT, RemedyKind.REPLACEMENT):
        return Remedy(kind=kind, name=draw(NAMES))
    return Remedy(kind=kind, amount=Money(minor=draw(st.integers(1, 10**12)), currency=draw(ANY_CURRENCY)))


OFFERS = st.builds(
    Offer, remedy=st.none() | remedies(), new_ship_by=st.none() | TIMES, reply_by=st.none() | TIMES, cause=WORDS, why=NAMES,
    agreed=st.booleans(), none=st.booleans(),
)  # fmt: skip
ORDERS = st.builds(
    Order, number=NAMES, amount=MONEY, placed_at=TIMES, observed_at=TIMES, paid_at=st.none() | TIMES,
    updated_at=st.none() | TIMES, ship_by=st.none() | TIMES, agreed_ship_by=st.none() | TIMES,
    deliver_by=st.none() | TIMES, status=st.sampled_from(OrderStatus), after_sales=st.sampled_from(AfterSales),
    after_sales_raw=WORDS, after_sales_due=st.none() | TIMES, dispute=WORDS, shipped_at=st.none() | TIMES,
    picked_up_at=st.none() | TIMES, delivered_at=st.none() | TIMES, parcel=st.sampled_from(Parcel), carrier=WORDS,
    tracking_number=WORDS, tags=st.lists(st.sampled_from(Tag), max_size=3).map(tuple),
    items=st.lists(st.builds(Item, sku=WORDS, title=WORDS, quantity=st.integers(1, 9)), max_size=2).map(tuple),
    warehouse=WORDS, customer=WORDS, language=st.sampled_from(["", "zh", "en"]),
    time_zone=st.sampled_from(["", "Asia/Shanghai"]), personal=st.none(),
)  # fmt: skip

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {Remedy: remedies(), Offer: OFFERS, Order: ORDERS, Money: MONEY}


def bodies() -> st.SearchStrategy[f.Body]:
    """Facts of every kind, every field drawn."""
    for model, values in _BY_TYPE.items():
        st.register_type_strategy(model, values)
    st.register_type_strategy(Lateness, _built(Lateness))
    return st.one_of([_built(model) for model in f.Body.__subclasses__()])


def _built(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name == "kind":
            continue
        kind: Any = field.annotation
        text = str(kind)
        if "timedelta" in text:
            values[name] = st.none() | SECONDS
        elif "datetime" in text.lower():
            values[name] = st.none() | TIMES if "None" in text else TIMES
        elif kind is int:
            values[name] = st.integers(0, 3)
        elif kind is str:
            values[name] = WORDS
        else:
            values[name] = st.from_type(kind)
    return st.builds(model, **values)
