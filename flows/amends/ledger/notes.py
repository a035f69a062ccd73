"""Notes in a shop's back office as effects that no case waits for: added once, taken by the sweep, settled apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update

from amends.ledger import holds
from amends.ledger.database import Tx
from amends.ledger.effects import NOTE, Draft, Effect, EffectState, read, row
from amends.ledger.schema import cases, effects, ticks

_MOST = 2000
"""Open notes that are looked through at once; more of them means that the platform has refused them for days."""


def add(tx: Tx, drafts: Sequence[tuple[Draft, int]], now: datetime) -> None:
    """Plan notes, each with its case's epoch. One that is there stays as it is, a rejected one too."""
    if drafts:
        rows = [row(draft, epoch, now) for draft, epoch in drafts]
        tx.execute(tx.upsert(effects).on_conflict_do_nothing(), rows)


def take(tx: Tx, shop: str, now: datetime, *, quiet: timedelta, limit: int) -> list[Effect]:
    """The notes to be dealt with now, as they were: each case's oldest open one, where nothing is held.

    What will be sent is marked as sent, and all of them are nobody else's for `quiet`: that is how long a crash
    leaves one alone.
    """
    blocks = holds.current(tx, shop)
    query = (
        select(effects)
        .join(cases, cases.c.id == effects.c.case_id)
        .where(
            effects.c.shop == shop, effects.c.op == NOTE, effects.c.settled_at.is_(None), cases.c.stage != "held",
            or_(effects.c.state == EffectState.PLANNED.value, effects.c.look_at.is_not(None)),  # else given up
        )
        .order_by(effects.c.planned_at, effects.c.key)
        .limit(_MOST)
    )  # fmt: skip
    if tx.postgres:
        query = query.with_for_update(of=effects, skip_locked=True)
    first: dict[int, Effect] = {}
    for found in map(read, tx.execute(query)):
        first.setdefault(found.case, found)
    due = [
        note
        for note in first.values()
        if (note.look_at is None or note.look_at <= now)
        and not any(hold.bears_on(shop, note.step.value) for hold in blocks)
    ][:limit]
    looked = [note.key for note in due if to_be_looked_for(note)]
    sent = [note.key for note in due if not to_be_looked_for(note)]
    later = ticks(now + quiet)
    if looked:
        tx.execute(update(effects).where(effects.c.key.in_(looked)).values(look_at=later))
    if sent:
        tx.execute(
            update(effects).where(effects.c.key.in_(sent)).values(
                state=EffectState.SENT.value, sent_at=ticks(now), look_at=later, attempt=effects.c.attempt + 1,
                first_sent_at=func.coalesce(effects.c.first_sent_at, ticks(now)),
            )
        )  # fmt: skip
    return due


def to_be_looked_for(note: Effect) -> bool:
    """Whether it may have been written already, and the platform can say so."""
    return note.state is not EffectState.PLANNED and note.effect_class == "queryable"
