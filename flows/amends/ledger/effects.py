"""The effects table: one row per act on the outside world, written before the act and after it.

planned → sent → confirmed | rejected | unknown (looked for later) | quarantined (a person finds out).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.snapshot import Pending
from amends.ledger.database import Tx
from amends.ledger.each import Each
from amends.ledger.many import Many
from amends.ledger.schema import effects, maybe_moment, maybe_ticks, moment, orders, ticks

NOTE = "note"
"""The op of notes in the back office: no case waits for one, so they are not among what a worker has open."""


class EffectState(StrEnum):
    PLANNED = "planned"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    QUARANTINED = "quarantined"

    @property
    def settled(self) -> bool:
        return self in (EffectState.CONFIRMED, EffectState.REJECTED)


_INSERT = Many(
    lambda tx: insert(effects), "key", "case_id", "shop", "number", "step", "round", "op", "kind", "via", "effect_class", "state",
    "request", "request_hash", "minor", "currency", "epoch", "planned_at",
)  # fmt: skip
_MARK = Each(
    lambda among, locked: (
        update(effects)
        .where(among(effects.c.key))
        .values(
            state="sent", sent_at=bindparam("now"), attempt=effects.c.attempt + 1, look_at=None,
            first_sent_at=func.coalesce(effects.c.first_sent_at, bindparam("now")),
        )
    )
)  # fmt: skip
_CHANGE = Many(
    lambda tx: (
        update(effects)
        .where(effects.c.key == bindparam("k"))
        .values(**{name: bindparam(name) for name in ("state", "ref", "error", "look_at", "settled_at")})
    )
)
_BY_KEY = Each(lambda among, locked: select(effects).where(among(effects.c.key)))
_OF_CASES = Each(
    lambda among, locked: (
        select(effects).where(among(effects.c.case_id)).order_by(effects.c.planned_at, effects.c.key)
    )
)
_UNSETTLED = Each(
    lambda among, locked: (
        select(effects)
        .where(among(effects.c.case_id), effects.c.settled_at.is_(None), effects.c.op != NOTE)
        .order_by(effects.c.planned_at, effects.c.key)
    )
)


@dataclass(frozen=True, slots=True)
class Draft:
    """An effect about to be planned. `request` is stored as it is and sent as stored, also after a crash."""

    case: int
    shop: str
    number: str
    generation: int
    step: f.Step
    round: int
    op: str
    kind: str
    effect_class: str
    request: str
    via: str = "platform"
    detail: str = ""  # what else tells two acts of a round apart: the channel, the instance
    amount: Money | None = None

    key: str = field(init=False)
    """Deterministic: shop, order, generation, step, round and kind; never random, never the time."""

    def __post_init__(self) -> None:
        named = [part.replace("%", "%25").replace("/", "%2F") for part in (self.shop, self.number)]
        parts = [*named, f"g{self.generation}", self.step.value, str(self.round), self.kind]
        key = "/".join([*parts, self.detail] if self.detail else parts)
        object.__setattr__(self, "key", key)  # frozen from here on


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect as stored."""

    key: str
    case: int
    shop: str
    number: str
    step: f.Step
    round: int
    op: str
    kind: str
    via: str
    effect_class: str
    state: EffectState
    request: str
    attempt: int
    planned_at: datetime
    first_sent_at: datetime | None
    sent_at: datetime | None
    look_at: datetime | None
    settled_at: datetime | None
    ref: str
    error: str
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an effect in one attempt."""

    key: str
    state: EffectState
    ref: str = ""
    error: str = ""
    look_at: datetime | None = None


def plan(
    tx: Tx, drafts: Sequence[Draft], epochs: dict[int, int], now: datetime, *, known: Mapping[str, Effect]
) -> dict[str, Effect]:
    """Write the drafts as planned, each once: one that is `known` keeps its stored request and state.

    A rejected one certainly was not done, so planning it anew makes it `planned` again with the new request.
    """
    stored: dict[str, Effect] = {}
    rows, again = [], []
    for draft in drafts:
        key = draft.key
        found = stored.get(key) or known.get(key)
        if found is None:
            rows.append(row(draft, epochs[draft.case], now))
            found = _planned(draft, key, now)
        elif found.state is EffectState.REJECTED:
            again.append({"k": key, "request": draft.request, "hash": _hash(draft.request), "at": ticks(now)})
            found = replace(
                found, state=EffectState.PLANNED, request=draft.request, planned_at=now, settled_at=None, look_at=None,
                error="",
            )  # fmt: skip
        stored[key] = found
    _INSERT(tx, rows)
    if again:
        tx.execute(
            update(effects).where(effects.c.key == bindparam("k")).values(
                state="planned", request=bindparam("request"), request_hash=bindparam("hash"), planned_at=bindparam("at"),
                settled_at=None, look_at=None, error="",
            ),
            again,
        )  # fmt: skip
    return stored


def mark_sent(tx: Tx, keys: Sequence[str], now: datetime) -> None:
    """Say, durably, that these requests are about to leave."""
    if not keys:
        return
    at = ticks(now)
    _MARK(tx, keys, now=at)


def change(tx: Tx, changes: Sequence[Change], now: datetime) -> None:
    """Write what became of effects."""
    if not changes:
        return
    rows = [
        {
            "k": c.key, "state": c.state.value, "ref": c.ref, "error": c.error, "look_at": maybe_ticks(c.look_at),
            "settled_at": ticks(now) if c.state.settled else None,
        }
        for c in changes
    ]  # fmt: skip
    _CHANGE(tx, rows)


def by_key(tx: Tx, keys: Iterable[str]) -> dict[str, Effect]:
    keys = list(keys)
    if not keys:
        return {}
    return {row.key: read(row) for row in _BY_KEY(tx, keys).all()}


def of_cases(tx: Tx, ids: Sequence[int], *, unsettled: bool = False) -> dict[int, list[Effect]]:
    """Effects by case, in the order in which they were planned; `unsettled`: only those that still need something."""
    found: dict[int, list[Effect]] = {case: [] for case in ids}
    for row in (_UNSETTLED if unsettled else _OF_CASES)(tx, ids).all():
        found[row.case_id].append(read(row))
    return found


def messages_to(tx: Tx, shop: str, customers: Sequence[str], *, since: datetime) -> dict[str, list[datetime]]:
    """When customers of a shop were written to since then, whatever the order and the way."""
    found: dict[str, list[datetime]] = {}
    query = (
        select(orders.c.customer, effects.c.first_sent_at)
        .join(orders, (orders.c.shop == effects.c.shop) & (orders.c.number == effects.c.number))
        .where(
            effects.c.shop == shop, effects.c.op == "message", effects.c.state != EffectState.REJECTED.value,
            effects.c.first_sent_at > ticks(since), orders.c.customer.in_(list(customers)),
        )
    )  # fmt: skip
    for customer, at in tx.execute(query):
        found.setdefault(customer, []).append(moment(at))
    return found


def pending(effect: Effect) -> Pending:
    """The part of an unsettled effect that decisions are made from. A quarantined one holds the case by its fact."""
    return Pending(
        effect.key, effect.step, effect.op, effect.state.value, effect.effect_class, effect.look_at
    )


def _planned(draft: Draft, key: str, now: datetime) -> Effect:
    return Effect(
        key, draft.case, draft.shop, draft.number, draft.step, draft.round, draft.op, draft.kind, draft.via,
        draft.effect_class, EffectState.PLANNED, draft.request, 0, now, None, None, None, None, "", "", draft.amount,
    )  # fmt: skip


def row(draft: Draft, epoch: int, now: datetime) -> dict[str, Any]:
    """A draft as a row of the table, planned."""
    return {
        "key": draft.key, "case_id": draft.case, "shop": draft.shop, "number": draft.number, "step": draft.step.value,
        "round": draft.round, "op": draft.op, "kind": draft.kind, "via": draft.via, "effect_class": draft.effect_class,
        "state": "planned", "request": draft.request, "request_hash": _hash(draft.request),
        "minor": draft.amount.minor if draft.amount else None, "currency": draft.amount.currency if draft.amount else None,
        "epoch": epoch, "planned_at": ticks(now),
    }  # fmt: skip


def _hash(request: str) -> str:
    return hashlib.sha256(request.encode()).hexdigest()


def read(row: Any) -> Effect:
    """A row of the table as an effect."""
    amount = Money(minor=row.minor, currency=row.currency) if row.minor is not None else None
    return Effect(
        row.key, row.case_id, row.shop, row.number, f.Step(row.step), row.round, row.op, row.kind, row.via, row.effect_class,
        EffectState(row.state), row.request, row.attempt, moment(row.planned_at), maybe_moment(row.first_sent_at),
        maybe_moment(row.sent_at), maybe_moment(row.look_at), maybe_moment(row.settled_at), row.ref, row.error, amount,
    )  # fmt: skip
