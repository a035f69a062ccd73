"""What approvers were told about a list, and when: planned first, marked before it leaves, each at most once.

This is the log of a list. A notice that was under way when a process died is never sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update

from amends.ledger.database import Tx
from amends.ledger.schema import approval_lists, approval_notices, maybe_moment, moment, ticks

Kind = Literal["asked", "reminded", "code", "held"]
TRIES = 5
"""How often a notice is tried that certainly did not leave."""
_WAITING = ("planned", "failed")


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of a list's log. `state`: `planned`, `sending`, `sent`, `unknown` (perhaps), `failed` (certainly not),
    `none` (they have no channel and look by themselves), `dropped` (nobody needs it any more).
    """

    list: str
    person: str
    kind: Kind
    number: int
    state: str
    planned_at: datetime
    at: datetime | None = None
    tries: int = 0
    error: str = ""


def plan(
    tx: Tx, list_id: str, shop: str, who: Iterable[tuple[str, Kind]], now: datetime, *, number: int = 1
) -> int:
    """Write down that these people are to be told; what is written down already stays. Answers with how many are new."""
    rows: list[dict[str, Any]] = [
        {
            "list_id": list_id, "person": person, "kind": kind, "number": number, "shop": shop, "state": "planned",
            "planned_at": ticks(now),
        }
        for person, kind in who
    ]  # fmt: skip
    if not rows:
        return 0
    statement = tx.upsert(approval_notices).on_conflict_do_nothing().returning(approval_notices.c.person)
    return len(tx.execute(statement, rows).all())


def again(tx: Tx, list_id: str, shop: str, person: str, now: datetime) -> Notice:
    """Plan one more code for a person who asks for it."""
    mine = [
        one.number
        for one in log(tx, [list_id]).get(list_id, ())
        if (one.person, one.kind) == (person, "code")
    ]
    number = max(mine, default=0) + 1
    plan(tx, list_id, shop, [(person, "code")], now, number=number)
    return Notice(list_id, person, "code", number, "planned", now)


def waiting(tx: Tx, shop: str) -> list[Notice]:
    """What is still to be sent in that shop, the oldest first."""
    query = select(approval_notices).where(
        approval_notices.c.shop == shop,
        approval_notices.c.state.in_(_WAITING),
        approval_notices.c.tries < TRIES,
    )
    order = query.order_by(
        approval_notices.c.planned_at, approval_notices.c.list_id, approval_notices.c.person
    )
    return [_notice(row) for row in tx.execute(order)]


def begin(tx: Tx, notice: Notice, now: datetime) -> str:
    """Mark a notice before it leaves; answers with the list's state. Empty: somebody else has it, or has sent it."""
    row = tx.execute(tx.locked(select(approval_notices.c.state).where(_is(notice)))).first()
    if row is None or row.state not in _WAITING:
        return ""
    _set(tx, notice, state="sending", at=ticks(now), tries=approval_notices.c.tries + 1, error="")
    state = tx.execute(select(approval_lists.c.state).where(approval_lists.c.id == notice.list)).scalar()
    return str(state)


def end(tx: Tx, notice: Notice, state: str, error: str = "", *, counts: bool = True) -> None:
    """Write what became of it. `counts=False`: it is no try, as where config is wrong: that is for a person to mend."""
    more: dict[str, Any] = {} if counts else {"tries": 0}
    _set(tx, notice, state=state, error=error, **more)


def log(tx: Tx, lists: Sequence[str]) -> dict[str, list[Notice]]:
    """The logs of these lists, the oldest line first."""
    found: dict[str, list[Notice]] = {}
    for start in range(0, len(lists), 400):
        query = select(approval_notices).where(approval_notices.c.list_id.in_(lists[start : start + 400]))
        for row in tx.execute(query.order_by(approval_notices.c.planned_at, approval_notices.c.person)):
            found.setdefault(row.list_id, []).append(_notice(row))
    return found


def _is(notice: Notice) -> Any:
    c = approval_notices.c
    return (
        (c.list_id == notice.list)
        & (c.person == notice.person)
        & (c.kind == notice.kind)
        & (c.number == notice.number)
    )


def _set(tx: Tx, notice: Notice, **values: Any) -> None:
    tx.execute(update(approval_notices).where(_is(notice)).values(**values))


def _notice(row: Any) -> Notice:
    return Notice(
        row.list_id, row.person, row.kind, row.number, row.state, moment(row.planned_at), maybe_moment(row.at),
        row.tries, row.error,
    )  # fmt: skip
