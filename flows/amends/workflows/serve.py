"""Makes a merchant's config into Prefect deployments, and serves them: a sweep per shop on its schedule.

Served names are `sweep-<shop>`, `report-<shop>`, `approve` and `resolve-case`; those in `prefect.yaml` end in `-generic`, so
that neither replaces the other.
"""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect import serve as serve_deployments
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.callables import ParameterSchema

from amends.errors import ConfigError
from amends.settings import Settings
from amends.workflows.approve import approve
from amends.workflows.report import report
from amends.workflows.resolve_case import resolve_case
from amends.workflows.sweep import sweep

DAILY = "0 6 * * *"
"""When each shop's numbers are made, by its own clock."""


def deployment_name(shop: str, of: str = "sweep") -> str:
    """`sweep-<shop>`, and never a name that `prefect.yaml` uses."""
    name = f"{of}-{shop}"
    return f"{name}-shop" if name.endswith("-generic") else name


def deployments(settings: Settings, pool: str = "") -> list[RunnerDeployment]:
    """Per shop a `sweep` by its `schedule` and a daily `report`, in its own time zone; `approve` and `resolve-case`.

    Served ones name the configuration in their parameters. Those for a work pool have it as AMENDS_CONFIG in the
    environment of their runs, where a worker that keeps it elsewhere can be given another path.
    """
    path = None if settings.path is None else str(settings.path.absolute())
    config = {} if pool else {"config": path}
    run: dict[str, Any] = {}
    if pool:
        run = {"work_pool_name": pool, "job_variables": {"env": {"AMENDS_CONFIG": path} if path else {}}}
    found = []
    for name, shop in sorted(settings.shops.items()):
        found.append(
            _deployment(
                sweep,
                deployment_name(name),
                description=f"Finds late orders of {name} and advances its due cases.",
                schedule=Cron(shop.schedule, timezone=shop.time_zone),
                parameters={"shop": name, **config},
                tags=["amends", name],
                **run,
            )
        )
        found.append(
            _deployment(
                report,
                deployment_name(name, "report"),
                description=f"Counts the last 30 days of {name}, every morning.",
                schedule=Cron(DAILY, timezone=shop.time_zone),
                parameters={"shop": name, **config},
                tags=["amends", name],
                **run,
            )
        )
    others: list[tuple[Flow[Any, Any], str, str]] = [
        (
            approve,
            "approve",
            "Waits for a person's yes or no to one list; sweeps start it. Resume a run to answer.",
        ),
        (resolve_case, "resolve-case", "Advances one case as far as it goes now, and shows its timeline."),
    ]
    for of, name, about in others:
        found.append(
            _deployment(of, name, description=about, parameters=dict(config), tags=["amends"], **run)
        )
    return found


class _OnlyThese(ParameterSchema):
    """A flow's parameters and no others, so that a misspelt one is refused when a run is asked for, not when it starts."""

    additionalProperties: bool  # JSON Schema's own word


def _deployment(of: Flow[Any, Any], name: str, **options: Any) -> RunnerDeployment:
    # By module: a file path would have to be the same wherever a run is started.
    made = RunnerDeployment.from_flow(of, name=name, entrypoint_type=EntrypointType.MODULE_PATH, **options)
    known = made._parameter_openapi_schema.model_dump(exclude_unset=True)
    made._parameter_openapi_schema = _OnlyThese(**known, additionalProperties=False)
    return made


def serve(settings: Settings, *, limit: int = 4) -> None:
    """Deploy and run what falls due until stopped, at most `limit` runs at once. Schedules pause with it."""
    if not settings.shops:
        raise ConfigError("there is no shop to sweep", hint="Add a table [shops.NAME].")
    serve_deployments(*deployments(settings), limit=limit, print_starting_message=False)
