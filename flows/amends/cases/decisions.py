"""What to do next with a case: pure, from its snapshot, the time and the terms. Every answer says why.

Whatever the facts, the answer is an end, a wait with a due time, a person, or one step that moves the case on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from amends.cases import facts as f
from amends.cases.durations import show_duration
from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.orders import AfterSales, OrderStatus
from amends.cases.snapshot import Act, Round, Snapshot
from amends.cases.stages import Now, Stage, Terms, look, stage

LOOK_AGAIN = timedelta(hours=24)
"""How often a case that waits for a person is looked at, so that none is forgotten."""


@dataclass(frozen=True, slots=True)
class Next:
    """One decision. `at` is the due time of a wait; `body` a fact to append; `what` names the act to be approved, or,
    with a step, what of it: what to file before a desk (`complaint`, `legal` …), `look` for a ruling, `withdraw` what
    was planned and has not left."""

    do: Literal["step", "wait", "ask", "person", "close", "record", "nothing"]
    why: str
    stage: Stage
    step: f.Step | None = None
    at: datetime | None = None
    what: str = ""
    amount: Money | None = None
    body: f.FactBody | None = None


def decide(case: Snapshot, at: datetime, terms: Terms) -> Next:
    """The next move of one case."""
    now = look(case, at, terms)
    where = stage(now)
    return _By(now, where).decide()


def approval_name(step: f.Step, detail: object) -> str:
    """The name under which an act is put to a person: `escalate:legal`, `contact-customer:2`."""
    return f"{step.value}:{detail}"


class _By:
    """The deciders, one per stage; what they share is worked out once."""

    def __init__(self, now: Now, where: Stage) -> None:
        self.now, self.case, self.at, self.where = now, now.case, now.at, where
        self.playbook = now.terms.playbook

    def decide(self) -> Next:
        if self.where in (Stage.CLOSED, Stage.HELD):
            return _DECIDERS[self.where](self)
        under_way = any(
            p.state in ("sent", "unknown") and p.effect_class != "by-hand" for p in self.case.pending
        )
        if self.case.outdated and not under_way:
            return self.step(f.Step.VERIFY, "the order has changed since it was looked at")
        unsettled = self._unsettled()
        if unsettled is not None:
            return unsettled
        if self.case.order is None:
            return self.step(f.Step.VERIFY, "nothing is known of the order yet")
        return _DECIDERS[self.where](self)

    # the answers

    def step(self, step: f.Step, why: str, what: str = "") -> Next:
        """Do that step; where the order was last seen too long ago, look first."""
        case = self.case
        if case.unseen is not None and self.at < case.unseen.retry_at:
            return self.wait(case.unseen.retry_at, f"the order could not be looked at: {case.unseen.why}")
        if step is not f.Step.VERIFY:
            seen = case.observed_at
            if seen is None or self.at - seen > self.playbook.fresh_for:
                ago = "never" if seen is None else f"{show_duration(self.at - seen)} ago"
                return Next("step", f"before {step.value}: last looked {ago}", self.where, step=f.Step.VERIFY)
        return Next("step", why, self.where, step=step, what=what)

    def wait(self, at: datetime, why: str) -> Next:
        if at <= self.at:  # a wait must lie ahead, or the case would spin
            at = self.at + self.playbook.retry
        return Next("wait", why, self.where, at=at)

    def watch(self, until: datetime | None, why: str) -> Next:
        """Wait, looking at the order every `poll`: verify when that time has passed."""
        seen = self.case.observed_at or self.at
        if self.at - seen >= self.playbook.poll or (until is not None and self.at >= until):
            if self.at - seen > self.playbook.fresh_for:
                return self.step(f.Step.VERIFY, why)
        poll = max(seen, self.at - self.playbook.poll) + self.playbook.poll
        return self.wait(min(poll, until) if until is not None and until > self.at else poll, why)

    def person(self, why: str) -> Next:
        return Next("person", why, self.where, at=self.at + LOOK_AGAIN)

    def close(self, outcome: f.Outcome, why: str) -> Next:
        if self.now.owes:  # a late yes, while a complaint ran
            return self.settling()
        return Next("close", why, self.where, body=f.Closed(outcome=outcome, why=why))

    def record(self, body: f.FactBody, why: str) -> Next:
        return Next("record", why, self.where, body=body)

    def ask_or(self, what: str, amount: Money | None, go: Next, refused: Callable[[], Next]) -> Next:
        """`go` once a person has said yes to just this; ask for it, wait for it, or take the other way."""
        asked = self.case.approvals.get(what)
        if asked is not None and asked.version == self.case.version:
            if asked.state == "approved":
                return go
            if asked.state == "refused":
                return refused()
            if self.at < asked.expires_at:
                return self.wait(asked.expires_at, f"{what} waits for a yes on list {asked.list}")
        if go.do != "step" or go.step is f.Step.VERIFY:
            return go  # what is put to a person must be fresh
        return Next(
            "ask",
            f"a person must approve {what}: {go.why}",
            self.where,
            step=go.step,
            what=what,
            amount=amount,
        )

    # what several stages share

    def _unsettled(self) -> Next | None:
        if not self.case.pending:
            return None
        # What we can settle ourselves comes before what waits for a person.
        pending = min(self.case.pending, key=lambda p: p.effect_class == "by-hand" and p.state == "sent")
        if pending.effect_class == "by-hand" and pending.state == "sent" and pending.look_at is not None:
            due = pending.look_at
            late = due <= self.at
            why = f"a person {'should have done' if late else 'does'} {pending.op} by hand"
            return self.watch(None if late else due, why)
        why = f"{pending.op} is {pending.state}: settle that first"
        go = self.step(pending.step, why) if pending.state == "planned" else None
        if (
            go is not None and go.step is pending.step
        ):  # seen freshly, and not left the house: is it still wanted?
            wanted = _DECIDERS[self.where](self)
            if wanted.do != "step" or wanted.step is not pending.step or wanted.what == "anew":
                why = f"{pending.op} is planned, but no longer wanted: {wanted.why}"
                return Next("step", why, self.where, step=pending.step, what="withdraw")
        if pending.look_at is not None and pending.look_at > self.at:
            return self.wait(pending.look_at, f"{pending.op}: what became of it is looked up then")
        if go is not None:
            return go
        return Next("step", why, self.where, step=pending.step)

    def _ended(self) -> Next | None:
        """The order's own state ends the case where nothing is owed."""
        order = self.case.order
        if order is None or self.now.owes:
            return None
        last = self.now.last
        cancelled = last is not None and last.answer is f.Answer.CANCEL and last.settled_at is not None
        if cancelled:
            return self.close(f.Outcome.CANCELLED, "the customer cancelled and has the money back")
        if order.after_sales is AfterSales.REFUNDED:
            return self.close(f.Outcome.REFUNDED, "the order was refunded")
        if order.status is OrderStatus.CANCELLED:
            return self.close(f.Outcome.CANCELLED, "the order was cancelled")
        return None

    def _stopped(self) -> Next | None:
        """No offer while a refund, return or dispute runs; a dispute is answered by its due date."""
        why = self.case.offer_stopped
        if not why:
            return None
        if self.case.disputed and self.case.act("response") is None and self.now.terms.able("respond"):
            return self.step(
                f.Step.COMPLAIN, "the platform opened a dispute: respond before its due date", "response"
            )
        return self.watch(None, f"{why}: no offers meanwhile")

    def _further(self, why: str) -> Next:
        """Beyond offers: complaint, arbitration, law, or the end; each only where playbook and desk allow it."""
        late = self.now.lateness
        if late is not None and late.state is State.AT_RISK:
            return self.wait(
                late.ship_by or self.at, f"{why}; nothing to complain of before the deadline breaks"
            )
        playbook, terms = self.playbook, self.now.terms
        if (
            "file-complaint" in playbook.then
            and terms.able("complain")
            and self.case.act("complaint") is None
        ):
            go = self.step(f.Step.COMPLAIN, why, "complaint")
            if not playbook.approve.complaint:
                return go
            return self.ask_or(
                approval_name(f.Step.COMPLAIN, "complaint"), None, go, lambda: self._escalate(why)
            )
        return self._escalate(why)

    def _escalate(self, why: str) -> Next:
        playbook, terms = self.playbook, self.now.terms
        ruled_for_us = any(a.verdict == "for-us" for a in self.case.acts)
        if "escalate" in playbook.then and not ruled_for_us:
            complained = self.case.act("complaint") is not None or self.case.act("response") is not None
            if complained and terms.able("arbitrate") and self.case.act("arbitration") is None:
                go = self.step(f.Step.ESCALATE, f"{why}: apply for arbitration", "arbitration")
                if not playbook.approve.arbitration:
                    return go
                return self.ask_or(
                    approval_name(f.Step.ESCALATE, "arbitration"), None, go, lambda: self._written_off(why)
                )
            if (
                self.case.act("arbitration") is not None
                and self.case.act("legal") is None
                and self._law_is_worth_it()
            ):
                go = self.step(f.Step.ESCALATE, f"{why}: hand the dossier to a lawyer", "legal")
                if not playbook.approve.legal:
                    return go
                return self.ask_or(
                    approval_name(f.Step.ESCALATE, "legal"), None, go, lambda: self._written_off(why)
                )
        return self._written_off(why)

    def _law_is_worth_it(self) -> bool:
        over, order = self.playbook.legal_over, self.case.order
        if not self.playbook.legal or order is None:
            return False
        return over is None or (over.currency == order.amount.currency and order.amount >= over)

    def _written_off(self, why: str) -> Next:
        ruling = self.now.last_ruling
        if ruling is not None and ruling.verdict == "against-us":
            return self.close(
                f.Outcome.RULED_AGAINST_US,
                f"{ruling.instance} ruled against us, and nothing further is to be done",
            )
        return self.close(f.Outcome.WRITTEN_OFF, f"{why}; nothing further is to be done")

    # one decider per stage

    def closed(self) -> Next:
        return Next("nothing", f"closed: {self.case.outcome}", self.where)

    def held(self) -> Next:
        case, lateness = self.case, self.now.lateness
        if case.held is not None:
            return self.person(f"held by {case.held.by}: {case.held.why}")
        if case.blocked:
            return self.person(case.blocked)
        if case.quarantined:
            return self.person(f"what became of an act is not known: {next(iter(case.quarantined.values()))}")
        why = "; ".join(case.contradictions) if case.contradictions else lateness.why if lateness else ""
        return self.watch(None, f"the data contradicts itself: {why}" if case.contradictions else why)

    def legal(self) -> Next:
        act = self.now.open_act
        return self.watch(
            act.ruling_by if act else None, "with a lawyer: a person records each act and the end"
        )

    def filed(self) -> Next:
        act = self.now.open_act
        if act is None:
            raise AssertionError(f"{self.where} without an open act")
        ended = self._ended()
        if ended is not None:
            return ended
        if self.case.disputed and self.case.act("response") is None:
            answer = self._stopped()
            if answer is not None and answer.do == "step":
                return answer
        step = f.Step.ESCALATE if act.instance == "arbitration" else f.Step.COMPLAIN
        looked = act.looked_at or act.filed_at or self.at
        every = (
            self.playbook.poll if self.now.terms.can.get("ruling") == "api" else LOOK_AGAIN
        )  # a person looks daily
        if self.at - looked >= every:
            return self.step(step, f"look for a ruling on the {act.instance}", "look")
        if act.ruling_by is not None and self.at >= act.ruling_by:
            if act.instance == "response":
                return self.wait(looked + every, "the dispute is overdue for a ruling")
            return self._escalate(f"no ruling on the {act.instance} by its due time")
        due = looked + every
        if act.ruling_by is not None and self.at < act.ruling_by < due:
            due = act.ruling_by
        return self.wait(due, f"the {act.instance} is filed, no ruling yet")

    def ruled(self) -> Next:
        act: Act | None = self.now.last_ruling
        if act is None or act.verdict is None:
            raise AssertionError("ruled without a ruling")
        if act.verdict == "for-us":
            return self.close(f.Outcome.RULED_FOR_US, f"{act.instance} ruled for us")
        if act.verdict == "withdrawn":
            return self.close(f.Outcome.WITHDRAWN, f"the {act.instance} was withdrawn")
        if act.verdict == "written-off":
            return self.close(f.Outcome.WRITTEN_OFF, "a person wrote it off")
        ended = self._ended()
        if act.instance == "legal" or (ended is not None and act.instance != "complaint"):
            return self.close(f.Outcome.RULED_AGAINST_US, f"{act.instance} ruled against us")
        return self._escalate(f"the {act.instance} ruled against us")

    def settling(self) -> Next:
        last, order = self._last(), self.case.order
        if order is None:
            return self.step(f.Step.VERIFY, "nothing is known of the order")
        remedy = last.remedy_due(order)
        if last.requested_at is not None and last.owes_remedy(order):
            return self.watch(None, f"{remedy}: asked for, the platform reviews it")
        go = self.step(f.Step.SETTLE, f"accepted: give {remedy}" if remedy else "accepted: move the deadline")
        over = self.playbook.approve.remedy_over
        if last.answer is f.Answer.CANCEL and _over(remedy.amount if remedy else None, over):
            what = approval_name(f.Step.SETTLE, last.number)
            return self.ask_or(
                what, remedy.amount if remedy else None, go, lambda: self._refund_refused(last)
            )
        return go

    def _refund_refused(self, last: Round) -> Next:
        remedy = last.remedy_due(self.case.order) if self.case.order is not None else None
        if remedy is None:
            return self._further("the refund was refused")
        body = f.SettlementRejected(
            round=last.number, remedy=remedy, effect="", why="refused by the approver"
        )
        return self.record(body, "the approver refused the refund")

    def awaiting_reply(self) -> Next:
        last = self._last()
        ended = self._ended()
        if ended is not None:
            return ended
        if last.reply_by is None:
            raise AssertionError("awaiting a reply without a date")
        if self.at < last.reply_by:
            return self.wait(last.reply_by, f"offer {last.number} is out: a reply, or silence, by then")
        unread = next((t for t in self.case.tasks.values() if t.what == "read-reply"), None)
        if unread is not None:
            return self.watch(unread.due_at, "the customer wrote: a person reads it")
        means, rule = self._silence(last)
        return self.record(
            f.Silent(round=last.number, means=means, rule=rule),
            f"no reply by the date; by {rule} that means {means.value}",
        )

    def _silence(self, last: Round) -> tuple[f.Answer, str]:
        words: Mapping[str, f.Answer] = {
            "accepted": f.Answer.ACCEPT, "refused": f.Answer.DECLINE, "cancel": f.Answer.CANCEL,
        }  # fmt: skip
        chosen = self.playbook.silence
        if chosen != "by-rule":
            return words[chosen], "the playbook"
        rule = self.now.terms.rules.silence(last.proposed_at.date(), last.notice)
        if rule is not None and rule.text in words:
            means = words[rule.text]
            if rule.confidence.reliable or means is f.Answer.DECLINE:
                return means, f"rule {rule.platform}/{rule.notice or 'any notice'} ({rule.confidence})"
        return f.Answer.DECLINE, "no reliable rule: the cautious reading"

    def refused(self) -> Next:
        last = self._last()
        early = self._ended() or self._shipped() or self._stopped()
        if early is not None:
            return early
        what = (
            "countered"
            if last.answer is f.Answer.COUNTER
            else "rejected by the platform"
            if last.rejected
            else "declined"
        )
        if last.silent:
            what = "unanswered"
        return self._next_offer(f"offer {last.number} was {what}")

    def _next_offer(self, why: str) -> Next:
        made, now = len(self.case.rounds), self.now
        late = now.lateness
        if late is None or not late.state.needs_case:
            return self._verified()
        if self.case.nothing is not None and (self.case.nothing == (late.state, late.tier) or made):
            if late.state is State.AT_RISK and not made:
                return self.wait(
                    late.risk_at or self.at, f"the policy has nothing to offer yet: {self.case.nothing_why}"
                )
            return self._further(f"{why}; the policy has nothing more: {self.case.nothing_why}")
        last = self.case.last
        if late.state is State.AT_RISK and last is not None and last.answer is not f.Answer.COUNTER:
            return self.wait(
                late.ship_by or self.at, f"{why}; the deadline still stands: no second offer before it breaks"
            )
        if made >= self.playbook.rounds:
            return self._further(f"{why}; all {made} offers are used")
        return self.step(f.Step.CONTACT, why)

    def _shipped(self) -> Next | None:
        if self.now.shipped is None or (self.now.lateness and self.now.lateness.state is State.STALLED):
            return None
        late = self.now.lateness
        if late is not None and late.state is State.SHIPPED_LATE and not self.case.rounds:
            if self.playbook.shipped_late != "close":
                return None
        settled = any(r.settled_at is not None or (r.accepted and not r.rejected) for r in self.case.rounds)
        if settled:
            return self.close(f.Outcome.SETTLED, "agreed and settled, and the goods are on their way")
        return self.close(f.Outcome.SHIPPED, "the goods are on their way and nothing is owed")

    def promised(self) -> Next:
        last = self._last()
        early = self._ended() or self._shipped()
        if early is not None:
            return early
        due = last.offer.new_ship_by
        if due is None and self.now.lateness is not None and self.now.lateness.state is State.STALLED:
            order = self.case.order
            if order is not None and order.delivered_at is not None:
                return self.close(f.Outcome.SETTLED, "agreed and settled, and the parcel arrived")
            return self.watch(None, "agreed and settled: waiting for the parcel to arrive")
        return self.watch(
            due,
            "agreed: the goods are to ship by the new date"
            if due
            else "agreed: waiting for the goods to ship",
        )

    def contact(self) -> Next:
        early = self._ended() or self._stopped()
        if early is not None:
            return early
        late, last = self.now.lateness, self.now.last
        if late is None:
            return self.step(f.Step.VERIFY, "nothing is known of the order")
        if last is not None and last.unreached:
            return self.record(
                f.Held(why=f"the customer cannot be reached: {last.unreached}", by="amends", cause="contact"),
                "every way to reach the customer refused",
            )
        if last is not None and last.contacted_at is None:
            left_since = late.state is State.SHIPPED_LATE and last.state is not State.SHIPPED_LATE
            if left_since and self.playbook.shipped_late == "close":
                return self._shipped() or self.close(
                    f.Outcome.SHIPPED, "the goods left before anybody was told"
                )
            passed = any(
                d is not None and d <= self.at for d in (last.offer.new_ship_by, last.offer.reply_by)
            )
            if left_since or passed:
                what = "the goods have left" if left_since else "it names a date that has passed"
                return self.step(f.Step.CONTACT, f"offer {last.number} is out of date: {what}", "anew")
            return self._send(last)
        if late.state is State.SHIPPED_LATE:
            if last is not None or self.playbook.shipped_late == "close":
                return self._shipped() or self.close(f.Outcome.SHIPPED, "shipped, and the customer knows")
            return self._next_offer(f"shipped late ({late.why}): the customer is told")
        if late.state is State.AT_RISK and last is None and self.playbook.at_risk == "watch":
            return self.wait(late.risk_at or self.at, f"at risk: {late.why}; the playbook only watches")
        if last is not None and last.accepted:
            return self._next_offer(f"the date agreed in round {last.number} was broken")
        return self._next_offer(f"{late.state.value}: {late.why}")

    def _send(self, last: Round) -> Next:
        amount = last.offer.remedy.amount if last.offer.remedy else None
        go = self.step(f.Step.CONTACT, f"offer {last.number} is proposed: tell the customer")
        if not _over(amount, self.playbook.approve.remedy_over):
            return go
        return self.ask_or(approval_name(f.Step.CONTACT, last.number), amount, go, lambda: go)

    def _verified(self) -> Next:
        """Observed, and nothing (more) to put right."""
        early = self._ended() or self._shipped()
        if early is not None:
            return early
        late = self.now.lateness
        if late is None:
            return self.step(f.Step.VERIFY, "nothing is known of the order yet")
        if self.case.offer_stopped:
            return self.watch(None, self.case.offer_stopped)
        if self.case.rounds and late.state is State.EXEMPT:
            return self.watch(None, f"{late.why}: nothing to offer meanwhile")
        return self.close(f.Outcome.NOT_LATE, late.why)

    def verify(self) -> Next:
        last = self.now.last
        if (
            last is not None
            and last.answer is f.Answer.CANCEL
            and last.settled_at is None
            and not last.rejected
        ):
            return self._ended() or self.close(
                f.Outcome.CANCELLED, "the customer cancelled; no money was paid"
            )
        seen = self.case.observed_at
        if seen is None or self.at - seen > self.playbook.fresh_for:
            return self.step(f.Step.VERIFY, "look before it is closed")
        return self._verified()

    def _last(self) -> Round:
        last = self.now.last
        if last is None:
            raise AssertionError(f"{self.where} without an offer")
        return last


def _over(amount: Money | None, limit: Money | None) -> bool:
    """Whether an amount needs a yes; another currency than the limit's always does."""
    if amount is None or limit is None:
        return False
    return amount.currency != limit.currency or amount > limit


_DECIDERS: Mapping[Stage, Callable[[_By], Next]] = {
    Stage.CLOSED: _By.closed,
    Stage.HELD: _By.held,
    Stage.LEGAL: _By.legal,
    Stage.ARBITRATION: _By.filed,
    Stage.COMPLAINT: _By.filed,
    Stage.RULED: _By.ruled,
    Stage.SETTLING: _By.settling,
    Stage.AWAITING_REPLY: _By.awaiting_reply,
    Stage.REFUSED: _By.refused,
    Stage.PROMISED: _By.promised,
    Stage.CONTACT: _By.contact,
    Stage.VERIFY: _By.verify,
}

if set(_DECIDERS) != set(Stage):
    raise AssertionError(f"no decider for {sorted(set(Stage) - set(_DECIDERS))}")
