"""What `amends doctor` asks Prefect's server: does it answer, is it of a version that fits, are the schedules at work."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from amends.cli.findings import Finding
from amends.errors import ConfigError

if TYPE_CHECKING:
    from amends.settings import Settings
    from amends.workflows.reach import Reached

SKEW = timedelta(seconds=30)
"""Clocks further apart make schedules, deadlines and leases wrong."""
_SAFE = (3, 7)
_HERE = "amends up"


def examine_prefect(settings: Settings, installed: tuple[int, ...]) -> Iterator[Finding]:
    """Findings about the server that PREFECT_API_URL or a profile names; a note where none is."""
    if not installed:
        return
    if not _named():
        yield Finding(
            "note", "prefect server", "none is named", f"`{_HERE}` starts its own; or set PREFECT_API_URL"
        )
        return
    from amends.workflows import reach

    if not reach.configured_url():
        yield Finding(
            "note", "prefect server", "none is named", f"`{_HERE}` starts its own; or set PREFECT_API_URL"
        )
        return
    try:
        found = reach.reach()
    except ConfigError as error:
        yield Finding("error", "prefect server", str(error), error.hint)
        return
    yield _version(found, installed)
    if found.ahead is not None:
        yield clocks("clock of Prefect", found.ahead)
    if settings.shops:
        yield from _schedules(settings)


def _named() -> bool:
    """Whether a server may be named at all: without one, Prefect's long import is spared."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    return bool(os.environ.get("PREFECT_API_URL")) or profiles.exists()


def _version(found: Reached, installed: tuple[int, ...]) -> Finding:
    numbers = tuple(int(part) for part in re.findall(r"\d+", found.version)[:3])
    if numbers and numbers[:2] < _SAFE:
        what = f"{found.url}: {found.version} has published holes (CVE-2026-5366, CVE-2026-7722)"
        return Finding("error", "prefect server", what, "upgrade it to 3.8.8 or newer")
    if numbers and numbers[:2] != installed[:2]:
        here = ".".join(map(str, installed))
        what = f"{found.url}: {found.version}, while {here} is installed here"
        return Finding("warning", "prefect server", what, "run the same version on server and workers")
    return Finding("ok", "prefect server", f"{found.url}: {found.version or 'Prefect Cloud'}")


def clocks(about: str, ahead: timedelta) -> Finding:
    """Whether another clock and this machine's agree; `ahead` is the other's minus ours."""
    seconds = ahead.total_seconds()
    if abs(ahead) > SKEW:
        way = "ahead of" if seconds > 0 else "behind"
        what = f"{abs(seconds):.0f} s {way} this machine's"
        return Finding("warning", about, what, "set both clocks by NTP: deadlines and leases depend on them")
    return Finding("ok", about, "agrees with this machine's")


def _schedules(settings: Settings) -> Iterator[Finding]:
    from amends.workflows.condition import deployed

    try:
        found = asyncio.run(deployed(settings))
    except Exception as error:  # whatever Prefect's client raises: the server has just answered
        yield Finding(
            "warning", "schedules", f"cannot be read ({type(error).__name__})", "see the server's log"
        )
        return
    deploy = f"`{_HERE}`, or `{_HERE} --work-pool POOL`"
    missing = [one.name for one in found if not one.there]
    if missing:
        yield Finding("warning", "schedules", f"not deployed: {', '.join(missing)}", deploy)
    paused = [one.name for one in found if one.paused]
    if paused:
        todo = f"{deploy}; or resume them in Prefect's pages"
        yield Finding("warning", "schedules", f"paused: {', '.join(paused)}", todo)
    late = [f"{one.name} ({one.late})" for one in found if one.late]
    if late:
        todo = f"is `{_HERE}` or a worker running, and is there room for one more run?"
        yield Finding("warning", "schedules", f"runs that nobody starts: {', '.join(late)}", todo)
    for pool in sorted({one.pool for one in found if one.pool and not one.workers}):
        todo = f"`prefect worker start --pool {pool}`"
        yield Finding("error", "workers", f"none of the work pool {pool} is online", todo)
    if not missing and not paused and not late:
        yield Finding("ok", "schedules", f"{len(found)} deployments, none paused or late")
