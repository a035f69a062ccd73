"""The numbers of a shop over some days, for whoever answers for it: what was late, what was done, what it cost.

Reads the ledger only. Days are those of the shop's zone, both ends included. What each number means stands at its
field, since it is worth no more than that; the HTML report says it in the reader's language.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import func, or_, select

from amends.cases.lateness import Lateness, State, judge
from amends.cases.money import Money
from amends.cases.orders import Order
from amends.cases.rules import RuleBook, RuleName
from amends.errors import InputError
from amends.ledger import Tx
from amends.ledger.schema import cases, effects, facts, maybe_moment, moment, orders, tasks, ticks
from amends.steps.report_numbers import FUNNEL, Amounts, Cause, Customer, Day, Limit, Report

__all__ = ["FUNNEL", "Amounts", "Report", "report"]

CAUSES = ("sku", "warehouse", "carrier")
TOP = 10
"""Rows of a list; each list says how many there are."""
LONGEST = 3660
"""Days of one report."""
_READ = (
    "observed", "seen-again", "proposed", "contacted", "replied", "silent", "settled", "extended", "filed",
)  # fmt: skip


@dataclass(slots=True)
class _Case:
    """What the facts of a case say, as far as this report asks."""

    id: int
    number: str
    generation: int
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None
    late: bool = False
    penalty: Money | None = None
    extended: datetime | None = None
    reached: set[str] = field(default_factory=set)
    agreed: bool = False  # the last offer was just what the customer had asked for
    renewed: bool = False
    answers: list[str] = field(default_factory=list)
    cause: str = ""
    contacted: list[datetime] = field(default_factory=list)
    settled: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)


def report(
    tx: Tx, shop: str, *, zone: tzinfo, rules: RuleBook, now: datetime, since: date | None = None, until: date | None = None
) -> Report:  # fmt: skip
    """Count one shop's days; without `since` the last 30, without `until` up to today. Raises `InputError` for no span."""
    until = until or now.astimezone(zone).date()
    if not 2000 <= until.year < 9000:
        raise InputError(f"no shop has days such as {until}", hint="Give days such as 2026-03-01.")
    since = since or until - timedelta(days=29)
    if not 0 <= (until - since).days < LONGEST:
        raise InputError(
            f"{since} to {until} is no span to report on",
            hint=f"The first day comes first, and at most {LONGEST} days make a report.",
        )
    found = Report(shop, str(zone), since, until, now.astimezone(UTC), _limit(rules, until))
    days = {
        since + timedelta(days=n): Day(since + timedelta(days=n)) for n in range((until - since).days + 1)
    }
    found.days = list(days.values())
    span = _Span(zone, days)
    known = _cases(tx, shop, span.begin, span.end)
    newest = {one.number: one for one in sorted(known, key=lambda one: one.generation)}
    verdicts = _orders(tx, found, span, newest, rules)
    for one in known:
        _count_case(found, span, one)
    _penalties(found, span, newest.values(), verdicts)
    _hours(found, span, known)
    _count_tasks(tx, found, span)
    _count_effects(tx, found, span)
    return found


@dataclass(slots=True)
class _Span:
    zone: tzinfo
    days: Mapping[date, Day]

    @property
    def begin(self) -> datetime:
        return datetime.combine(min(self.days), time(), self.zone).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return datetime.combine(max(self.days) + timedelta(days=1), time(), self.zone).astimezone(UTC)

    def day(self, at: datetime | None) -> Day | None:
        return None if at is None else self.days.get(at.astimezone(self.zone).date())


def _limit(rules: RuleBook, on: date) -> Limit | None:
    row = next(
        (r for r in rules.all(RuleName.LATE_RATE_LIMIT, on=on) if r.kind in ("rate", "percent") and r.value is not None), None
    )  # fmt: skip
    if row is None or row.value is None:
        return None
    return Limit(row.value, row.when, row.source, row.confidence.value)


def _cases(tx: Tx, shop: str, begin: datetime, end: datetime) -> list[_Case]:
    """Every case that was open at some time of these days."""
    mine = (
        (cases.c.shop == shop)
        & (cases.c.opened_at < ticks(end))
        & or_(cases.c.closed_at.is_(None), cases.c.closed_at >= ticks(begin))
    )
    found = {
        row.id: _Case(row.id, row.number, row.generation, moment(row.opened_at), maybe_moment(row.closed_at), row.outcome)
        for row in tx.execute(select(cases).where(mine))
    }  # fmt: skip
    query = (
        select(facts.c.case_id, facts.c.at, facts.c.kind, facts.c.body)
        .join(cases, cases.c.id == facts.c.case_id)
        .where(mine, facts.c.kind.in_(_READ))
        .order_by(facts.c.case_id, facts.c.seq)
    )
    for row in tx.execute(query):
        _hear(found[row.case_id], moment(row.at), row.kind, json.loads(row.body))
    return list(found.values())


def _hear(case: _Case, at: datetime, kind: str, body: dict[str, Any]) -> None:
    match kind:
        case "observed" | "seen-again":
            if body.get("lateness") is not None and State(body["lateness"]["state"]).late:
                case.late = True
            if kind == "observed":
                case.penalty = Money.model_validate(body["penalty"]) if body.get("penalty") else None
        case "proposed":
            case.agreed = bool(body["offer"].get("agreed"))
            case.cause = body["offer"].get("cause") or case.cause
            case.renewed = case.renewed or body.get("notice") == "renewed"
        case "contacted":
            case.contacted.append(at)
            case.reached |= {"contacted", *(["accepted"] if case.agreed else [])}
        case "replied" | "silent":
            answer = str(body["answer" if kind == "replied" else "means"])
            case.answers.append(answer if kind == "replied" else "silence")
            case.reached |= {"accepted"} if answer == "accept" else set()
        case "settled":
            case.reached.add("settled")
            if body.get("remedy"):
                case.settled.append((at, body["remedy"]))
        case "extended":
            case.extended = datetime.fromisoformat(body["until"])
        case "filed":
            case.reached.add("complaint" if body["instance"] == "response" else str(body["instance"]))


def _orders(
    tx: Tx, found: Report, span: _Span, known: Mapping[str, _Case], rules: RuleBook
) -> dict[str, Lateness]:
    """Count orders by deadline; answers with how those of known cases stand by the platform's own deadline."""
    verdicts: dict[str, Lateness] = {}
    causes: dict[str, dict[str, Cause]] = {name: {} for name in CAUSES}
    late_days: dict[tuple[str, str], set[date]] = defaultdict(set)
    customers: dict[str, list[str]] = defaultdict(list)
    for order in _read_orders(tx, found.shop, span, known):
        case = known.get(order.number)
        verdict = judge(order, now=found.now, rules=rules, agreed=case.extended if case else None)
        if case is not None:
            verdicts[order.number] = verdict
        if verdict.state is State.UNKNOWN:
            found.unknown += span.day(order.placed_at) is not None
            continue
        day = span.day(verdict.ship_by)
        seen_late = case is not None and case.late
        if day is None or verdict.ship_by is None or verdict.ship_by > found.now:
            continue
        if verdict.state is State.EXEMPT and not seen_late:
            continue
        late = seen_late if verdict.state is State.EXEMPT else _behind(verdict)
        for share in (found.share, day.share):
            share.due += 1
            share.late += late
        for kind, name in _causes_of(order):
            row = causes[kind].setdefault(name, Cause(name))
            row.share.due += 1
            row.share.late += late
            if late:
                late_days[kind, name].add(day.day)
        if late and case is not None:
            case.late = True  # by the platform's own deadline, whatever date the customer agreed to
        if late and order.customer:
            customers[order.customer].append(order.number)
    for kind, rows in causes.items():
        for row in rows.values():
            row.days = len(late_days[kind, row.name])
        ranked = sorted(
            (row for row in rows.values() if row.share.late),
            key=lambda row: (-row.share.late, row.share.due, row.name),
        )
        found.causes[kind], found.causes_total[kind] = ranked[:TOP], len(ranked)
    again = sorted(
        ((who, hit) for who, hit in customers.items() if len(hit) > 1),
        key=lambda pair: (-len(pair[1]), pair[0]),
    )
    found.customers = [Customer(f"…{who[-4:]}", len(hit), sorted(hit)) for who, hit in again[:TOP]]
    found.customers_total = len(again)
    return verdicts


def _read_orders(tx: Tx, shop: str, span: _Span, known: Mapping[str, _Case]) -> Iterator[Order]:
    """Orders that may be due in these days (the stored deadline is never before the platform's), and those of cases."""
    may = or_(orders.c.ship_by.is_(None), orders.c.ship_by >= ticks(span.begin))
    query = select(orders.c.number, orders.c.snapshot).where(
        orders.c.shop == shop, orders.c.placed_at < ticks(span.end)
    )
    seen = set()
    for row in tx.execute(query.where(may)):
        seen.add(row.number)
        yield Order.model_validate_json(row.snapshot)
    rest = sorted(set(known) - seen)
    for start in range(0, len(rest), 400):
        for row in tx.execute(query.where(orders.c.number.in_(rest[start : start + 400]))):
            yield Order.model_validate_json(row.snapshot)


def _behind(verdict: Lateness) -> bool:
    """Not shipped in time. A parcel that stalls on its way may have been shipped in time."""
    return verdict.state.late and verdict.late_by is not None and verdict.late_by > timedelta(0)


def _causes_of(order: Order) -> list[tuple[str, str]]:
    skus = sorted({item.sku or item.title for item in order.items}) or [""]
    return [*(("sku", sku) for sku in skus), ("warehouse", order.warehouse), ("carrier", order.carrier)]


def _count_case(found: Report, span: _Span, case: _Case) -> None:
    found.open += case.outcome is None
    opened, closed = span.day(case.opened_at), span.day(case.closed_at)
    if opened is not None:
        opened.opened += 1
        for name in ("opened", *(["late"] if case.late else []), *case.reached):
            found.funnel[name] += 1
        for answer in case.answers:
            found.answers[answer] = found.answers.get(answer, 0) + 1
        if case.cause:
            found.explained[case.cause] = found.explained.get(case.cause, 0) + 1
        found.renewed += case.renewed
    if closed is not None and case.outcome is not None:
        closed.closed += 1
        found.outcomes[case.outcome] = found.outcomes.get(case.outcome, 0) + 1
    for at in case.contacted:
        day = span.day(at)
        if day is not None:
            day.contacted += 1
    for at, remedy in case.settled:
        day = span.day(at)
        if day is not None:
            day.settled += 1
            _settle(found, remedy)


def _settle(found: Report, remedy: dict[str, Any]) -> None:
    kind = str(remedy["kind"])
    found.remedies[kind] = found.remedies.get(kind, 0) + 1
    if remedy.get("amount"):
        amount = Money.model_validate(remedy["amount"])
        _add(found.cost.setdefault(kind, {}), amount)
        _add(found.refunds if kind == "refund" else found.cost_total, amount)


def _add(sums: Amounts, amount: Money) -> None:
    sums[amount.currency] = sums[amount.currency] + amount if amount.currency in sums else amount


def _penalties(found: Report, span: _Span, newest: Iterable[_Case], verdicts: Mapping[str, Lateness]) -> None:
    for case in newest:
        verdict = verdicts.get(case.number)
        if case.penalty is None or verdict is None:
            continue
        if case.outcome is None:
            _add(found.penalty.at_stake, case.penalty)
        elif case.outcome in ("shipped", "settled") and span.day(case.closed_at) is not None:
            if _behind(verdict):
                _add(found.penalty.missed, case.penalty)
            elif verdict.state in (State.ON_TIME, State.STALLED) and verdict.late_by is not None:
                _add(found.penalty.avoided, case.penalty)


def _hours(found: Report, span: _Span, known: Iterable[_Case]) -> None:
    taken = sorted(
        (case.closed_at - case.opened_at).total_seconds() / 3600
        for case in known
        if case.closed_at is not None and span.day(case.closed_at) is not None
    )
    if taken:
        half = len(taken) // 2
        median = taken[half] if len(taken) % 2 else (taken[half - 1] + taken[half]) / 2
        found.hours_median = round(median, 2)
        found.hours_p90 = round(taken[math.ceil(0.9 * len(taken)) - 1], 2)


def _count_tasks(tx: Tx, found: Report, span: _Span) -> None:
    mine = tasks.c.shop == found.shop
    open_ = Counter[str]()
    for kind, due_at in tx.execute(
        select(tasks.c.kind, tasks.c.due_at).where(mine, tasks.c.done_at.is_(None))
    ):
        open_[kind] += 1
        found.tasks_overdue += due_at <= ticks(found.now)
    found.tasks_open, found.tasks_by_kind = open_.total(), dict(sorted(open_.items()))
    done = select(func.count()).select_from(tasks).where(
        mine, tasks.c.done_at >= ticks(span.begin), tasks.c.done_at < ticks(span.end)
    )  # fmt: skip
    found.tasks_done = int(tx.execute(done).scalar() or 0)


def _count_effects(tx: Tx, found: Report, span: _Span) -> None:
    """Acts planned in these days, by kind and state."""
    query = (
        select(effects.c.kind, effects.c.state, func.count())
        .where(
            effects.c.shop == found.shop,
            effects.c.planned_at >= ticks(span.begin),
            effects.c.planned_at < ticks(span.end),
        )
        .group_by(effects.c.kind, effects.c.state)
        .order_by(effects.c.kind, effects.c.state)
    )
    for kind, state, count in tx.execute(query).all():
        found.effects.setdefault(kind, {})[state] = int(count)
