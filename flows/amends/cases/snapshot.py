"""A case as its facts tell it: what `decide` and the stage table read. Folding the same facts again is harmless."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from amends.cases import facts as f
from amends.cases.lateness import Lateness, State
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, Order

INSTANCES: tuple[f.Instance, ...] = ("response", "complaint", "arbitration", "legal")
"""Where a case can be put, the highest last."""
_CANCEL = f.Answer.CANCEL


@dataclass(slots=True)
class Round:
    """One offer's life, from proposal to settlement."""

    number: int
    offer: Offer
    policy: str
    notice: str
    proposed_at: datetime
    state: State = State.UNKNOWN  # how late the order was when this was proposed
    over_cap: str = ""
    contacted_at: datetime | None = None
    via: str = ""
    reply_by: datetime | None = None
    unreached: str = ""
    answer: f.Answer | None = None
    answered_at: datetime | None = None
    silent: bool = False
    counter_ship_by: datetime | None = None
    counter_remedy: Remedy | None = None
    requested_at: datetime | None = None
    settled_at: datetime | None = None
    rejected: str = ""
    extended_until: datetime | None = None
    extension_failed: str = ""
    reviews: int = 0  # requests that the platform's review refused
    given: bool = False  # its own remedy, whatever came after
    refunded: Money | None = None  # that remedy's money, given or asked for
    paid_back: Money | None = None  # of the order's money, when a cancel's refund was asked for

    @property
    def accepted(self) -> bool:
        return self.answer is f.Answer.ACCEPT

    def remedy_due(self, order: Order) -> Remedy | None:
        """What we owe by this round: the offer's remedy once accepted, all the money still kept once cancelled."""
        if self.answer is f.Answer.CANCEL:
            rest = order.amount
            if self.paid_back is not None and self.paid_back.currency == rest.currency:
                rest = Money(minor=rest.minor - self.paid_back.minor, currency=rest.currency)
            return Remedy(kind=RemedyKind.REFUND, amount=rest) if rest.minor > 0 else None
        return self.offer.remedy if self.answer is f.Answer.ACCEPT else None

    def owes_remedy(self, order: Order) -> bool:
        cancelled = self.answer is f.Answer.CANCEL and self.requested_at is None
        if cancelled and order.after_sales is AfterSales.REFUNDED:
            return False  # somebody else has given all the money back
        return self.settled_at is None and not self.rejected and self.remedy_due(order) is not None


@dataclass(slots=True)
class Act:
    """One thing put before a desk, a court's door included."""

    instance: f.Instance
    filed_at: datetime | None = None
    ref: str = ""
    ruling_by: datetime | None = None
    looked_at: datetime | None = None
    looks: int = 0
    verdict: f.Verdict | None = None
    ruled_at: datetime | None = None
    rejected: str = ""

    @property
    def open(self) -> bool:
        return self.filed_at is not None and self.verdict is None


@dataclass(slots=True)
class Approval:
    """Where one asked yes stands."""

    what: str
    list: str
    version: int
    expires_at: datetime
    amount: Money | None = None
    state: str = "asked"  # asked | half | approved | refused
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """An effect of the case that is planned, under way, or of unknown outcome: from the effects table."""

    key: str
    step: f.Step
    op: str
    state: str
    effect_class: str
    look_at: datetime | None = None


@dataclass(slots=True)
class Snapshot:
    """Everything the facts of one generation of one case say. Built by `fold`; read-only to everyone else."""

    case: int
    shop: str
    number: str
    generation: int = 1
    count: int = 0
    version: int = 0
    opened_at: datetime | None = None
    opened_why: str = ""
    order: Order | None = None
    observed_at: datetime | None = None
    contradictions: tuple[str, ...] = ()
    penalty: Money | None = None
    unseen: f.Unseen | None = None
    rounds: list[Round] = field(default_factory=list)
    nothing: tuple[State, int] | None = None  # when the policy last had nothing to offer
    nothing_why: str = ""
    acts: list[Act] = field(default_factory=list)
    approvals: dict[str, Approval] = field(default_factory=dict)
    tasks: dict[str, f.TaskOpened] = field(default_factory=dict)  # still open
    held: f.Held | None = None
    released_at: datetime | None = None
    quarantined: dict[str, str] = field(default_factory=dict)
    outcome: f.Outcome | None = None
    closed_at: datetime | None = None
    erased: bool = False
    pending: tuple[Pending, ...] = ()
    blocked: str = ""  # the shop's or step's hold that bears on this case
    outdated: bool = False  # the watch has seen the order since, changed
    judged: tuple[tuple[object, ...], Lateness, datetime | None] | None = field(
        default=None, compare=False, repr=False
    )
    """How late the order is, last worked out for these: deciding asks several times for the same moment."""

    @property
    def last(self) -> Round | None:
        return self.rounds[-1] if self.rounds else None

    @property
    def agreed(self) -> datetime | None:
        """The new ship date that the customer agreed to last."""
        for round_ in reversed(self.rounds):
            if round_.accepted and not round_.rejected and round_.offer.new_ship_by is not None:
                return round_.offer.new_ship_by
        return None

    def act(self, instance: f.Instance) -> Act | None:
        return next((a for a in reversed(self.acts) if a.instance == instance), None)

    @property
    def furthest(self) -> Act | None:
        """The act at the highest instance reached: it supersedes those below, whether they were ruled on or not."""
        if not self.acts:
            return None
        filed = [act for act in self.acts if act.filed_at is not None]
        return max(filed, key=lambda act: INSTANCES.index(act.instance), default=None)

    @property
    def open_act(self) -> Act | None:
        """What is before a desk or a court now."""
        act = self.furthest
        return act if act is not None and act.open else None

    def round(self, number: int) -> Round | None:
        for round_ in reversed(self.rounds):
            if round_.number == number:
                return round_
        return None

    def apply(self, fact: f.Fact) -> None:
        """Take one more fact in."""
        self.take(fact.seq, fact.at, fact.body)

    def take(self, seq: int, at: datetime, body: f.FactBody) -> None:
        """The same, by its parts."""
        self.count = seq
        if f.is_material(body.kind):
            self.version += 1
        match body.kind:  # the frequent ones first
            case "seen-again":
                self.observed_at, self.unseen, self.outdated = at, None, False
            case "observed":
                self.order, self.observed_at, self.outdated = body.order, body.order.observed_at, False
                self.contradictions, self.penalty, self.unseen = body.contradictions, body.penalty, None
            case "opened":
                self.opened_at, self.opened_why, self.generation = at, body.why, body.generation
            case "contacted" | "replied" | "settled" | "settlement-requested" | "silent":
                self._round(at, body)
            case "unseen":
                self.unseen = body
            case "proposed":
                if self.rounds and self.rounds[-1].number == body.round:  # anew, before anybody was told
                    self.rounds.pop()
                if body.offer.none:
                    self.nothing, self.nothing_why = (body.state, body.tier), body.offer.why
                else:
                    self.rounds.append(_round(body, at))
            case "held":
                self.held = body
            case "released":
                self.held, self.released_at = None, at
                if self.rounds:
                    self.rounds[-1].unreached = ""  # whoever releases it wants another try
                    if self.rounds[-1].answer is f.Answer.CANCEL and self.rounds[-1].rejected != f.REFUSED:
                        self.rounds[-1].rejected = ""
            case "closed":
                self.outcome, self.closed_at = body.outcome, at
            case "erased":
                self.erased = True
            case "task-opened":
                self.tasks[body.task] = body
            case "task-done":
                self.tasks.pop(body.task, None)
            case "uncertain":
                if body.quarantined:
                    self.quarantined[body.effect] = body.why
            case "cleared":
                self.quarantined.pop(body.effect, None)
            case "approval-asked":
                self.approvals[body.what] = Approval(
                    body.what, body.list, body.version, body.expires_at, body.amount
                )
            case "approved" | "approval-refused":
                self._approve(body)
            case "filed" | "filing-rejected" | "looked" | "ruled":
                self._act(at, body)
            case _:
                self._round(at, body)
        if self.rounds and self.rounds[-1].answer is _CANCEL:
            last = self.rounds[-1]
            if not (last.requested_at or last.settled_at):
                last.paid_back = self._paid_back()

    def _approve(self, body: f.Approved | f.ApprovalRefused) -> None:
        asked = self.approvals.get(body.what)
        if asked is None:
            return
        if body.kind == "approval-refused":
            asked.state = "refused"
        else:
            asked.state = "half" if body.second else "approved"
        asked.by = (*asked.by, body.by)

    def _act(self, at: datetime, body: f.Filed | f.FilingRejected | f.Looked | f.Ruled) -> None:
        act = self.act(body.instance)
        if act is None or (body.kind == "filed" and act.verdict is not None):
            act = Act(body.instance)
            self.acts.append(act)
        match body.kind:
            case "filed":
                act.filed_at, act.ref, act.ruling_by, act.looked_at = (
                    at,
                    body.ref,
                    body.ruling_by,
                    at,
                )
            case "filing-rejected":
                act.rejected = body.why or "rejected"
            case "looked":
                act.looked_at = at
                act.looks += 1
            case "ruled":
                act.verdict, act.ruled_at = body.verdict, at

    def _round(self, at: datetime, body: f.FactBody) -> None:
        number = getattr(body, "round", None)
        round_ = self.round(number) if number is not None else None
        if body.kind == "replied" and round_ is not self.last:
            if body.answer is not f.Answer.CANCEL:
                return  # a newer offer has taken the place of the one that this answers
            round_ = self.last
        if round_ is None:
            return
        if body.kind in ("settlement-requested", "settled", "settlement-rejected"):
            self._settlement(at, body, round_)
        match body.kind:
            case "contacted":
                round_.contacted_at, round_.via, round_.reply_by = at, body.via, body.reply_by
                if round_.offer.agreed and round_.answer is None:
                    round_.answer, round_.answered_at = f.Answer.ACCEPT, at
            case "unreached":
                round_.unreached = body.why
            case "replied":
                cancels = body.answer is f.Answer.CANCEL and round_.answer is not f.Answer.CANCEL
                if (
                    cancels
                ):  # allowed until the goods leave, whatever was agreed before: all the money is owed then
                    round_.settled_at, round_.requested_at, round_.rejected = None, None, ""
                if round_.answer is None or round_.silent or cancels:
                    round_.answer, round_.answered_at, round_.silent = body.answer, at, False
                    round_.counter_ship_by, round_.counter_remedy = body.ship_by, body.remedy
            case "silent" if round_.answer is None:  # an answer that came at the last moment counts
                round_.answer, round_.answered_at, round_.silent = body.means, at, True
            case "extended":
                round_.extended_until = body.until
            case "extension-rejected":
                round_.extension_failed = body.why or "rejected"

    def _settlement(
        self, at: datetime, body: f.SettlementRequested | f.Settled | f.SettlementRejected, round_: Round
    ) -> None:
        before = round_.answer is f.Answer.CANCEL and body.effect and not f.of_cancel(body.effect)
        earlier = before and body.remedy == round_.offer.remedy  # what was accepted ends after the cancel
        rejected = body.kind == "settlement-rejected"
        if round_.accepted or earlier:
            money = body.remedy.amount if body.remedy and body.remedy.kind is RemedyKind.REFUND else None
            round_.given, round_.refunded = not rejected, None if rejected else money
        if earlier:
            return
        match body.kind:
            case "settlement-requested":
                round_.requested_at = at
            case "settled":
                round_.settled_at = at
            case "settlement-rejected" if body.why == f.REFUSED and round_.contacted_at is None:
                # a cancel in time for an offer that nobody has heard yet
                round_.answer, round_.answered_at = None, None
            case "settlement-rejected":
                round_.rejected = body.why or "rejected"
                round_.reviews += round_.requested_at is not None
                round_.requested_at = None

    def _paid_back(self) -> Money | None:
        """How much of the order's money has gone back already, as far as the platform and our own acts say."""
        if self.order is None:
            return None
        currency = self.order.amount.currency
        ours = sum(r.refunded.minor for r in self.rounds if r.refunded and r.refunded.currency == currency)
        seen = self.order.refunded
        theirs = seen.minor if seen is not None and seen.currency == currency else 0
        return Money(minor=max(ours, theirs), currency=currency) if ours or theirs else None

    @property
    def offer_stopped(self) -> str:
        """Why no offer may be made now, by the order's after-sales state; empty where one may."""
        if self.order is not None and self.order.after_sales.under_way:
            return f"after-sales: {self.order.after_sales.value}"
        return ""

    @property
    def disputed(self) -> bool:
        return self.order is not None and self.order.after_sales is AfterSales.DISPUTED


def _round(body: f.Proposed, at: datetime) -> Round:
    return Round(
        body.round, body.offer, body.policy, body.notice, at, state=body.state, over_cap=body.over_cap
    )


def fold(
    facts: Iterable[f.Fact],
    *,
    case: int = 0,
    shop: str = "",
    number: str = "",
    pending: Iterable[Pending] = (),
    blocked: str = "",
) -> Snapshot:
    """The snapshot that follows from these facts, in their order."""
    snapshot = Snapshot(case=case, shop=shop, number=number, pending=tuple(pending), blocked=blocked)
    for fact in facts:
        snapshot.apply(fact)
    return snapshot
