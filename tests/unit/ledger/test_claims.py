"""Claims and leases: one worker at a time, and whoever lost a case writes nothing of it any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.unit.ledger.makers import (
    DAY,
    HOUR,
    LATE,
    SHOP,
    claim,
    close,
    conclude,
    draft,
    effect_of,
    in_threads,
    kinds,
    numbers,
    opened,
    planned,
    row,
    sql,
    verified,
)

from amends.cases import facts as f
from amends.ledger import Ledger, Tx, approvals, holds, inbox, intake, leases, tasks, work
from amends.ledger.effects import Change, EffectState

HELD = f.Held(why="x", by="ana")


def run_out(ledger: Ledger) -> None:
    """Let every lease on a case run out."""
    sql(ledger, "UPDATE cases SET lease_until = 1 WHERE lease_owner IS NOT NULL")


def dead_owner() -> str:
    """The name of a worker whose process is gone."""
    code = "from amends.ledger.leases import new_owner; print(new_owner())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_due_cases_are_claimed_soonest_first(ledger: Ledger) -> None:
    opened(ledger, "A-1", at=LATE)
    opened(ledger, "A-2", at=LATE - HOUR)
    opened(ledger, "A-3", at=LATE + HOUR)
    assert [c.number for c in claim(ledger)] == ["A-2", "A-1"]
    assert claim(ledger) == []


def test_a_claim_brings_what_a_decision_needs(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    assert isinstance(planned(ledger, held, draft(held)), dict)
    run_out(ledger)
    ledger.do(holds.hold, shop=SHOP, step="", by="ana", why="holiday", at=LATE)
    ledger.do(holds.hold, shop="", step="settle", by="ben", why="audit", at=LATE)
    again = claim(ledger, "w2")[0]
    assert (again.id, again.epoch, again.playbook, again.policy) == (case, held.epoch + 1, "p1", "l1")
    assert [p.op for p in again.snapshot.pending] == ["message"]
    assert again.snapshot.blocked == "shop flagship is held by ana: holiday"
    assert again.held_steps == {"settle": "step settle is held by ben: audit"}
    assert again.snapshot.opened_why == "overdue: not shipped"


def test_two_owners_never_hold_the_same_case(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    opened(ledger, *numbers(60))
    ledgers = [reopen() for _ in range(4)]
    taken = in_threads(4, lambda n: [c.id for _ in range(8) for c in claim(ledgers[n], f"w{n}", limit=3)])
    ids = [id_ for part in taken for id_ in part]
    assert len(ids) == len(set(ids)) == 60


def test_a_lease_that_ran_out_is_taken_over(ledger: Ledger) -> None:
    opened(ledger)
    first = claim(ledger, "w1")[0]
    assert claim(ledger, "w2") == []
    run_out(ledger)
    assert [c.epoch for c in claim(ledger, "w2")] == [first.epoch + 1]


def test_a_worker_that_lost_its_case_plans_sends_and_writes_nothing(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    stale = claim(ledger, "w1")[0]
    planned(ledger, stale, draft(stale))
    run_out(ledger)
    fresh = claim(ledger, "w2")[0]
    before = kinds(ledger, case)
    refusal = planned(ledger, stale, draft(stale, "grant"))
    assert isinstance(refusal, work.Refusal) and refusal.kind == "lost"
    assert ledger.do(work.mark_sent, [stale], {case: [draft(stale)]}, LATE) == {}
    assert effect_of(ledger, draft(stale).key).state is EffectState.PLANNED
    change = Change(draft(stale).key, EffectState.CONFIRMED)
    assert conclude(ledger, stale, HELD, changes=[change], texts={"t": b"x"}) == {case}
    assert close(ledger, stale) == {case}
    assert kinds(ledger, case) == before
    assert effect_of(ledger, draft(stale).key).state is EffectState.PLANNED
    assert row(ledger, case).outcome is None
    assert conclude(ledger, fresh, HELD) == set()


def test_a_worker_that_let_go_cannot_write_any_more(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    assert conclude(ledger, held) == set()
    assert conclude(ledger, held, HELD) == {case}
    assert kinds(ledger, case) == ["opened"]


def test_a_lost_case_takes_nobody_with_it(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    first, second = claim(ledger)
    sql(ledger, "UPDATE cases SET epoch = epoch + 1 WHERE id = :id", id=first.id)
    answers = ledger.do(work.plan, [work.Plan(c, [draft(c)]) for c in (first, second)], LATE)
    assert isinstance(answers[first.id], work.Refusal) and isinstance(answers[second.id], dict)
    ends = [work.End(c, stage="contact", due_at=LATE + HOUR) for c in (first, second)]
    assert ledger.do(work.conclude, ends, LATE)[1] == {first.id}
    assert row(ledger, cases["A-2"]).lease_owner is None


def test_a_kept_case_stays_with_its_worker(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    assert conclude(ledger, held, HELD, keep=True) == set()
    assert claim(ledger, "w2") == []
    assert row(ledger, case).lease_owner == "w1"
    assert conclude(ledger, held) == set()


@pytest.mark.parametrize("how", ["wake", "reply", "fact"])
def test_a_case_woken_while_it_is_held_is_due_at_once(ledger: Ledger, how: str) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    wake(ledger, how, case)
    assert conclude(ledger, held, due_at=LATE + DAY) == set()
    assert [c.id for c in claim(ledger, "w2", at=LATE + HOUR)] == [case]


def wake(ledger: Ledger, how: str, case: int) -> None:
    if how == "wake":
        ledger.do(intake.wake, SHOP, ["A-1"], LATE)
    elif how == "reply":
        ledger.do(inbox.receive, SHOP, [inbox.Arrival("ev1", "A-1", b"{}")], LATE)
    else:
        reply = f.Replied(round=1, answer=f.Answer.CANCEL, event="ev1")
        ledger.do(lambda tx: work.append_outside(tx, case, [reply], actor="customer", now=LATE))


@pytest.mark.parametrize("how", ["wake", "reply", "fact"])
def test_what_comes_in_while_a_case_is_being_closed_is_heard_first(ledger: Ledger, how: str) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    wake(ledger, how, case)
    assert close(ledger, held) == set()
    assert row(ledger, case).outcome is None
    assert "closed" not in kinds(ledger, case)
    again = claim(ledger, at=LATE)[0]
    assert again.snapshot.outcome is None
    assert close(ledger, again) == set()
    assert row(ledger, case).outcome == "shipped"


def test_a_plan_is_refused_when_something_came_in(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    wake(ledger, "reply", case)
    refusal = planned(ledger, held, draft(held))
    assert isinstance(refusal, work.Refusal) and refusal.kind == "changed"
    assert sql(ledger, "SELECT * FROM effects") == []


def test_a_closed_case_is_never_due_again(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    close(ledger, claim(ledger)[0], closed_state="overdue")
    found = row(ledger, case)
    assert (found.due_at, found.outcome, found.closed_state, found.lease_owner) == (
        None,
        "shipped",
        "overdue",
        None,
    )
    ledger.do(intake.wake, SHOP, ["A-1"], LATE)
    ledger.do(lambda tx: work.append_outside(tx, case, [f.Erased(by="ana")], actor="ana", now=LATE))
    assert claim(ledger, at=LATE + 99 * DAY) == []
    assert kinds(ledger, case) == ["opened", "closed", "erased"]


def test_a_hold_set_before_the_request_leaves_stops_it(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    planned(ledger, held, draft(held))
    ledger.do(holds.hold, shop="", step="contact-customer", by="ana", why="wrong text", at=LATE)
    assert ledger.do(work.mark_sent, [held], {case: [draft(held)]}, LATE) == {}
    refusal = planned(ledger, held, draft(held, round=2))
    assert isinstance(refusal, work.Refusal) and refusal.kind == "held"
    ledger.do(holds.release, shop="", step="contact-customer")
    assert set(ledger.do(work.mark_sent, [held], {case: [draft(held)]}, LATE)) == {case}
    assert effect_of(ledger, draft(held).key).state is EffectState.SENT


def test_only_some_cases_can_be_claimed(ledger: Ledger) -> None:
    cases = opened(ledger, "A-1", "A-2")
    found = ledger.do(work.claim, SHOP, "w1", now=LATE, limit=9, only=[cases["A-2"]])
    assert [c.number for c in found] == ["A-2"]


# Shops and processes


def test_a_shop_is_swept_by_one_owner_at_a_time(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    ledgers = [reopen() for _ in range(4)]
    won = in_threads(4, lambda n: ledgers[n].do(leases.take_shop, SHOP, f"w{n}"))
    assert sorted(won, key=str) == [1, None, None, None]
    owner = f"w{won.index(1)}"
    assert ledger.do(leases.take_shop, SHOP, owner) == 2, "the owner itself may take it again"
    assert ledger.do(leases.keep_shop, SHOP, owner)
    assert not ledger.do(leases.keep_shop, SHOP, "other")
    ledger.do(leases.free_shop, SHOP, "other")
    assert ledger.do(leases.take_shop, SHOP, "other") is None
    ledger.do(leases.free_shop, SHOP, owner)
    assert ledger.do(leases.take_shop, SHOP, "other") == 3
    assert ledger.do(leases.take_shop, "another shop", "w1") == 1


def test_a_shops_lease_runs_out(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=-1))
    assert ledger.do(leases.take_shop, SHOP, "w1") == 1
    assert ledger.do(leases.take_shop, SHOP, "w2") == 2
    assert not ledger.do(leases.keep_shop, SHOP, "w1")


def test_what_a_dead_process_held_is_free_at_once(ledger: Ledger) -> None:
    gone, alive = dead_owner(), leases.new_owner()
    cases = opened(ledger, "A-1", "A-2")
    ledger.do(work.claim, SHOP, gone, now=LATE, limit=9, only=[cases["A-1"]])
    ledger.do(work.claim, SHOP, alive, now=LATE, limit=9, only=[cases["A-2"]])
    ledger.do(leases.take_shop, SHOP, gone)
    assert leases.dead(gone) and not leases.dead(alive)
    assert ledger.do(leases.take_shop, SHOP, alive) == 2
    assert [c.number for c in claim(ledger)] == ["A-1"]


@pytest.mark.parametrize("owner", ["", "w1", "elsewhere/abcd:1:2:3", "a:b"])
def test_an_owner_that_cannot_be_judged_is_not_dead(owner: str) -> None:
    assert not leases.dead(owner)


def test_owners_are_never_the_same() -> None:
    assert len({leases.new_owner() for _ in range(99)}) == 99


def test_workers_people_and_events_at_once_wait_for_each_other_in_no_circle(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    cases = opened(ledger, *numbers(12))
    ids = sorted(cases.values())
    ledgers = [reopen() for _ in range(4)]
    decided: list[approvals.Decision] = []

    def work_on(n: int) -> None:
        for turn in range(6):
            if n < 2:
                for held in reversed(claim(ledgers[n], f"w{n}", limit=5)):
                    conclude(
                        ledgers[n],
                        held,
                        HELD,
                        tasks=[tasks.Opening(held.id, SHOP, held.number, "call", LATE, effect=f"t{turn}")],
                    )
            elif n == 2:
                for case in reversed(ids):
                    ledgers[n].do(
                        lambda tx, case=case: work.append_outside(tx, case, [HELD], actor="ana", now=LATE)
                    )  # type: ignore[misc]
            else:
                items = [approvals.Item(case, f"settle:{turn}", 1, "why") for case in ids]
                list_ = ledgers[n].do(
                    approvals.freeze, SHOP, "settle", items, now=LATE, expires_at=LATE + (turn + 1) * DAY
                )
                decided.append(ledgers[n].do(approvals.decide, list_, by="ana", approve=False, now=LATE))
                for task in ledgers[n].do(tasks.listing):
                    ledgers[n].do(finish, task.id)

    def finish(tx: Tx, id_: int) -> None:
        done = tasks.finish(tx, id_, outcome="done", by="ana", now=LATE)
        body = f.TaskDone(task=str(id_), what=done.kind, outcome="done", by="ana")
        work.append_outside(tx, done.case, [body], actor="ana", now=LATE)

    in_threads(4, work_on)
    assert verified(ledger).breaks == ()
    refused = sum(kinds(ledger, case).count("approval-refused") for case in ids)
    assert refused == sum(one.refused for one in decided)
    assert refused + sum(one.stale for one in decided) == 6 * len(ids)
