"""Notes as the ledger keeps them: planned once, in nobody's way, and in one worker's hands at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.unit.ledger.makers import (
    HOUR,
    LATE,
    SHOP,
    claim,
    close,
    conclude,
    draft,
    effect_of,
    in_threads,
    numbers,
    opened,
)

from amends.ledger import Ledger, effects, notes, work
from amends.ledger.effects import Change, Draft, EffectState

QUIET = timedelta(minutes=15)


def note(of: work.Claim, about: str = "offer", **more: Any) -> Draft:
    return draft(of, f"note:{about}", op="note", **more)


def take(ledger: Ledger, at: Any = LATE, limit: int = 100) -> list[effects.Effect]:
    return ledger.do(notes.take, SHOP, at, quiet=QUIET, limit=limit)


def test_a_note_is_planned_once_whatever_becomes_of_it(ledger: Ledger) -> None:
    opened(ledger)
    for at in range(3):
        (held,) = claim(ledger, at=LATE + at * HOUR)
        assert held.effects == [] and held.snapshot.pending == (), "no case waits for a note"
        assert not conclude(ledger, held, notes=[note(held)], at=LATE + at * HOUR, due_at=LATE)
        if at == 1:
            ledger.do(effects.change, [Change(note(held).key, EffectState.REJECTED, error="no")], LATE)
    found = effect_of(ledger, note(held).key)
    assert (found.state, found.error) == (EffectState.REJECTED, "no"), "refused once, not asked again"
    assert take(ledger, LATE + 9 * HOUR) == []


def test_it_is_marked_before_it_leaves_and_left_alone_meanwhile(ledger: Ledger) -> None:
    opened(ledger)
    (held,) = claim(ledger)
    conclude(ledger, held, notes=[note(held), note(held, "settled")])
    (first,) = take(ledger)
    assert (first.kind, first.state) == ("note:offer", EffectState.PLANNED), "as it was"
    sent = effect_of(ledger, first.key)
    assert (sent.state, sent.attempt, sent.sent_at) == (EffectState.SENT, 1, LATE)
    assert take(ledger) == [], "the next note of a case waits for the one before"
    (again,) = take(ledger, LATE + QUIET)
    assert (again.key, again.state) == (first.key, EffectState.SENT), (
        "a crash leaves it open: it is looked for"
    )
    assert effect_of(ledger, first.key).attempt == 1
    ledger.do(effects.change, [Change(first.key, EffectState.CONFIRMED)], LATE + QUIET)
    assert [found.kind for found in take(ledger, LATE + QUIET)] == ["note:settled"]


def test_a_closed_case_still_has_its_last_note_written(ledger: Ledger) -> None:
    opened(ledger)
    (held,) = claim(ledger)
    close(ledger, held, notes=[note(held, "closed")])
    assert [found.kind for found in take(ledger)] == ["note:closed"]


def test_workers_share_them_without_one_twice(reopen: Callable[[], Ledger]) -> None:
    ledger, names = reopen(), numbers(40)
    opened(ledger, *names)
    for held in claim(ledger):
        conclude(ledger, held, notes=[note(held)])
    ledgers = [reopen() for _ in range(4)]

    def work_(n: int) -> list[str]:
        found: list[str] = []
        for _ in range(10):
            found += [one.key for one in take(ledgers[n], limit=3)]
        return found

    taken = [key for keys in in_threads(4, work_) for key in keys]
    taken += [found.key for found in take(ledger)]
    assert len(taken) == len(set(taken)) == len(names)
