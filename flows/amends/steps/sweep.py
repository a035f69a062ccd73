"""One sweep of a shop: take its lease, bring in what changed, advance what is due, say what moved."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, update

from amends.ledger import Tx, approvals, leases
from amends.ledger.schema import sweeps, ticks
from amends.steps.advance import Moved, Runner, advance, directly
from amends.steps.ask_approvers import hold_undecided
from amends.steps.intake import Found, take_orders, take_replies
from amends.steps.shop import Shop
from amends.steps.write_notes import write_notes

Taker = Callable[[str, Callable[[Shop], Awaitable[Found]], Shop], Awaitable[Found]]


@dataclass(slots=True)
class Summary:
    """What one sweep did; `state` is `done` or `already-running`."""

    shop: str
    state: str = "done"
    orders: int = 0
    changed: int = 0
    opened: int = 0
    replies: int = 0
    cases: int = 0
    closed: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    expired: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def take_directly(name: str, take: Callable[[Shop], Awaitable[Found]], shop: Shop) -> Found:
    del name
    return await take(shop)


async def sweep(shop: Shop, *, run: Runner = directly, take: Taker = take_directly) -> Summary:
    """Sweep once. A second sweep of the same shop meanwhile ends as `already-running` and touches nothing."""
    summary = Summary(shop.name)
    began = time.monotonic()
    epoch = await shop.ledger.run(leases.take_shop, shop.name, shop.owner)
    if epoch is None:
        summary.state = "already-running"
        return summary
    try:
        started = shop.clock.now()
        id_ = await shop.ledger.run(_begin, shop.name, started)
        orders = await take("find-orders", take_orders, shop)
        replies = await take("read-replies", take_replies, shop)
        shop.problems += await shop.ledger.run(
            hold_undecided, shop.settings, shop.name, shop.clock.now()
        )  # before they expire, however long no sweep came
        summary.expired = await shop.ledger.run(approvals.expire, shop.name, shop.clock.now())
        moved = await advance(shop, run=_keeping(shop, run))
        await write_notes(shop)
        _sum_up(summary, orders, replies, moved)
        summary.problems, shop.problems = [*summary.problems, *shop.problems], []
        summary.seconds = round(time.monotonic() - began, 3)
        await shop.ledger.run(_end, id_, summary, shop.clock.now())
    finally:
        await shop.ledger.run(leases.free_shop, shop.name, shop.owner)
    return summary


def _keeping(shop: Shop, run: Runner) -> Runner:
    """Prolong the shop's lease with each step, so that a long sweep keeps it."""

    async def kept(name: str, step: Any, of: Shop, turns: Any) -> Any:
        await shop.ledger.run(leases.keep_shop, shop.name, shop.owner)
        return await run(name, step, of, turns)

    return kept


def _sum_up(summary: Summary, orders: Found, replies: Found, moved: Moved) -> None:
    summary.orders, summary.changed, summary.opened = orders.orders, orders.changed, orders.opened
    summary.replies = replies.replies
    summary.cases, summary.closed, summary.steps = moved.cases, moved.closed, moved.steps


def _begin(tx: Tx, shop: str, now: datetime) -> int:
    statement = insert(sweeps).values(shop=shop, started_at=ticks(now))
    return int(tx.execute(statement).inserted_primary_key[0])  # type: ignore[index]  # an INSERT of one row has one


def _end(tx: Tx, id_: int, summary: Summary, now: datetime) -> None:
    counts = {k: v for k, v in asdict(summary).items() if k not in ("problems", "seconds")}
    tx.execute(
        update(sweeps).where(sweeps.c.id == id_).values(ended_at=ticks(now), counts=json.dumps(counts))
    )
