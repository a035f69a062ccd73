"""The numbers of a shop over some days, for whoever answers for it: what was late, what was done, what it cost.

Reads the ledger only. Days are those of the shop's zone, both ends included. What each number means stands at its
field, since it is worth no more than that; the HTML report says it in the reader's language.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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

__all__ = ["FUNNEL", "Amounts", "Report", "Rows", "Span", "count", "read", "report", "span_of"]

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
    """Read and count in one; a large shop is better read first and counted outside the transaction."""
    span = span_of(zone, now, since, until)
    return count(read(tx, shop, span), span, rules=rules, now=now)


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a zone, both ends included."""

    zone: tzinfo
    since: date
    until: date

    @property
    def begin(self) -> datetime:
        return datetime.combine(self.since, time(), self.zone).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.until + timedelta(days=1), time(), self.zone).astimezone(UTC)


def span_of(zone: tzinfo, now: datetime, since: date | None = None, until: date | None = None) -> Span:
    """Without `since` the last 30 days, without `until` up to today. Raises `InputError` for no span."""
    until = until or now.astimezone(zone).date()
    if not 2000 <= until.year < 9000:
        raise InputError(f"no shop has days such as {until}", hint="Give days such as 2026-03-01.")
    since = since or until - timedelta(days=29)
    if not 0 <= (until - since).days < LONGEST:
        raise InputError(
            f"{since} to {until} is no span to report on",
            hint=f"The first day comes first, and at most {LONGEST} days make a report.",
        )
    return Span(zone, since, until)


@dataclass(slots=True)
class Rows:
    """What is read from the ledger, as it is stored."""

    shop: str
    cases: Sequence[Any]
    facts: Sequence[Any]
    orders: list[str]
    tasks: Sequence[Any]
    tasks_done: int
    effects: Sequence[Any]


def read(tx: Tx, shop: str, span: Span) -> Rows:
    """Read all that bears on these days, quickly: on SQLite nobody writes meanwhile."""
    mine = (
        (cases.c.shop == shop)
        & (cases.c.opened_at < ticks(span.end))
        & or_(cases.c.closed_at.is_(None), cases.c.closed_at >= ticks(span.begin))
    )
    columns = (
        cases.c.id,
        cases.c.number,
        cases.c.generation,
        cases.c.opened_at,
        cases.c.closed_at,
        cases.c.outcome,
    )
    known = tx.execute(select(*columns).where(mine)).all()
    said = (
        select(facts.c.case_id, facts.c.at, facts.c.kind, facts.c.body)
        .join(cases, cases.c.id == facts.c.case_id)
        .where(mine, facts.c.kind.in_(_READ))
        .order_by(facts.c.case_id, facts.c.seq)
    )
    done = select(func.count()).select_from(tasks).where(
        tasks.c.shop == shop, tasks.c.done_at >= ticks(span.begin), tasks.c.done_at < ticks(span.end)
    )  # fmt: skip
    waiting = select(tasks.c.kind, tasks.c.due_at).where(tasks.c.shop == shop, tasks.c.done_at.is_(None))
    acts = (
        select(effects.c.kind, effects.c.state, func.count())
        .where(
            effects.c.shop == shop,
            effects.c.planned_at >= ticks(span.begin),
            effects.c.planned_at < ticks(span.end),
        )
        .group_by(effects.c.kind, effects.c.state)
        .order_by(effects.c.kind, effects.c.state)
    )
    return Rows(
        shop, known, tx.execute(said).all(), _snapshots(tx, shop, span, {row.number for row in known}),
        tx.execute(waiting).all(), int(tx.execute(done).scalar() or 0), tx.execute(acts).all(),
    )  # fmt: skip


def _snapshots(tx: Tx, shop: str, span: Span, known: set[str]) -> list[str]:
    """Orders that may be due in these days (the stored deadline is never before the platform's), and those of cases."""
    may = or_(orders.c.ship_by.is_(None), orders.c.ship_by >= ticks(span.begin))
    query = select(orders.c.number, orders.c.snapshot).where(
        orders.c.shop == shop, orders.c.placed_at < ticks(span.end)
    )
    found = {row.number: row.snapshot for row in tx.execute(query.where(may))}
    rest = sorted(known - found.keys())
    for start in range(0, len(rest), 400):
        part = query.where(orders.c.number.in_(rest[start : start + 400]))
        found |= {row.number: row.snapshot for row in tx.execute(part)}
    return list(found.values())


def count(rows: Rows, span: Span, *, rules: RuleBook, now: datetime) -> Report:
    """Count what was read, as things stand at `now`."""
    found = Report(
        rows.shop, str(span.zone), span.since, span.until, now.astimezone(UTC), _limit(rules, span.until)
    )
    length = (span.until - span.since).days + 1
    days = _Days(span.zone, {(day := span.since + timedelta(days=n)): Day(day) for n in range(length)})
    found.days = list(days.days.values())
    known = _cases(rows)
    newest = {one.number: one for one in sorted(known, key=lambda one: one.generation)}
    verdicts = _orders(rows, found, days, newest, rules)
    for one in known:
        _count_case(found, days, one)
    _penalties(found, days, newest.values(), verdicts)
    _hours(found, days, known)
    waiting = Counter[str](row.kind for row in rows.tasks)
    found.tasks_open, found.tasks_by_kind = waiting.total(), dict(sorted(waiting.items()))
    found.tasks_overdue = sum(row.due_at <= ticks(found.now) for row in rows.tasks)
    found.tasks_done = rows.tasks_done
    for kind, state, number in rows.effects:
        found.effects.setdefault(kind, {})[state] = int(number)
    return found


@dataclass(frozen=True, slots=True)
class _Days:
    zone: tzinfo
    days: Mapping[date, Day]

    def day(self, at: datetime | None) -> Day | None:
        return None if at is None else self.days.get(at.astimezone(self.zone).date())


def _limit(rules: RuleBook, on: date) -> Limit | None:
    row = next(
        (r for r in rules.all(RuleName.LATE_RATE_LIMIT, on=on) if r.kind in ("rate", "percent") and r.value is not None), None
    )  # fmt: skip
    if row is None or row.value is None:
        return None
    return Limit(row.value, row.when, row.source, row.confidence.value)


def _cases(rows: Rows) -> list[_Case]:
    found = {
        row.id: _Case(row.id, row.number, row.generation, moment(row.opened_at), maybe_moment(row.closed_at), row.outcome)
        for row in rows.cases
    }  # fmt: skip
    for row in rows.facts:
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
    rows: Rows, found: Report, span: _Days, known: Mapping[str, _Case], rules: RuleBook
) -> dict[str, Lateness]:
    """Count orders by deadline; answers with how those of known cases stand by the platform's own deadline."""
    verdicts: dict[str, Lateness] = {}
    causes: dict[str, dict[str, Cause]] = {name: {} for name in CAUSES}
    late_days: dict[tuple[str, str], set[date]] = defaultdict(set)
    customers: dict[str, list[str]] = defaultdict(list)
    for order in map(Order.model_validate_json, rows.orders):
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
    for kind, named in causes.items():
        for row in named.values():
            row.days = len(late_days[kind, row.name])
        ranked = sorted(
            (row for row in named.values() if row.share.late),
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


def _behind(verdict: Lateness) -> bool:
    """Not shipped in time. A parcel that stalls on its way may have been shipped in time."""
    return verdict.state.late and verdict.late_by is not None and verdict.late_by > timedelta(0)


def _causes_of(order: Order) -> list[tuple[str, str]]:
    skus = sorted({item.sku or item.title for item in order.items}) or [""]
    return [*(("sku", sku) for sku in skus), ("warehouse", order.warehouse), ("carrier", order.carrier)]


def _count_case(found: Report, span: _Days, case: _Case) -> None:
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


def _penalties(found: Report, span: _Days, newest: Iterable[_Case], verdicts: Mapping[str, Lateness]) -> None:
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


def _hours(found: Report, span: _Days, known: Iterable[_Case]) -> None:
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
