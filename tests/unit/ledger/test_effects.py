"""Effects: written once before the act, kept as they were planned, and settled once."""

from __future__ import annotations

from tests.unit.ledger.makers import (
    HOUR,
    LATE,
    claim,
    conclude,
    draft,
    effect_of,
    opened,
    planned,
    sql,
    yuan,
)

from amends.cases import facts as f
from amends.ledger import Ledger, effects, work
from amends.ledger.effects import Change, EffectState
from amends.ledger.vault import short_key


def test_the_key_tells_shop_order_generation_step_round_and_kind(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    assert draft(held).key == "flagship/A-1/g1/contact-customer/1/message"
    assert draft(held, detail="sms").key == "flagship/A-1/g1/contact-customer/1/message/sms"
    different = [
        draft(held),
        draft(held, round=2),
        draft(held, generation=2),
        draft(held, step=f.Step.SETTLE),
        draft(held, number="A-2"),
    ]
    assert len({d.key for d in different}) == len({short_key(d.key) for d in different}) == len(different)
    assert draft(held, request="{}").key == draft(held).key, "what it says is not part of its name"
    assert short_key(draft(held).key).isalnum() and short_key(draft(held).key).islower()


def test_a_planned_effect_keeps_its_first_request(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    first = planned(ledger, held, draft(held, request='{"amount":"3"}', amount=yuan("3")))
    again = planned(ledger, held, draft(held, request='{"amount":"4"}'))
    assert again == first
    (found,) = again.values()
    assert (found.state, found.request, found.amount, found.attempt) == (
        EffectState.PLANNED,
        '{"amount":"3"}',
        yuan("3"),
        0,
    )


def test_it_is_marked_before_it_leaves_and_keeps_when_it_left_first(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    held = claim(ledger)[0]
    planned(ledger, held, draft(held))
    for n in (0, 1):
        assert set(ledger.do(work.mark_sent, [held], {case: [draft(held)]}, LATE + n * HOUR)) == {case}
    found = effect_of(ledger, draft(held).key)
    assert (found.state, found.attempt, found.first_sent_at, found.sent_at) == (
        EffectState.SENT,
        2,
        LATE,
        LATE + HOUR,
    )


def test_what_became_of_it_is_written_with_its_facts(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    planned(ledger, held, draft(held))
    told = f.Contacted(round=1, via="platform", effect=draft(held).key)
    conclude(ledger, held, told, changes=[Change(draft(held).key, EffectState.CONFIRMED, ref="m1")])
    found = effect_of(ledger, draft(held).key)
    assert (found.state, found.ref, found.settled_at) == (EffectState.CONFIRMED, "m1", LATE)
    assert claim(ledger, at=LATE + HOUR)[0].effects == []


def test_an_unclear_one_stays_with_its_case_until_it_is_looked_for(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    planned(ledger, held, draft(held), draft(held, "grant"))
    changes = [
        Change(draft(held).key, EffectState.UNKNOWN, error="no answer", look_at=LATE + HOUR),
        Change(draft(held, "grant").key, EffectState.QUARANTINED, error="no answer"),
    ]
    conclude(ledger, held, changes=changes)
    again = claim(ledger, at=LATE + HOUR)[0]
    assert [(p.op, p.state, p.look_at) for p in again.snapshot.pending] == [
        ("message", "unknown", LATE + HOUR)
    ]
    assert [e.op for e in again.effects] == ["grant", "message"], (
        "a quarantined one holds its case by its fact"
    )


def test_a_rejected_one_may_be_planned_anew_with_another_request(ledger: Ledger) -> None:
    opened(ledger)
    held = claim(ledger)[0]
    planned(ledger, held, draft(held))
    conclude(ledger, held, changes=[Change(draft(held).key, EffectState.REJECTED, error="blocked")])
    held = claim(ledger, at=LATE + HOUR)[0]
    (found,) = planned(ledger, held, draft(held, request='{"new":1}')).values()
    assert (found.state, found.request, found.error, found.settled_at) == (
        EffectState.PLANNED,
        '{"new":1}',
        "",
        None,
    )
    assert sql(ledger, "SELECT count(*) FROM effects") == [(1,)]


def test_only_the_settled_ones_are_settled(ledger: Ledger) -> None:
    assert {s for s in EffectState if s.settled} == {EffectState.CONFIRMED, EffectState.REJECTED}
    assert ledger.do(effects.by_key, []) == {}
    assert ledger.do(effects.of_cases, [7]) == {7: []}
