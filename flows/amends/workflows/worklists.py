"""What a shop's artifacts show, read from the ledger: the worklist, open tasks, approvals, the summary.

Rows hold order numbers, amounts, times and states; no name, no address, no words of customers or staff. Times are in
the shop's zone. Every list is bounded, and says how many rows it leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from amends.cases.money import Money
from amends.cases.orders import Order
from amends.cases.snapshot import Snapshot, fold
from amends.cases.stages import look
from amends.ledger import Tx, approvals, chain, views
from amends.ledger.schema import cases, moment, orders, tasks, ticks
from amends.steps.shop import Shop
from amends.steps.sweep import Summary
from amends.workflows.masks import bare_problem, bare_why, masked

ROWS = 100
"""Rows of one artifact."""


@dataclass(slots=True)
class Table:
    """A bounded list: its rows, and of how many."""

    rows: list[dict[str, str]] = field(default_factory=list)
    total: int = 0

    def told(self, what: str, command: str) -> str:
        """How many are shown, and the command that shows all: `100 of 1,240 open cases; the other 1,140: …`."""
        if self.total <= len(self.rows):
            return f"{self.total:,} {what}"
        rest = self.total - len(self.rows)
        return f"{len(self.rows):,} of {self.total:,} {what}, the most urgent first; the other {rest:,}: `{command}`"


def local(shop: Shop, at: datetime | None) -> str:
    """The time in the shop's zone, to the minute; empty where there is none."""
    return "" if at is None else f"{at.astimezone(shop.settings.shop(shop.name).zone):%Y-%m-%d %H:%M}"


def worklist(tx: Tx, shop: Shop, now: datetime, rows: int = ROWS) -> Table:
    """Open cases with their orders, the soonest deadline first."""
    mine = (cases.c.shop == shop.name) & cases.c.outcome.is_(None)
    total = int(tx.execute(select(func.count()).select_from(cases).where(mine)).scalar() or 0)
    query = (
        select(cases, orders.c.snapshot)
        .join(orders, (orders.c.shop == cases.c.shop) & (orders.c.number == cases.c.number))
        .where(mine)
        .order_by(orders.c.ship_by.is_(None), orders.c.ship_by, cases.c.id)
        .limit(rows)
    )
    found = tx.execute(query).all()
    facts = chain.load(tx, [row.id for row in found])
    shown = [_case_row(shop, row, fold(facts[row.id], case=row.id), now) for row in found]
    shown.sort(
        key=lambda cells: (not cells["ship-by"], cells["ship-by"])
    )  # a date agreed with the customer counts
    return Table(shown, total)


def _case_row(shop: Shop, row: Any, case: Snapshot, now: datetime) -> dict[str, str]:
    order = case.order or Order.model_validate_json(row.snapshot)
    case.order = order
    lateness = look(case, now, shop.terms(row.playbook)).lateness
    ship_by = lateness.ship_by if lateness else None
    hours = ""
    if ship_by is not None:
        late = (now - ship_by).total_seconds() / 3600
        hours = f"{late:.1f} late" if late > 0 else f"{-late:.1f} left"
    penalty: Money | None = case.penalty
    if penalty is None and ship_by is not None:
        cost = shop.rules.penalty(order, ship_by)
        penalty = cost[0] if cost else None
    return {
        # The first columns are seen without scrolling: which order, how late, what next and why.
        "order no.": row.number,
        "case": str(row.id),
        "amount": str(order.amount),
        "ship-by": local(shop, ship_by),
        "hours late or left": hours,
        "next step": row.next_step
        or (f"again {local(shop, moment(row.due_at))}" if row.due_at is not None else ""),
        "why": bare_why(row.why, case),
        "stage": row.stage,
        "lateness": lateness.state.value if lateness else "",
        "after-sales": order.after_sales.value,
        "penalty at stake": str(penalty) if penalty else "",
        "order time": local(shop, order.placed_at),
    }


def open_tasks(tx: Tx, shop: Shop, now: datetime, rows: int = ROWS) -> Table:
    """Work that waits for people, the soonest due first."""
    mine = (tasks.c.shop == shop.name) & tasks.c.done_at.is_(None)
    total = int(tx.execute(select(func.count()).select_from(tasks).where(mine)).scalar() or 0)
    found = tx.execute(select(tasks).where(mine).order_by(tasks.c.due_at, tasks.c.id).limit(rows)).all()
    return Table(
        [
            {
                "task": str(row.id),
                "what": row.kind,
                "order no.": row.number,
                "case": str(row.case_id),
                "where": masked(row.place),
                "opened": local(shop, moment(row.opened_at)),
                "due": local(shop, moment(row.due_at)),
                "overdue": "overdue" if row.due_at <= ticks(now) else "",
                "ends as": row.choices.replace(",", ", "),
            }
            for row in found
        ],
        total,
    )


def open_approvals(tx: Tx, shop: Shop, rows: int = ROWS) -> Table:
    """Lists that wait for a named person's yes or no, the oldest first."""
    found = approvals.listing(tx, shop=shop.name, open_only=True)
    return Table([_list_row(shop, one) for one in found[:rows]], len(found))


def _list_row(shop: Shop, one: approvals.Listing) -> dict[str, str]:
    amounts: Counter[str] = Counter()
    for item in one.items:
        if item.amount is not None:
            amounts[item.amount.currency] += item.amount.minor
    some = [f"{item.case} ({item.number})" for item in one.waiting[:10]]
    more = [f"and {len(one.waiting) - 10} more"] if len(one.waiting) > 10 else []
    return {
        "list": one.id,
        "what": one.kind,
        "acts": str(len(one.items)),
        "waiting": str(len(one.waiting)),
        "amount": ", ".join(str(Money(minor=minor, currency=c)) for c, minor in sorted(amounts.items())),
        "people needed": str(max((item.people for item in one.items), default=1)),
        "asked": local(shop, one.created_at),
        "expires": local(shop, one.expires_at),
        "cases (orders)": ", ".join([*some, *more]),
    }


def summary_text(tx: Tx, shop: Shop, summary: Summary, now: datetime) -> str:
    """The sweep's own counts and where the shop stands, in markdown."""
    counted = views.count_cases(tx, shop.name)
    sections = [
        f"## {shop.name} · {local(shop, now)}",
        counts_text(summary),
        _table("steps done", "cases", summary.steps),
        _table("open cases by stage", "cases", counted["stage"]),
        _table("closed cases by outcome", "cases", counted["outcome"]),
        _table("orders by lateness", "orders", views.count_orders(tx, shop.name)),
        _effects(views.count_effects(tx, shop.name)),
        _problems(summary.problems),
    ]
    return "\n\n".join(section for section in sections if section)


def counts_text(summary: Summary) -> str:
    """One line for people: what the sweep did."""
    parts = [
        f"{summary.changed} of {summary.orders} orders changed",
        f"{summary.opened} cases opened",
        f"{summary.replies} replies",
        f"{summary.cases} cases advanced",
        f"{summary.closed} closed",
    ]
    if summary.expired:
        parts.append(f"{summary.expired} approval lists expired")
    if summary.problems:
        parts.append(f"{len(summary.problems)} problems")
    return ", ".join(parts)


def _table(head: str, unit: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    lines = [
        f"| {head} | {unit} |",
        "|---|---:|",
        *(f"| {name} | {n:,} |" for name, n in sorted(counts.items())),
    ]
    return "\n".join(lines)


def _effects(effects: dict[str, dict[str, int]]) -> str:
    lines = [
        f"| {kind} | {state} | {n:,} |"
        for kind, states in effects.items()
        for state, n in sorted(states.items())
    ]
    return "\n".join(["| effect | state | number |", "|---|---|---:|", *lines]) if lines else ""


def _problems(problems: Sequence[str], rows: int = 20) -> str:
    if not problems:
        return ""
    counted = Counter(bare_problem(problem) for problem in problems)
    lines = [f"- {text}" + (f" (×{n})" if n > 1 else "") for text, n in counted.most_common(rows)]
    if len(counted) > rows:
        lines.append(f"- and {len(counted) - rows} more kinds")
    return "\n".join(["Problems (what was said about a case: `amends case NUMBER`):", "", *lines])
