"""Tells Prefect's automations what a sweep moved: one event with counts, single ones only where a person must look.

`amends.sweep.moved`, and `amends.case.quarantined`, `amends.shop.storm`, `amends.task.overdue`. Payloads are counts,
ids and times. Ids of single events follow from what they tell, so telling one twice is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event
from sqlalchemy import func, select

from amends.ledger import Tx
from amends.ledger.schema import cases, facts, moment, sweeps, tasks, ticks
from amends.steps.shop import Shop
from amends.steps.sweep import Summary
from amends.workflows.masks import slug

MANY = 50
"""Single events of one kind that a sweep emits at most; the worklists show all."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that a person must look at."""

    event: str
    key: str
    resource: str
    name: str
    payload: dict[str, Any]


def emit(shop: Shop, summary: Summary, alarms: Sequence[Alarm]) -> None:
    """Emit the sweep's one event, where anything moved, and its alarms."""
    resource = f"amends.shop.{slug(shop.name)}"
    counts = {
        name: value
        for name, value in summary.to_json().items()
        if name not in ("problems", "seconds", "state")
    }
    if any(counts[name] for name in ("changed", "opened", "replies", "cases", "closed", "expired")):
        emit_event(
            "amends.sweep.moved",
            resource={"prefect.resource.id": resource, "prefect.resource.name": shop.name},
            payload={**counts, "problems": len(summary.problems)},
        )
    for alarm in alarms:
        emit_event(
            alarm.event,
            resource={
                "prefect.resource.id": f"{resource}.{alarm.resource}",
                "prefect.resource.name": alarm.name,
            },
            related=[{"prefect.resource.id": resource, "prefect.resource.role": "shop"}],
            payload=alarm.payload,
            id=uuid5(NAMESPACE_URL, f"amends:{shop.name}:{alarm.event}:{alarm.key}"),
        )


def alarms(tx: Tx, shop: str, *, since: datetime, now: datetime) -> list[Alarm]:
    """What the sweep that began at `since` found for a person: quarantined acts, a storm, tasks now overdue."""
    return [*_quarantined(tx, shop, since), *_storm(tx, shop, since), *_overdue(tx, shop, now)]


def _quarantined(tx: Tx, shop: str, since: datetime) -> list[Alarm]:
    query = select(tasks).where(
        tasks.c.shop == shop,
        tasks.c.done_at.is_(None),
        tasks.c.kind.startswith("find-out:"),
        tasks.c.opened_at >= ticks(since),
    )
    return [
        Alarm(
            "amends.case.quarantined", str(row.id), f"case.{row.case_id}", f"case {row.case_id}",
            {"case": row.case_id, "order": row.number, "act": row.kind.partition(":")[2], "task": row.id},
        )
        for row in tx.execute(query.order_by(tasks.c.id).limit(MANY))
    ]  # fmt: skip


def _storm(tx: Tx, shop: str, since: datetime) -> list[Alarm]:
    query = (
        select(func.count())
        .select_from(cases.join(facts, facts.c.case_id == cases.c.id))
        .where(
            cases.c.shop == shop,
            cases.c.opened_at >= ticks(since),
            facts.c.kind == "held",
            facts.c.body.contains('"cause":"storm"'),
        )
    )
    held = int(tx.execute(query).scalar() or 0)
    payload = {"held": held, "at": since.isoformat()}
    return (
        [Alarm("amends.shop.storm", since.isoformat(), "storm", f"storm in {shop}", payload)] if held else []
    )


def _overdue(tx: Tx, shop: str, now: datetime) -> list[Alarm]:
    """Open tasks whose due time has passed since the sweep before this one began."""
    earlier = select(sweeps.c.started_at).where(sweeps.c.shop == shop, sweeps.c.ended_at.is_not(None))
    began = [row.started_at for row in tx.execute(earlier.order_by(sweeps.c.id.desc()).limit(2))]
    query = select(tasks).where(tasks.c.shop == shop, tasks.c.done_at.is_(None), tasks.c.due_at <= ticks(now))
    if len(began) == 2:
        query = query.where(tasks.c.due_at > began[1])
    return [
        Alarm(
            "amends.task.overdue", str(row.id), f"task.{row.id}", f"task {row.id}",
            {"task": row.id, "what": row.kind, "case": row.case_id, "order": row.number, "due": moment(row.due_at).isoformat()},
        )
        for row in tx.execute(query.order_by(tasks.c.due_at, tasks.c.id).limit(MANY))
    ]  # fmt: skip
