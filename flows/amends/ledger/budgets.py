"""The caps on remedies: taken in the plan's own transaction, given back when an offer comes to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update

from amends.cases.money import Money
from amends.ledger.database import Tx
from amends.ledger.schema import budget_entries, budgets, ticks


@dataclass(frozen=True, slots=True)
class Scope:
    """What one cap covers: an order, a customer in a month, a shop on a day."""

    name: str  # shop-day:flagship:2026-11-23
    cap: str  # per_shop_day
    limit: Money


def left(tx: Tx, scopes: Sequence[Scope]) -> dict[str, Money]:
    """What is still free under each cap, by the cap's name."""
    taken = _taken(tx, [scope.name for scope in scopes])
    free: dict[str, Money] = {}
    for scope in scopes:
        rest = scope.limit.minor - taken.get((scope.name, scope.limit.currency), 0)
        free[scope.cap] = Money(minor=max(0, rest), currency=scope.limit.currency)
    return free


def take(tx: Tx, case: int, round_: int, amount: Money, scopes: Sequence[Scope], now: datetime) -> str:
    """Take the amount from every cap at once, or from none; answers with the name of the cap that refuses, or ''.

    A round that already holds this share is not charged again: planning twice is harmless. Another amount for the
    same round replaces the first.
    """
    have = select(budget_entries.c.minor, budget_entries.c.currency).where(
        budget_entries.c.case_id == case,
        budget_entries.c.round == round_,
        budget_entries.c.released_at.is_(None),
    )
    held = tx.execute(have).all()
    if held and all((row.minor, row.currency) == (amount.minor, amount.currency) for row in held):
        return ""
    if held:
        release(tx, case, round_, now)
    scopes = [scope for scope in scopes if scope.limit.currency == amount.currency]
    if not scopes:
        return ""
    statement = tx.upsert(budgets).on_conflict_do_nothing()
    rows = [{"scope": scope.name, "currency": amount.currency, "taken": 0} for scope in scopes]
    tx.execute(statement, rows)
    query = select(budgets.c.scope, budgets.c.taken).where(
        budgets.c.scope.in_([s.name for s in scopes]), budgets.c.currency == amount.currency
    )
    taken = {row.scope: row.taken for row in tx.execute(tx.locked(query.order_by(budgets.c.scope)))}
    for scope in scopes:
        if taken[scope.name] + amount.minor > scope.limit.minor:
            return scope.cap
    _add(tx, {scope.name: amount.minor for scope in scopes}, amount.currency)
    shares = [
        {
            "case_id": case,
            "round": round_,
            "scope": scope.name,
            "currency": amount.currency,
            "minor": amount.minor,
        }
        for scope in scopes
    ]
    tx.execute(
        tx.upsert(budget_entries).on_conflict_do_update(
            index_elements=["case_id", "round", "scope"],
            set_={"released_at": None, "minor": amount.minor},
        ),
        shares,
    )
    return ""


def release(tx: Tx, case: int, round_: int, now: datetime) -> None:
    """Give back what a round took: its offer came to nothing."""
    query = select(budget_entries).where(
        budget_entries.c.case_id == case,
        budget_entries.c.round == round_,
        budget_entries.c.released_at.is_(None),
    )
    for row in tx.execute(tx.locked(query)).all():
        _add(tx, {row.scope: -row.minor}, row.currency)
        tx.execute(
            update(budget_entries)
            .where(
                budget_entries.c.case_id == case,
                budget_entries.c.round == round_,
                budget_entries.c.scope == row.scope,
            )
            .values(released_at=ticks(now))
        )


def _add(tx: Tx, amounts: Mapping[str, int], currency: str) -> None:
    tx.execute(
        update(budgets)
        .where(budgets.c.scope == bindparam("s"), budgets.c.currency == currency)
        .values(taken=budgets.c.taken + bindparam("more")),
        [{"s": scope, "more": minor} for scope, minor in amounts.items()],
    )


def _taken(tx: Tx, scopes: Sequence[str]) -> dict[tuple[str, str], int]:
    query = select(budgets).where(budgets.c.scope.in_(list(scopes)))
    return {(row.scope, row.currency): row.taken for row in tx.execute(query)}
