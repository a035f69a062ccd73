"""The findings of `amends doctor`, one small examination after another; each says what to do."""

from __future__ import annotations

import asyncio
import importlib.metadata as metadata
import platform
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from amends import __version__
from amends.cli.findings import Finding
from amends.cli.health_prefect import clocks
from amends.cli.opened import ledger_file, now_of, open_registry, open_settings, zone_of
from amends.cli.output import local, many
from amends.errors import AmendsError, ConfigError

if TYPE_CHECKING:
    from amends.ledger import Ledger, Tx
    from amends.settings import Settings

_PREFECT = ((3, 8, 8), (3, 9))
_BELOW = (
    (
        "fastapi",
        (0, 151),
        "Prefect's server answers 422 to `prefect deploy`, and does not start from 0.155 on",
    ),
    ("sqlalchemy", (2, 1), "Prefect's scheduler raises every minute and never makes a scheduled run"),
)
_OLDEST_SQLITE = (3, 35)
_SWEPT_WITHIN = timedelta(hours=24)
_SKEW = timedelta(minutes=5)
SPOTS = 50
"""Cases whose chains are walked: the newest."""


def examine(ctx: typer.Context, now: str | None, *, offline: bool = False) -> Iterator[Finding]:
    """Every finding, what is fine included; `offline` asks nobody over the network."""
    yield from _python()
    yield from _packages()
    settings: Settings | None = None
    try:
        settings = open_settings(ctx)
        at = now_of(now, settings)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Finding("error", "config", line, error.hint)
        yield from _plugins(None)
        return
    yield from _config(settings)
    yield from _plugins(settings)
    yield from _ledger(settings, at, offline)
    if not offline:
        from amends.cli.health_prefect import examine_prefect

        yield from examine_prefect(settings, version_of("prefect")[1])


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("ok", "python", f"{version}, amends {__version__}")
    lib = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info[:2] < _OLDEST_SQLITE:
        yield Finding(
            "error", "sqlite", lib, "the ledger needs SQLite 3.35 or newer: use a newer Python, or Postgres"
        )
    elif sqlite3.sqlite_version_info < (3, 51, 3):
        what = f"{lib}; its WAL mode can corrupt a file that two processes checkpoint. The ledger uses none"
        yield Finding(
            "note",
            "sqlite",
            what,
            "Prefect's own database does: give Prefect Postgres for anything scheduled",
        )
    else:
        yield Finding("ok", "sqlite", lib)


def version_of(package: str) -> tuple[str, tuple[int, ...]]:
    """An installed version as text and numbers; empty where it is not installed."""
    try:
        text = metadata.version(package)
    except metadata.PackageNotFoundError:
        return "", ()
    return text, tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _packages() -> Iterator[Finding]:
    text, numbers = version_of("prefect")
    lowest, beyond = _PREFECT
    if not numbers:
        yield Finding(
            "warning",
            "prefect",
            "not installed",
            "`amends sweep --local` needs none; else `pip install amends`",
        )
        return
    if not lowest <= numbers < beyond:
        yield Finding(
            "warning", "prefect", f"{text}; tried with 3.8.8 up to 3.9", 'pip install "prefect>=3.8.8,<3.9"'
        )
    else:
        yield Finding("ok", "prefect", text)
    for package, limit, harm in _BELOW:
        text, numbers = version_of(package)
        if numbers >= limit:
            below = ".".join(map(str, limit))
            yield Finding("error", package, f"{text}: {harm}", f'pip install "{package}<{below}"')
        else:
            yield Finding("ok", package, text or "not installed")


def _config(settings: Settings) -> Iterator[Finding]:
    from amends.settings import check_plugged

    problems = check_plugged(settings, open_registry(settings, quiet=True))
    for problem in problems:
        where = ": ".join(part for part in (problem.file, problem.key) if part)
        yield Finding("error", "config", f"{where}: {problem.what}" if where else problem.what, problem.todo)
    if not settings.shops:
        yield Finding("warning", "config", f"{settings.path}: no shop", "add a table [shops.NAME]")
    elif not problems:
        yield Finding(
            "ok",
            "config",
            f"{settings.path}: {len(settings.shops)} shops, {len(settings.approvers)} approvers",
        )
    if settings.shops and any(map(_asks, _playbooks(settings))):
        if not settings.approvers:
            what = "the playbook asks for approvals, and config names nobody who may give them"
            yield Finding("warning", "approvers", what, "add a table [approvers.NAME]")
        elif not any(one.provable for one in settings.approvers.values()):
            what = "none of them can show who they are, so nobody can approve"
            yield Finding("warning", "approvers", what, "give each a `channel` with `to`, or a `code`")
    unproven = [name for name, approver in settings.approvers.items() if not approver.provable]
    if unproven:
        what = f"{', '.join(unproven)}: neither a channel nor a code, so they can decide nothing"
        yield Finding("warning", "approvers", what, "add `channel` and `to`, or `code`")


def _playbooks(settings: Settings) -> list[Any]:
    return [settings.playbook_of(name) for name in settings.shops]


def _asks(playbook: Any) -> bool:
    approve = playbook.approve
    return bool(approve.complaint or approve.arbitration or approve.legal or approve.remedy_over is not None)


def _plugins(settings: Settings | None) -> Iterator[Finding]:
    registry = open_registry(settings, quiet=True)
    states = [one.state for one in registry.providers]
    for one in registry.providers:
        if one.state == "broken":
            source = f" ({one.distribution})" if one.distribution else ""
            todo = f'repair it, uninstall it, or deny it: [plugins] deny = ["{one.name}"]'
            yield Finding("error", "plugins", f"{one.name}{source}: {one.problem}", todo)
    if not states.count("loaded"):
        yield Finding("warning", "plugins", "none is loaded", "pip install amends[all]")
    else:
        names = ", ".join(one.name for one in registry.providers if one.state == "loaded")
        yield Finding(
            "ok",
            "plugins",
            f"{names}" + (f"; {states.count('denied')} denied by config" if "denied" in states else ""),
        )


def _ledger(settings: Settings, now: datetime, offline: bool) -> Iterator[Finding]:
    """What the ledger shows, and what each shop answers: their calls are paced by the ledger."""
    from amends.ledger import Ledger, Vault

    try:
        url, file = settings.ledger_url, ledger_file(settings)
    except ConfigError as error:
        yield Finding("error", "ledger", str(error), error.hint)
        return
    if file is not None and not file.is_file():
        yield Finding("note", "ledger", f"none yet ({file})", "the first `amends sweep` makes it")
        yield from _shops(settings, None, offline)
        return
    try:
        vault = Vault(settings.ledger_key(create=False))
    except AmendsError as error:
        yield Finding("error", "key", str(error), error.hint)
        return
    if file is not None:
        yield from _files(settings, file)
    try:
        ledger = Ledger.open(url, vault)
    except AmendsError as error:
        yield Finding("error", "ledger", str(error), error.hint)
        return
    try:
        yield Finding("ok", "ledger", ledger.where)
        yield _written(ledger)
        yield from _contents(settings, ledger, now)
        if not ledger.sqlite and not offline:
            yield clocks("clock of the ledger", ledger.do(_ahead))
        yield from _shops(settings, ledger, offline)
    except AmendsError as error:
        yield Finding("error", "ledger", str(error), error.hint)
    finally:
        ledger.close()


class _Undone(Exception):
    """Ends a transaction without a trace."""


def _written(ledger: Ledger) -> Finding:
    """Whether the ledger takes a write: one is begun, and undone."""
    from amends.ledger import intake
    from amends.ledger.schema import moment

    def attempt(tx: Tx) -> None:
        intake.set_cursor(tx, "", "doctor", "", moment(0))
        raise _Undone

    try:
        ledger.do(attempt)
    except _Undone:
        return Finding("ok", "ledger", "takes writes")
    except AmendsError as error:
        todo = error.hint or "does its file, folder or role allow writing? is there room on its disk?"
        return Finding("error", "ledger", f"takes no writes: {error}", todo)
    raise AssertionError("unreachable")


def _ahead(tx: Tx) -> timedelta:
    """How far the database's clock is ahead of this machine's."""
    from sqlalchemy import text

    told = tx.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return datetime.fromtimestamp(float(told), UTC) - datetime.now(UTC)


def _shops(settings: Settings, ledger: Ledger | None, offline: bool) -> Iterator[Finding]:
    if offline or not settings.shops:
        return
    from amends.cli.health_shops import examine_shops

    found, ahead = asyncio.run(examine_shops(settings, open_registry(settings, quiet=True), ledger))
    yield from found
    if ahead is not None:
        yield clocks("clock of the platform", ahead)


def _files(settings: Settings, file: Path) -> Iterator[Finding]:
    for path in (file, settings.state_dir / "amends.key"):
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("warning", "ledger", f"{path} can be read by others", f"chmod 600 {path}")
    free = shutil.disk_usage(file.parent).free
    if free < 200 * 1024 * 1024:
        yield Finding(
            "warning", "ledger", f"{free // 1024 // 1024} MB free on its disk", "make room before it is full"
        )


def _contents(settings: Settings, ledger: Ledger, now: datetime) -> Iterator[Finding]:
    from amends.ledger import holds, intake, tasks, views

    newest, bad_key, broken = ledger.do(_newest)
    if bad_key:
        yield Finding(
            "error",
            "key",
            "does not fit this ledger: signatures are wrong",
            "put the right key back, from your backup",
        )
    else:
        yield Finding("ok", "key", "fits the ledger")
        if broken:
            todo = "`amends evidence verify` says where; put a backup back, and find out who wrote to it"
            yield Finding("error", "evidence", f"{broken[0]}; {many(len(broken), 'break')} seen", todo)
        else:
            yield Finding("ok", "evidence", f"the chains of the newest {SPOTS} cases hold")
    if newest is not None and newest > now + _SKEW:
        at = local(newest, zone_of(settings))
        yield Finding(
            "warning",
            "clock",
            f"the ledger was written at {at}, which is in the future",
            "set this machine's clock",
        )
    else:
        yield Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind the ledger")
    for name in settings.shops:
        yield _swept(settings, name, ledger.do(views.last_sweeps, name, 1), now)
        yield from _promised(name, *ledger.do(_undated, name))
        if unread := ledger.do(intake.unread, name):
            some = "; ".join(f"{number}: {why}" for number, why in islice(unread.items(), 10))
            what = f"{len(unread)} orders cannot be read, and are not watched until they can: {some}"
            todo = "correct them in the platform's back office; each sweep asks for them again"
            yield Finding("warning", f"shop {name}", what, todo)
    for hold in ledger.do(holds.current):
        yield Finding("warning", "holds", str(hold), "`amends release` when it is cleared")
    forgotten = ledger.do(views.forgotten)
    if forgotten:
        shown = ", ".join(map(str, forgotten[:10]))
        yield Finding(
            "error",
            "cases",
            f"{len(forgotten)} open cases have no due time: {shown}",
            "report this: it must not be",
        )
    late = [task for task in ledger.do(tasks.listing) if task.due_at < now]
    if late:
        yield Finding("warning", "tasks", f"{len(late)} tasks are overdue", "see `amends tasks`")


def _newest(tx: Tx) -> tuple[datetime | None, bool, list[str]]:
    """When the ledger was last written, whether the newest cases were signed with another key, and broken chains."""
    from sqlalchemy import func, select

    from amends.ledger import chain
    from amends.ledger.schema import facts, heads, maybe_moment, sweeps

    times = [tx.execute(select(func.max(column))).scalar() for column in (facts.c.at, sweeps.c.started_at)]
    newest = select(heads.c.case_id).order_by(heads.c.case_id.desc()).limit(SPOTS)
    breaks = [found for row in tx.execute(newest).all() for found in chain.verify(tx, row.case_id).breaks]
    wrong = any("signature" in one.problem for one in breaks)
    at = maybe_moment(max((at for at in times if at is not None), default=None))
    return at, wrong, [f"case {one.case}: {one.problem}" for one in breaks]


def _undated(tx: Tx, shop: str) -> tuple[int, int]:
    """How many of a shop's orders have no ship-by that anybody knows, and how many there are."""
    from sqlalchemy import func, select

    from amends.cases.lateness import State
    from amends.ledger.schema import orders

    count = select(func.count()).select_from(orders).where(orders.c.shop == shop)
    unknown = count.where(orders.c.state == State.UNKNOWN.value, orders.c.ship_by.is_(None))
    return tx.execute(unknown).scalar_one(), tx.execute(count).scalar_one()


def _promised(name: str, unknown: int, of: int) -> Iterator[Finding]:
    if unknown:
        what = f"{unknown} of {of} orders have no ship-by: neither the platform nor a rule gives one, so they are never late"
        todo = "write your own promise: `ship_within` of the connector, or a `ship-promise` row in [[rules.overrides]]"
        yield Finding("warning", f"shop {name}", what, todo)


def _swept(settings: Settings, name: str, last: list[dict[str, Any]], now: datetime) -> Finding:
    about = f"shop {name}"
    if not last:
        return Finding("note", about, "never swept", f"`amends sweep --shop {name}`, or deploy its schedule")
    zone = settings.shop(name).zone
    at = local(last[0]["started_at"], zone)
    if last[0]["ended_at"] is None:
        return Finding(
            "warning",
            about,
            f"its last sweep began at {at} and has not ended",
            "the next one settles what it left",
        )
    if now - last[0]["started_at"] > _SWEPT_WITHIN:
        return Finding(
            "warning",
            about,
            f"last swept at {at} ({zone})",
            "is its schedule deployed, and a worker running?",
        )
    return Finding("ok", about, f"last swept at {at} ({zone})")
