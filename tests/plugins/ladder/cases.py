"""Cases, contexts and ladders for the ladder's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from amends import CaseView, Lateness, Money, Offer, Order, OrderStatus, PolicyContext, Remedy, State
from amends_ladder.config import LadderConfig
from amends_ladder.policy import Ladder

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
ALL = frozenset({"coupon", "points", "gift", "discount", "store-credit", "refund", "replacement"})
RUNGS = [
    {"order_under": "300 CNY", "round": 1, "remedy": {"kind": "coupon", "amount": "3 CNY"}},
    {"order_from": "300 CNY", "round": 1, "remedy": {"kind": "coupon", "percent": 1, "max": "30 CNY"}},
    {"round": 2, "remedy": {"kind": "coupon", "percent": 5, "min": "5 CNY", "max": "30 CNY"}},
    {
        "late_over": "72h",
        "round": 2,
        "remedy": {"kind": "refund", "percent": 8, "min": "6 CNY", "max": "40 CNY"},
    },
]


def ladder(*rungs: dict[str, Any], **config: Any) -> Ladder:
    return Ladder(LadderConfig.model_validate({"rungs": rungs or RUNGS, **config}))


def case(
    amount: str = "100 CNY", *, state: State = State.OVERDUE, hours: int = 5, round: int = 1, **more: Any
) -> CaseView:
    number, _, currency = amount.partition(" ")
    late = timedelta(hours=hours)
    order = Order(
        number="A-1",
        amount=Money.of(number, currency),
        placed_at=NOW - timedelta(days=3),
        observed_at=NOW,
        status=OrderStatus.TO_SHIP,
        tags=more.pop("tags", ()),
        time_zone=more.pop("time_zone", ""),
    )
    lateness = Lateness(state=state, why="test", ship_by=NOW - late, ship_by_source="platform", late_by=late)
    values: dict[str, Any] = {"penalty": None, "earlier": (), "now": NOW, "can": ALL} | more
    return CaseView(order=order, lateness=lateness, round=round, **values)


def context(last_round: int = 2, **left: str) -> PolicyContext:
    money = {name: Money.model_validate(text) for name, text in left.items()}
    return PolicyContext(left=money, reply_by=NOW + timedelta(hours=24), last_round=last_round)


def coupon(amount: str) -> Remedy:
    return Remedy.model_validate({"kind": "coupon", "amount": amount})


def told(remedy: Remedy | None, *, days: int = 3) -> Offer:
    return Offer(remedy=remedy, new_ship_by=NOW + timedelta(days=days), why="told before")
