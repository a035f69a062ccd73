"""The caps on remedies: taken in the plan's own transaction, given back when an offer comes to nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Share:
    """A round's part of the caps: what its remedy costs, and the caps that bear on it."""

    case: int
    round: int
    amount: Money
    scopes: Sequence[Scope]

    @property
    def bearing(self) -> list[Scope]:
        return [scope for scope in self.scopes if scope.limit.currency == self.amount.currency]


def left(tx: Tx, scopes: Sequence[Scope]) -> dict[str, Money]:
    """What is still free under each cap, by the cap's name."""
    return left_of(tx, {0: scopes})[0]


def left_of(tx: Tx, scopes: Mapping[int, Sequence[Scope]]) -> dict[int, dict[str, Money]]:
    """The same for many cases at once."""
    taken = _taken(tx, {scope.name for of_case in scopes.values() for scope in of_case})
    free: dict[int, dict[str, Money]] = {case: {} for case in scopes}
    for case, of_case in scopes.items():
        for scope in of_case:
            rest = scope.limit.minor - taken.get((scope.name, scope.limit.currency), 0)
            free[case][scope.cap] = Money(minor=max(0, rest), currency=scope.limit.currency)
    return free


def take(tx: Tx, case: int, round_: int, amount: Money, scopes: Sequence[Scope], now: datetime) -> str:
    """Take the amount from every cap at once, or from none; answers with the name of the cap that refuses, or ''."""
    share = Share(case, round_, amount, scopes)
    till = Till(tx, [share], now)
    refused = till.refusal(share)
    if not refused:
        till.take(share)
    till.close()
    return refused


class Till:
    """The caps' state in one transaction: loaded for all shares at once, taken from in memory, written when closed.

    A round that already holds its share is not charged again: planning twice is harmless. Another amount for the same
    round replaces the first.
    """

    def __init__(self, tx: Tx, shares: Sequence[Share], now: datetime) -> None:
        self._tx, self._now = tx, now
        self._held: dict[tuple[int, int], list[Any]] = {}
        self._taken: dict[tuple[str, str], int] = {}
        self._more: dict[tuple[str, str], int] = {}
        self._written: list[dict[str, Any]] = []
        if not shares:
            return
        entries = select(budget_entries).where(
            budget_entries.c.case_id.in_(sorted({share.case for share in shares})),
            budget_entries.c.released_at.is_(None),
        )
        for row in tx.execute(entries):
            self._held.setdefault((row.case_id, row.round), []).append(row)
        rows = {(scope.name, share.amount.currency) for share in shares for scope in share.bearing}
        if not rows:
            return
        # In one order, so that two workers never wait for each other in a circle.
        tx.execute(
            tx.upsert(budgets).on_conflict_do_nothing(),
            [{"scope": scope, "currency": currency, "taken": 0} for scope, currency in sorted(rows)],
        )
        query = select(budgets).where(budgets.c.scope.in_(sorted({scope for scope, _ in rows})))
        for row in tx.execute(tx.locked(query.order_by(budgets.c.scope, budgets.c.currency))):
            self._taken[row.scope, row.currency] = row.taken

    def refusal(self, share: Share) -> str:
        """The cap that has not enough left for it, or ''. Nothing is taken."""
        if self._has(share):
            return ""
        back = {(row.scope, row.currency): row.minor for row in self._held.get((share.case, share.round), ())}
        for scope in share.bearing:
            at = (scope.name, share.amount.currency)
            if self._taken[at] - back.get(at, 0) + share.amount.minor > scope.limit.minor:
                return scope.cap
        return ""

    def take(self, share: Share) -> None:
        """Take it: whoever asks has seen that nothing refuses."""
        if self._has(share):
            return
        if (share.case, share.round) in self._held:
            for row in self._held.pop((share.case, share.round)):
                self._taken[row.scope, row.currency] = (
                    self._taken.get((row.scope, row.currency), 0) - row.minor
                )
            release(self._tx, share.case, share.round, self._now)
        for scope in share.bearing:
            at = (scope.name, share.amount.currency)
            self._taken[at] += share.amount.minor
            self._more[at] = self._more.get(at, 0) + share.amount.minor
            self._written.append(
                {"case_id": share.case, "round": share.round, "scope": scope.name, "currency": share.amount.currency,
                 "minor": share.amount.minor}
            )  # fmt: skip

    def close(self) -> None:
        """Write what was taken."""
        if not self._written:
            return
        _add(self._tx, self._more)
        statement = self._tx.upsert(budget_entries)
        statement = statement.on_conflict_do_update(
            index_elements=["case_id", "round", "scope"],
            set_={
                "released_at": None,
                "minor": statement.excluded.minor,
                "currency": statement.excluded.currency,
            },
        )
        self._tx.execute(statement, self._written)

    def _has(self, share: Share) -> bool:
        held = self._held.get((share.case, share.round), ())
        same = (share.amount.minor, share.amount.currency)
        return bool(held) and all((row.minor, row.currency) == same for row in held)


def release(tx: Tx, case: int, round_: int, now: datetime) -> None:
    """Give back what a round took: its offer came to nothing."""
    query = select(budget_entries).where(
        budget_entries.c.case_id == case,
        budget_entries.c.round == round_,
        budget_entries.c.released_at.is_(None),
    )
    for row in tx.execute(tx.locked(query)).all():
        _add(tx, {(row.scope, row.currency): -row.minor})
        tx.execute(
            update(budget_entries)
            .where(
                budget_entries.c.case_id == case,
                budget_entries.c.round == round_,
                budget_entries.c.scope == row.scope,
            )
            .values(released_at=ticks(now))
        )


def _add(tx: Tx, amounts: Mapping[tuple[str, str], int]) -> None:
    tx.execute(
        update(budgets)
        .where(budgets.c.scope == bindparam("s"), budgets.c.currency == bindparam("c"))
        .values(taken=budgets.c.taken + bindparam("more")),
        [{"s": scope, "c": currency, "more": minor} for (scope, currency), minor in sorted(amounts.items())],
    )


def _taken(tx: Tx, scopes: Collection[str]) -> dict[tuple[str, str], int]:
    if not scopes:
        return {}
    query = select(budgets).where(budgets.c.scope.in_(sorted(scopes)))
    return {(row.scope, row.currency): row.taken for row in tx.execute(query)}
