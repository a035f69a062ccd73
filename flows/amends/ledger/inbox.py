"""Events from outside, each taken once: committed before anybody is answered, then applied to its case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update

from amends.ledger import intake
from amends.ledger.database import Tx
from amends.ledger.each import Each
from amends.ledger.schema import cases, inbox, moment, ticks


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event: unique per shop by its id; the body is the neutral JSON of what it says."""

    event: str
    number: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that has not been applied yet, with the open case it belongs to."""

    event: str
    number: str
    body: bytes
    received_at: datetime
    case: int


def receive(
    tx: Tx, shop: str, arrivals: Sequence[Arrival], now: datetime, *, cursor: tuple[str, str] | None = None
) -> int:
    """Keep new events and wake their cases; answers with how many were new. Seen ones change nothing."""
    new: list[str] = []
    for start in range(0, len(arrivals), 400):
        part = arrivals[start : start + 400]
        rows = [
            {
                "shop": shop,
                "event": a.event,
                "number": a.number,
                "received_at": ticks(now),
                "body": tx.vault.seal(a.body),
            }
            for a in part
        ]
        statement = tx.upsert(inbox).on_conflict_do_nothing(index_elements=["shop", "event"])
        new += [row.number for row in tx.execute(statement.returning(inbox.c.number), rows)]
    if cursor is not None:
        intake.set_cursor(tx, shop, cursor[0], cursor[1], now)
    intake.wake(tx, shop, sorted(set(new)), now)
    return len(new)


_WAITING = Each(
    lambda among, locked: (
        select(inbox.c.event, inbox.c.number, inbox.c.body, inbox.c.received_at, cases.c.id)
        .join(cases, (cases.c.shop == inbox.c.shop) & (cases.c.number == inbox.c.number))
        .where(
            inbox.c.shop == bindparam("of"),
            inbox.c.applied_at.is_(None),
            among(cases.c.id),
            cases.c.outcome.is_(None),
        )
        .order_by(inbox.c.received_at, inbox.c.event)
    )
)


def waiting(tx: Tx, shop: str, ids: Sequence[int]) -> dict[int, list[Waiting]]:
    """Unapplied events of these cases' orders, oldest first."""
    found: dict[int, list[Waiting]] = {}
    for row in _WAITING(tx, ids, of=shop).all():
        item = Waiting(row.event, row.number, tx.vault.unseal(row.body), moment(row.received_at), row.id)
        found.setdefault(row.id, []).append(item)
    return found


def applied(tx: Tx, shop: str, events: Sequence[str], case: int | None, now: datetime) -> None:
    """Say that these events have become facts (or bear on nothing); their words are kept with the case, not here."""
    if events:
        tx.execute(
            update(inbox)
            .where(inbox.c.shop == shop, inbox.c.event.in_(list(events)))
            .values(applied_at=ticks(now), case_id=case, body=b"")
        )


def forget(tx: Tx, shop: str, number: str, now: datetime) -> None:
    """Drop the words of what came in for that order after its case had closed; an open case still reads its own."""
    open_ = select(cases.c.id).where(
        cases.c.shop == shop, cases.c.number == number, cases.c.outcome.is_(None)
    )
    if tx.execute(open_).first() is not None:
        return
    mine = (inbox.c.shop == shop) & (inbox.c.number == number) & inbox.c.applied_at.is_(None)
    tx.execute(update(inbox).where(mine).values(applied_at=ticks(now), body=b""))
