"""Orders come in once, newest last, are watched until they can be late, and open one case at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.ledger.makers import (
    DAY,
    HOUR,
    LATE,
    SHOP,
    T0,
    claim,
    close,
    conclude,
    in_threads,
    kinds,
    numbers,
    opened,
    opening,
    row,
    seen,
    sql,
    verified,
)

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.orders import Order, Personal
from amends.ledger import Ledger, intake


def take(ledger: Ledger, *orders: intake.Seen, **more: Any) -> list[str]:
    return ledger.do(intake.take, SHOP, orders, **({"now": LATE} | more))


def stored(ledger: Ledger, number: str = "A-1") -> Order:
    found = sql(
        ledger,
        "SELECT snapshot FROM orders WHERE shop = :shop AND number = :number",
        shop=SHOP,
        number=number,
    )
    return Order.model_validate_json(found[0][0])


def test_orders_are_taken_once(ledger: Ledger) -> None:
    assert take(ledger, seen("A-1"), seen("A-2")) == ["A-1", "A-2"]
    assert take(ledger, seen("A-1"), seen("A-2"), seen("A-3")) == ["A-3"]
    assert sql(ledger, "SELECT count(*) FROM orders") == [(3,)]


def test_one_page_may_name_an_order_twice(ledger: Ledger) -> None:
    assert take(
        ledger, seen(updated_at=T0 + HOUR, warehouse="new"), seen(updated_at=T0, warehouse="old")
    ) == ["A-1"]
    assert stored(ledger).warehouse == "new"


def test_a_page_of_thousands_is_taken_whole(ledger: Ledger) -> None:
    assert sorted(take(ledger, *(seen(n) for n in numbers(1001)))) == sorted(numbers(1001))


OLD, NEW = {"updated_at": T0, "warehouse": "old"}, {"updated_at": T0 + HOUR, "warehouse": "new"}
UNDATED = {"updated_at": None}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (OLD, NEW, "new"),
        (NEW, OLD, "new"),
        (NEW, OLD | {"observed_at": LATE + DAY}, "new"),  # changed earlier, whenever it was looked at
        (OLD, NEW | {"observed_at": LATE - DAY}, "new"),
        (
            OLD,
            OLD | {"warehouse": "new", "observed_at": LATE + HOUR},
            "new",
        ),  # the carrier knows more, the order has not changed
        (OLD | {"warehouse": "new"}, OLD | {"observed_at": LATE - HOUR}, "new"),  # a list that lags behind
        (OLD | UNDATED, NEW | UNDATED | {"observed_at": LATE + HOUR}, "new"),
        (NEW | UNDATED, OLD | UNDATED | {"observed_at": LATE - HOUR}, "new"),
        (NEW | UNDATED, OLD | {"observed_at": LATE - HOUR}, "new"),
        (NEW, OLD | UNDATED | {"observed_at": LATE - HOUR}, "new"),
        (OLD, NEW | UNDATED | {"observed_at": LATE + HOUR}, "new"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_an_older_observation_never_replaces_a_newer_one(
    ledger: Ledger, first: dict[str, Any], second: dict[str, Any], kept: str, together: bool
) -> None:
    if together:
        take(ledger, seen(**first), seen(**second))
    else:
        take(ledger, seen(**first))
        changed = take(ledger, seen(**second))
        assert changed == (["A-1"] if second["warehouse"] == kept else [])
    assert stored(ledger).warehouse == kept


OBSERVATIONS = st.lists(
    st.tuples(st.none() | st.integers(0, 3), st.integers(0, 5), st.sampled_from("abc")),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(OBSERVATIONS, st.integers(1, 4))
def test_what_is_kept_is_never_older_than_anything_seen(ledger: Ledger, found: list[Any], page: int) -> None:
    """With times of change for all, whatever the order and the pages: the newest change, then the newest look."""
    (already,) = sql(ledger, "SELECT count(*) FROM orders")[0]
    number = f"N-{already}"
    found = [(u or 0, o, w) for u, o, w in found]
    all_seen = [
        seen(number, updated_at=T0 + u * HOUR, observed_at=LATE + o * HOUR, warehouse=w) for u, o, w in found
    ]
    for start in range(0, len(all_seen), page):
        take(ledger, *all_seen[start : start + page])
    kept = stored(ledger, number)
    best = max((u, o) for u, o, _ in found)
    assert kept.updated_at == T0 + best[0] * HOUR
    newest = {w for u, o, w in found if (u, o) == best}
    assert kept.warehouse in newest


def test_the_time_of_looking_alone_is_no_change_and_wakes_nobody(ledger: Ledger) -> None:
    take(ledger, seen(updated_at=None))
    case = opened(ledger)["A-1"]
    conclude(ledger, claim(ledger)[0], due_at=LATE + DAY)
    assert take(ledger, seen(updated_at=None, observed_at=LATE + HOUR)) == []
    assert not row(ledger, case).wake


def test_a_changed_order_wakes_its_open_case_and_no_other(ledger: Ledger) -> None:
    take(ledger, seen("A-1"), seen("A-2"))
    cases = opened(ledger, "A-1", "A-2")
    for held in claim(ledger):
        conclude(ledger, held, due_at=LATE + DAY)
    take(ledger, seen("A-1", updated_at=T0 + HOUR), now=LATE + HOUR)
    assert [c.id for c in claim(ledger, at=LATE + HOUR)] == [cases["A-1"]]


def test_a_wake_never_puts_a_case_off(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    ledger.do(intake.wake, SHOP, ["A-1"], LATE + DAY)
    assert [c.id for c in claim(ledger, at=LATE)] == [case]


def test_a_wake_finds_a_case_that_was_due_at_no_time(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    sql(ledger, "UPDATE cases SET due_at = NULL")
    ledger.do(intake.wake, SHOP, ["A-1"], LATE)
    assert [c.id for c in claim(ledger, at=LATE)] == [case]


def test_the_cursor_moves_with_the_orders_or_not_at_all(ledger: Ledger) -> None:
    take(ledger, seen(), cursor_value="c1")
    assert ledger.do(intake.cursor, SHOP, "orders") == "c1"
    broken = intake.Seen(seen("A-2").order.model_copy(update={"customer": None}), seen().lateness)
    with pytest.raises(Exception, match=r"(?i)null|customer"):
        take(ledger, seen("A-3"), broken, cursor_value="c2")
    assert ledger.do(intake.cursor, SHOP, "orders") == "c1"
    assert sql(ledger, "SELECT number FROM orders") == [("A-1",)]
    assert ledger.do(intake.cursor, "other", "orders") == ""


def test_nothing_personal_is_kept_with_an_order(ledger: Ledger) -> None:
    take(ledger, seen(personal=Personal(name="Li Lei", phone="10000000017")))
    assert stored(ledger).personal is None
    assert "Li Lei" not in str(sql(ledger, "SELECT * FROM orders"))


def test_watched_orders_come_up_when_their_time_has_come(ledger: Ledger) -> None:
    take(
        ledger,
        seen("A-1", at=T0),
        seen("A-2", at=T0, ship_by=T0 + 9 * DAY),
        seen("A-3", at=T0, ship_by=None),
        now=T0,
    )

    def due(at: Any) -> list[str]:
        return [o.number for o in ledger.do(intake.due_orders, SHOP, at)]

    assert due(T0) == []
    assert due(T0 + DAY) == ["A-1"]
    assert due(T0 + 8 * DAY) == ["A-1", "A-2"]
    opened(ledger, "A-1")
    assert due(T0 + 8 * DAY) == ["A-2"], "an order with an open case is the case's matter"
    assert ledger.do(intake.due_orders, "other", T0 + 8 * DAY) == []


def test_a_new_verdict_moves_the_watch(ledger: Ledger) -> None:
    take(ledger, seen(at=T0), now=T0)
    ledger.do(intake.judged, SHOP, [seen(at=T0 + 30 * HOUR)])
    assert sql(ledger, "SELECT state FROM orders") == [("at-risk",)]
    assert [o.number for o in ledger.do(intake.due_orders, SHOP, T0 + 2 * DAY)] == []
    assert [o.number for o in ledger.do(intake.due_orders, SHOP, T0 + 2 * DAY + timedelta(seconds=1))] == [
        "A-1"
    ]


def test_one_open_case_per_order(ledger: Ledger) -> None:
    first = opened(ledger, "A-1", "A-2", "A-1")
    assert sorted(first) == ["A-1", "A-2"]
    assert opened(ledger, "A-1", "A-3").keys() == {"A-3"}
    assert opened(ledger, "A-1", shop="other").keys() == {"A-1"}, (
        "another shop's order of that number is another order"
    )
    assert kinds(ledger, first["A-1"]) == ["opened"]
    assert verified(ledger).breaks == ()


def test_several_workers_open_one_case(ledger: Ledger) -> None:
    found = in_threads(4, lambda _: opened(ledger, *numbers(5)))
    assert sum(len(some) for some in found) == 5
    assert sql(ledger, "SELECT count(*) FROM cases") == [(5,)]
    assert verified(ledger).breaks == ()


def test_the_next_generation_begins_only_after_the_last_one_closed(ledger: Ledger) -> None:
    first = opened(ledger)["A-1"]
    close(ledger, claim(ledger)[0], f.Outcome.NOT_LATE)
    second = opened(ledger)["A-1"]
    assert second != first
    assert [tuple(r) for r in sql(ledger, "SELECT generation FROM cases ORDER BY id")] == [(1,), (2,)]
    assert claim(ledger)[0].snapshot.generation == 2


def test_a_case_put_right_is_not_opened_again_for_the_same_trouble(ledger: Ledger) -> None:
    take(ledger, seen())
    opened(ledger)
    close(ledger, claim(ledger)[0], f.Outcome.SETTLED, closed_state="overdue")
    assert ledger.do(intake.open_cases, SHOP, [opening(state=State.OVERDUE)], LATE) == {}
    assert ledger.do(intake.due_orders, SHOP, LATE + 99 * DAY) == [], "it is watched no more"
    assert ledger.do(intake.open_cases, SHOP, [opening(state=State.STALLED)], LATE).keys() == {"A-1"}


def test_a_case_may_be_opened_held(ledger: Ledger) -> None:
    held = f.Held(why="200 cases within 1h", by="amends", cause="storm")
    case = ledger.do(intake.open_cases, SHOP, [opening(held=held)], LATE)["A-1"]
    assert kinds(ledger, case) == ["opened", "held"]
    assert row(ledger, case).stage == "held"


def test_versions_are_pinned_once(ledger: Ledger) -> None:
    for body in ("{}", '{"changed": true}'):
        ledger.do(intake.pin, "playbook", "p1", body)
    assert ledger.do(intake.pinned, "playbook") == {"p1": "{}"}
    assert ledger.do(intake.pinned, "policy") == {}
