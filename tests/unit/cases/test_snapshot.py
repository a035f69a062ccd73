"""The fold: the same facts give the same case, and each kind of fact says what it says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.cases.makers import DAY, HOUR, OPENED, T0, TIMES, bodies, order, snapshot, yuan

from amends.cases import facts as f
from amends.cases.lateness import Lateness, State
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.snapshot import Round, fold

COUPON = Remedy(kind=RemedyKind.COUPON, amount=yuan("3"))
OFFER = Offer(why="first rung", remedy=COUPON, new_ship_by=T0 + 5 * DAY, reply_by=T0 + DAY)


def proposed(number: int = 1, offer: Offer = OFFER) -> f.Proposed:
    return f.Proposed(round=number, offer=offer, policy="l1", state=State.OVERDUE)


def contacted(number: int = 1) -> f.Contacted:
    return f.Contacted(round=number, via="platform", effect=f"e{number}", reply_by=T0 + DAY)


def replied(answer: f.Answer, number: int = 1) -> f.Replied:
    return f.Replied(round=number, answer=answer, event="ev")


def last(*found: f.Body) -> Round:
    round_ = snapshot(*found).last
    assert round_ is not None
    return round_


@settings(max_examples=150)
@given(st.lists(st.tuples(bodies(), TIMES), max_size=8), st.integers(0, 8))
def test_folding_is_deterministic_and_goes_on_from_where_it_was(
    found: list[tuple[f.Body, object]], cut: int
) -> None:
    written = [
        f.Fact(seq=n, at=at, actor="amends", body=body)  # type: ignore[arg-type]
        for n, (body, at) in enumerate([(OPENED, T0), *found], 1)
    ]
    whole = fold(written, case=1, shop="s", number="n")
    assert fold(written, case=1, shop="s", number="n") == whole
    some = fold(written[:cut], case=1, shop="s", number="n")
    for fact in written[cut:]:
        some.apply(fact)
    assert some == whole
    assert whole.count == len(written)
    assert whole.version == sum(f.is_material(fact.body.kind) for fact in written)


@settings(max_examples=150)
@given(bodies())
def test_a_fact_told_twice_says_no_more_than_once(body: f.Body) -> None:
    """Counters aside: they count facts."""
    once, twice = snapshot(body), snapshot(body, body)
    twice.count, twice.version = once.count, once.version
    for act in (*once.acts, *twice.acts):
        act.looks = 0
    for approval in (*once.approvals.values(), *twice.approvals.values()):
        approval.by = ()
    assert once == twice


def test_a_round_lives_from_proposal_to_settlement() -> None:
    case = snapshot(
        proposed(), contacted(), replied(f.Answer.ACCEPT), f.SettlementRequested(round=1, remedy=COUPON, effect="g"),
        f.Settled(round=1, remedy=COUPON, effect="g"), f.Extended(round=1, until=T0 + 5 * DAY, effect="x"),
    )  # fmt: skip
    round_ = case.last
    assert round_ is not None and round_.accepted
    assert (round_.contacted_at, round_.requested_at, round_.settled_at) == (T0, T0, T0)
    assert round_.extended_until == case.agreed == T0 + 5 * DAY
    assert not round_.owes_remedy(order())


def test_proposed_anew_before_anybody_was_told_replaces_the_proposal() -> None:
    case = snapshot(proposed(), proposed(1, Offer(why="no remedy", reply_by=T0 + DAY)))
    assert [r.offer.why for r in case.rounds] == ["no remedy"]


def test_the_first_answer_counts_and_silence_yields_to_words() -> None:
    assert (
        last(proposed(), contacted(), replied(f.Answer.DECLINE), replied(f.Answer.ACCEPT)).answer
        is f.Answer.DECLINE
    )
    silent = f.Silent(round=1, means=f.Answer.DECLINE, rule="r")
    spoken = last(proposed(), contacted(), silent, replied(f.Answer.ACCEPT))
    assert spoken.answer is f.Answer.ACCEPT and not spoken.silent


def test_a_cancel_after_settlement_owes_all_the_money() -> None:
    case = snapshot(
        proposed(),
        contacted(),
        replied(f.Answer.ACCEPT),
        f.Settled(round=1, remedy=COUPON, effect="g"),
        replied(f.Answer.CANCEL),
    )
    round_ = case.last
    assert round_ is not None and round_.owes_remedy(order())
    assert round_.remedy_due(order()) == Remedy(kind=RemedyKind.REFUND, amount=yuan("199.00"))


def test_a_cancel_of_an_order_that_cost_nothing_owes_nothing() -> None:
    assert not last(proposed(), contacted(), replied(f.Answer.CANCEL)).owes_remedy(order(amount=yuan("0")))


def test_an_offer_of_what_was_asked_for_is_accepted_as_soon_as_it_is_told() -> None:
    agreed = OFFER.model_copy(update={"agreed": True})
    assert not last(proposed(offer=agreed)).accepted
    assert last(proposed(offer=agreed), contacted()).accepted


@pytest.mark.parametrize("answer", [f.Answer.ACCEPT, f.Answer.DECLINE, f.Answer.COUNTER])
def test_an_answer_to_an_offer_that_a_newer_one_replaced_changes_nothing(answer: f.Answer) -> None:
    silent = f.Silent(round=1, means=f.Answer.DECLINE, rule="r")
    case = snapshot(proposed(), contacted(), silent, proposed(2), contacted(2), replied(answer, 1))
    assert [r.answer for r in case.rounds] == [f.Answer.DECLINE, None]


@pytest.mark.parametrize("told", [True, False])
def test_a_cancel_counts_whichever_offer_it_answers(told: bool) -> None:
    silent = f.Silent(round=1, means=f.Answer.DECLINE, rule="r")
    more = [contacted(2)] if told else []
    case = snapshot(proposed(), contacted(), silent, proposed(2), *more, replied(f.Answer.CANCEL, 1))
    assert case.last is not None and case.last.answer is f.Answer.CANCEL
    assert case.last.owes_remedy(order())


def test_nothing_to_offer_is_kept_with_how_late_it_was_then() -> None:
    case = snapshot(proposed(offer=Offer.nothing("rungs used")))
    assert (case.rounds, case.nothing, case.nothing_why) == ([], (State.OVERDUE, 0), "rungs used")


def test_whoever_releases_a_case_wants_another_try() -> None:
    held = f.Held(why="unreachable", by="amends", cause="contact")
    case = snapshot(proposed(), f.Unreached(round=1, why="refused"), held, f.Released(by="ana"))
    assert case.held is None
    assert case.last is not None and not case.last.unreached


def test_a_case_seen_after_it_was_unseen_is_seen() -> None:
    unseen = f.Unseen(why="down", code="unreachable", attempt=1, retry_at=T0 + HOUR)
    on_time = Lateness(state=State.ON_TIME, why="2d left")
    assert snapshot(unseen).unseen == unseen
    assert snapshot(unseen, f.SeenAgain()).unseen is None
    case = snapshot(unseen, f.Observed(order=order(observed_at=T0 + HOUR), lateness=on_time))
    assert (case.unseen, case.observed_at) == (None, T0 + HOUR)


def test_acts_before_a_desk_open_and_end_and_open_again() -> None:
    filed = f.Filed(instance="complaint", effect="c", ruling_by=T0 + DAY)
    ruled = f.Ruled(instance="complaint", verdict="against-us")
    case = snapshot(filed, (f.Looked(instance="complaint"), T0 + HOUR), (ruled, T0 + 2 * HOUR))
    act = case.act("complaint")
    assert act is not None and not act.open
    assert (act.looked_at, act.looks, act.ruled_at) == (T0 + HOUR, 1, T0 + 2 * HOUR)
    again = snapshot(filed, ruled, filed)
    assert [a.open for a in again.acts] == [False, True]


def test_approvals_go_from_asked_over_half_to_approved_or_refused() -> None:
    asked = f.ApprovalAsked(what="w", list="l", version=3, expires_at=T0 + DAY)
    half = f.Approved(what="w", list="l", by="ana", version=3, second=True)
    full = f.Approved(what="w", list="l", by="ben", version=3)
    assert snapshot(asked).approvals["w"].state == "asked"
    assert snapshot(asked, half).approvals["w"].state == "half"
    both = snapshot(asked, half, full).approvals["w"]
    assert (both.state, both.by) == ("approved", ("ana", "ben"))
    assert snapshot(asked, f.ApprovalRefused(what="w", list="l", by="ana")).approvals["w"].state == "refused"
    assert snapshot(half).approvals == {}, "a yes that nobody asked for counts for nothing"


def test_tasks_and_quarantine_come_and_go() -> None:
    task = f.TaskOpened(task="7", what="grant:coupon", due_at=T0 + DAY)
    assert snapshot(task).tasks == {"7": task}
    assert snapshot(task, f.TaskDone(task="7", what="grant:coupon", outcome="done", by="ana")).tasks == {}
    unsure = f.Uncertain(effect="e", act="message", why="no answer", quarantined=True)
    assert snapshot(unsure).quarantined == {"e": "no answer"}
    assert snapshot(unsure, f.Cleared(effect="e", done=True, by="ana")).quarantined == {}
    assert snapshot(unsure.model_copy(update={"quarantined": False})).quarantined == {}


def test_facts_for_rounds_that_never_were_change_nothing_but_the_count() -> None:
    case = snapshot(replied(f.Answer.ACCEPT, 9), f.Settled(round=9, remedy=None, effect="g"))
    assert (case.rounds, case.count) == ([], 3)


def test_offers_stop_while_something_runs_between_customer_and_platform() -> None:
    late = Lateness(state=State.OVERDUE, why="late", late_by=timedelta(hours=1))
    stopped = snapshot(f.Observed(order=order(after_sales="requested"), lateness=late))
    assert stopped.offer_stopped == "after-sales: requested" and not stopped.disputed
    assert snapshot(f.Observed(order=order(after_sales="disputed"), lateness=late)).disputed
    assert snapshot(f.Observed(order=order(after_sales="closed"), lateness=late)).offer_stopped == ""
