"""The flow that takes one case as far as it goes now, for a person who watches it: one task run per step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed
from sqlalchemy import select

from amends.cases.snapshot import fold
from amends.ledger import Tx, chain, leases, views
from amends.ledger.schema import cases, maybe_moment
from amends.steps.advance import advance
from amends.steps.shop import Shop
from amends.workflows import artifacts
from amends.workflows.faults import told
from amends.workflows.masks import bare_why
from amends.workflows.opening import opened_ledger, opened_shop, read_settings
from amends.workflows.taskruns import run_step

TURNS = 20
"""Advances in a row after which a case that is due again at once is left to the next sweep."""


@dataclass(slots=True)
class Resolved:
    """Where a case stands after a run; `steps` counts what was done, `due_at` is when it goes on by itself."""

    case: int
    shop: str
    order: str
    stage: str = ""
    outcome: str | None = None
    why: str = ""
    due_at: datetime | None = None
    steps: dict[str, int] = field(default_factory=dict)

    def told(self) -> str:
        """In one line."""
        if self.outcome is not None:
            return f"case {self.case} is closed: {self.outcome}"
        until = f" until {self.due_at:%Y-%m-%d %H:%M} UTC" if self.due_at is not None else ""
        return f"case {self.case} waits{until} ({self.stage}): {self.why}"


def _run_name() -> str:
    given: dict[str, Any] = flow_run.parameters
    return f"resolve-case-{given['case']}"


@flow(name="resolve-case", flow_run_name=_run_name, retries=0, persist_result=False, log_prints=False)
async def resolve_case(case: str, config: str | None = None, now: datetime | None = None) -> Resolved:
    """Advance one case until it waits, and show its timeline.

    A case that is not due, or that another worker holds, is only shown.

    Args:
        case: The case's number, or its order's.
        config: The config folder or file. Empty: AMENDS_CONFIG, else ./config.
        now: A time to judge by, for rehearsals. Empty: the machine's own.
    """
    async with told():
        settings = read_settings(config)
        async with opened_ledger(settings) as ledger:
            found = await ledger.run(_find, case)
            await ledger.run(
                leases.free_dead
            )  # whoever watches a case need not wait for a killed worker's lease
            async with opened_shop(settings, found.shop, ledger, now) as shop:
                await _advance(shop, found)
                await ledger.run(_read, found)
                facts = (await ledger.run(chain.load, [found.case]))[found.case]
                found.why = bare_why(found.why, fold(facts, case=found.case))
                text = artifacts.timeline(shop, found.case, found.order, facts)
                await artifacts.publish_case(shop, found.case, text, found.told())
    return _ended(found)  # type: ignore[return-value]  # Prefect unpacks a state that a flow returns: callers get its data


async def _advance(shop: Shop, found: Resolved) -> None:
    for _ in range(TURNS):
        moved = await advance(shop, run=run_step, only=[found.case])
        for name, times in moved.steps.items():
            found.steps[name] = found.steps.get(name, 0) + times
        if not moved.cases:
            return


def _find(tx: Tx, text: str) -> Resolved:
    id_ = views.case_id(tx, text)
    row = tx.execute(select(cases.c.shop, cases.c.number).where(cases.c.id == id_)).one()
    return Resolved(id_, row.shop, row.number)


def _read(tx: Tx, found: Resolved) -> None:
    row = tx.execute(select(cases).where(cases.c.id == found.case)).one()
    found.stage, found.outcome, found.why = row.stage, row.outcome, row.why
    found.due_at = maybe_moment(row.due_at)


def _ended(found: Resolved) -> State[Resolved]:
    return Completed(message=found.told(), data=found)
