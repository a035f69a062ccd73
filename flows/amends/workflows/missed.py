"""Sweeps that nobody ran in time are caught up once: one does the work of all, the others are shown as skipped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Crashed


def missed(runs: Iterable[Any], now: datetime) -> list[Any]:
    """The ids of scheduled runs that are past due, but for the newest of each deployment."""
    late: dict[Any, list[Any]] = {}
    for run in runs:
        if run.auto_scheduled and run.expected_start_time is not None and run.expected_start_time < now:
            late.setdefault(run.deployment_id, []).append(run)
    return [
        run.id for some in late.values() for run in sorted(some, key=lambda one: one.expected_start_time)[:-1]
    ]


async def tidy(names: Sequence[str], *, alone: bool) -> None:
    """Before these deployments are served: keep the newest of each one's missed runs, skip the others.

    `alone`: nobody else runs these deployments, so runs that are said to be running were killed with their machine.
    """
    there = DeploymentFilter(name=DeploymentFilterName(any_=list(names)))
    async with get_client() as client:
        if alone:
            for run in await client.read_flow_runs(
                deployment_filter=there, flow_run_filter=_which(StateType.RUNNING, StateType.PENDING)
            ):
                gone: Any = Crashed(
                    message="its process was gone when amends started; the next sweep settles it"
                )
                await client.set_flow_run_state(run.id, gone, force=True)
        found = await client.read_flow_runs(
            deployment_filter=there, flow_run_filter=_which(StateType.SCHEDULED)
        )
        await _skip(client, missed(found, datetime.now(UTC)))


async def skip_others() -> None:
    """In a run of a deployment: its own work is that of every scheduled run of the same deployment that is past due.

    What goes wrong here is no matter: those runs then find little to do.
    """
    if not deployment.id:
        return
    with contextlib.suppress(Exception):
        there = DeploymentFilter(id=DeploymentFilterId(any_=[UUID(str(deployment.id))]))
        due = _which(StateType.SCHEDULED)
        due.expected_start_time = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC))  # type: ignore[arg-type]  # pydantic takes any aware time
        async with get_client() as client:
            found: list[FlowRun] = await client.read_flow_runs(deployment_filter=there, flow_run_filter=due)
            own = str(flow_run.id)
            await _skip(client, [run.id for run in found if run.auto_scheduled and str(run.id) != own])


async def _skip(client: PrefectClient, ids: Iterable[UUID]) -> None:
    for id_ in ids:
        skipped: Any = Cancelled(name="Skipped", message="missed; one later sweep does its work")
        await client.set_flow_run_state(id_, skipped, force=True)


def _which(*types: StateType) -> FlowRunFilter:
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))))
