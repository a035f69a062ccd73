"""Lateness: every state with its reason, to the microsecond, and never late before `risk_at` has come."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cases.makers import DAY, HOUR, LABEL_COUNTS, PICKUP_COUNTS, T0, book, order, rule

from amends.cases.lateness import Lateness, State, contradictions, judge
from amends.cases.orders import AfterSales, Order, OrderStatus, Parcel, Tag, Tracking, with_tracking
from amends.cases.rules import RuleBook, RuleName

TICK = timedelta(microseconds=1)
DUE = T0 + 2 * DAY  # the orders' promised ship-by
WARN = (24 * HOUR, 4 * HOUR)
SHIPPED, TRANSIT = OrderStatus.SHIPPED, Parcel.IN_TRANSIT


def judged(
    at: datetime, rules: RuleBook = PICKUP_COUNTS, agreed: datetime | None = None, **changes: Any
) -> Lateness:
    return judge(order(**changes), now=at, rules=rules, warn=WARN, agreed=agreed)


@pytest.mark.parametrize(
    ("at", "changes", "state", "why"),
    [
        (T0, {}, "on-time", "2d left"),
        (DUE - 20 * HOUR, {}, "at-risk", "not shipped, 20h left"),
        (DUE, {}, "at-risk", "not shipped, 0h left"),
        (DUE + HOUR, {}, "overdue", "not shipped, 1h past the deadline"),
        (DUE + HOUR, {"status": SHIPPED, "shipped_at": T0}, "overdue", "but the carrier has not picked it up, 1h past"),
        (DUE + HOUR, {"parcel": Parcel.LABEL_CREATED}, "overdue", "a label exists"),
        (DUE + DAY, {"status": SHIPPED, "picked_up_at": DUE + HOUR}, "shipped-late", "shipped 1h after the deadline"),
        (DUE + DAY, {"status": SHIPPED, "picked_up_at": DUE}, "on-time", "shipped in time"),
        (DUE + DAY, {"status": SHIPPED, "picked_up_at": T0, "deliver_by": DUE}, "stalled", "1d past the promised arrival"),
        (DUE + DAY, {"status": SHIPPED, "picked_up_at": DUE + HOUR, "deliver_by": DUE + 2 * HOUR}, "stalled", "22h"),
        (DUE + DAY, {"parcel": Parcel.DELIVERED, "picked_up_at": T0, "deliver_by": DUE}, "on-time", "shipped in time"),
        (DUE + DAY, {"picked_up_at": T0, "delivered_at": DUE + HOUR, "deliver_by": DUE}, "on-time", "shipped in time"),
        (DUE + DAY, {"status": OrderStatus.RECEIVED}, "on-time", "received by the customer"),
        (DUE + DAY, {"status": OrderStatus.RECEIVED, "shipped_at": T0, "deliver_by": DUE}, "on-time", "shipped in time"),
        (DUE + DAY, {"ship_by": None}, "unknown", "no ship-by date, and no rule gives one"),
        (DUE + DAY, {"status": OrderStatus.UNKNOWN}, "unknown", "the order's status is not known"),
        (DUE + DAY, {"status": OrderStatus.CANCELLED}, "exempt", "the order was cancelled"),
        (DUE + DAY, {"status": OrderStatus.UNPAID}, "exempt", "not paid yet"),
        (DUE + DAY, {"after_sales": AfterSales.REFUNDED}, "exempt", "already refunded"),
        (DUE + DAY, {"tags": (Tag.DO_NOT_TOUCH,)}, "exempt", "do-not-touch"),
        (DUE + DAY, {"tags": (Tag.SHIP_HOLD,)}, "exempt", "forbids shipping"),
        (DUE + DAY, {"tags": (Tag.RISK_REVIEW,)}, "exempt", "risk review"),
        (DUE + DAY, {"tags": (Tag.MAY_SHIP_LATE,)}, "exempt", "lets it ship late"),
        (DUE + DAY, {"tags": (Tag.PRESALE,), "ship_by": None}, "exempt", "presale without a ship date"),
        (DUE + DAY, {"tags": (Tag.PRESALE,)}, "overdue", "not shipped"),
        (DUE + DAY, {"tags": (Tag.URGED, Tag.OUT_OF_STOCK)}, "overdue", "not shipped"),
        (DUE + DAY, {"parcel": Parcel.RETURNED}, "shipped-late", "after the deadline"),
    ],
)  # fmt: skip
def test_every_state_says_why(at: datetime, changes: dict[str, Any], state: str, why: str) -> None:
    changes = {"observed_at": DUE + HOUR} | changes
    found = judged(at, **changes)
    assert found.state.value == state
    assert why in found.why


@pytest.mark.parametrize(
    ("at", "state", "tier"),
    [
        (DUE - 24 * HOUR - TICK, State.ON_TIME, 0),
        (DUE - 24 * HOUR, State.AT_RISK, 1),
        (DUE - 4 * HOUR - TICK, State.AT_RISK, 1),
        (DUE - 4 * HOUR, State.AT_RISK, 2),
        (DUE, State.AT_RISK, 2),
        (DUE + TICK, State.OVERDUE, 0),
    ],
)
def test_the_edges_of_the_windows_and_of_the_deadline(at: datetime, state: State, tier: int) -> None:
    found = judged(at)
    assert (found.state, found.tier) == (state, tier)


def test_the_deadline_itself_is_in_time_for_a_pick_up_and_one_tick_later_is_not() -> None:
    assert judged(DUE + DAY, picked_up_at=DUE).state is State.ON_TIME
    assert judged(DUE + DAY, picked_up_at=DUE + TICK).state is State.SHIPPED_LATE


def test_each_watched_moment_comes_next() -> None:
    assert judged(T0).risk_at == DUE - 24 * HOUR
    assert judged(DUE - 24 * HOUR).risk_at == DUE - 4 * HOUR
    assert judged(DUE - 4 * HOUR).risk_at == DUE + TICK
    assert judged(T0, picked_up_at=T0, deliver_by=DUE).risk_at == DUE + TICK
    assert judged(DUE + HOUR).risk_at is None


def test_lateness_is_counted_from_the_deadline_and_is_negative_before_it() -> None:
    assert judged(DUE - HOUR).late_by == -HOUR
    assert judged(DUE + HOUR).late_by == HOUR
    assert judged(DUE + DAY, picked_up_at=DUE + 2 * HOUR).late_by == 2 * HOUR
    assert judged(DUE, ship_by=None).late_by is None


def test_a_label_counts_only_where_the_rule_says_so() -> None:
    label = {"status": SHIPPED, "shipped_at": DUE - HOUR}
    assert judged(DUE + HOUR, LABEL_COUNTS, **label).state is State.ON_TIME
    assert judged(DUE + HOUR, PICKUP_COUNTS, **label).state is State.OVERDUE
    assert judged(DUE + HOUR, book(), **label).state is State.OVERDUE, "without a rule the stricter reading"
    assert judged(DUE + HOUR, LABEL_COUNTS, status=SHIPPED, shipped_at=DUE + TICK).state is State.SHIPPED_LATE


def test_the_rule_of_the_deadlines_day_counts() -> None:
    rules = book(
        rule(RuleName.LATE_DEFINITION, text="label", until=DUE.date() - DAY),
        rule(RuleName.LATE_DEFINITION, text="pickup", since=DUE.date()),
    )
    assert judged(DUE + HOUR, rules, status=SHIPPED, shipped_at=T0).state is State.OVERDUE
    assert judged(DUE + HOUR, rules, status=SHIPPED, shipped_at=T0, ship_by=DUE - DAY).state is State.ON_TIME


@pytest.mark.parametrize("where", ["agreed", "agreed_ship_by"])
def test_an_agreed_later_date_counts_instead_of_the_promise(where: str) -> None:
    found = judged(DUE + HOUR, **{where: DUE + 3 * DAY})
    assert (found.state, found.ship_by, found.ship_by_source) == (State.ON_TIME, DUE + 3 * DAY, "agreed")
    assert judged(DUE + 3 * DAY + TICK, **{where: DUE + 3 * DAY}).state is State.OVERDUE


def test_an_agreed_earlier_date_never_shortens_the_promise() -> None:
    assert judged(DUE, agreed=DUE - DAY).ship_by == DUE


def test_the_later_of_two_agreed_dates_counts() -> None:
    assert judged(DUE, agreed=DUE + DAY, agreed_ship_by=DUE + 2 * DAY).ship_by == DUE + 2 * DAY
    assert judged(DUE, agreed=DUE + 2 * DAY, agreed_ship_by=DUE + DAY).ship_by == DUE + 2 * DAY
    assert judged(DUE, agreed=DUE + DAY, ship_by=None).state is State.AT_RISK


def test_where_the_platform_gives_no_date_a_rule_does() -> None:
    rules = book(rule(RuleName.SHIP_PROMISE, kind="hours", value=24))
    found = judged(T0 + 25 * HOUR, rules, ship_by=None)
    assert (found.state, found.ship_by) == (State.OVERDUE, T0 + 24 * HOUR)
    assert "ship-promise" in found.ship_by_source


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"delivered_at": T0 + DAY}, "not shipped, the carrier says delivered"),
        ({"status": OrderStatus.CANCELLED, "picked_up_at": T0 + DAY}, "cancelled without a refund"),
        ({"picked_up_at": T0 - HOUR}, "picked_up_at lies before the order was placed"),
        ({"status": SHIPPED, "delivered_at": T0 - HOUR}, "delivered_at lies before"),
        (
            {"status": SHIPPED, "picked_up_at": T0 + DAY, "delivered_at": T0 + HOUR},
            "delivered before it was picked up",
        ),
    ],
)
def test_contradictions_are_named(changes: dict[str, Any], says: str) -> None:
    assert any(says in line for line in contradictions(order(**changes)))


def test_an_ordinary_order_contradicts_nothing() -> None:
    assert contradictions(order()) == ()
    assert contradictions(order(status=SHIPPED, picked_up_at=T0 + HOUR, delivered_at=T0 + DAY)) == ()
    assert (
        contradictions(order(status=OrderStatus.CANCELLED, picked_up_at=T0, after_sales=AfterSales.REFUNDED))
        == ()
    )


def test_the_carriers_word_wins_where_it_knows_more() -> None:
    seen = Tracking(parcel=Parcel.PICKED_UP, picked_up_at=T0 + HOUR)
    assert with_tracking(order(), seen).picked_up_at == T0 + HOUR
    assert with_tracking(order(parcel=TRANSIT, picked_up_at=T0), Tracking()) == order(
        parcel=TRANSIT, picked_up_at=T0
    )
    assert with_tracking(order(), None) == order()


MOMENTS = st.integers(-100 * 60, 100 * 60).map(lambda minutes: T0 + timedelta(minutes=minutes))
ANY_ORDER = st.builds(
    order, ship_by=st.none() | MOMENTS, agreed_ship_by=st.none() | MOMENTS, deliver_by=st.none() | MOMENTS,
    paid_at=st.none() | MOMENTS, observed_at=MOMENTS, status=st.sampled_from(OrderStatus),
    after_sales=st.sampled_from(AfterSales), shipped_at=st.none() | MOMENTS, picked_up_at=st.none() | MOMENTS,
    delivered_at=st.none() | MOMENTS, parcel=st.sampled_from(Parcel), tags=st.lists(st.sampled_from(Tag), max_size=1).map(tuple),
)  # fmt: skip
DATED = book(
    rule(RuleName.LATE_DEFINITION, text="label", until=date(2026, 11, 20)),
    rule(RuleName.LATE_DEFINITION, text="pickup", since=date(2026, 11, 21)),
    rule(RuleName.SHIP_PROMISE, kind="hours", value=36, paid_from=100),
)
WINDOWS = st.lists(st.integers(1, 60).map(lambda h: h * HOUR), max_size=3).map(tuple)


@settings(max_examples=400)
@given(
    ANY_ORDER,
    MOMENTS,
    st.floats(0, 1),
    WINDOWS,
    st.none() | MOMENTS,
    st.sampled_from([LABEL_COUNTS, PICKUP_COUNTS, DATED, book()]),
)
def test_nothing_changes_before_risk_at(
    seen: Order,
    at: datetime,
    part: float,
    warn: tuple[timedelta, ...],
    agreed: datetime | None,
    rules: RuleBook,
) -> None:
    """An order becomes late without being changed, but never without `risk_at` having come."""
    first = judge(seen, now=at, rules=rules, warn=warn, agreed=agreed)
    assert first.why
    assert first.risk_at is None or first.risk_at > at, "or it would be looked at forever"
    if first.state.late:
        return  # it has its case, which is judged anew with every look
    until = (first.risk_at or at + 400 * DAY) - TICK
    for later in (until, at + part * (until - at)):
        again = judge(seen, now=later, rules=rules, warn=warn, agreed=agreed)
        assert (again.state, again.tier, again.ship_by) == (first.state, first.tier, first.ship_by), later


@given(ANY_ORDER, MOMENTS, WINDOWS, st.sampled_from([LABEL_COUNTS, PICKUP_COUNTS, DATED, book()]))
def test_an_order_only_grows_later(
    seen: Order, at: datetime, warn: tuple[timedelta, ...], rules: RuleBook
) -> None:
    """What is late stays late while nothing but time changes."""
    steps = [judge(seen, now=at + n * 7 * HOUR, rules=rules, warn=warn) for n in range(12)]
    seen_late = False
    for step in steps:
        assert not (seen_late and not step.state.late)
        seen_late = seen_late or step.state.late


@given(ANY_ORDER, MOMENTS)
def test_the_verdict_reads_back_from_json(seen: Order, at: datetime) -> None:
    found = judge(seen, now=at, rules=DATED)
    assert Lateness.model_validate_json(found.model_dump_json(exclude_defaults=True)) == found
