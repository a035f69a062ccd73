"""The stage of a case, derived from its facts: the first row of the table that holds. Checked when imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from amends.cases import facts as f
from amends.cases.lateness import Lateness, State, judge, shipped_at
from amends.cases.money import Money
from amends.cases.orders import OrderStatus
from amends.cases.playbook import Playbook
from amends.cases.rules import RuleBook
from amends.cases.snapshot import Act, Round, Snapshot


class Stage(StrEnum):
    CLOSED = "closed"
    HELD = "held"
    LEGAL = "legal"
    ARBITRATION = "arbitration"
    COMPLAINT = "complaint"
    RULED = "ruled"
    SETTLING = "settling"
    AWAITING_REPLY = "awaiting-reply"
    REFUSED = "refused"
    PROMISED = "promised"
    CONTACT = "contact"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a case is judged by: its pinned playbook, the shop's rules, and what connector and desk can do."""

    playbook: Playbook
    rules: RuleBook
    can: Mapping[str, str]  # operation -> api | by-hand; absent: unsupported

    def able(self, operation: str) -> bool:
        return operation in self.can


@dataclass(frozen=True, slots=True)
class Now:
    """A snapshot at a time, with what follows from both, worked out once."""

    case: Snapshot
    at: datetime
    terms: Terms
    lateness: Lateness | None
    shipped: datetime | None

    @property
    def last(self) -> Round | None:
        return self.case.last

    @property
    def open_act(self) -> Act | None:
        return self.case.open_act

    @property
    def last_ruling(self) -> Act | None:
        """A ruling that is newer than our last act."""
        act = self.case.furthest
        return act if act is not None and act.verdict is not None else None

    @property
    def needs_extension(self) -> bool:
        """The customer agreed to a later date and the platform's own deadline has yet to be moved to it."""
        last, order = self.last, self.case.order
        if last is None or order is None or not last.accepted or last.offer.new_ship_by is None:
            return False
        if (
            last.extended_until is not None
            or last.extension_failed
            or not self.terms.able("extend")
            or self.shipped
        ):
            return False
        promised = self.terms.rules.promise(order)
        if (
            promised is None
            or max(promised[0], order.agreed_ship_by or promised[0]) >= last.offer.new_ship_by
        ):
            return False
        return self.at < promised[0]

    @property
    def owes(self) -> bool:
        """A remedy was accepted and is not confirmed, or an agreed extension is not made."""
        last, order = self.last, self.case.order
        return last is not None and order is not None and (last.owes_remedy(order) or self.needs_extension)

    @property
    def cancelled_too_late(self) -> bool:
        """Goods had left when we heard that the customer cancels: whether the money goes back too is a person's to decide."""
        last, order = self.last, self.case.order
        if last is None or order is None or last.answer is not f.Answer.CANCEL or last.answered_at is None:
            return False
        if self.shipped is None and order.delivered_at is None and order.status is not OrderStatus.RECEIVED:
            return False
        left = order.picked_up_at or order.shipped_at or order.delivered_at
        return (
            left is None or left <= last.answered_at
        )  # where nobody says when they left, a person finds out

    def refund_needs_yes(self, amount: Money | None) -> bool:
        """Whether a person must allow what a cancel pays back."""
        return self.cancelled_too_late or self.terms.playbook.approve.needs(amount)

    @property
    def promise_kept_so_far(self) -> bool:
        last = self.last
        if last is None or not last.accepted:
            return False
        due = last.offer.new_ship_by
        return self.shipped is not None or due is None or self.at <= due


def look(case: Snapshot, at: datetime, terms: Terms) -> Now:
    """Put a snapshot at a time: its lateness is judged by what counts now, the agreed date included."""
    if case.order is None:
        return Now(case, at, terms, None, None)
    asked = (case.order, at, case.agreed, terms.rules, terms.playbook)
    seen = case.judged
    if seen is None or any(a is not b for a, b in zip(asked, seen[0], strict=True)):
        warn = terms.playbook.at_risk_before
        lateness = judge(case.order, now=at, rules=terms.rules, warn=warn, agreed=case.agreed)
        pickup = terms.rules.pickup_counts(terms.rules.day(lateness.ship_by or case.order.placed_at))
        seen = case.judged = (asked, lateness, shipped_at(case.order, pickup=pickup))
    return Now(case, at, terms, seen[1], seen[2])


class Row(NamedTuple):
    stage: Stage
    holds: Callable[[Now], bool]
    when: str  # the same in words, for people


def _held(now: Now) -> bool:
    case = now.case
    unknown = now.lateness is not None and now.lateness.state is State.UNKNOWN
    return bool(case.held or case.blocked or case.contradictions or case.quarantined or unknown)


def _awaiting(now: Now) -> bool:
    last = now.last
    return (
        last is not None
        and last.contacted_at is not None
        and last.answer is None
        and last.reply_by is not None
    )


def _refused(now: Now) -> bool:
    last = now.last
    if last is None or (now.promise_kept_so_far and not last.rejected):
        return False
    return last.answer in (f.Answer.DECLINE, f.Answer.COUNTER) or bool(last.rejected)


def _contact(now: Now) -> bool:
    return now.lateness is not None and now.lateness.state.needs_case


TABLE: tuple[Row, ...] = (
    Row(Stage.CLOSED, lambda n: n.case.outcome is not None, "an outcome is recorded"),
    Row(Stage.HELD, _held, "a hold, a contradiction, an unknown lateness or a quarantined effect"),
    Row(Stage.LEGAL, lambda n: bool((a := n.open_act) and a.instance == "legal"), "the legal step has begun"),
    Row(
        Stage.ARBITRATION,
        lambda n: bool((a := n.open_act) and a.instance == "arbitration"),
        "applied, no ruling yet",
    ),
    Row(Stage.COMPLAINT, lambda n: n.open_act is not None, "filed, no ruling yet"),
    Row(Stage.RULED, lambda n: n.last_ruling is not None, "a ruling is newer than our last act"),
    Row(Stage.SETTLING, lambda n: n.owes, "accepted, and what was promised is not confirmed"),
    Row(Stage.AWAITING_REPLY, _awaiting, "an offer is out, unanswered"),
    Row(Stage.REFUSED, _refused, "the last offer was declined, countered, or its remedy rejected"),
    Row(Stage.PROMISED, lambda n: n.promise_kept_so_far, "accepted and settled, the agreed date not broken"),
    Row(Stage.CONTACT, _contact, "late or at risk, no offer live"),
    Row(Stage.VERIFY, lambda n: True, "nothing observed yet, or nothing to put right"),
)


def stage(now: Now) -> Stage:
    """The first row that holds. Several stages can be true of a case at once; the most final one counts."""
    return next(row.stage for row in TABLE if row.holds(now))


def _check() -> None:
    stages = [row.stage for row in TABLE]
    missing = set(Stage) - set(stages)
    if missing or len(stages) != len(set(stages)):
        raise AssertionError(f"the stage table must name every stage once; missing {sorted(missing)}")
    if stages[0] is not Stage.CLOSED or stages[-1] is not Stage.VERIFY:
        raise AssertionError("the stage table must begin with closed and end with a row that always holds")


_check()
