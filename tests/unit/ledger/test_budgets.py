"""Caps on remedies: never exceeded, whoever takes at once, and given back once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.ledger.makers import (
    DAY,
    LATE,
    Money,
    claim,
    draft,
    in_threads,
    numbers,
    opened,
    planned,
    sql,
    yuan,
)

from amends.ledger import Ledger, approvals, budgets, work
from amends.ledger.budgets import Scope

DAY_CAP = Scope("shop-day:flagship:2026-11-23", "per_shop_day", yuan("10"))
ORDER_CAP = Scope("order:A-1", "per_order", yuan("5"))
CAPS = (ORDER_CAP, DAY_CAP)


def take(ledger: Ledger, case: int, amount: str, round_: int = 1, scopes: Sequence[Scope] = CAPS) -> str:
    return ledger.do(budgets.take, case, round_, yuan(amount), scopes, LATE)


def give_back(ledger: Ledger, case: int, round_: int = 1) -> None:
    ledger.do(budgets.release, case, round_, LATE)


def left(ledger: Ledger, scopes: Sequence[Scope] = CAPS) -> dict[str, str]:
    return {cap: str(money) for cap, money in ledger.do(budgets.left, scopes).items()}


def test_a_share_comes_out_of_every_cap_or_of_none(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert take(ledger, case, "3") == ""
    assert left(ledger) == {"per_order": "2.00 CNY", "per_shop_day": "7.00 CNY"}
    assert take(ledger, case, "2.01", 2) == "per_order", "the cap that refuses is named"
    assert left(ledger) == {"per_order": "2.00 CNY", "per_shop_day": "7.00 CNY"}
    assert take(ledger, case, "2", 2) == ""
    assert left(ledger)["per_order"] == "0.00 CNY"


def test_planning_twice_charges_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert [take(ledger, case, "4") for _ in range(3)] == ["", "", ""]
    assert left(ledger)["per_order"] == "1.00 CNY"


def test_another_amount_for_the_same_round_replaces_the_first(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert take(ledger, case, "4") == ""
    assert take(ledger, case, "5") == ""
    assert left(ledger)["per_order"] == "0.00 CNY"
    assert take(ledger, case, "5.01") == "per_order"


def test_a_share_is_given_back_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    take(ledger, case, "4")
    for _ in range(3):
        give_back(ledger, case)
    give_back(ledger, case, 9)
    assert left(ledger) == {"per_order": "5.00 CNY", "per_shop_day": "10.00 CNY"}
    assert take(ledger, case, "5") == "", "and can be taken again"
    assert left(ledger)["per_order"] == "0.00 CNY"


def test_each_currency_has_its_own_caps(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    dollars = Scope("shop-day:flagship:2026-11-23", "per_shop_day", Money.of("2", "USD"))
    assert ledger.do(budgets.take, case, 1, Money.of("2", "USD"), (dollars,), LATE) == ""
    assert ledger.do(budgets.take, case, 2, Money.of("0.01", "USD"), (dollars,), LATE) == "per_shop_day"
    assert left(ledger)["per_shop_day"] == "10.00 CNY"


def test_a_cap_lowered_below_what_was_taken_leaves_nothing(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    take(ledger, case, "4")
    lower = Scope(ORDER_CAP.name, "per_order", yuan("1"))
    assert left(ledger, (lower,)) == {"per_order": "0.00 CNY"}


def test_a_cap_is_never_exceeded_by_takers_at_once(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    cases = sorted(opened(ledger, *numbers(24)).values())
    ledgers = [reopen() for _ in range(4)]

    def some(n: int) -> list[str]:
        return [take(ledgers[n], case, "1.50", scopes=(DAY_CAP,)) for case in cases[n::4]]

    answers = [answer for part in in_threads(4, some) for answer in part]
    assert answers.count("") == 6, "six times 1.50 fit under 10"
    assert left(ledger, (DAY_CAP,)) == {"per_shop_day": "1.00 CNY"}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "release"]), st.integers(0, 2), st.integers(1, 2), st.integers(1, 500)
        ),
        max_size=12,
    )
)
def test_what_is_taken_is_the_sum_of_the_open_shares(
    ledger: Ledger, moves: list[tuple[str, int, int, int]]
) -> None:
    cases = sorted(opened(ledger, *numbers(3)).values()) or [
        r[0] for r in sql(ledger, "SELECT id FROM cases ORDER BY id")
    ]
    for move, n, round_, minor in moves:
        if move == "take":
            ledger.do(budgets.take, cases[n], round_, Money(minor=minor, currency="CNY"), (DAY_CAP,), LATE)
        else:
            give_back(ledger, cases[n], round_)
    taken = sql(ledger, "SELECT coalesce(sum(taken), 0) FROM budgets")[0][0]
    shares = sql(ledger, "SELECT coalesce(sum(minor), 0) FROM budget_entries WHERE released_at IS NULL")[0][0]
    assert taken == shares <= DAY_CAP.limit.minor


def test_a_plan_over_a_cap_is_refused_whole(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    yes = _approved(ledger, case, "contact-customer:1", yuan("6"))
    share = budgets.Share(held.id, 1, yuan("6"), CAPS)
    refusal: Any = planned(ledger, held, draft(held), share=share, yes=yes, texts={"t": b"x"})
    assert (refusal.kind, refusal.why) == ("cap", "per_order")
    assert sql(ledger, "SELECT * FROM effects") == sql(ledger, "SELECT * FROM personal") == []
    assert left(ledger) == {"per_order": "5.00 CNY", "per_shop_day": "10.00 CNY"}
    raised = (Scope(ORDER_CAP.name, "per_order", yuan("6")),)
    again = planned(ledger, held, draft(held), share=budgets.Share(held.id, 1, yuan("6"), raised), yes=yes)
    assert isinstance(again, dict), "the yes was not used up by a plan that came to nothing"


def test_a_plan_without_its_yes_takes_nothing(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    yes = work.Yes("contact-customer:1", held.snapshot.version, yuan("3"))
    refusal: Any = planned(
        ledger, held, draft(held), share=budgets.Share(held.id, 1, yuan("3"), CAPS), yes=yes
    )
    assert refusal.kind == "approval"
    assert left(ledger) == {"per_order": "5.00 CNY", "per_shop_day": "10.00 CNY"}


def _approved(ledger: Ledger, case: int, what: str, amount: Money) -> work.Yes:
    """A yes of ana's to that act; the case is not woken by it."""
    item = approvals.Item(case, what, 1, "why", amount)
    list_ = ledger.do(approvals.freeze, "flagship", "contact", [item], now=LATE, expires_at=LATE + DAY)
    ledger.do(approvals.decide, list_, by="ana", approve=True, now=LATE)
    sql(ledger, "UPDATE cases SET wake = false")
    return work.Yes(what, 1, amount)


def test_conclude_gives_back_what_came_to_nothing(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    planned(ledger, held, draft(held), share=budgets.Share(held.id, 1, yuan("3"), CAPS))
    assert left(ledger)["per_order"] == "2.00 CNY"
    end = work.End(held, release_rounds=[1, 1], stage="refused", due_at=LATE)
    ledger.do(work.conclude, [end], LATE)
    assert left(ledger)["per_order"] == "5.00 CNY"


@pytest.mark.parametrize("scopes", [(), CAPS])
def test_nothing_taken_is_nothing_to_give_back(ledger: Ledger, scopes: Sequence[Scope]) -> None:
    case = opened(ledger)["A-1"]
    give_back(ledger, case)
    assert left(ledger, scopes) == {s.cap: str(s.limit) for s in scopes}
