"""What people look at: late orders, cases, worklists, counts. Reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from amends.cases.money import Money
from amends.cases.orders import Order
from amends.errors import CaseError
from amends.ledger.database import Tx
from amends.ledger.schema import (
    cases,
    effects,
    facts,
    maybe_moment,
    moment,
    orders,
    sweeps,
    ticks,
)

__all__ = [
    "CaseLine",
    "OrderLine",
    "Tx",
    "case_id",
    "case_lines",
    "count_cases",
    "opened_since",
    "order_lines",
]

LATE = ("overdue", "shipped-late", "stalled")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of the list of late orders."""

    shop: str
    number: str
    amount: Money
    placed_at: datetime
    ship_by: datetime | None
    state: str
    after_sales: str
    case: int | None
    stage: str
    next_step: str
    why: str
    due_at: datetime | None
    order: Order

    def hours_late(self, now: datetime) -> float | None:
        """Hours past the deadline; negative while there is time; None without a deadline."""
        return None if self.ship_by is None else (now - self.ship_by).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the list of cases."""

    id: int
    shop: str
    number: str
    generation: int
    stage: str
    outcome: str | None
    opened_at: datetime
    closed_at: datetime | None
    due_at: datetime | None
    next_step: str
    why: str


def order_lines(
    tx: Tx, *, shop: str | None = None, states: Sequence[str] = LATE, now: datetime, limit: int | None = None
) -> list[OrderLine]:
    """Orders in these states as last judged, the soonest deadline first."""
    query = (
        select(orders, cases.c.id, cases.c.stage, cases.c.next_step, cases.c.why, cases.c.due_at)
        .outerjoin(
            cases,
            (cases.c.shop == orders.c.shop) & (cases.c.number == orders.c.number) & cases.c.outcome.is_(None),
        )
        .where(orders.c.state.in_(list(states)))
        .order_by(orders.c.ship_by, orders.c.number)
    )
    if shop is not None:
        query = query.where(orders.c.shop == shop)
    if limit is not None:
        query = query.limit(limit)
    return [
        OrderLine(
            row.shop, row.number, Money(minor=row.minor, currency=row.currency), moment(row.placed_at), maybe_moment(row.ship_by),
            row.state, row.after_sales, row.id, row.stage or "", row.next_step or "", row.why or "", maybe_moment(row.due_at),
            Order.model_validate_json(row.snapshot),
        )
        for row in tx.execute(query)
    ]  # fmt: skip


def case_lines(
    tx: Tx, *, shop: str | None = None, stage: str | None = None, open_only: bool = False, number: str | None = None,
    limit: int | None = None,
) -> list[CaseLine]:  # fmt: skip
    """Cases, the soonest due first, closed ones last."""
    query = select(cases).order_by(cases.c.due_at.is_(None), cases.c.due_at, cases.c.id)
    if shop is not None:
        query = query.where(cases.c.shop == shop)
    if stage is not None:
        query = query.where(cases.c.stage == stage)
    if number is not None:
        query = query.where(cases.c.number == number)
    if open_only:
        query = query.where(cases.c.outcome.is_(None))
    if limit is not None:
        query = query.limit(limit)
    return [
        CaseLine(
            row.id, row.shop, row.number, row.generation, row.stage, row.outcome, moment(row.opened_at),
            maybe_moment(row.closed_at), maybe_moment(row.due_at), row.next_step, row.why,
        )
        for row in tx.execute(query)
    ]  # fmt: skip


def case_id(tx: Tx, text: str) -> int:
    """A case by its number (`12` or `#12`) or by its order's number (the newest generation). Raises `CaseError`."""
    by_id = text.removeprefix("#")
    found = None
    if by_id.isdigit() and len(by_id) < 19:
        found = tx.execute(select(cases.c.id, cases.c.number).where(cases.c.id == int(by_id))).first()
        if found is not None and (text != by_id or found.number == text):
            return int(found.id)
    query = select(cases.c.id, cases.c.shop).where(cases.c.number == text).order_by(cases.c.generation.desc())
    rows = tx.execute(query).all()
    if found is not None:
        if rows:
            raise CaseError(
                f"{text} is both a case and the order of case {rows[0].id}",
                hint=f"Write #{text} or #{rows[0].id}.",
            )
        return int(found.id)
    shops = sorted({row.shop for row in rows})
    if len(shops) > 1:
        raise CaseError(
            f"order {text} exists in several shops: {', '.join(shops)}", hint="Give the case's own number."
        )
    if not rows:
        raise CaseError(
            f"there is no case {text!r}, and no case of an order of that number", hint="See `amends cases`."
        )
    return int(rows[0].id)


def opened_since(tx: Tx, shop: str, since: datetime) -> int:
    """How many cases were opened from then on."""
    query = (
        select(func.count()).select_from(cases).where(cases.c.shop == shop, cases.c.opened_at > ticks(since))
    )
    return int(tx.execute(query).scalar() or 0)


def count_orders(tx: Tx, shop: str | None = None) -> dict[str, int]:
    """Orders by lateness."""
    query = select(orders.c.state, func.count()).group_by(orders.c.state)
    if shop is not None:
        query = query.where(orders.c.shop == shop)
    return {state: int(n) for state, n in tx.execute(query).all()}


def count_cases(tx: Tx, shop: str | None = None) -> dict[str, dict[str, int]]:
    """Cases by outcome, and open ones by stage."""
    query = select(cases.c.outcome, cases.c.stage, func.count()).group_by(cases.c.outcome, cases.c.stage)
    if shop is not None:
        query = query.where(cases.c.shop == shop)
    outcome: dict[str, int] = {}
    stage: dict[str, int] = {}
    for name, at, n in tx.execute(query).all():
        if name is not None:
            outcome[name] = outcome.get(name, 0) + int(n)
        else:
            stage[at] = stage.get(at, 0) + int(n)
    return {"outcome": dict(sorted(outcome.items())), "stage": dict(sorted(stage.items()))}


def count_effects(tx: Tx, shop: str | None = None) -> dict[str, dict[str, int]]:
    """Effects by kind and state."""
    query = select(effects.c.kind, effects.c.state, func.count()).group_by(effects.c.kind, effects.c.state)
    if shop is not None:
        query = query.where(effects.c.shop == shop)
    found: dict[str, dict[str, int]] = {}
    for kind, state, n in tx.execute(query.order_by(effects.c.kind, effects.c.state)).all():
        found.setdefault(kind, {})[state] = int(n)
    return found


def forgotten(tx: Tx) -> list[int]:
    """Open cases without a due time: there must never be one."""
    return [
        row.id
        for row in tx.execute(select(cases.c.id).where(cases.c.outcome.is_(None), cases.c.due_at.is_(None)))
    ]


def last_sweeps(tx: Tx, shop: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
    """The newest sweeps first."""
    query = select(sweeps).order_by(sweeps.c.id.desc()).limit(limit)
    if shop is not None:
        query = query.where(sweeps.c.shop == shop)
    return [
        {
            "id": r.id,
            "shop": r.shop,
            "started_at": moment(r.started_at),
            "ended_at": maybe_moment(r.ended_at),
            **json.loads(r.counts),
        }
        for r in tx.execute(query)
    ]


def facts_of_kind(tx: Tx, kind: str, shop: str | None = None) -> list[tuple[int, datetime, str]]:
    """Case, time and stored body of every fact of a kind: for reports."""
    query = select(facts.c.case_id, facts.c.at, facts.c.body).where(facts.c.kind == kind)
    if shop is not None:
        query = query.join(cases, cases.c.id == facts.c.case_id).where(cases.c.shop == shop)
    return [
        (row.case_id, moment(row.at), row.body)
        for row in tx.execute(query.order_by(facts.c.case_id, facts.c.seq))
    ]
