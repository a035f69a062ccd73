"""Example automations for Prefect: no sweep for two hours, a storm, a quarantined act, an overdue task, a run that died.

`amends automations apply` creates them once and changes them where config has changed; it never touches those of other
names. Without a notification block they only fire, which Prefect's event feed shows: add actions of your own to taste.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from amends.errors import InputError
from amends.settings import Settings
from amends.workflows.serve import deployment_name

QUIET = timedelta(hours=2)
"""A shop whose sweep has not completed for so long wants somebody's look."""
PULSE = timedelta(minutes=10)
"""A run that has shown no sign of life for so long is gone: over three times Prefect's PREFECT_FLOWS_HEARTBEAT_FREQUENCY."""
TAGS = ["amends"]

_BEAT = "prefect.flow-run.heartbeat"
_ENDS = frozenset(
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused", "AwaitingRetry")
)
_EVENTS = (
    (
        "amends: storm",
        "amends.shop.storm",
        "amends.shop.*",
        "More orders of one shop came late at once than its playbook takes for normal; their cases are held.",
        "Look at the shop, then `amends release --shop NAME`.",
    ),
    (
        "amends: quarantined act",
        "amends.case.quarantined",
        "amends.shop.*",
        "Nobody knows whether an act reached the platform; it is not repeated until a person has looked.",
        "`amends tasks` says where to look.",
    ),
    (
        "amends: task overdue",
        "amends.task.overdue",
        "amends.shop.*",
        "Work that waits for a person is past its due time.",
        "`amends tasks` lists it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Applied:
    """One automation, and whether it was `created`, `changed` or is the `same`."""

    name: str
    state: str


def wanted(
    settings: Settings, *, notify: UUID | None = None, quiet: timedelta = QUIET, pulse: timedelta = PULSE
) -> list[AutomationCore]:
    """The automations for these shops; `notify` is a notification block that tells people."""
    found = [_crashed(pulse)]
    for shop in sorted(settings.shops):
        hours = f"{quiet.total_seconds() / 3600:g} h"
        found.append(
            AutomationCore(
                name=f"amends: no sweep of {shop}",
                description=f"No sweep of {shop} has completed for {hours}.",
                tags=TAGS,
                trigger=EventTrigger(
                    posture=Posture.Proactive,
                    match={"prefect.resource.id": "prefect.flow-run.*"},
                    match_related={
                        "prefect.resource.role": "deployment",
                        "prefect.resource.name": deployment_name(shop),
                    },
                    expect={"prefect.flow-run.Completed"},
                    threshold=1,
                    within=quiet,
                ),
                actions=[_action(notify, f"No sweep of {shop} for {hours}", "See `amends doctor`.")],
            )
        )
    for name, event, resource, about, todo in _EVENTS:
        body = "{{ event.resource.name }} at {{ event.occurred }}. " + todo
        found.append(
            AutomationCore(
                name=name,
                description=about,
                tags=TAGS,
                trigger=EventTrigger(
                    posture=Posture.Reactive,
                    match={"prefect.resource.id": resource},
                    expect={event},
                    for_each={"prefect.resource.id"},
                    threshold=1,
                    within=timedelta(0),
                ),
                actions=[_action(notify, name, body)],
            )
        )
    return found


def _crashed(pulse: timedelta) -> AutomationCore:
    """Nothing hangs on it but what Prefect shows: the ledger frees the leases of a process that is gone by itself."""
    gone = "its process gave no sign of life; the next sweep settles what it left"
    return AutomationCore(
        name="amends: a run's process is gone",
        description="A run whose worker was killed or cut off is shown as crashed.",
        tags=TAGS,
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.amends"},
            after={_BEAT},
            expect={_BEAT, *_ENDS},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=pulse,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=gone)],
    )


def _action(notify: UUID | None, subject: str, body: str) -> Any:
    return (
        DoNothing()
        if notify is None
        else SendNotification(block_document_id=notify, subject=subject, body=body)
    )


async def apply(
    settings: Settings, *, notify: str = "", quiet: timedelta = QUIET, pulse: timedelta = PULSE
) -> list[Applied]:
    """Create or change the automations on the configured server; doing it again changes nothing.

    `notify` names a notification block as `TYPE/NAME`, such as `slack-webhook/operators`; raises `InputError` where
    there is none.
    """
    async with get_client() as client:
        block = await _block(client, notify) if notify else None
        found = wanted(settings, notify=block, quiet=quiet, pulse=pulse)
        return [await _apply(client, one) for one in found]


async def _block(client: PrefectClient, name: str) -> UUID:
    kind, _, document = name.partition("/")
    try:
        return (await client.read_block_document_by_name(document, kind, include_secrets=False)).id
    except ObjectNotFound:
        raise InputError(
            f"Prefect has no block {name!r}", hint="Make a notification block, and name it as TYPE/NAME."
        ) from None


async def _apply(client: PrefectClient, one: AutomationCore) -> Applied:
    there = await client.read_automations_by_name(one.name)
    if not there:
        await client.create_automation(one)
        return Applied(one.name, "created")
    first = there[0]
    one = one.model_copy(update={"enabled": first.enabled})  # who switched it off meant it
    if _shape(first) == _shape(one):
        return Applied(one.name, "same")
    await client.update_automation(first.id, one)
    return Applied(one.name, "changed")


def _shape(one: AutomationCore) -> Any:
    """What makes two automations the same: all that we set, sets in order, ids left out."""
    kept = one.model_dump(mode="json", include=set(AutomationCore.model_fields) - {"owner_resource"})
    return _plain(kept)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "id"}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return sorted((_plain(item) for item in value), key=repr)
    return value
