"""Work for people: what, where, by when, with texts and files ready. Done once, by a named person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from amends.cases.snapshot import Snapshot
from amends.errors import CaseError
from amends.ledger.database import Tx
from amends.ledger.schema import cases, maybe_moment, moment, tasks, ticks


@dataclass(frozen=True, slots=True)
class Opening:
    """A task to be opened. Its text and files are kept with the case's personal values, under `task:<effect>`."""

    case: int
    shop: str
    number: str
    kind: str
    due_at: datetime
    effect: str = ""
    place: str = ""
    limits: str = ""
    choices: tuple[str, ...] = ("done", "not-done")


@dataclass(frozen=True, slots=True)
class Task:
    """A task as stored."""

    id: int
    case: int
    shop: str
    number: str
    kind: str
    effect: str
    place: str
    limits: str
    choices: tuple[str, ...]
    opened_at: datetime
    due_at: datetime
    done_at: datetime | None = None
    outcome: str | None = None
    done_by: str | None = None
    text: str = field(default="", repr=False)


def open_task(tx: Tx, opening: Opening, now: datetime) -> int:
    """Open a task, or answer with the number of the one that is open for this effect already.

    One that was done before opens again: an act sent anew after "not done" may need a person anew.
    """
    query = select(tasks.c.id, tasks.c.done_at).where(
        tasks.c.case_id == opening.case, tasks.c.effect == opening.effect, tasks.c.kind == opening.kind
    )
    known = tx.execute(query).first()
    if known is not None:
        if known.done_at is not None:
            tx.execute(
                update(tasks)
                .where(tasks.c.id == known.id)
                .values(
                    opened_at=ticks(now),
                    due_at=ticks(opening.due_at),
                    done_at=None,
                    outcome=None,
                    done_by=None,
                )
            )
        return int(known.id)
    statement = insert(tasks).values(
        case_id=opening.case, shop=opening.shop, number=opening.number, kind=opening.kind, effect=opening.effect,
        place=opening.place, limits=opening.limits, choices=",".join(opening.choices), opened_at=ticks(now),
        due_at=ticks(opening.due_at),
    )  # fmt: skip
    return int(tx.execute(statement).inserted_primary_key[0])  # type: ignore[index]  # an INSERT of one row has one


def known(snapshot: Snapshot) -> set[int]:
    """The numbers of the tasks that the case's facts already name as open."""
    return {int(number) for number in snapshot.tasks}


def get(tx: Tx, id_: int) -> Task:
    row = tx.execute(select(tasks).where(tasks.c.id == id_)).first()
    if row is None:
        raise CaseError(f"there is no task {id_}", hint="See `amends tasks`.")
    return _task(row)


def listing(
    tx: Tx, *, shop: str | None = None, open_only: bool = True, kind: str | None = None
) -> list[Task]:
    """Tasks, the soonest due first."""
    query = select(tasks).order_by(tasks.c.due_at, tasks.c.id)
    if shop is not None:
        query = query.where(tasks.c.shop == shop)
    if kind is not None:
        query = query.where(tasks.c.kind == kind)
    if open_only:
        query = query.where(tasks.c.done_at.is_(None))
    return [_task(row) for row in tx.execute(query)]


def finish(tx: Tx, id_: int, *, outcome: str, by: str, now: datetime) -> Task:
    """Mark a task done, once. Raises `CaseError` for one that is done or an outcome that it does not know."""
    if tx.postgres:  # the case first, as everybody locks
        of = select(tasks.c.case_id).where(tasks.c.id == id_)
        tx.execute(tx.locked(select(cases.c.id).where(cases.c.id == of.scalar_subquery())))
    row = tx.execute(tx.locked(select(tasks).where(tasks.c.id == id_))).first()
    if row is None:
        raise CaseError(f"there is no task {id_}", hint="See `amends tasks`.")
    task = _task(row)
    if task.done_at is not None:
        raise CaseError(f"task {id_} was already done by {task.done_by}: {task.outcome}")
    if outcome not in task.choices:
        raise CaseError(f"task {id_} ends as one of: {', '.join(task.choices)}; not {outcome!r}")
    tx.execute(update(tasks).where(tasks.c.id == id_).values(done_at=ticks(now), outcome=outcome, done_by=by))
    return task


def drop_for_effect(tx: Tx, effect: str, *, outcome: str, now: datetime) -> list[int]:
    """Close the open tasks of an effect that was seen to be settled without them."""
    query = select(tasks.c.id).where(tasks.c.effect == effect, tasks.c.done_at.is_(None))
    ids = [row.id for row in tx.execute(query)]
    if ids:
        tx.execute(
            update(tasks)
            .where(tasks.c.id.in_(ids))
            .values(done_at=ticks(now), outcome=outcome, done_by="seen")
        )
    return ids


def drop_of_closed(tx: Tx, cases: Sequence[int], now: datetime) -> None:
    """End the open tasks of cases that have closed: nobody needs to do them any more."""
    if cases:
        tx.execute(
            update(tasks)
            .where(tasks.c.case_id.in_(list(cases)), tasks.c.done_at.is_(None))
            .values(done_at=ticks(now), outcome="closed", done_by="amends")
        )


def _task(row: Any) -> Task:
    return Task(
        row.id, row.case_id, row.shop, row.number, row.kind, row.effect, row.place, row.limits, tuple(row.choices.split(",")),
        moment(row.opened_at), moment(row.due_at), maybe_moment(row.done_at), row.outcome, row.done_by,
    )  # fmt: skip
