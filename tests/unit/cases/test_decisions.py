"""What is decided in the cases that matter most, one by one; the walks cover the rest."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.unit.cases.makers import DAY, HOUR, T0, book, rule, snapshot, terms, yuan
from tests.unit.cases.test_stages import LATE, OFFER, PROPOSED, TOLD, filed, said, seen

from amends.cases import facts as f
from amends.cases.decisions import Next, decide
from amends.cases.offers import Offer
from amends.cases.orders import OrderStatus
from amends.cases.playbook import Approvals, Playbook
from amends.cases.rules import RuleName
from amends.cases.snapshot import Pending
from amends.cases.stages import Terms

PATIENT = terms(Playbook(fresh_for=30 * DAY))


def answer(
    *story: f.Body, at: datetime = LATE, with_: Terms = PATIENT, pending: tuple[Pending, ...] = ()
) -> Next:
    return decide(snapshot(*((body, LATE) for body in story), pending=pending), at, with_)


def test_a_late_order_is_looked_at_then_its_customer_is_told() -> None:
    assert answer().step is f.Step.VERIFY
    assert answer(seen()).step is f.Step.CONTACT


def test_nothing_is_done_on_old_data() -> None:
    found = answer(seen(), at=LATE + timedelta(minutes=10, seconds=1), with_=terms())
    assert found.step is f.Step.VERIFY and "last looked 10m1s ago" in found.why
    assert answer(seen(), at=LATE + timedelta(minutes=10), with_=terms()).step is f.Step.CONTACT


@pytest.mark.parametrize("state", ["planned"])
def test_a_message_that_never_left_goes_out_on_fresh_data_only(state: str) -> None:
    waiting = Pending("e", f.Step.CONTACT, "message", state, "queryable")
    assert answer(seen(), PROPOSED, at=LATE + HOUR, with_=terms(), pending=(waiting,)).step is f.Step.VERIFY


def test_a_message_that_never_left_is_not_sent_after_a_refund() -> None:
    waiting = Pending("e", f.Step.CONTACT, "message", "planned", "queryable")
    found = answer(seen(after_sales="refunded"), PROPOSED, pending=(waiting,))
    assert found.step is not f.Step.CONTACT or found.what == "withdraw"


@pytest.mark.parametrize("state", ["requested", "review", "refunding", "returning", "exchanging"])
def test_no_offer_while_after_sales_is_under_way(state: str) -> None:
    found = answer(seen(after_sales=state))
    assert found.do == "wait" and found.at is not None and state in found.why


def test_a_dispute_is_answered_before_its_due_date() -> None:
    found = answer(seen(after_sales="disputed"))
    assert (found.step, found.what) == (f.Step.COMPLAIN, "response")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"after_sales": "refunded"}, f.Outcome.REFUNDED),
        ({"status": OrderStatus.CANCELLED}, f.Outcome.CANCELLED),
        ({"status": OrderStatus.SHIPPED, "picked_up_at": T0 + DAY}, f.Outcome.SHIPPED),
        ({"ship_by": LATE + 9 * DAY}, f.Outcome.NOT_LATE),
        ({"tags": ("do-not-touch",)}, f.Outcome.NOT_LATE),
    ],
)
def test_an_order_that_put_itself_right_needs_no_message(
    changes: dict[str, object], outcome: f.Outcome
) -> None:
    found = answer(seen(**changes))
    assert isinstance(found.body, f.Closed) and found.body.outcome is outcome


@pytest.mark.parametrize(
    "way", [{"status": OrderStatus.SHIPPED, "picked_up_at": T0 + DAY}, {"after_sales": "closed"}]
)
def test_goods_that_ship_end_nothing_while_a_remedy_is_owed(way: dict[str, object]) -> None:
    assert answer(*TOLD, said(f.Answer.ACCEPT), seen(**way)).step is f.Step.SETTLE


def test_a_late_yes_during_a_complaint_is_settled_before_the_case_ends() -> None:
    ruled = f.Ruled(instance="complaint", verdict="for-us")
    silent = f.Silent(round=1, means=f.Answer.DECLINE, rule="r")
    assert answer(*TOLD, silent, filed("complaint"), said(f.Answer.ACCEPT), ruled).step is f.Step.SETTLE


def test_a_cancel_owes_all_the_money_and_a_large_one_needs_a_yes() -> None:
    assert answer(*TOLD, said(f.Answer.CANCEL)).step is f.Step.SETTLE
    strict = terms(Playbook(fresh_for=30 * DAY, approve=Approvals(remedy_over=yuan("100"))))
    found = answer(*TOLD, said(f.Answer.CANCEL), with_=strict)
    assert (found.do, found.what, found.amount) == ("ask", "settle:1", yuan("199.00"))


def test_a_cancel_refused_before_the_newest_offer_was_told_leaves_it_to_be_told() -> None:
    silent = f.Silent(round=1, means=f.Answer.DECLINE, rule="r")
    second = PROPOSED.model_copy(update={"round": 2})
    refused = f.SettlementRejected(round=2, remedy=OFFER.remedy, effect="", why=f.REFUSED)  # type: ignore[arg-type]  # it has one
    found = answer(*TOLD, silent, second, said(f.Answer.CANCEL), refused)
    assert found.step is f.Step.CONTACT and "offer 2 is proposed" in found.why
    failed = refused.model_copy(update={"why": "the gateway said no"})  # nobody decided that
    found = answer(*TOLD, silent, second, said(f.Answer.CANCEL), failed)
    assert isinstance(found.body, f.Held) and found.body.cause == "refund"


@pytest.mark.parametrize(
    ("chosen", "rules", "means"),
    [
        ("accepted", book(), f.Answer.ACCEPT),
        ("refused", book(), f.Answer.DECLINE),
        ("cancel", book(), f.Answer.CANCEL),
        ("by-rule", book(), f.Answer.DECLINE),
        ("by-rule", book(rule(RuleName.SILENCE, text="accepted")), f.Answer.ACCEPT),
        ("by-rule", book(rule(RuleName.SILENCE, text="accepted", confidence="low")), f.Answer.DECLINE),
        ("by-rule", book(rule(RuleName.SILENCE, text="cancel", confidence="low")), f.Answer.DECLINE),
        ("by-rule", book(rule(RuleName.SILENCE, text="refused", confidence="low")), f.Answer.DECLINE),
        ("by-rule", book(rule(RuleName.SILENCE, text="undefined")), f.Answer.DECLINE),
    ],
)
def test_what_silence_means(chosen: str, rules: object, means: f.Answer) -> None:
    with_ = terms(Playbook(fresh_for=30 * DAY, silence=chosen), rules)  # type: ignore[arg-type]  # a rule book
    assert answer(*TOLD, at=LATE + DAY - HOUR, with_=with_).do == "wait"
    found = answer(*TOLD, at=LATE + DAY, with_=with_)
    assert isinstance(found.body, f.Silent) and found.body.means is means and found.body.rule


def test_complaints_arbitration_and_law_each_need_their_own_yes() -> None:
    declined = (*TOLD, said(f.Answer.DECLINE))
    once = terms(Playbook(fresh_for=30 * DAY, rounds=1))
    assert answer(*declined, with_=once).what == "file-complaint:complaint"
    lost = (*declined, filed("complaint"), f.Ruled(instance="complaint", verdict="against-us"))
    assert answer(*lost, with_=once).what == "escalate:arbitration"
    again = (*lost, filed("arbitration"), f.Ruled(instance="arbitration", verdict="against-us"))
    assert answer(*again, with_=once).what == "escalate:legal"


def test_a_yes_to_another_version_of_the_case_is_no_yes() -> None:
    once = terms(Playbook(fresh_for=30 * DAY, rounds=1))
    story = (*TOLD, said(f.Answer.DECLINE))
    version = snapshot(*story).version
    asked = f.ApprovalAsked(what="file-complaint:complaint", list="l", version=version, expires_at=LATE + DAY)
    yes = f.Approved(what=asked.what, list="l", by="ana", version=version)
    assert answer(*story, asked, with_=once).do == "wait"
    assert answer(*story, asked, yes, with_=once).step is f.Step.COMPLAIN
    assert answer(*story, asked, with_=once, at=LATE + DAY).do == "ask", "expired"
    assert answer(*story, asked, yes, said(f.Answer.DECLINE), with_=once).do == "ask", (
        "something was said meanwhile"
    )


def test_a_person_is_not_asked_while_the_order_cannot_be_looked_at() -> None:
    unseen = f.Unseen(why="down", code="unreachable", attempt=1, retry_at=LATE + HOUR)
    found = answer(*TOLD, said(f.Answer.DECLINE), unseen, with_=terms(Playbook(rounds=1)))
    assert (found.do, found.at) == ("wait", LATE + HOUR)


def test_the_policy_that_has_nothing_leads_on() -> None:
    nothing = f.Proposed(round=1, offer=Offer.nothing("no rung"), policy="l1", state="overdue")  # type: ignore[arg-type]
    assert answer(seen(), nothing).what == "file-complaint:complaint"


def test_an_unreachable_customer_holds_the_case_for_a_person() -> None:
    found = answer(seen(), PROPOSED, f.Unreached(round=1, why="platform: blocked"))
    assert isinstance(found.body, f.Held) and found.body.cause == "contact"


@pytest.mark.parametrize("verdict", ["for-us", "withdrawn", "written-off"])
def test_a_ruling_that_ends_it_closes_the_case(verdict: f.Verdict) -> None:
    found = answer(
        *TOLD, said(f.Answer.DECLINE), filed("complaint"), f.Ruled(instance="complaint", verdict=verdict)
    )
    assert isinstance(found.body, f.Closed) and found.body.outcome.value.startswith(
        ("ruled", "withdrawn", "written")
    )


def test_a_held_case_waits_for_a_person_and_is_not_forgotten() -> None:
    found = answer(seen(), f.Held(why="let me look", by="ana"))
    assert found.do == "person" and found.at is not None and found.at > LATE and "ana" in found.why
