"""Approval lists: frozen acts bound to amount, case version and expiry, decided by named people, each used once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update

from amends.cases import facts as f
from amends.cases.money import Money
from amends.errors import ApprovalError
from amends.ledger import chain
from amends.ledger.database import Tx
from amends.ledger.schema import approval_items, approval_lists, cases, moment, ticks


@dataclass(frozen=True, slots=True)
class Item:
    """One act on a list."""

    case: int
    what: str
    version: int
    why: str
    amount: Money | None = None
    people: int = 1
    number: str = ""
    decision: str | None = None
    decided_by: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A frozen list."""

    id: str
    shop: str
    kind: str
    created_at: datetime
    expires_at: datetime
    state: str
    items: tuple[Item, ...]
    round: int = 1
    problem: str = ""

    @property
    def waiting(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.decision is None)

    @property
    def amounts(self) -> tuple[Money, ...]:
        """What its waiting acts come to; of a list that waits no more, all its acts: a sum for each currency."""
        sums: dict[str, int] = {}
        for item in self.waiting or self.items:
            if item.amount is not None:
                sums[item.amount.currency] = sums.get(item.amount.currency, 0) + item.amount.minor
        return tuple(Money(minor=minor, currency=currency) for currency, minor in sorted(sums.items()))


def freeze(
    tx: Tx, shop: str, kind: str, items: Sequence[Item], *, now: datetime, expires_at: datetime
) -> str:
    """Make a list of these acts; the same acts of the same versions give the same list."""
    acts = _acts(items)
    digest = hashlib.sha256("\n".join([shop, str(ticks(expires_at)), *acts]).encode()).hexdigest()
    id_ = ""
    for length in (8, 16, 32, 64):  # short, as people type it; longer where another list has that name
        id_ = f"{kind}-{digest[:length]}"
        known = listing(tx, id_=id_)
        if not known:
            break
        if (known[0].shop, known[0].expires_at, _acts(known[0].items)) == (shop, expires_at, acts):
            return id_
    tx.execute(
        insert(approval_lists).values(
            id=id_, shop=shop, kind=kind, created_at=ticks(now), expires_at=ticks(expires_at), state="open"
        )
    )
    tx.execute(
        insert(approval_items),
        [
            {
                "list_id": id_, "case_id": item.case, "what": item.what, "version": item.version, "why": item.why,
                "minor": item.amount.minor if item.amount else None, "people": item.people,
                "currency": item.amount.currency if item.amount else None,
            }
            for item in items
        ],
    )  # fmt: skip
    return id_


def _acts(items: Sequence[Item]) -> list[str]:
    """What is asked, apart from how the answer stands."""
    return sorted(f"{item.case}:{item.what}:{item.version}:{item.amount}:{item.people}" for item in items)


def get(tx: Tx, id_: str) -> Listing:
    found = listing(tx, id_=id_)
    if not found:
        raise ApprovalError(f"there is no approval list {id_!r}", hint="See `amends approvals`.")
    return found[0]


def listing(
    tx: Tx, *, id_: str | None = None, shop: str | None = None, open_only: bool = False
) -> list[Listing]:
    """Lists with their items, oldest first."""
    query = select(approval_lists).order_by(approval_lists.c.created_at, approval_lists.c.id)
    if id_ is not None:
        query = query.where(approval_lists.c.id == id_)
    if shop is not None:
        query = query.where(approval_lists.c.shop == shop)
    if open_only:
        query = query.where(approval_lists.c.state == "open")
    found = []
    for row in tx.execute(query).all():
        items = select(approval_items, cases.c.number).join(cases, cases.c.id == approval_items.c.case_id)
        rows = tx.execute(
            items.where(approval_items.c.list_id == row.id).order_by(
                approval_items.c.case_id, approval_items.c.what
            )
        )
        found.append(
            Listing(
                row.id,
                row.shop,
                row.kind,
                moment(row.created_at),
                moment(row.expires_at),
                row.state,
                tuple(_item(i) for i in rows),
                row.round,
                row.problem,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person's word did: how many acts it approved, refused, left waiting for another, or found stale."""

    approved: int = 0
    refused: int = 0
    half: int = 0
    stale: int = 0


_AFTER = {
    "held": "`amends release` its cases, and the next sweep asks anew.",
    "expired": "The next sweep asks anew.",
    "decided": "See `amends case` for who decided what.",
}
"""What to do about a list that can no longer be decided."""


def must_be_open(tx: Tx, id_: str, now: datetime) -> None:
    """Lock a list that is to be decided; raises `ApprovalError` where it is unknown, or can no longer be."""
    head = tx.execute(tx.locked(select(approval_lists).where(approval_lists.c.id == id_))).first()
    if head is None:
        raise ApprovalError(f"there is no approval list {id_!r}", hint="See `amends approvals`.")
    if head.state != "open":
        raise ApprovalError(f"list {id_} is already {head.state}", hint=_AFTER.get(head.state))
    if ticks(now) >= head.expires_at:
        raise ApprovalError(
            f"list {id_} expired at {moment(head.expires_at):%Y-%m-%d %H:%M} UTC",
            hint=_AFTER["expired"],
        )


def decide(
    tx: Tx,
    id_: str,
    *,
    by: str,
    approve: bool,
    now: datetime,
    only: Sequence[int] | None = None,
    why: str = "",
) -> Decision:
    """Record a person's decision on every waiting act of the list, or on those of some cases.

    Raises `ApprovalError` for a list that is unknown, decided or expired, and for one person deciding twice where two
    are needed. An act whose case has changed or closed since it was frozen is stale: it gets neither yes nor no, and is
    asked for anew where it is still wanted.
    """
    must_be_open(tx, id_, now)
    query = select(approval_items, cases.c.version.label("case_version"), cases.c.outcome).join(
        cases, cases.c.id == approval_items.c.case_id
    )
    query = query.where(approval_items.c.list_id == id_, approval_items.c.decision.is_(None)).order_by(
        cases.c.id
    )
    rows = tx.execute(query.with_for_update(of=cases) if tx.postgres else query).all()
    wanted = [row for row in rows if only is None or row.case_id in only]
    if only is not None:
        unknown = sorted(set(only) - {row.case_id for row in rows})
        if unknown:
            raise ApprovalError(f"list {id_} has no waiting act of case {', '.join(map(str, unknown))}")
    if not wanted:
        raise ApprovalError(f"nothing on list {id_} waits for a decision")
    counts = {"approved": 0, "refused": 0, "half": 0, "stale": 0}
    new: dict[int, list[chain.New]] = {}
    for row in wanted:
        amount = Money(minor=row.minor, currency=row.currency) if row.minor is not None else None
        people = [name for name in row.decided_by.split(",") if name]
        if row.case_version != row.version or row.outcome is not None:
            result = "stale"
        elif not approve:
            result = "refused"
        elif by in people:
            raise ApprovalError(f"{by} has already approved; another person must too")
        else:
            result = "half" if len(people) + 1 < row.people else "approved"
        counts[result] += 1
        if result != "stale":
            fact: f.FactBody = f.ApprovalRefused(what=row.what, list=id_, by=by, why=why)
            if result != "refused":
                fact = f.Approved(
                    what=row.what,
                    list=id_,
                    by=by,
                    amount=amount,
                    version=row.version,
                    second=result == "half",
                )
            new.setdefault(row.case_id, []).append(chain.New(fact, now, by))
        tx.execute(
            update(approval_items)
            .where(
                approval_items.c.list_id == id_,
                approval_items.c.case_id == row.case_id,
                approval_items.c.what == row.what,
            )
            .values(
                decision=None if result == "half" else result,
                decided_by=",".join([*people, by]),
                decided_at=ticks(now),
            )
        )
    chain.append(tx, new)
    touched = sorted({row.case_id for row in wanted})
    tx.execute(
        update(cases)
        .where(cases.c.id.in_(touched), cases.c.outcome.is_(None))
        .values(due_at=ticks(now), wake=True)
    )
    left = select(approval_items.c.case_id).where(
        approval_items.c.list_id == id_, approval_items.c.decision.is_(None)
    )
    if tx.execute(left).first() is None:
        tx.execute(update(approval_lists).where(approval_lists.c.id == id_).values(state="decided"))
    return Decision(**counts)


def use(tx: Tx, case: int, what: str, *, version: int, amount: Money | None, now: datetime) -> bool:
    """Use up the yes for one act, in the transaction that plans it; False where there is none that fits."""
    query = select(approval_items).where(
        approval_items.c.case_id == case, approval_items.c.what == what, approval_items.c.decision == "approved",
        approval_items.c.used_at.is_(None), approval_items.c.version == version,
    )  # fmt: skip
    for row in tx.execute(tx.locked(query)).all():
        if amount is not None and (
            row.minor is None or row.currency != amount.currency or amount.minor > row.minor
        ):
            continue
        tx.execute(
            update(approval_items)
            .where(
                approval_items.c.list_id == row.list_id,
                approval_items.c.case_id == case,
                approval_items.c.what == what,
            )
            .values(used_at=ticks(now))
        )
        return True
    return False


def give_back(tx: Tx, case: int, what: str) -> None:
    """The act that used up this yes certainly was not done: another way to do the same may use it."""
    used = select(func.max(approval_items.c.used_at)).where(
        approval_items.c.case_id == case, approval_items.c.what == what
    )
    tx.execute(
        update(approval_items)
        .where(
            approval_items.c.case_id == case,
            approval_items.c.what == what,
            approval_items.c.used_at == used.scalar_subquery(),
        )
        .values(used_at=None)
    )


def expire(tx: Tx, shop: str, now: datetime) -> int:
    """Mark lists whose time has passed."""
    return tx.execute(
        update(approval_lists)
        .where(
            approval_lists.c.shop == shop,
            approval_lists.c.state == "open",
            approval_lists.c.expires_at <= ticks(now),
        )
        .values(state="expired")
    ).rowcount


def hold_undecided(tx: Tx, shop: str, after: timedelta, now: datetime) -> list[str]:
    """Hold the cases of lists that nobody has decided within that time; answers with the lists.

    The list ends with it: after a release the cases decide anew, and ask anew where it is still wanted. A list of
    which only stale acts are left is none to hold for.
    """
    query = select(approval_lists.c.id).where(
        approval_lists.c.shop == shop,
        approval_lists.c.state == "open",
        approval_lists.c.created_at <= ticks(now - after),
    )
    held: list[str] = []
    for row in tx.execute(tx.locked(query.order_by(approval_lists.c.id))).all():
        waits = select(cases.c.id).join(approval_items, approval_items.c.case_id == cases.c.id)
        same = waits.where(
            approval_items.c.list_id == row.id, approval_items.c.decision.is_(None),
            approval_items.c.version == cases.c.version, cases.c.outcome.is_(None),
        )  # fmt: skip
        ids = sorted({case.id for case in tx.execute(tx.locked(same))})
        why = f"nobody has decided list {row.id} in time"
        body = f.Held(why=why, by="amends", cause="undecided")
        chain.append(tx, {case: [chain.New(body, now)] for case in ids})
        tx.execute(update(cases).where(cases.c.id.in_(ids)).values(due_at=ticks(now), wake=True))
        mine = update(approval_lists).where(approval_lists.c.id == row.id)
        tx.execute(mine.values(state="held" if ids else "expired"))
        held += [row.id] if ids else []
    return held


def put_again(tx: Tx, id_: str, problem: str) -> None:
    """The form's next round: why the last answer did not count, or nothing where it did."""
    values = {"round": approval_lists.c.round + 1, "problem": problem}
    tx.execute(update(approval_lists).where(approval_lists.c.id == id_).values(**values))


def _item(row: Any) -> Item:
    amount = Money(minor=row.minor, currency=row.currency) if row.minor is not None else None
    return Item(
        row.case_id,
        row.what,
        row.version,
        row.why,
        amount,
        row.people,
        row.number,
        row.decision,
        row.decided_by,
    )
