"""What people and customers bring: tasks, events, personal values, holds. Each once, by name, and erasable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ledger.makers import (
    DAY,
    HOUR,
    KEY,
    LATE,
    SHOP,
    claim,
    close,
    conclude,
    in_threads,
    kinds,
    opened,
    row,
    sql,
    verified,
)

from amends.cases import facts as f
from amends.errors import CaseError, LedgerError
from amends.ledger import Ledger, Vault, chain, holds, inbox, persons, tasks
from amends.ledger.tasks import Opening

CANARY = b"CANARY-10000000017-Li-Lei"


def task(case: int, effect: str = "e1", kind: str = "grant:coupon") -> Opening:
    return Opening(case, SHOP, "A-1", kind, LATE + DAY, effect=effect, place="back office > coupons")


# Tasks


def test_a_task_is_opened_once_per_effect_and_done_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    ids = {ledger.do(tasks.open_task, task(case), LATE) for _ in range(3)}
    assert len(ids) == 1
    (id_,) = ids
    with pytest.raises(CaseError, match="ends as one of: done, not-done; not 'perhaps'"):
        ledger.do(tasks.finish, id_, outcome="perhaps", by="ana", now=LATE)
    assert ledger.do(tasks.finish, id_, outcome="done", by="ana", now=LATE).effect == "e1"
    with pytest.raises(CaseError, match="already done by ana: done"):
        ledger.do(tasks.finish, id_, outcome="not-done", by="ben", now=LATE)
    with pytest.raises(CaseError, match="there is no task 999"):
        ledger.do(tasks.finish, 999, outcome="done", by="ana", now=LATE)
    assert ledger.do(tasks.listing, shop=SHOP) == []
    assert [t.done_by for t in ledger.do(tasks.listing, open_only=False)] == ["ana"]


def test_a_task_is_done_by_one_of_several_people_at_once(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    case = opened(ledger)["A-1"]
    id_ = ledger.do(tasks.open_task, task(case), LATE)
    ledgers = [reopen() for _ in range(3)]

    def finish(n: int) -> bool:
        try:
            ledgers[n].do(tasks.finish, id_, outcome="done", by=f"p{n}", now=LATE)
        except CaseError:
            return False
        return True

    assert sorted(in_threads(3, finish)) == [False, False, True]


def test_a_task_that_is_needed_again_is_open_again(ledger: Ledger) -> None:
    """A person said "not done", it was sent anew, and once more nobody knows."""
    case = opened(ledger)["A-1"]
    id_ = ledger.do(tasks.open_task, task(case), LATE)
    ledger.do(tasks.finish, id_, outcome="not-done", by="ana", now=LATE)
    assert ledger.do(tasks.open_task, task(case), LATE + HOUR) == id_
    (found,) = ledger.do(tasks.listing)
    assert (found.id, found.done_at, found.outcome, found.opened_at) == (id_, None, None, LATE + HOUR)
    ledger.do(tasks.finish, id_, outcome="done", by="ben", now=LATE)


def test_conclude_opens_tasks_and_says_so_in_the_case_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    conclude(ledger, claim(ledger)[0], tasks=[task(case), task(case, "e2")])
    conclude(ledger, claim(ledger, at=LATE + HOUR)[0], tasks=[task(case)])
    assert kinds(ledger, case) == ["opened", "task-opened", "task-opened"]
    held = claim(ledger, at=LATE + DAY)[0]
    assert sorted(t.effect for t in held.snapshot.tasks.values()) == ["e1", "e2"]
    conclude(ledger, held, seen_tasks=["e1"])
    assert [t.effect for t in ledger.do(tasks.listing)] == ["e2"]
    assert kinds(ledger, case)[-1] == "task-done"


def test_a_closed_case_leaves_no_work(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    conclude(ledger, claim(ledger)[0], tasks=[task(case)])
    close(ledger, claim(ledger, at=LATE + HOUR)[0])
    assert ledger.do(tasks.listing) == []


# Events


def arrive(ledger: Ledger, *events: str, number: str = "A-1", body: bytes = CANARY, **more: Any) -> int:
    arrivals = [inbox.Arrival(event, number, body) for event in events]
    return ledger.do(inbox.receive, SHOP, arrivals, LATE, **more)


def waiting(ledger: Ledger, case: int) -> list[str]:
    return [w.event for w in ledger.do(inbox.waiting, SHOP, [case]).get(case, [])]


def test_the_same_event_is_taken_once(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert arrive(ledger, "ev1", "ev2", "ev1") == 2
    assert arrive(ledger, "ev1", "ev3", body=b"forged anew") == 1
    assert waiting(ledger, case) == ["ev1", "ev2", "ev3"]
    assert ledger.do(inbox.waiting, SHOP, [case])[case][0].body == CANARY, "the first word counts"
    assert ledger.do(inbox.receive, "other", [inbox.Arrival("ev1", "A-1", b"")], LATE) == 1


def test_the_same_event_by_two_ways_at_once_is_taken_once(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    ledgers = [reopen() for _ in range(4)]
    assert sum(in_threads(4, lambda n: arrive(ledgers[n], *(f"ev{i}" for i in range(9))))) == 9


def test_an_event_wakes_its_case_and_comes_with_the_cursor(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    conclude(ledger, claim(ledger)[0], due_at=LATE + DAY)
    arrive(ledger, "ev1", cursor=("replies", "c7"))
    assert [c.id for c in claim(ledger)] == [case]
    assert [tuple(r) for r in sql(ledger, "SELECT name, value FROM cursors")] == [("replies", "c7")]


def test_an_event_seen_before_wakes_nobody(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    arrive(ledger, "ev1")
    conclude(ledger, claim(ledger)[0], applied=["ev1"], due_at=LATE + DAY)
    assert arrive(ledger, "ev1") == 0
    assert not row(ledger, case).wake
    assert claim(ledger) == []


def test_an_applied_event_keeps_nothing_of_what_was_said(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    arrive(ledger, "ev1")
    conclude(ledger, claim(ledger)[0], applied=["ev1"])
    assert waiting(ledger, case) == []
    assert [(bytes(b), c) for b, c in sql(ledger, "SELECT body, case_id FROM inbox")] == [(b"", case)]


def test_an_event_before_its_case_waits_for_it(ledger: Ledger) -> None:
    assert arrive(ledger, "ev1") == 1
    assert waiting(ledger, opened(ledger)["A-1"]) == ["ev1"]


# Personal values


def test_personal_values_read_back_by_case_and_name(ledger: Ledger) -> None:
    one, two = opened(ledger, "A-1", "A-2").values()
    ledger.do(persons.store, {one: {"name": CANARY, "text": b"hello"}, two: {"name": b"Han Meimei"}, 9: {}})
    ledger.do(persons.store, {one: {"text": b"hello again"}})
    assert ledger.do(persons.load, [one, two]) == {
        one: {"name": CANARY, "text": b"hello again"},
        two: {"name": b"Han Meimei"},
    }
    assert ledger.do(persons.load, [one], ["text"]) == {one: {"text": b"hello again"}}


def test_nothing_personal_can_be_read_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{path}", KEY)
    case = opened(ledger)["A-1"]
    ledger.do(persons.store, {case: {"name": CANARY}})
    arrive(ledger, "ev1")
    conclude(ledger, claim(ledger)[0], texts={"request:e1": CANARY}, tasks=[task(case)])
    ledger.close()
    assert CANARY not in path.read_bytes()
    assert b"A-1" in path.read_bytes()
    assert all(CANARY not in p.read_bytes() for p in tmp_path.iterdir())


def test_erasing_a_case_leaves_its_chain_whole_and_others_alone(ledger: Ledger) -> None:
    one, two = opened(ledger, "A-1", "A-2").values()
    said = ledger.do(persons.digest, one, b"I accept")
    close(ledger, next(c for c in claim(ledger) if c.id == one), texts={"reply": b"I accept"})
    ledger.do(persons.store, {two: {"name": b"Han Meimei"}})
    assert ledger.do(persons.digest, one, b"I accept") == said
    ledger.do(persons.erase, one)
    ledger.do(lambda tx: chain.append(tx, {one: [chain.New(f.Erased(by="ana"), LATE, "ana")]}))
    assert ledger.do(persons.load, [one, two]) == {one: {}, two: {"name": b"Han Meimei"}}
    assert sql(ledger, "SELECT count(*) FROM case_keys WHERE case_id = :c", c=one) == [(0,)]
    assert verified(ledger).breaks == ()
    assert kinds(ledger, one)[-1] == "erased"
    assert ledger.do(persons.digest, one, b"I accept") != said, (
        "the salt is gone, and the hash says nothing any more"
    )


def test_another_key_reads_nothing(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    ledger.do(persons.store, {case: {"name": CANARY}})
    ledger.vault = Vault(bytes(32))
    with pytest.raises(LedgerError, match="key does not fit"):
        ledger.do(persons.load, [case])
    ledger.vault = KEY


@given(st.binary(max_size=200))
def test_what_is_sealed_is_unsealed_and_a_changed_byte_is_refused(value: bytes) -> None:
    sealed = KEY.seal(value)
    assert KEY.unseal(sealed) == value
    assert KEY.seal(value) != sealed, "never the same twice"
    with pytest.raises(LedgerError):
        KEY.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_signed_parts_do_not_run_into_each_other() -> None:
    assert KEY.mac(b"ab", b"c") != KEY.mac(b"a", b"bc")
    assert KEY.mac(b"a") != KEY.mac(b"a", b"")


# Holds


def test_holds_bear_on_their_shop_and_step(ledger: Ledger) -> None:
    for shop, step in (("", "settle"), (SHOP, ""), ("other", "")):
        ledger.do(holds.hold, shop=shop, step=step, by="ana", why="w", at=LATE)
    ledger.do(holds.hold, shop=SHOP, step="", by="ben", why="holiday", at=LATE)
    found = {(h.shop, h.step): h for h in ledger.do(holds.current, SHOP)}
    assert sorted(found) == [("", "settle"), (SHOP, "")]
    assert str(found[SHOP, ""]) == "shop flagship is held by ben: holiday"
    assert found["", "settle"].bears_on("any", "settle") and not found["", "settle"].bears_on(
        "any", "contact-customer"
    )
    assert ledger.do(holds.release, shop=SHOP, step="") and not ledger.do(holds.release, shop=SHOP, step="")
    assert len(ledger.do(holds.current)) == 2
