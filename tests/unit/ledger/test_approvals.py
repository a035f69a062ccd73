"""A yes is a named person's, to one version and amount, until a time, and is used once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.ledger.makers import (
    DAY,
    HOUR,
    LATE,
    SHOP,
    Money,
    claim,
    close,
    conclude,
    draft,
    in_threads,
    kinds,
    opened,
    planned,
    row,
    sql,
    verified,
    yuan,
)

from amends.cases import facts as f
from amends.errors import ApprovalError
from amends.ledger import Ledger, Tx, approvals, chain, codes, work
from amends.ledger.approvals import Item

WHAT = "settle:1"


def frozen(
    ledger: Ledger,
    *cases: int,
    amount: str = "60",
    people: int = 1,
    expires: Any = None,
    kind: str = "settle",
) -> str:
    items = [Item(case, WHAT, row(ledger, case).version, "accepted", yuan(amount), people) for case in cases]
    return ledger.do(approvals.freeze, SHOP, kind, items, now=LATE, expires_at=expires or LATE + DAY)


def decide(
    ledger: Ledger, list_: str, by: str = "ana", *, approve: bool = True, at: Any = LATE, **more: Any
) -> approvals.Decision:
    return ledger.do(approvals.decide, list_, by=by, approve=approve, now=at, **more)


def use(
    ledger: Ledger, case: int, *, version: int = 1, amount: Money | None = None, what: str = WHAT
) -> bool:
    return ledger.do(approvals.use, case, what, version=version, amount=amount or yuan("60"), now=LATE)


def change(ledger: Ledger, case: int) -> None:
    """Something material happens to the case."""
    ledger.do(lambda tx: work.append_outside(tx, case, [f.Held(why="x", by="ben")], actor="ben", now=LATE))


def test_a_yes_is_written_down_with_its_name_and_wakes_the_case(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    conclude(ledger, claim(ledger)[0], due_at=LATE + DAY)
    assert decide(ledger, frozen(ledger, case)) == approvals.Decision(approved=1)
    assert kinds(ledger, case) == ["opened", "approved"]
    assert [c.id for c in claim(ledger)] == [case]
    assert verified(ledger).breaks == ()


def test_a_no_is_a_fact_too(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert decide(ledger, frozen(ledger, case), approve=False, why="too much") == approvals.Decision(
        refused=1
    )
    assert kinds(ledger, case) == ["opened", "approval-refused"]
    assert not use(ledger, case)


def test_a_yes_is_used_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert not use(ledger, case), "not before anybody said it"
    list_ = frozen(ledger, case)
    assert not use(ledger, case), "nor while it is asked for"
    decide(ledger, list_)
    assert [use(ledger, case) for _ in range(3)] == [True, False, False]


def test_a_yes_is_used_once_by_workers_at_once(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    case = opened(ledger)["A-1"]
    decide(ledger, frozen(ledger, case))
    ledgers = [reopen() for _ in range(4)]
    assert sorted(in_threads(4, lambda n: use(ledgers[n], case))) == [False, False, False, True]


@pytest.mark.parametrize(
    "other",
    [{"version": 2}, {"amount": yuan("60.01")}, {"amount": Money.of("60", "USD")}, {"what": "settle:2"}],
)
def test_a_yes_is_bound_to_what_was_shown(ledger: Ledger, other: dict[str, Any]) -> None:
    case = opened(ledger)["A-1"]
    decide(ledger, frozen(ledger, case))
    assert not use(ledger, case, **other)
    assert use(ledger, case, amount=yuan("59")), "less than was approved is approved"


def test_a_yes_to_one_case_is_none_to_another(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    decide(ledger, frozen(ledger, cases["A-1"]))
    assert not use(ledger, cases["A-2"])


def test_what_changed_meanwhile_is_stale_and_not_approved(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2", "A-3")
    list_ = frozen(ledger, *cases.values())
    change(ledger, cases["A-1"])
    close(ledger, next(c for c in claim(ledger) if c.number == "A-3"))
    assert decide(ledger, list_) == approvals.Decision(approved=1, stale=2)
    assert not use(ledger, cases["A-1"]) and not use(ledger, cases["A-1"], version=2)
    assert use(ledger, cases["A-2"])


def test_looking_again_makes_nothing_stale(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    ledger.do(lambda tx: work.append_outside(tx, case, [f.SeenAgain()], actor="amends", now=LATE))
    assert decide(ledger, list_) == approvals.Decision(approved=1)


def test_after_its_time_a_list_decides_nothing(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case, expires=LATE + HOUR)
    with pytest.raises(ApprovalError, match="expired at 2026-11-23 09:00 UTC"):
        decide(ledger, list_, at=LATE + HOUR)
    assert ledger.do(approvals.expire, SHOP, LATE) == 0
    assert ledger.do(approvals.expire, SHOP, LATE + HOUR) == 1
    with pytest.raises(ApprovalError, match="already expired"):
        decide(ledger, list_)
    assert not use(ledger, case)


def test_two_people_are_two_people(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case, people=2)
    assert decide(ledger, list_, "ana") == approvals.Decision(half=1)
    assert not use(ledger, case), "half a yes is none"
    with pytest.raises(ApprovalError, match="ana has already approved; another person must too"):
        decide(ledger, list_, "ana")
    assert decide(ledger, list_, "ben") == approvals.Decision(approved=1)
    assert use(ledger, case)
    assert kinds(ledger, case) == ["opened", "approved", "approved"]


def test_one_of_two_people_may_refuse(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case, people=2)
    decide(ledger, list_, "ana")
    assert decide(ledger, list_, "ben", approve=False) == approvals.Decision(refused=1)
    assert not use(ledger, case)


def test_what_changed_between_two_people_is_stale(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case, people=2)
    decide(ledger, list_, "ana")
    change(ledger, case)
    assert decide(ledger, list_, "ben") == approvals.Decision(stale=1)
    assert not use(ledger, case)


def test_a_list_is_decided_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    decide(ledger, list_)
    with pytest.raises(ApprovalError, match="already decided"):
        decide(ledger, list_, "ben", approve=False)
    with pytest.raises(ApprovalError, match="no approval list 'nix'"):
        decide(ledger, "nix")
    with pytest.raises(ApprovalError, match="no approval list 'nix'"):
        ledger.do(approvals.get, "nix")


def test_a_list_may_be_decided_in_parts(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    list_ = frozen(ledger, *cases.values())
    assert decide(ledger, list_, only=[cases["A-1"]]) == approvals.Decision(approved=1)
    found = ledger.do(approvals.get, list_)
    assert (found.state, [i.number for i in found.waiting]) == ("open", ["A-2"])
    with pytest.raises(ApprovalError, match=f"no waiting act of case {cases['A-1']}"):
        decide(ledger, list_, only=[cases["A-1"]])
    decide(ledger, list_, approve=False, only=[cases["A-2"]])
    assert ledger.do(approvals.get, list_).state == "decided"


def test_the_same_acts_give_the_same_list(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    assert frozen(ledger, *cases.values()) == frozen(ledger, *reversed(cases.values()))
    assert (
        len(
            {
                frozen(ledger, *cases.values()),
                frozen(ledger, cases["A-1"]),
                frozen(ledger, *cases.values(), amount="61"),
            }
        )
        == 3
    )
    assert len(ledger.do(approvals.listing, shop=SHOP, open_only=True)) == 3
    assert ledger.do(approvals.listing, shop="other") == []


def test_asking_freezes_many_cases_on_one_list(ledger: Ledger) -> None:
    opened(ledger, "A-1", "A-2")
    ends = [
        work.End(
            c,
            ask=Item(c.id, "contact-customer:1", c.snapshot.version, "offer", yuan("60")),
            ask_expires=LATE + DAY,
            due_at=LATE + DAY,
        )
        for c in claim(ledger)
    ]
    ledger.do(work.conclude, ends, LATE)
    (found,) = ledger.do(approvals.listing)
    assert (found.kind, [i.number for i in found.items]) == ("contact-customer", ["A-1", "A-2"])
    held = claim(ledger, at=LATE + DAY)[0]
    assert held.snapshot.approvals["contact-customer:1"].list == found.id


def test_a_plan_uses_its_yes_up_and_a_second_plan_of_the_same_act_needs_none(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    decide(ledger, frozen(ledger, case))
    held = claim(ledger)[0]
    yes = work.Yes(WHAT, 1, yuan("60"))
    assert isinstance(planned(ledger, held, draft(held, "grant"), yes=yes), dict)
    assert isinstance(planned(ledger, held, draft(held, "grant"), yes=yes), dict), "it is planned already"
    refusal = planned(ledger, held, draft(held, "grant", round=2), yes=yes)
    assert isinstance(refusal, work.Refusal) and refusal.kind == "approval"
    assert sql(ledger, "SELECT count(*) FROM effects") == [(1,)]


def test_a_list_whose_name_is_taken_gets_a_longer_one(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    name = frozen(ledger, cases["A-1"])
    sql(ledger, "UPDATE approval_items SET case_id = :case", case=cases["A-2"])  # another list of that name
    longer = frozen(ledger, cases["A-1"])
    assert longer.startswith(name) and len(longer) == len(name) + 8
    assert [item.number for item in ledger.do(approvals.get, longer).items] == ["A-1"]
    assert [item.number for item in ledger.do(approvals.get, name).items] == ["A-2"]
    assert frozen(ledger, cases["A-1"]) == longer


@pytest.mark.parametrize("approve", [True, False], ids=["yes", "no"])
def test_a_closed_case_gets_neither_yes_nor_no(ledger: Ledger, approve: bool) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    close(ledger, claim(ledger)[0])
    before = kinds(ledger, case)
    assert decide(ledger, list_, approve=approve) == approvals.Decision(stale=1)
    assert kinds(ledger, case) == before
    assert verified(ledger).breaks == ()


@pytest.mark.parametrize("second", [True, False], ids=["yes", "no"])
def test_two_at_once_are_one(ledger: Ledger, reopen: Callable[[], Ledger], second: bool) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    ledgers = [reopen(), reopen()]

    def say(n: int) -> str:
        try:
            decide(ledgers[n], list_, ("ana", "ben")[n], approve=n == 0 or second)
        except ApprovalError as error:
            return error.message
        return ""

    assert sorted(in_threads(2, say)) == ["", f"list {list_} is already decided"]
    assert len(kinds(ledger, case)) == 2


def test_two_at_once_with_codes_and_the_slower_code_is_not_used_up(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    given = {
        person: ledger.do(codes.issue, list_, person, expires_at=LATE + HOUR) for person in ("ana", "ben")
    }
    ledgers = [reopen(), reopen()]

    def say(tx: Tx, person: str) -> str:
        wrong = codes.take(tx, list_, person, given[person], now=LATE)
        approvals.decide(tx, list_, by=person, approve=True, now=LATE)
        return wrong

    def at_once(n: int) -> str:
        try:
            return ledgers[n].do(say, ("ana", "ben")[n])
        except ApprovalError as error:
            return error.message

    assert sorted(in_threads(2, at_once)) == ["", f"list {list_} is already decided"]
    used = sql(ledger, "SELECT person FROM approval_codes WHERE used_at IS NOT NULL")
    assert [row_.person for row_ in used] == [
        fact.actor for fact in ledger.do(chain.load, [case])[case] if fact.body.kind == "approved"
    ]


def test_what_nobody_decides_is_held_and_asked_anew_after_a_release(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2", "A-3", "A-4")
    list_ = frozen(ledger, *cases.values())
    change(ledger, cases["A-2"])
    decide(ledger, list_, only=[cases["A-3"]])
    assert ledger.do(approvals.hold_undecided, SHOP, HOUR, LATE) == []
    assert ledger.do(approvals.hold_undecided, "other", HOUR, LATE + HOUR) == []
    assert ledger.do(approvals.hold_undecided, SHOP, HOUR, LATE + HOUR) == [list_]
    assert ledger.do(approvals.hold_undecided, SHOP, HOUR, LATE + HOUR) == [], "once"
    assert {n: "held" in kinds(ledger, case) for n, case in cases.items()} == {
        "A-1": True, "A-2": True, "A-3": False, "A-4": True,
    }  # fmt: skip
    assert kinds(ledger, cases["A-2"]).count("held") == 1, "by a person, not for this"
    assert [c.number for c in claim(ledger, at=LATE + HOUR)] == ["A-2", "A-3", "A-1", "A-4"], (
        "all are due at once"
    )
    with pytest.raises(ApprovalError, match=f"list {list_} is already held") as caught:
        decide(ledger, list_, at=LATE + HOUR)
    assert "amends release" in caught.value.hint
    assert not use(ledger, cases["A-1"])
    assert verified(ledger).breaks == ()


def test_a_list_that_expired_while_nobody_looked_is_held_all_the_same(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case, expires=LATE + HOUR)
    assert ledger.do(approvals.hold_undecided, SHOP, HOUR / 2, LATE + DAY) == [list_]
    assert "held" in kinds(ledger, case)


def test_a_list_of_which_nothing_is_wanted_any_more_holds_nothing(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    list_ = frozen(ledger, case)
    close(ledger, claim(ledger)[0])
    assert ledger.do(approvals.hold_undecided, SHOP, HOUR, LATE + HOUR) == []
    assert ledger.do(approvals.get, list_).state == "expired"
