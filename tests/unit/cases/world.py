"""A world for one case: what platforms, customers, desks and people may answer, drawn one by one.

`World.move` lets `decide` speak and does what the step could do, in every way it can end. `World.rest` lets time pass,
or somebody outside act. The rules that must never break are checked at each move.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from tests.unit.cases.acting import Steps
from tests.unit.cases.makers import DAY, HOUR, T0

from amends.cases import facts as f
from amends.cases.decisions import Next, decide
from amends.cases.offers import Remedy
from amends.cases.orders import AfterSales, OrderStatus, Parcel
from amends.cases.snapshot import fold

MOVES = 25
"""More decisions than this without time passing is a case that spins."""


class World(Steps):
    """One case in the middle of everything that can happen to it. `choose` draws one of several."""

    def decide(self) -> Next:
        answer = decide(self.case, self.at, self.terms)
        self.trail.append(
            f"{self.at:%d %H:%M} {answer.stage.value}: {answer.do} {answer.step or ''} {answer.what} | {answer.why}"
        )
        again = fold(
            self.facts,
            case=1,
            shop="shop",
            number="A-1",
            pending=self.case.pending,
            blocked=self.case.blocked,
        )
        assert again == self.case, "the fold of the facts is the case"
        assert decide(again, self.at, self.terms) == answer, "the same case, the same decision"
        self.check(answer)
        return answer

    def check(self, answer: Next) -> None:
        """What holds of every answer."""
        assert answer.why
        match answer.do:
            case "wait" | "person":
                assert answer.at is not None and answer.at > self.at
            case "step":
                assert answer.step is not None
                self._check_step(answer)
            case "ask":
                assert answer.what and answer.step is not None
                asked = self.case.approvals.get(answer.what)
                assert asked is None or asked.version != self.case.version or self.at >= asked.expires_at
            case "close":
                assert isinstance(answer.body, f.Closed)
                assert not self.owed(), f"closed as {answer.body.outcome.value} while something is owed"
                assert not self.case.pending, "closed while an act is under way"
                assert not self.case.quarantined
            case "record":
                assert answer.body is not None
            case "nothing":
                assert self.case.outcome is not None

    def owed(self) -> list[Remedy]:
        """Remedies that a customer has been promised and has not got, whatever the stage says."""
        found = []
        for round_ in self.case.rounds:
            remedy = round_.remedy_due(self.truth if self.case.order is None else self.case.order)
            cancelled = round_.answer is f.Answer.CANCEL and round_.requested_at is None
            if (
                cancelled
                and self.case.order is not None
                and self.case.order.after_sales is AfterSales.REFUNDED
            ):
                continue  # somebody else has given all the money back
            if remedy is not None and round_.settled_at is None and not round_.rejected:
                found.append(remedy)
        return found

    def _check_step(self, answer: Next) -> None:
        case = self.case
        assert case.held is None and not case.blocked and not case.quarantined
        if answer.step is f.Step.VERIFY:
            return
        assert not case.contradictions
        resumed = next((p for p in case.pending if p.look_at is None or p.look_at <= self.at), None)
        if answer.what == "withdraw":
            assert any(p.state == "planned" for p in case.pending), "only what has not left can be withdrawn"
            return
        if case.pending:
            assert resumed is not None, "resumed before its time"
        if resumed is not None and resumed.state != "planned":
            return  # it has left the house: what became of it must be found out, whatever the order says
        assert case.order is not None and case.observed_at is not None
        assert self.at - case.observed_at <= self.terms.playbook.fresh_for, "an act on data that is not fresh"
        if answer.step is f.Step.CONTACT:
            assert not case.order.after_sales.under_way, "contact while after-sales is under way"
            assert case.order.after_sales is not AfterSales.REFUNDED, "contact after a refund"
            assert case.order.status is not OrderStatus.CANCELLED, "contact after the order was cancelled"

    def move(self) -> bool:
        """One decision and what comes of it; False where the case rests (or is closed)."""
        answer = self.decide()
        match answer.do:
            case "step":
                self.step(answer)
            case "record" | "close":
                assert answer.body is not None
                self.add(answer.body)
            case "ask":
                self._ask(answer)
                return False
            case _:
                self.due = answer.at
                return False
        return True

    def settle_down(self) -> None:
        """Move until the case rests: within a bounded number of moves."""
        for _ in range(MOVES):
            if not self.move():
                return
        raise AssertionError("the case goes in circles:\n" + "\n".join(self.trail[-60:]))

    def _ask(self, answer: Next) -> None:
        self.due = self.at + self.terms.playbook.approve.within
        self.add(
            f.ApprovalAsked(
                what=answer.what,
                list=f"l{len(self.facts)}",
                amount=answer.amount,
                version=self.case.version,
                expires_at=self.due,
            )
        )

    def step(self, answer: Next) -> None:
        assert answer.step is not None
        ripe = [p for p in self.case.pending if p.look_at is None or p.look_at <= self.at]
        if answer.step is f.Step.VERIFY:
            self.verify()
        elif answer.what == "withdraw":
            self.case.pending = tuple(p for p in self.case.pending if p.state != "planned")
        elif ripe:
            for pending in ripe:
                self.resume(pending)
        elif answer.step is f.Step.CONTACT:
            self.contact()
        elif answer.step is f.Step.SETTLE:
            self.settle()
        elif answer.what == "look":
            self.look_for_ruling()
        else:
            self.file(cast(f.Instance, answer.what), answer.step)

    def rest(self) -> None:
        """Time passes to the next due time, or somebody acts before it."""
        event = self.choose(["time"] * 4 + ["reply", "reply", "person", "operator", "person"])
        if event == "time":
            self.at = max(self.due or self.at, self.at + timedelta(seconds=1))
            return
        self.at += self.choose([timedelta(minutes=1), timedelta(minutes=30), 7 * HOUR])
        if event == "reply":
            self.reply()
        elif event == "operator":
            self.operator()
        else:
            self.person()

    def reply(self) -> None:
        told = [r for r in self.case.rounds if r.contacted_at is not None]
        if told:
            answer = self.choose(list(f.Answer))
            counter = self.at + 4 * DAY if answer is f.Answer.COUNTER else None
            self.add(
                f.Replied(
                    round=self.choose(told).number,
                    answer=answer,
                    event=f"ev{len(self.facts)}",
                    ship_by=counter,
                )
            )

    def operator(self) -> None:
        if self.case.held is not None:
            self.add(f.Released(by="ana"))
        elif self.case.blocked:
            self.case.blocked = ""
        elif self.choose([True, False]):
            self.add(f.Held(why="let me look", by="ana"))
        else:
            self.case.blocked = "shop is held by ana: holiday"

    def person(self) -> None:
        """Somebody decides what is on lists, does a task, or finds out what an act did."""
        asked = [
            a for a in self.case.approvals.values() if a.state in ("asked", "half") and self.at < a.expires_at
        ]
        if asked:
            item = self.choose(asked)
            if item.version != self.case.version:
                return  # stale: the ledger does not let it through
            if self.fair or self.choose([True, True, False]):
                second = not self.fair and item.state == "asked" and self.choose([True, False])
                self.add(
                    f.Approved(what=item.what, list=item.list, by="ben", version=item.version, second=second)
                )
            else:
                self.add(f.ApprovalRefused(what=item.what, list=item.list, by="ben"))
            return
        by_hand = [p for p in self.case.pending if p.effect_class == "by-hand"]
        if by_hand:
            pending = self.choose(by_hand)
            self.settle_pending(pending)
            self.ended(
                pending.op, done=self.fair or pending.op == "legal" or self.choose([True, True, False])
            )
            return
        if self.case.quarantined:
            effect = self.choose(sorted(self.case.quarantined))
            _, op, step = effect.split("/")
            done = self.fair or self.choose([True, False])
            self.add(f.Cleared(effect=effect, done=done, by="ana"))
            if done:
                self.ended(op, done=True)
            else:
                self.pend(f.Step(step), op, state="planned", effect_class="blind", look_at=None)

    def make_fair(self) -> None:
        """From here on nothing goes wrong any more, and people answer."""
        self.fair = True
        reviewed = any(r.requested_at is not None and r.settled_at is None for r in self.case.rounds)
        changes = {
            "status": OrderStatus.RECEIVED, "tags": (), "parcel": Parcel.DELIVERED, "delivered_at": None,
            "picked_up_at": self.truth.picked_up_at or self.at, "shipped_at": self.truth.shipped_at or self.at,
            "after_sales": AfterSales.REFUNDED if reviewed else AfterSales.NONE, "dispute": "",
            "ship_by": self.truth.ship_by or T0 + 2 * DAY, "updated_at": self.at,
        }  # fmt: skip
        self.truth = self.truth.model_copy(update=changes)

    def rest_fairly(self) -> None:
        if self.case.held is not None or self.case.blocked:
            self.at += HOUR
            self.operator()
        elif any(
            a.state in ("asked", "half") and self.at < a.expires_at and a.version == self.case.version
            for a in self.case.approvals.values()
        ):
            self.at += timedelta(minutes=1)
            self.person()
        elif self.case.quarantined or any(p.effect_class == "by-hand" for p in self.case.pending):
            self.at += HOUR
            self.person()
        else:
            self.at = max(self.due or self.at, self.at + timedelta(seconds=1))
