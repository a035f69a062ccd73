"""The ladder itself: takes the rung meant most for a case, and says in a sentence why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from amends import CaseView, Money, Offer, Parcel, PolicyContext, Remedy, State, Tag
from amends_ladder.config import LadderConfig, Rung
from amends_ladder.dates import later, zone_of


@dataclass(frozen=True, slots=True)
class _Found:
    """What the ladder gives in one round: the rung, its remedy as bounded, and notes for `why`."""

    rung: Rung | None
    remedy: Remedy | None
    notes: tuple[str, ...] = ()


class Ladder:
    """Proposes by rung. Pure: the same case gets the same offer."""

    def __init__(self, config: LadderConfig) -> None:
        self.config = config

    def propose(self, case: CaseView, context: PolicyContext) -> Offer:
        """The offer of this round: what a counter asked for where that is little enough, else the rung's."""
        found = self._find(case, context, case.round)
        notes = found.notes
        if case.counter_ship_by is not None or case.counter_remedy is not None:
            agreed, refusal = self._counter(case, context, found)
            if agreed is not None:
                return agreed
            notes = (*notes, refusal)
        if found.rung is None and case.earlier:
            return Offer.nothing(_say(f"no rung fits round {case.round}", *notes))
        remedy, floor = self._not_less(case, context, found.remedy)
        if floor == "capped":
            return Offer.nothing(_say("the caps leave less than was already offered", *notes))
        if case.earlier and not _more(remedy, case.earlier[-1].remedy) and not _broken(case):
            return Offer.nothing(_say(f"the ladder has no higher rung for round {case.round}", *notes))
        apology = remedy is None and case.lateness.state is State.SHIPPED_LATE
        return Offer(
            remedy=remedy,
            new_ship_by=self._date(case, found.rung),
            reply_by=None if apology else context.reply_by,
            cause=_cause(case),
            why=_say(self._reason(case, found.rung, remedy), floor, *notes),
        )

    def _find(self, case: CaseView, context: PolicyContext, round: int) -> _Found:
        """The rung of a round and what it gives this case within the caps."""
        order, notes = case.order, []
        fitting = [rung for rung in self.config.rungs if _fits(rung, case, round)]
        foreign = [rung for rung in fitting if rung.currencies - {order.amount.currency}]
        if foreign:
            theirs = ", ".join(sorted(foreign[0].currencies))
            notes.append(f"rungs in {theirs} do not fit an order in {order.amount.currency}")
        fitting = [rung for rung in fitting if rung not in foreign and _inside(rung, order.amount)]
        able = [rung for rung in fitting if rung.remedy is None or rung.remedy.kind.value in case.can]
        if len(able) < len(fitting):
            kinds = sorted({rung.remedy.kind.value for rung in fitting if rung.remedy and rung not in able})
            notes.append(f"nobody can grant a {' or '.join(kinds)} here")
        if not able:
            return _Found(None, None, tuple(notes))
        rung = max(able, key=lambda rung: rung.specific)  # of equals the first one written
        remedy = rung.remedy.of(order.amount) if rung.remedy else None
        if rung.remedy is not None and remedy is None:
            notes.append(f"the rung's share of {order.amount} comes to nothing")
        bounded = _within(remedy, context)
        if remedy is not None and bounded != remedy:
            notes.append(f"the caps leave {bounded.amount if bounded else 'nothing'} of {remedy.amount}")
        return _Found(rung, bounded, tuple(notes))

    def _counter(self, case: CaseView, context: PolicyContext, found: _Found) -> tuple[Offer | None, str]:
        """The offer that agrees to a counter, or why not."""
        now, date, last = _now(case), case.counter_ship_by, case.earlier[-1] if case.earlier else None
        if date is not None and not now < date <= now + self.config.counter_up_to:
            limit = _span(self.config.counter_up_to)
            return None, f"the customer's date {date:%Y-%m-%d} is not within {limit} from now"
        asked: Remedy | None = case.counter_remedy
        wanted = asked if asked is not None else last.remedy if last else None
        ahead = self._find(case, context, min(case.round + 1, max(case.round, context.last_round)))
        mine = [found.remedy, ahead.remedy, *(offer.remedy for offer in case.earlier)]
        if wanted is not None:
            if wanted.kind.value not in case.can:
                return None, f"nobody can grant the {wanted.kind} that the customer asked for"
            if _within(wanted, context) != wanted or (
                wanted.amount and not _below(wanted.amount, case.order.amount)
            ):
                return None, f"the customer's {wanted} is more than the caps or the order allow"
            if not any(_covers(ours, wanted) for ours in mine):
                return None, f"the customer's {wanted} is more than this or the next rung gives"
        if date is None and last is not None and last.new_ship_by is not None and last.new_ship_by > now:
            date = last.new_ship_by
        if date is None:
            date = self._date(case, found.rung)
        words = [str(asked)] if asked else []
        words += [f"the date {date:%Y-%m-%d}"] if case.counter_ship_by and date else []
        what = " and ".join(words)
        why = _say(f"the customer asked for {what}, which the ladder can give")
        return Offer(remedy=wanted, new_ship_by=date, cause=_cause(case), why=why, agreed=True), ""

    def _not_less(
        self, case: CaseView, context: PolicyContext, remedy: Remedy | None
    ) -> tuple[Remedy | None, str]:
        """The remedy, raised to the best that this case was offered; `capped` where the caps forbid that."""
        best = remedy
        for offer in case.earlier:
            if (
                offer.remedy is not None
                and offer.remedy.kind.value in case.can
                and not _at_least(best, offer.remedy)
            ):
                best = offer.remedy
        if best is remedy or best is None:
            return remedy, ""
        kind = remedy.kind if remedy is not None and remedy.amount and best.amount else best.kind
        best = best.model_copy(update={"kind": kind})
        if best.amount is not None and not _below(best.amount, case.order.amount):
            return remedy, ""
        return (best, "never less than before") if _within(best, context) == best else (None, "capped")

    def _date(self, case: CaseView, rung: Rung | None) -> datetime | None:
        """The new ship date; None where the goods have left already."""
        if case.lateness.state in (State.SHIPPED_LATE, State.STALLED):
            return None
        by = rung.new_ship_in if rung is not None and rung.new_ship_in else self.config.new_ship_in
        zone = zone_of(self.config.time_zone, case.order.time_zone)
        now, ship_by = _now(case), case.lateness.ship_by
        date = later(now, by, country=self.config.business_days, zone=zone)
        if ship_by is not None and date <= ship_by:  # a deadline that still lies ahead is never moved back
            date = later(ship_by, by, country=self.config.business_days, zone=zone)
        return date

    def _reason(self, case: CaseView, rung: Rung | None, remedy: Remedy | None) -> str:
        late = case.lateness
        delay = _span(late.late_by) if late.late_by is not None and late.late_by > timedelta() else ""
        state = f"{late.state.value} by {delay}" if delay else late.state.value
        where = f"{state}, order of {case.order.amount}, round {case.round}"
        given = f"offer {remedy}" if remedy is not None else "apologise without a remedy"
        if rung is None:
            return f"{where}: {given}, because no rung fits"
        return f"{where}: {given} (rung {self.config.rungs.index(rung) + 1})"


def _fits(rung: Rung, case: CaseView, round: int) -> bool:
    state, late_by = case.lateness.state, case.lateness.late_by or timedelta()
    if rung.round not in (None, round) or rung.state not in (None, state.value):
        return False
    if state is State.AT_RISK:  # nothing is late yet: first a new date alone, unless a rung is made for it
        return rung.state == "at-risk" or (round > 1 and rung.late_over == timedelta())
    return late_by >= rung.late_over


def _inside(rung: Rung, amount: Money) -> bool:
    over = rung.order_from is None or amount >= rung.order_from
    return over and (rung.order_under is None or amount < rung.order_under)


def _within(remedy: Remedy | None, context: PolicyContext) -> Remedy | None:
    """The remedy cut to what every cap leaves; None where they leave nothing of it."""
    if remedy is None or remedy.amount is None:
        return remedy
    amount = remedy.amount
    for left in context.left.values():
        if left.currency != amount.currency:
            return None
        amount = amount.clamp(None, left)
    return remedy.model_copy(update={"amount": amount}) if amount.minor > 0 else None


def _below(one: Money, other: Money) -> bool:
    return one.currency == other.currency and one <= other


def _at_least(ours: Remedy | None, other: Remedy) -> bool:
    """Whether ours is no less; remedies that cannot be compared count as no less."""
    if ours is None:
        return False
    if ours.amount is not None and other.amount is not None:
        return ours.amount.currency != other.amount.currency or ours.amount >= other.amount
    if ours.points is not None and other.points is not None:
        return ours.points >= other.points
    return True


def _more(ours: Remedy | None, last: Remedy | None) -> bool:
    if ours is None or last is None:
        return ours is not None
    return ours != last and _at_least(ours, last)


def _covers(ours: Remedy | None, asked: Remedy) -> bool:
    """Whether who would give ours can give what was asked: money for money, and cash only for cash."""
    if ours is None:
        return False
    if ours.amount is not None and asked.amount is not None:
        return _below(asked.amount, ours.amount) and (asked.kind.value != "refund" or ours.kind is asked.kind)
    if ours.points is not None and asked.points is not None:
        return asked.points <= ours.points
    return ours == asked


def _broken(case: CaseView) -> bool:
    """Whether the date of the last offer has passed: then the same again is for a new delay."""
    date = case.earlier[-1].new_ship_by if case.earlier else None
    return date is not None and date <= _now(case)


def _now(case: CaseView) -> datetime:
    return case.now or case.order.observed_at


def _cause(case: CaseView) -> str:
    """The key of the explanation, only as far as the order shows it."""
    order = case.order
    if Tag.OUT_OF_STOCK in order.tags:
        return "stock"
    if case.lateness.state is State.STALLED or order.parcel in (Parcel.EXCEPTION, Parcel.LABEL_CREATED):
        return "carrier"
    return "unknown"


def _span(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours != 1 else "1 hour"


def _say(*parts: str) -> str:
    return "; ".join(part for part in parts if part) + "."
