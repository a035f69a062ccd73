"""What the steps do to a case, in every way that each can end, written down as the steps write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.unit.cases.makers import DAY, HOUR, OPENED, T0, order, yuan

from amends.cases import facts as f
from amends.cases.decisions import Next, approval_name
from amends.cases.lateness import State, contradictions, judge
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, Order, OrderStatus, Parcel, Tag
from amends.cases.snapshot import Act, Pending, Round, Snapshot
from amends.cases.stages import Terms, look

Choose = Callable[[Sequence[Any]], Any]
OPS = {"response": "respond", "complaint": "complain", "arbitration": "arbitrate", "legal": "legal"}


class Steps:
    """The five steps of one case, with an outside world of which `choose` draws each answer."""

    due: datetime | None = None

    def decide(self) -> Next:
        raise NotImplementedError

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

    def add(self, body: f.Body, actor: str = "amends") -> None:
        if isinstance(body, f.Proposed) and not body.offer.none:
            self._told_too_often(body)
        if isinstance(body, f.Filed):
            assert not any(a.filed_at and a.instance == body.instance and a.open for a in self.case.acts)
        fact = f.Fact(seq=self.case.count + 1, at=self.at, actor=actor, body=body)
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
        left = {"picked_up_at": old.picked_up_at or self.at - HOUR, "parcel": Parcel.IN_TRANSIT}
        paid_back = AfterSales.REFUNDED if old.picked_up_at else old.after_sales
        changes: dict[str, Any] = {
            "label": gone,
            "picked-up": gone | left | {"deliver_by": self.choose([None, self.at + DAY, self.at - HOUR])},
            "delivered": gone | left | {"parcel": Parcel.DELIVERED, "delivered_at": self.at},
            "received": gone | left | {"status": OrderStatus.RECEIVED},
            "cancelled": {"status": OrderStatus.CANCELLED, "after_sales": paid_back},
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


def _short(body: f.Body) -> str:
    return str(body.model_dump(exclude_defaults=True, exclude={"kind", "order", "lateness"}, mode="json"))[
        :110
    ]
