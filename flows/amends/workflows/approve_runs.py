"""What a sweep does about approvals at its end: one run of `approve` per open list, and the approvers told of it.

A run whose list is decided, held or expired elsewhere is ended. Where Prefect has no `approve` deployment, approvers
are told all the same and use `amends approve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect import State, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed
from prefect.utilities.urls import url_for

from amends.ledger import Tx, approvals
from amends.steps.ask_approvers import Asking, able, ask_approvers
from amends.steps.shop import Shop
from amends.workflows.masks import bare_problem

DEPLOYMENT = "approve/approve"
"""The deployment whose runs wait for people."""
RUNS = 20
"""Runs that one list may have, should somebody cancel them or a machine die under them."""
_LIVE = [one for one in StateType if one.name not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")]


@dataclass(frozen=True, slots=True)
class Decided:
    """How a list ended: its state in the ledger, and how many acts got which answer."""

    list_id: str
    state: str
    approved: int = 0
    refused: int = 0
    stale: int = 0
    by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """In one word for Prefect's state."""
        if self.state in ("expired", "held"):
            return self.state.capitalize()
        if self.approved and not self.refused and not self.stale:
            return "Approved"
        return "Partly approved" if self.approved else "Rejected" if self.refused else "Decided"

    def told(self) -> str:
        """In one line."""
        if self.state == "expired":
            return f"{self.list_id} expired undecided; the next sweep asks anew what is still wanted"
        if self.state == "held":
            return f"{self.list_id}: nobody decided in time; its cases are held until `amends release`"
        parts = [
            (self.approved, "approved"),
            (self.refused, "refused"),
            (self.stale, "changed meanwhile, asked anew"),
        ]
        counts = ", ".join(f"{count} {word}" for count, word in parts if count) or "nothing waited any more"
        return f"{self.list_id}: {counts}" + (f", by {', '.join(self.by)}" if self.by else "")


def decided_of(listing: approvals.Listing) -> Decided:
    """What became of a list's acts."""
    count = {
        word: sum(item.decision == word for item in listing.items)
        for word in ("approved", "refused", "stale")
    }
    people = sorted({name for item in listing.items for name in item.decided_by.split(",") if name})
    state = "decided" if listing.state == "open" else listing.state
    return Decided(listing.id, state, **count, by=tuple(people))


async def ask_people(shop: Shop, config: str | None, now: datetime | None) -> None:
    """Have one run wait for each open list of the shop, end those that wait in vain, and tell the approvers.

    That Prefect does not do its part is logged and fails nothing: the next sweep does it.
    """
    links: dict[str, str] = {}
    log = get_run_logger()
    try:
        links = await _keep_runs(shop, config, now)
    except ObjectNotFound:
        pass
    except Exception as error:
        log.warning("no run waits for approvals of %s: %s", shop.name, type(error).__name__)
    asking = Asking(shop.settings, shop.ledger, shop.clock, lambda: shop.registry, links)
    try:
        for problem in await ask_approvers(asking, shop.name):
            log.warning("%s", bare_problem(problem))
    except Exception as error:
        log.warning("approvers of %s were not told: %s", shop.name, type(error).__name__)


async def _keep_runs(shop: Shop, config: str | None, now: datetime | None) -> dict[str, str]:
    """One waiting run per open list; answers with the page of each."""
    waiting = await waiting_runs(shop.name)
    lists = await shop.ledger.run(_open_lists, shop.name)
    links: dict[str, str] = {}
    async with get_client() as client:
        for run in waiting:
            list_id = str(run.parameters.get("list_id", ""))
            links[list_id] = url_for("flow-run", run.id) or ""
            if run.state is None or not run.state.is_paused() or list_id in lists:
                continue
            decided = await shop.ledger.run(_decided, list_id)
            if decided is not None:
                state: State[Any] = Completed(name=decided.name, message=decided.told())
                await client.set_flow_run_state(run.id, state, force=True)
    if not able(shop.settings):
        return links
    for list_id in lists:
        parameters = {"list_id": list_id, "config": config} | ({"now": now.isoformat()} if now else {})
        for number in range(1, RUNS + 1) if list_id not in links else ():
            run = await arun_deployment(
                DEPLOYMENT, parameters=parameters, as_subflow=False, timeout=0, tags=["amends", shop.name],
                idempotency_key=f"amends-{list_id}" + (f"-{number}" if number > 1 else ""),
            )  # fmt: skip
            links[list_id] = url_for("flow-run", run.id) or ""
            if run.state is None or not run.state.is_final():
                break
    return links


async def waiting_runs(shop: str) -> list[FlowRun]:
    """Runs of `approve` for that shop that have not ended."""
    async with get_client() as client:
        await client.read_deployment_by_name(DEPLOYMENT)
        found = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["approve"])),
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[shop]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_LIVE)),
            ),
        )
    return [run for run in found if run.state is not None]


def _open_lists(tx: Tx, shop: str) -> list[str]:
    return [one.id for one in approvals.listing(tx, shop=shop, open_only=True) if one.waiting]


def _decided(tx: Tx, list_id: str) -> Decided | None:
    found = approvals.listing(tx, id_=list_id)
    return decided_of(found[0]) if found else None
