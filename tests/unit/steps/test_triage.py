"""Triage counts every row once, names what is late, and loses nothing."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.orders import AfterSales, Order, OrderStatus, Parcel
from amends.cases.rules import Confidence, Rule, RuleBook, RuleName
from amends.steps.triage import Records, triage

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NO_RULES = RuleBook()


@dataclass(frozen=True)
class Found:
    row: int
    order: Order


@dataclass(frozen=True)
class Lost:
    row: int
    column: str = "amount"
    reason: str = "negative amount"


def order(number: str, left: float | None = None, *, amount: str = "10.00 CNY", **own: object) -> Order:
    """An order whose deadline is so many hours after (before: negative) now."""
    ship_by = None if left is None else NOW + timedelta(hours=left)
    facts = {"status": OrderStatus.TO_SHIP, "placed_at": NOW - timedelta(days=9), "ship_by": ship_by} | own
    return Order.model_validate({"number": number, "amount": amount, "observed_at": NOW, **facts})


def test_the_seven_states_and_the_late_soonest_first() -> None:
    shipped = {"status": OrderStatus.SHIPPED, "picked_up_at": NOW - timedelta(hours=30)}
    moving = {**shipped, "parcel": Parcel.IN_TRANSIT, "deliver_by": NOW - timedelta(hours=3)}
    found = triage(
        [
            order("time", 100),
            order("risk", 5),
            order("over", -2.5, amount="20.00 CNY", after_sales=AfterSales.REQUESTED),
            order("ship", -36, **shipped),
            order("stall", -29, amount="7.50 USD", **moving),
            order("gone", -1, status=OrderStatus.CANCELLED),
            order("dark"),
        ],
        now=NOW,
        rules=NO_RULES,
    ).to_json()
    assert found["rows"] == 7
    assert found["counts"] == {
        "on-time": 1, "at-risk": 1, "overdue": 1, "shipped-late": 1, "stalled": 1, "exempt": 1, "unknown": 1,
    }  # fmt: skip
    assert [(one["number"], one["state"], one["hours_late"]) for one in found["late"]] == [
        ("ship", "shipped-late", 6.0),
        ("stall", "stalled", 3.0),
        ("over", "overdue", 2.5),
    ]
    assert found["late"][2] == {
        "number": "over",
        "amount": "20.00 CNY",
        "placed_at": "2026-03-01T12:00:00Z",
        "ship_by": "2026-03-10T09:30:00Z",
        "hours_late": 2.5,
        "after_sales": "requested",
        "state": "overdue",
        "why": "not shipped, 2h30m past the deadline",
        "penalty": None,
    }
    assert found["amount"] == {"CNY": "30.00", "USD": "7.50"}
    assert (found["unreadable"], found["duplicates"]) == ([], [])


def test_a_duplicate_counts_once_and_every_row_of_it_is_listed() -> None:
    rows = [
        Found(2, order("a", -1)),
        Found(3, order("b", -1)),
        Found(5, order("a", 50)),
        Found(9, order("a", -1)),
    ]
    found = triage(rows, now=NOW, rules=NO_RULES)
    assert found.to_json()["duplicates"] == [{"number": "a", "rows": [2, 5, 9]}]
    assert (found.rows, found.readable, found.counts[State.OVERDUE]) == (4, 2, 2)
    assert found.amount == {"CNY": Money.of(20, "CNY")}


def test_unreadable_rows_are_told_and_the_rest_goes_on() -> None:
    found = triage(
        [Lost(2), Found(3, order("a", -1)), Lost(4, "", "7 cells")], now=NOW, rules=NO_RULES
    ).to_json()
    assert found["unreadable"] == [
        {"row": 2, "column": "amount", "reason": "negative amount"},
        {"row": 4, "column": "", "reason": "7 cells"},
    ]
    assert (found["rows"], found["counts"]["overdue"]) == (3, 1)


def test_the_penalty_is_the_rules() -> None:
    rule = Rule(
        platform="pdd", name=RuleName.LATE_COMPENSATION, kind="percent", value=Decimal(5), low=Decimal(3),
        currency="CNY", since=date(2025, 1, 1), source="made up", confidence=Confidence.HIGH,
    )  # fmt: skip
    found = triage([order("a", -1), order("b", -1, amount="100.00 CNY")], now=NOW, rules=RuleBook([rule]))
    assert [one["penalty"] for one in found.late] == ["3.00 CNY", "5.00 CNY"]


def test_nothing_to_do() -> None:
    found = triage([], now=NOW, rules=NO_RULES)
    assert (found.rows, found.readable) == (0, 0)
    assert set(found.to_json()) == {"rows", "counts", "late", "amount", "unreadable", "duplicates"}


_ROWS = st.lists(
    st.one_of(
        st.builds(lambda n, left: order(f"n{n}", left), st.integers(0, 5), st.integers(-90, 90) | st.none()),
        st.builds(Lost, st.integers(1, 99)),
    ),
    max_size=20,
)


@given(_ROWS)
def test_every_row_is_somewhere_and_both_ways_to_write_agree(rows: list[Order | Lost]) -> None:
    found = triage(rows, now=NOW, rules=NO_RULES)
    shown = found.to_json()
    repeated = sum(len(one["rows"]) - 1 for one in shown["duplicates"])
    assert shown["rows"] == sum(shown["counts"].values()) + len(shown["unreadable"]) + repeated == len(rows)
    assert sum(shown["counts"][state] for state in ("overdue", "shipped-late", "stalled")) == len(
        shown["late"]
    )
    assert [one["ship_by"] for one in shown["late"]] == sorted(one["ship_by"] for one in shown["late"])
    out = io.StringIO()
    found.write_json(out)
    assert json.loads(out.getvalue()) == shown


def test_records_come_back_in_order_from_the_file_too() -> None:
    records = Records()
    for number in range(30_000):
        records.add({"number": number, "text": "字" * 60}, key=-(number // 2))
    assert len(records) == 30_000
    assert [one["number"] for one in records][:4] == [29_998, 29_999, 29_996, 29_997]
