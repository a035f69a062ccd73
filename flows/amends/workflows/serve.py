"""Makes a merchant's config into Prefect deployments, and serves them: a sweep per shop on its schedule.

Served names are `sweep-<shop>`, `approve`, `resolve-case` and `report`; those in `prefect.yaml` end in `-generic`, so
that neither replaces the other.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from prefect import Flow
from prefect import serve as serve_deployments
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from amends.errors import ConfigError
from amends.settings import Settings
from amends.workflows.approve import approve
from amends.workflows.resolve_case import resolve_case
from amends.workflows.sweep import sweep


def deployment_name(shop: str) -> str:
    """`sweep-<shop>`, and never a name that `prefect.yaml` uses."""
    name = f"sweep-{shop}"
    return f"{name}-shop" if name.endswith("-generic") else name


def deployments(settings: Settings) -> list[RunnerDeployment]:
    """One `sweep` per shop, by its `schedule` in its own time zone; `approve`, `resolve-case` and `report` without one."""
    config = None if settings.path is None else str(settings.path.absolute())
    found = []
    for name, shop in sorted(settings.shops.items()):
        found.append(
            _deployment(
                sweep,
                deployment_name(name),
                description=f"Finds late orders of {name} and advances its due cases.",
                schedule=Cron(shop.schedule, timezone=shop.time_zone),
                parameters={"shop": name, "config": config},
                tags=["amends", name],
            )
        )
    others: list[tuple[Flow[Any, Any], str, str]] = [
        (
            approve,
            "approve",
            "Waits for a person's yes or no to one list; sweeps start it. Resume a run to answer.",
        ),
        (resolve_case, "resolve-case", "Advances one case as far as it goes now, and shows its timeline."),
        *_report(),
    ]
    for of, name, about in others:
        parameters = {"config": config}
        found.append(_deployment(of, name, description=about, parameters=parameters, tags=["amends"]))
    return found


def _report() -> list[tuple[Flow[Any, Any], str, str]]:
    """The daily numbers, where this amends has them."""
    if find_spec("amends.workflows.report") is None:
        return []
    flow = import_module("amends.workflows.report").report
    return [(flow, "report", "The numbers of one shop, or of all.")]


def _deployment(of: Flow[Any, Any], name: str, **options: Any) -> RunnerDeployment:
    # By module: a file path would have to be the same wherever a run is started.
    return RunnerDeployment.from_flow(of, name=name, entrypoint_type=EntrypointType.MODULE_PATH, **options)


def serve(settings: Settings, *, limit: int = 4) -> None:
    """Deploy and run what falls due until stopped, at most `limit` runs at once. Schedules pause with it."""
    if not settings.shops:
        raise ConfigError("there is no shop to sweep", hint="Add a table [shops.NAME].")
    serve_deployments(*deployments(settings), limit=limit, print_starting_message=False)
