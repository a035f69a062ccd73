"""What to do next with a case: pure, from its snapshot, the time and the terms. Every answer says why.

Whatever the facts, the answer is an end, a wait with a due time, a person, or one step that moves the case on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from amends.cases import facts as f
from amends.cases.instances import Instances
from amends.cases.lateness import State
from amends.cases.moves import LOOK_AGAIN, Next, approval_name
from amends.cases.snapshot import Pending, Round, Snapshot
from amends.cases.stages import Stage, Terms, look, stage

__all__ = ["LOOK_AGAIN", "Next", "approval_name", "decide"]


def decide(case: Snapshot, at: datetime, terms: Terms) -> Next:
    """The next move of one case."""
    now = look(case, at, terms)
    where = stage(now)
    return _By(now, where).decide()


class _By(Instances):
    """The deciders, one per stage."""

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
            other = wanted.do != "step" or wanted.step is not pending.step or wanted.what == "anew"
            if other or self._was_for_before(pending):
                why = f"{pending.op} is planned, but no longer wanted: {wanted.why}"
                return Next("step", why, self.where, step=pending.step, what="withdraw")
        if pending.look_at is not None and pending.look_at > self.at:
            return self.wait(pending.look_at, f"{pending.op}: what became of it is looked up then")
        if go is not None:
            return go
        return Next("step", why, self.where, step=pending.step)

    def _was_for_before(self, pending: Pending) -> bool:
        """Whether it carries out what was agreed before the customer cancelled."""
        last = self.now.last
        cancelled = last is not None and last.answer is f.Answer.CANCEL
        return cancelled and pending.step is f.Step.SETTLE and not f.of_cancel(pending.key)

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

    def settling(self) -> Next:
        last, order = self._last(), self.case.order
        if order is None:
            return self.step(f.Step.VERIFY, "nothing is known of the order")
        remedy = last.remedy_due(order)
        if last.requested_at is not None and last.owes_remedy(order):
            return self.watch(None, f"{remedy}: asked for, the platform reviews it")
        why = f"accepted: give {remedy}" if remedy else "accepted: move the deadline"
        if last.answer is f.Answer.CANCEL and remedy is not None:
            late = self.now.cancelled_too_late
            go = self.step(
                f.Step.SETTLE, f"cancelled after the goods had left: give {remedy}" if late else why
            )
            if self.now.refund_needs_yes(remedy.amount):
                what = approval_name(f.Step.SETTLE, last.number)
                said = self.case.approvals.get(what)
                if said is not None and said.state == "refused" and said.amount == remedy.amount:
                    return self._refund_refused(last)  # a parcel that moves on makes no other question of it
                return self.ask_or(what, remedy.amount, go, lambda: self._refund_refused(last))
            return go
        return self.step(f.Step.SETTLE, why)

    def _refund_refused(self, last: Round) -> Next:
        remedy = last.remedy_due(self.case.order) if self.case.order is not None else None
        if remedy is None:
            return self._further("the refund was refused")
        body = f.SettlementRejected(round=last.number, remedy=remedy, effect="", why=f.REFUSED)
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
        rules = self.now.terms.rules
        rule = rules.silence(rules.day(last.proposed_at), last.notice)
        if rule is not None and rule.text in words:
            means = words[rule.text]
            if rule.confidence.reliable or means is f.Answer.DECLINE:
                return means, f"rule {rule.platform}/{rule.notice or 'any notice'} ({rule.confidence})"
        return f.Answer.DECLINE, "no reliable rule: the cautious reading"

    def refused(self) -> Next:
        last = self._last()
        early = self._ended() or self._unpaid(last) or self._shipped() or self._stopped()
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

    def _unpaid(self, last: Round) -> Next | None:
        """A customer who has cancelled is owed the money, not another offer."""
        if last.answer is not f.Answer.CANCEL or not last.rejected or last.rejected == f.REFUSED:
            return None
        why = f"the customer cancelled, and the refund was rejected: {last.rejected}"
        todo = "Refund by hand, then release the case: the order's own state ends it; else the refund is tried again"
        return self.record(f.Held(why=f"{why}. {todo}", by="amends", cause="refund"), why)

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
        if not self.playbook.approve.needs(amount):
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
