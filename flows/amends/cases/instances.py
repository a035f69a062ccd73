"""What comes after offers: disputes, complaints, arbitration and the law, each only where playbook and desk allow it."""

from __future__ import annotations

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.moves import LOOK_AGAIN, Moves, Next, approval_name
from amends.cases.orders import AfterSales, OrderStatus
from amends.cases.snapshot import Act


class Instances(Moves):
    """Decides where a case is put before others, and what their rulings mean."""

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
