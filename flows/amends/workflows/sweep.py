"""The flow that sweeps one shop, for schedules and the demo: finds late orders and advances every due case."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from amends.errors import AmendsError
from amends.steps import sweep as steps
from amends.steps.sweep import Summary
from amends.workflows import artifacts, events
from amends.workflows.approve_runs import ask_people
from amends.workflows.faults import told
from amends.workflows.missed import skip_others
from amends.workflows.opening import opened_ledger, opened_shop, read_settings
from amends.workflows.taskruns import run_intake, run_step
from amends.workflows.worklists import counts_text

RETRIES = 2
RETRY_DELAY = 30
"""Seconds. The next scheduled sweep does the same work, so a long series of tries would only stand in its way."""


def _run_name() -> str:
    """`sweep-flagship 2026-11-23 14:30`, in the shop's own time."""
    given: dict[str, Any] = flow_run.parameters
    shop, now = str(given["shop"]), given.get("now")
    at = datetime.fromisoformat(now) if isinstance(now, str) else now
    at = (at or datetime.now().astimezone()).astimezone()
    try:
        at = at.astimezone(read_settings(given.get("config")).shop(shop).zone)
    except AmendsError:
        pass  # the run itself will say what is wrong
    return f"sweep-{shop} {at:%Y-%m-%d %H:%M}"


@flow(
    name="sweep",
    flow_run_name=_run_name,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY,
    persist_result=False,
    log_prints=False,
)
async def sweep(shop: str, config: str | None = None, now: datetime | None = None) -> Summary:
    """Find late orders of one shop and advance its due cases.

    While another sweep of the shop runs, this one ends as "Already running".

    Args:
        shop: The shop's name in config.
        config: The config folder or file. Empty: AMENDS_CONFIG, else ./config.
        now: A time to judge by, for rehearsals. Empty: the machine's own.
    """
    async with told():
        settings = read_settings(config)
        settings.shop(shop)  # a wrong name shows before anything is opened
        await skip_others()
        async with opened_ledger(settings) as ledger, opened_shop(settings, shop, ledger, now) as live:
            began = live.clock.now()
            summary = await steps.sweep(live, run=run_step, take=run_intake)
            if summary.state == "done":
                alarms = await ledger.run(events.alarms, shop, since=began, now=live.clock.now())
                await artifacts.publish(live, summary)
                events.emit(live, summary, alarms)
                await ask_people(live, config, now)
    return _ended(summary)  # type: ignore[return-value]  # Prefect unpacks a state that a flow returns: callers get its data


def _ended(summary: Summary) -> State[Summary]:
    if summary.state == "already-running":
        told_ = f"another sweep of {summary.shop} is running; this one did nothing"
        return Completed(name="Already running", message=told_, data=summary)
    return Completed(message=counts_text(summary), data=summary)
