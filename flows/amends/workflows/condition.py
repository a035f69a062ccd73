"""How the deployments of a configuration fare on the server, for `amends doctor`: there, paused, late, with workers?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse

from amends.settings import Settings
from amends.workflows.up import wanted

LATE = timedelta(minutes=3)
"""A scheduled run that is past due for so long is late: starting one takes seconds."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deployment that config asks for. `late` counts runs past due; `workers` is None for one that is served."""

    name: str
    there: bool
    paused: bool = False
    late: int = 0
    pool: str = ""
    workers: int | None = None


async def deployed(settings: Settings) -> list[Deployed]:
    """Every deployment that config asks for, as the configured server has it."""
    names = [one.name for one in wanted(settings)]
    short = [name.partition("/")[2] for name in names]
    async with get_client() as client:
        found = {
            one.name: one
            for one in await client.read_deployments(
                deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=short))
            )
        }
        pools = {one.work_pool_name for one in found.values() if one.work_pool_name}
        online = {pool: await _online(client, pool) for pool in pools}
        return [await _one(client, name, found.get(name.partition("/")[2]), online) for name in names]


async def _one(
    client: PrefectClient, name: str, there: DeploymentResponse | None, online: dict[str, int]
) -> Deployed:
    if there is None:
        return Deployed(name, there=False)
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[there.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) - LATE),  # type: ignore[arg-type]  # pydantic takes any aware time
        ),
    )
    pool = there.work_pool_name or ""
    return Deployed(name, True, there.paused, len(runs), pool, online[pool] if pool else None)


async def _online(client: PrefectClient, pool: str) -> int:
    workers = await client.read_workers_for_work_pool(pool)
    return sum(worker.status is WorkerStatus.ONLINE for worker in workers)
