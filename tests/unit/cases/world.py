"""A world for one case: what platforms, customers, desks and people may answer, drawn one by one.

`World.move` lets `decide` speak and does what the step could do, in every way it can end, as the steps would write it
down. `World.rest` lets time pass, or somebody outside act. The rules that must never break are checked at each move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from tests.unit.cases.makers import DAY, HOUR, OPENED, T0, order, yuan

from amends.cases import facts as f
from amends.cases.decisions import Next, approval_name, decide
from amends.cases.lateness import State, contradictions, judge
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, Order, OrderStatus, Parcel, Tag
from amends.cases.snapshot import Act, Pending, Round, Snapshot, fold
from amends.cases.stages import Terms, look

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]

ENDED = (AfterSales.REFUNDED,)
OPS = {"response": "respond", "complaint": "complain", "arbitration": "arbitrate", "legal": "legal"}
MOVES = 25
"""More decisions than this without time passing is a case that spins."""


class World:
    """One case in the middle of everything that can happen to it. `choose` draws one of several."""

    def __init__(self, terms: Terms, choose: Choose, *, fair: bool = False) -> None:
        self.terms, self.choose, self.fair = terms, choose, fair
        self.calm = choose([6, 40, 300])  # how seldom platforms fail and orders change
        self.at = T0 + 3 * DAY
        self.facts: list[f.Fact] = []
        self.case = Snapshot(case=1, shop="shop", number="A-1")
        self.truth = order(
            observed_at=self.at, ship_by=self.choose([T0 + 2 * DAY, T0 + 4 * DAY, T0 + 9 * DAY, None])
        )
        self.trail: list[str] = []
        self.serial = 0
        self.add(OPENED)

    # what is written down

    def add(self, body: f.Body, actor: str = "amends") -> None:
        if isinstance(body, f.Proposed) and not body.offer.none:
            self._told_too_often(body)
        if isinstance(body, f.Filed):
            assert not any(a.filed_at and a.instance == body.instance and a.open for a in self.case.acts)
        fact = f.Fact.model_construct(seq=self.case.count + 1, at=self.at, actor=actor, body=body)
        self.facts.append(fact)
        self.case.apply(fact)
        self.trail.append(f"      + {getattr(body, 'kind', '?')} {_short(body)}")

    def _told_too_often(self, body: f.Proposed) -> None:
        assert body.round <= self.terms.playbook.rounds, "an offer beyond the playbook's rounds"

    def pend(self, step: f.Step, op: str, **more: Any) -> Pending:
        self.serial += 1
        more = {"state": "sent", "effect_class": "queryable", "look_at": self.at + HOUR} | more
        pending = Pending(f"e{self.serial}", step, op, **more)
        self.case.pending = (*self.case.pending, pending)
        self.trail.append(f"      ~ {op} {pending.state} {pending.effect_class}")
        return pending

    def settle_pending(self, pending: Pending) -> None:
        self.case.pending = tuple(p for p in self.case.pending if p.key != pending.key)

    # what decide says

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
        if answer.step is f.Step.CONTACT and resumed is None:
            assert not case.order.after_sales.under_way, "contact while after-sales is under way"
            assert case.order.after_sales is not AfterSales.REFUNDED, "contact after a refund"
            assert case.order.status is not OrderStatus.CANCELLED, "contact after the order was cancelled"

    # one move

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

    # verify-order

    def verify(self) -> None:
        how = "seen" if self.fair else self.choose(["seen"] * self.calm + ["unreachable", "contradicting"])
        playbook = self.terms.playbook
        if how == "unreachable":
            attempt = 1 if self.case.unseen is None else self.case.unseen.attempt + 1
            retry = self.at + min(playbook.retry * 2 ** min(attempt - 1, 8), playbook.poll)
            self.add(f.Unseen(why="down", code="unreachable", attempt=attempt, retry_at=retry))
            if attempt >= 6 and self.choose([True, False]):
                self.add(f.Held(why="6 looks failed", by="amends", cause="platform"))
            return
        if not self.fair:
            self.truth = self.changed(self.truth)
        seen = self.truth.model_copy(update={"observed_at": self.at})
        if how == "contradicting":
            seen = seen.model_copy(update={"status": OrderStatus.TO_SHIP, "delivered_at": self.at - HOUR})
        if self.case.order is not None and self.case.order.same_as(seen):
            self.add(f.SeenAgain())
        else:
            lateness = judge(
                seen,
                now=self.at,
                rules=self.terms.rules,
                warn=playbook.at_risk_before,
                agreed=self.case.agreed,
            )
            self.add(f.Observed(order=seen, lateness=lateness, contradictions=contradictions(seen)))
        self._sees_acts(seen)

    def changed(self, old: Order) -> Order:
        """The order as it may have become: mostly as it was."""
        change = self.choose(
            ["same"] * self.calm
            + [
                "label",
                "picked-up",
                "delivered",
                "received",
                "cancelled",
                "unknown",
                "hold",
                "waiver",
                "postponed",
                "no-date",
                "free",
            ]
            + [f"after-sales {state.value}" for state in AfterSales]
        )
        kind, _, state = change.partition(" ")
        gone = {"status": OrderStatus.SHIPPED, "shipped_at": old.shipped_at or self.at - HOUR}
        changes: dict[str, Any] = {
            "label": gone,
            "picked-up": gone | {"picked_up_at": old.picked_up_at or self.at - HOUR, "parcel": Parcel.IN_TRANSIT,
                                 "deliver_by": self.choose([None, self.at + DAY, self.at - HOUR])},
            "delivered": gone | {"picked_up_at": old.picked_up_at or self.at - HOUR, "parcel": Parcel.DELIVERED, "delivered_at": self.at},
            "received": gone | {"status": OrderStatus.RECEIVED, "picked_up_at": old.picked_up_at or self.at - HOUR},
            "cancelled": {"status": OrderStatus.CANCELLED, "after_sales": AfterSales.REFUNDED if old.picked_up_at else old.after_sales},
            "unknown": {"status": OrderStatus.UNKNOWN},
            "hold": {"tags": (self.choose(list(Tag)),)},
            "waiver": {"tags": ()},
            "postponed": {"ship_by": self.at + 3 * DAY},
            "no-date": {"ship_by": None},
            "free": {"amount": yuan("0")},
            "after-sales": {"after_sales": AfterSales(state or "none"), "dispute": "D-1" if state == "disputed" else ""},
        }.get(kind, {})  # fmt: skip
        return old.model_copy(update=changes | {"updated_at": self.at}) if changes else old

    def _sees_acts(self, seen: Order) -> None:
        """As verify-order does: a refund, a review's end, a dispute's end show in the order's own state."""
        last = self.case.last
        if last is not None and last.requested_at is not None and last.owes_remedy(seen):
            remedy = last.remedy_due(seen)
            assert remedy is not None
            if seen.after_sales is AfterSales.REFUNDED:
                self.add(f.Settled(round=last.number, remedy=remedy, effect="", seen=True))
            elif seen.after_sales in (AfterSales.REJECTED, AfterSales.CLOSED):
                self.add(f.SettlementRejected(round=last.number, remedy=remedy, effect="", why="reviewed"))
        response = self.case.act("response")
        if response is not None and response.open and seen.after_sales is not AfterSales.DISPUTED:
            if seen.after_sales is AfterSales.REFUNDED:
                self.add(f.Ruled(instance="response", verdict="against-us", by="platform"))
            elif seen.after_sales in (AfterSales.CLOSED, AfterSales.NONE, AfterSales.REJECTED):
                self.add(f.Ruled(instance="response", verdict="for-us", by="platform"))

    # contact-customer

    def contact(self) -> None:
        last = self.case.last
        anew = self.decide().what == "anew"  # what was proposed is out of date
        if last is None or last.contacted_at is not None or anew:
            self._propose()
            answer = self.decide()
            if answer.do != "step" or answer.step is not f.Step.CONTACT:
                self.follow(answer)
                return
            last = self.case.last
        assert last is not None and last.contacted_at is None
        last = self._remedy_refused(last)
        amount, limit = (
            last.offer.remedy.amount if last.offer.remedy else None,
            self.terms.playbook.approve.remedy_over,
        )
        if amount is not None and limit is not None and amount > limit:
            self.approved(approval_name(f.Step.CONTACT, last.number))
        if (
            last.offer.remedy is not None and not self.fair and self.choose([False] * 5 + [True])
        ):  # over a cap
            if self.terms.playbook.cap_reached == "ask":
                self.add(f.Held(why="over the cap", by="amends", cause="approval"))
            else:
                offer = last.offer.model_copy(update={"remedy": None})
                self.add(
                    f.Proposed(
                        round=last.number, offer=offer, policy="l1", state=self.state(), over_cap="per_order"
                    )
                )
            return
        self.carry_out(f.Step.CONTACT, "message")

    def _remedy_refused(self, last: Round) -> Round:
        approval = self.case.approvals.get(approval_name(f.Step.CONTACT, last.number))
        if approval is None or approval.state != "refused" or last.offer.remedy is None:
            return last
        offer = last.offer.model_copy(update={"remedy": None})
        self.add(f.Proposed(round=last.number, offer=offer, policy="l1", state=self.state()))
        assert self.case.last is not None
        return self.case.last

    def _propose(self) -> None:
        told = [r for r in self.case.rounds if r.contacted_at is not None]
        playbook, number = self.terms.playbook, len(told) + 1
        reply_by = self.at + playbook.reply_within
        if self.state() is State.SHIPPED_LATE and playbook.shipped_late == "apologise":
            offer = Offer(why="shipped late: an apology")
        else:
            date_ = self.choose([None, self.at + 2 * DAY, self.at + 5 * DAY])
            small, big = (Remedy(kind=RemedyKind.COUPON, amount=yuan(x)) for x in ("3", "60"))
            kind = (
                "coupon"
                if self.fair
                else self.choose(["coupon", "coupon", "big", "gift", "apology", "agreed", "nothing"])
            )
            offer = {
                "coupon": Offer(why="c", remedy=small, new_ship_by=date_, reply_by=reply_by),
                "big": Offer(why="b", remedy=big, new_ship_by=date_, reply_by=reply_by),
                "gift": Offer(
                    why="g",
                    remedy=Remedy(kind=RemedyKind.GIFT, name="tea"),
                    new_ship_by=date_,
                    reply_by=reply_by,
                ),
                "apology": Offer(why="a", new_ship_by=date_, reply_by=reply_by),
                "agreed": Offer(
                    why="as asked", remedy=self.choose([None, small]), new_ship_by=date_, agreed=True
                ),
                "nothing": Offer.nothing("all rungs used"),
            }[kind]
        self.add(f.Proposed(round=number, offer=offer, policy="l1", state=self.state(), tier=self.tier()))

    def state(self) -> State:
        lateness = look(self.case, self.at, self.terms).lateness
        return State.UNKNOWN if lateness is None else lateness.state

    def tier(self) -> int:
        lateness = look(self.case, self.at, self.terms).lateness
        return 0 if lateness is None else lateness.tier

    def follow(self, answer: Next) -> None:
        """Do what was decided in the middle of a step."""
        if answer.do in ("record", "close"):
            assert answer.body is not None
            self.add(answer.body)

    def approved(self, what: str) -> None:
        found = self.case.approvals.get(what)
        assert found is not None and found.state == "approved", f"{what} without a yes"
        assert found.version == self.case.version, f"{what} with a yes to another version"

    # settle

    def settle(self) -> None:
        now, last, seen = look(self.case, self.at, self.terms), self.case.last, self.case.order
        assert last is not None and seen is not None
        remedy = last.remedy_due(seen)
        drafts = 0
        if remedy is not None and last.owes_remedy(seen) and last.requested_at is None:
            limit = self.terms.playbook.approve.remedy_over
            if (
                last.answer is f.Answer.CANCEL
                and remedy.amount is not None
                and limit is not None
                and remedy.amount > limit
            ):
                self.approved(approval_name(f.Step.SETTLE, last.number))
            self.carry_out(f.Step.SETTLE, "grant")
            drafts += 1
        if now.needs_extension:
            self.carry_out(f.Step.SETTLE, "extend")
            drafts += 1
        assert drafts, "settle with nothing to settle"

    # file-complaint and escalate

    def file(self, instance: f.Instance, step: f.Step) -> None:
        assert instance in OPS, f"{step.value} without saying what"
        done = [a for a in self.case.acts if a.instance == instance and (a.filed_at or a.rejected)]
        assert not done, f"{instance} twice"
        playbook = self.terms.playbook
        if instance != "response" and getattr(playbook.approve, instance):
            self.approved(approval_name(step, instance))
        if instance == "legal":
            assert playbook.legal
            self.add(f.Filed(instance="legal", effect="legal", ruling_by=self.at + DAY))
            self.pend(step, "legal", effect_class="by-hand", look_at=self.at + DAY)
        else:
            assert self.terms.able(OPS[instance])
            self.carry_out(step, OPS[instance])

    def look_for_ruling(self) -> None:
        act = self.open_act()
        if self.terms.can.get("ruling") == "by-hand":
            self.add(f.Looked(instance=act.instance))
            self.pend(f.Step.COMPLAIN, "ruling", effect_class="by-hand", look_at=self.at + DAY)
        elif self.fair or self.choose([True, False]):
            self.add(f.Ruled(instance=act.instance, verdict=self.verdict()))
        else:
            self.add(f.Looked(instance=act.instance))

    def verdict(self) -> f.Verdict:
        verdicts: list[f.Verdict] = ["for-us", "against-us", "against-us", "withdrawn", "written-off"]
        found: f.Verdict = self.choose(verdicts)
        return found

    def open_act(self) -> Act:
        return next(act for act in reversed(self.case.acts) if act.open)

    # acts on the outside world

    def carry_out(self, step: f.Step, op: str) -> None:
        """An effect planned, sent, and ended in one of every way."""
        if self.terms.can.get(op) == "by-hand":
            self.pend(step, op, effect_class="by-hand", look_at=self.at + DAY)
            return
        end = (
            "confirmed"
            if self.fair
            else self.choose(["confirmed"] * 4 + ["rejected", "unknown", "quarantined", "throttled", "crash"])
        )
        if end in ("confirmed", "rejected"):
            self.ended(op, done=end == "confirmed")
            return
        klass = self.choose(["idempotent", "queryable"])
        if end == "unknown":
            self.pend(step, op, state="unknown", effect_class=klass)
            self.add(f.Uncertain(effect=f"e{self.serial}", act=op, why="no answer"))
        elif end == "throttled":
            self.pend(step, op, state="planned", effect_class=klass)
        elif end == "crash":
            self.pend(step, op, state=self.choose(["planned", "sent"]), effect_class=klass, look_at=None)
        else:
            pending = self.pend(step, op, state="quarantined", effect_class="blind")
            self.quarantine(pending, op)

    def quarantine(self, pending: Pending, op: str) -> None:
        self.settle_pending(pending)  # it holds the case by its fact
        self.add(
            f.Uncertain(
                effect=f"{pending.key}/{op}/{pending.step.value}", act=op, why="no answer", quarantined=True
            )
        )

    def resume(self, pending: Pending) -> None:
        """Look what became of an act, or send it again."""
        end = (
            "confirmed"
            if self.fair
            else self.choose(["confirmed", "confirmed", "rejected", "later", "quarantined"])
        )
        self.settle_pending(pending)
        if end == "later":
            later = replace(
                pending, look_at=self.at + HOUR, state="planned" if pending.state == "planned" else "unknown"
            )
            self.case.pending = (*self.case.pending, later)
        elif end == "quarantined":
            self.quarantine(pending, pending.op)
        else:
            self.ended(pending.op, done=end == "confirmed")

    def ended(self, op: str, *, done: bool) -> None:
        """The fact that follows, as `steps.outcomes` words it."""
        last, playbook = self.case.last, self.terms.playbook
        number = last.number if last else 0
        seen = self.case.order or self.truth
        remedy = last.remedy_due(seen) if last else None
        if op == "message":
            if done and last is not None:
                self.add(f.Contacted(round=number, via="platform", effect="m", reply_by=last.offer.reply_by))
            elif not done:
                self.add(f.Unreached(round=number, why="refused"))
        elif op == "grant":
            if remedy is None:  # cancelled or superseded meanwhile
                remedy = Remedy(kind=RemedyKind.COUPON, amount=yuan("3"))
            if not done:
                self.add(f.SettlementRejected(round=number, remedy=remedy, effect="g", why="refused"))
            elif remedy.kind is RemedyKind.REFUND and (self.fair or self.choose([True, False])):
                self.add(f.SettlementRequested(round=number, remedy=remedy, effect="g"))
                if self.fair:
                    self.truth = self.truth.model_copy(update={"after_sales": AfterSales.REFUNDED})
            else:
                self.add(f.Settled(round=number, remedy=remedy, effect="g"))
        elif op == "extend":
            until = (last.offer.new_ship_by if last else None) or self.at + DAY
            if done:
                self.add(f.Extended(round=number, until=until, effect="x"))
            else:
                self.add(f.ExtensionRejected(round=number, effect="x", why="refused"))
        elif op in ("respond", "complain", "arbitrate"):
            instance: f.Instance = next(name for name, of in OPS.items() if of == op)  # type: ignore[assignment]  # its own keys
            if done:
                self.add(f.Filed(instance=instance, effect=op, ruling_by=self.at + playbook.ruling_within))
            else:
                self.add(f.FilingRejected(instance=instance, effect=op, why="refused"))
        elif done and any(act.open for act in self.case.acts):  # a person found a ruling, or an end at law
            self.add(f.Ruled(instance=self.open_act().instance, verdict=self.verdict()))

    # what happens meanwhile

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

    # a fair world: everything works, the goods leave, people do their work

    def make_fair(self) -> None:
        """From here on nothing goes wrong any more, and people answer."""
        self.fair = True
        reviewed = any(r.requested_at is not None and r.settled_at is None for r in self.case.rounds)
        self.truth = self.truth.model_copy(
            update={
                "status": OrderStatus.RECEIVED, "tags": (), "picked_up_at": self.truth.picked_up_at or self.at,
                "shipped_at": self.truth.shipped_at or self.at, "delivered_at": None, "parcel": Parcel.DELIVERED,
                "after_sales": AfterSales.REFUNDED if reviewed else AfterSales.NONE, "dispute": "", "ship_by": self.truth.ship_by or T0 + 2 * DAY, "updated_at": self.at,
            }
        )  # fmt: skip

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

    due: datetime | None = None


def _short(body: f.Body) -> str:
    return str(body.model_dump(exclude_defaults=True, exclude={"kind", "order", "lateness"}, mode="json"))[
        :110
    ]
