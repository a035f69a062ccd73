"""How a flow fails: told without personal values, and tried again only where trying can help."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRunPolicy
from prefect.context import FlowRunContext

from amends.errors import (
    AmendsError,
    CaseError,
    ConfigError,
    InputError,
    LedgerCorrupt,
    LedgerNewer,
    PluginError,
    place,
)
from amends.workflows.masks import tellable

_FOR_A_PERSON = (CaseError, ConfigError, InputError, LedgerCorrupt, LedgerNewer, PluginError)
_log = logging.getLogger("amends.workflows")


@contextlib.asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Let a flow's body fail with an error that Prefect may keep; one that only a person can mend ends its retries."""
    try:
        yield
    except Exception as error:
        _log.error("%s %s", type(error).__name__, place(error))
        fault: AmendsError = tellable(error)
        if isinstance(error, _FOR_A_PERSON):
            await _no_more_tries()
        raise fault from None


async def _no_more_tries() -> None:
    run = FlowRunContext.get()
    if run is None or run.flow_run is None or not isinstance(run.client, PrefectClient):
        return
    with contextlib.suppress(Exception):  # then it is tried in vain, no more
        await run.client.update_flow_run(
            run.flow_run.id, empirical_policy=FlowRunPolicy(retries=0, retry_delay=0)
        )
