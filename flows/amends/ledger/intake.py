"""Takes observed orders in: de-duplicated, watched until they can become late, and opened as cases when they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, select, update

from amends.cases import facts as f
from amends.cases.lateness import Lateness, State
from amends.cases.orders import Order
from amends.ledger import chain
from amends.ledger.database import Tx
from amends.ledger.schema import cases, cursors, maybe_ticks, moment, orders, ticks, versions

_BATCH = 400
_UNREAD, _BEGAN = "unread:", "began"
_LOOKED = re.compile(r'"observed_at":"[^"]*",?')


@dataclass(frozen=True, slots=True)
class Seen:
    """An order as observed, and how it was judged."""

    order: Order
    lateness: Lateness


@dataclass(frozen=True, slots=True)
class Opening:
    """A case to be opened: for this order, for this reason, by these versions."""

    number: str
    state: State
    why: str
    playbook: str
    policy: str
    due_at: datetime
    held: f.Held | None = None


def cursor(tx: Tx, shop: str, name: str) -> str:
    return (
        tx.execute(select(cursors.c.value).where(cursors.c.shop == shop, cursors.c.name == name)).scalar()
        or ""
    )


def set_cursor(tx: Tx, shop: str, name: str, value: str, at: datetime) -> None:
    statement = tx.upsert(cursors).values(shop=shop, name=name, value=value, at=ticks(at))
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["shop", "name"], set_={"value": value, "at": ticks(at)}
        )
    )


def began(tx: Tx, shop: str) -> datetime | None:
    """When the first page of this shop was read; None before, and where an older amends read it."""
    at = cursor(tx, shop, _BEGAN)
    return moment(int(at)) if at else None


def unread(tx: Tx, shop: str) -> dict[str, str]:
    """Orders that a list named but that could not be read, each with why; the one longest not asked for comes first."""
    theirs = cursors.c.name.startswith(_UNREAD, autoescape=True)
    query = select(cursors.c.name, cursors.c.value).where(cursors.c.shop == shop, theirs)
    rows = tx.execute(query.order_by(cursors.c.at, cursors.c.name))
    return {row.name.removeprefix(_UNREAD): row.value for row in rows}


def read_at_last(tx: Tx, shop: str, numbers: Iterable[str]) -> None:
    """These orders need no longer be asked for: they were read, or the platform has them no more."""
    names = [_UNREAD + number for number in numbers]
    for start in range(0, len(names), _BATCH):
        part = cursors.c.name.in_(names[start : start + _BATCH])
        tx.execute(delete(cursors).where(cursors.c.shop == shop, part))


def take(
    tx: Tx,
    shop: str,
    seen: Sequence[Seen],
    *,
    cursor_value: str | None = None,
    unreadable: Mapping[str, str] | None = None,
    began: bool = False,
    now: datetime,
    waking: bool = True,
) -> list[str]:
    """Store these orders and the cursor in one transaction; answers with the numbers that are new or changed.

    An order is replaced by one that the platform changed later, or that differs and was looked at later: lists lag
    behind the orders themselves. A changed order wakes its open case. `unreadable` are further orders, each with why
    it cannot be read: they are kept beside the cursor, which goes on past them, until they are read by themselves.
    `began`: this is the first page that this ledger has of the shop.
    """
    rows: dict[str, dict[str, Any]] = {}
    for item in seen:
        row = _row(shop, item)
        known = rows.get(row["number"])
        if known is None or not _older(row, known):
            rows[row["number"]] = row
    changed: list[str] = []
    # On Postgres by number, so that those who take the same orders in at once wait in no circle; else as they came.
    numbers = sorted(rows) if tx.postgres else list(rows)
    for start in range(0, len(numbers), _BATCH):
        part = [rows[number] for number in numbers[start : start + _BATCH]]
        changed += _store(tx, shop, part)
    if cursor_value is not None:
        set_cursor(tx, shop, "orders", cursor_value, now)
        if began:
            set_cursor(tx, shop, _BEGAN, str(ticks(now)), now)
    for number, why in (unreadable or {}).items():
        set_cursor(tx, shop, _UNREAD + number, why, now)
    if waking:
        wake(tx, shop, changed, now)
    return changed


def _store(tx: Tx, shop: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write those rows that are new or tell of a later state; of the others only that they were looked at."""
    columns = (orders.c.number, orders.c.updated_at, orders.c.observed_at, orders.c.snapshot)
    query = select(*columns).where(
        orders.c.shop == shop, orders.c.number.in_([row["number"] for row in rows])
    )
    if tx.postgres:  # as Python sorts
        query = tx.locked(query.order_by(orders.c.number.collate("C")))
    known = {row.number: row._asdict() for row in tx.execute(query)}
    changed, looked = [], []
    for row in rows:
        old = known.get(row["number"])
        if old is None or (not _older(row, old) and _content(row) != _content(old)):
            changed.append(row)
        elif not _older(row, old) and row["observed_at"] > old["observed_at"]:
            looked.append({"n": row["number"], "at": row["observed_at"]})
    if looked:
        tx.execute(
            update(orders)
            .where(orders.c.shop == shop, orders.c.number == bindparam("n"))
            .values(observed_at=bindparam("at")),
            looked,
        )
    if not changed:
        return []
    statement = tx.upsert(orders)
    new = statement.excluded
    same = (new.updated_at == orders.c.updated_at) | new.updated_at.is_(None) | orders.c.updated_at.is_(None)
    statement = statement.on_conflict_do_update(
        index_elements=["shop", "number"],
        set_={c.name: new[c.name] for c in orders.columns if c.name not in ("shop", "number")},
        where=(new.updated_at > orders.c.updated_at) | (same & (new.observed_at >= orders.c.observed_at)),
    )
    return [row.number for row in tx.execute(statement.returning(orders.c.number), changed)]


def _older(row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether one row tells of an earlier time than another of the same order."""
    mine, other = row["updated_at"], known["updated_at"]
    if mine is not None and other is not None and mine != other:
        return bool(mine < other)
    return bool(row["observed_at"] < known["observed_at"])


def _content(row: Mapping[str, Any]) -> str:
    """A stored snapshot but for the time at which it was looked at."""
    return _LOOKED.sub("", row["snapshot"], count=1)


def wake(tx: Tx, shop: str, numbers: Sequence[str], now: datetime) -> None:
    """Make the open cases of these orders due at once; one that a worker holds becomes due when it is let go."""
    for start in range(0, len(numbers), _BATCH):
        theirs = (
            cases.c.shop == shop,
            cases.c.number.in_(numbers[start : start + _BATCH]),
            cases.c.outcome.is_(None),
        )
        if tx.postgres:  # in the order in which workers lock them
            tx.execute(tx.locked(select(cases.c.id).where(*theirs).order_by(cases.c.id)))
        tx.execute(
            update(cases)
            .where(*theirs)
            .values(
                wake=True,
                due_at=case((cases.c.due_at < ticks(now), cases.c.due_at), else_=ticks(now)),
            )
        )


def due_orders(tx: Tx, shop: str, now: datetime, limit: int = 500) -> list[Order]:
    """Watched orders whose `risk_at` has come and that have no open case, soonest first."""
    busy = select(cases.c.number).where(
        cases.c.shop == shop, cases.c.number == orders.c.number, cases.c.outcome.is_(None)
    )
    query = (
        select(orders.c.snapshot)
        .where(
            orders.c.shop == shop,
            orders.c.risk_at.is_not(None),
            orders.c.risk_at <= ticks(now),
            ~busy.exists(),
        )
        .order_by(orders.c.risk_at)
        .limit(limit)
    )
    return [Order.model_validate_json(row.snapshot) for row in tx.execute(query)]


def judged(tx: Tx, shop: str, seen: Iterable[Seen]) -> None:
    """Write a new verdict on watched orders that did not change themselves."""
    rows = [
        {
            "n": item.order.number,
            "state": item.lateness.state.value,
            "risk_at": maybe_ticks(item.lateness.risk_at),
            "ship_by": maybe_ticks(item.lateness.ship_by),
        }
        for item in sorted(seen, key=lambda item: item.order.number)
    ]
    if rows:
        tx.execute(
            update(orders)
            .where(orders.c.shop == shop, orders.c.number == bindparam("n"))
            .values({name: bindparam(name) for name in ("state", "risk_at", "ship_by")}),
            rows,
        )


def open_cases(tx: Tx, shop: str, openings: Sequence[Opening], now: datetime) -> dict[str, int]:
    """Open a case per order that has none open: the next generation. Answers with case ids by order number.

    An order whose last case was put right is not opened again for the same trouble; it is watched no more until it
    changes.
    """
    if not openings:
        return {}
    last = _last_cases(tx, shop, [opening.number for opening in openings])
    fresh: dict[str, tuple[Opening, int]] = {}
    done_with: list[str] = []
    for opening in openings:
        row = last.get(opening.number)
        if opening.number in fresh or (row is not None and row.outcome is None):
            continue
        if row is not None and not _again(row, opening.state):
            done_with.append(opening.number)
            continue
        fresh[opening.number] = opening, 1 if row is None else row.generation + 1
    opened = _insert(tx, shop, fresh, now)
    new: dict[int, list[chain.New]] = {}
    for number, id_ in opened.items():
        opening, generation = fresh[number]
        body = f.Opened(
            why=opening.why, playbook=opening.playbook, policy=opening.policy, generation=generation
        )
        new[id_] = [chain.New(body, now)]
        if opening.held is not None:
            new[id_].append(chain.New(opening.held, now))
    chain.append(tx, new)
    for start in range(0, len(done_with), _BATCH):
        part = done_with[start : start + _BATCH]
        tx.execute(
            update(orders).where(orders.c.shop == shop, orders.c.number.in_(part)).values(risk_at=None)
        )
    return opened


def _insert(tx: Tx, shop: str, fresh: Mapping[str, tuple[Opening, int]], now: datetime) -> dict[str, int]:
    """The new cases' ids by order number; an order whose case another worker has just opened is left out."""
    rows = [
        {
            "shop": shop, "number": number, "generation": generation, "opened_at": ticks(now),
            "stage": "held" if opening.held else "verify", "due_at": ticks(opening.due_at), "why": opening.why,
            "playbook": opening.playbook, "policy": opening.policy,
        }
        for number, (opening, generation) in fresh.items()
    ]  # fmt: skip
    if not rows:
        return {}
    statement = tx.upsert(cases).on_conflict_do_nothing().returning(cases.c.number, cases.c.id)
    ids = {row.number: row.id for row in tx.execute(statement, rows)}
    return {number: ids[number] for number in fresh if number in ids}


def _last_cases(tx: Tx, shop: str, numbers: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(numbers), _BATCH):
        part = numbers[start : start + _BATCH]
        query = select(cases.c.number, cases.c.generation, cases.c.outcome, cases.c.closed_state)
        rows = tx.execute(
            query.where(cases.c.shop == shop, cases.c.number.in_(part)).order_by(cases.c.generation)
        )
        found |= {row.number: row for row in rows}
    return found


def _again(last: Any, state: State) -> bool:
    """Whether an order in that state deserves a new case after its last one: new trouble, not the old."""
    if last.outcome == f.Outcome.NOT_LATE:
        return True
    return state is State.STALLED and last.closed_state != State.STALLED


def pin(tx: Tx, kind: str, version: str, body: str) -> None:
    """Keep what a version of a playbook or policy said, for the cases that began with it."""
    statement = tx.upsert(versions).values(kind=kind, version=version, body=body)
    tx.execute(statement.on_conflict_do_nothing())


def pinned(tx: Tx, kind: str) -> dict[str, str]:
    return {row.version: row.body for row in tx.execute(select(versions).where(versions.c.kind == kind))}


def _row(shop: str, item: Seen) -> dict[str, Any]:
    order, late = item.order.public(), item.lateness
    return {
        "shop": shop,
        "number": order.number,
        "updated_at": maybe_ticks(order.updated_at),
        "observed_at": ticks(order.observed_at),
        "state": late.state.value,
        "risk_at": maybe_ticks(late.risk_at),
        "ship_by": maybe_ticks(late.ship_by),
        "placed_at": ticks(order.placed_at),
        "minor": order.amount.minor,
        "currency": order.amount.currency,
        "after_sales": order.after_sales.value,
        "customer": order.customer,
        "snapshot": chain.encode(order),
    }
