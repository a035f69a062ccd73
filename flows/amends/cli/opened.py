"""What most commands open first: the configuration, its plugins, the ledger and the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from amends.cli.output import warn
from amends.clock import SystemClock
from amends.errors import LedgerError

if TYPE_CHECKING:
    from amends.hooks.registry import Registry
    from amends.ledger import Ledger, Tx
    from amends.settings import Settings


def open_settings(ctx: typer.Context, *, blocks: bool = False) -> Settings:
    """The configuration that the command line, AMENDS_CONFIG or ./config names; raises `ConfigError`.

    `blocks`: secrets may be read from Prefect's blocks; it is imported only where config names one.
    """
    from amends.settings import Settings

    return Settings.load(ctx.find_root().obj, blocks=_block if blocks else None)


def _block(name: str) -> str:
    from importlib import import_module

    return str(import_module("amends.workflows.blocks").read_block(name))


def settings_if_any(ctx: typer.Context) -> Settings | None:
    """The same; None where none is named and there is no ./config: some commands need none."""
    import os

    if ctx.find_root().obj is None and not os.environ.get("AMENDS_CONFIG") and not Path("config").exists():
        return None
    return open_settings(ctx)


def open_registry(settings: Settings | None, *, quiet: bool = False) -> Registry:
    """The plugins that config allows; one that is broken is named on stderr and left out."""
    from amends.hooks.registry import Registry

    allow = settings.plugins.allow if settings else None
    registry = Registry.load(allow=allow, deny=settings.plugins.deny if settings else ())
    for provider in registry.providers if not quiet else ():
        if provider.state == "broken":
            warn(f"warning: plugin {provider.name} is left out: {provider.problem}")
    return registry


def ledger_file(settings: Settings) -> Path | None:
    """The SQLite file of the ledger; None where it is another database."""
    scheme, _, path = settings.ledger_url.partition(":///")
    return Path(path) if scheme.startswith("sqlite") else None


@contextmanager
def open_ledger(settings: Settings, *, make: bool = False) -> Iterator[Ledger]:
    """The ledger, closed afterwards. Only `make` makes one that is not there: a wrong path must not."""
    file = ledger_file(settings)
    if not make and file is not None and not file.is_file():
        raise LedgerError(
            f"there is no ledger yet ({file})",
            hint="The first `amends sweep` makes it; or name the right configuration by --config.",
        )
    from amends.steps import shop

    ledger = shop.open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def zone_of(settings: Settings, shop: str | None = None) -> tzinfo:
    """The zone of that shop, or of the only one; UTC where neither says."""
    if shop is None and len(settings.shops) == 1:
        return next(iter(settings.shops.values())).zone
    return settings.shops[shop].zone if shop in settings.shops else UTC


def time_of(text: str, zone: tzinfo, option: str = "--now", *, day_ends: bool = False) -> datetime:
    """A time as given by an option; naive ones are in `zone`. `day_ends`: a date means its last second."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-03-01T10:00 or 2026-03-01T10:00+08:00", param_hint=option
        ) from None
    if day_ends and len(text) <= 10:
        found = datetime.combine(found.date(), time(23, 59, 59))
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def now_of(text: str | None, settings: Settings, shop: str | None = None) -> datetime:
    """`--now`, or the machine's time."""
    return time_of(text, zone_of(settings, shop)) if text else SystemClock().now()


def known_shop(settings: Settings, name: str | None) -> str | None:
    """The name as it is, once config is known to have that shop; raises `ConfigError`."""
    if name is not None:
        settings.shop(name)
    return name


def which_case(tx: Tx, name: str) -> tuple[int, str]:
    """The case of that number, or of that order (the newest generation), and its shop; raises `CaseError`."""
    from sqlalchemy import select

    from amends.ledger import views
    from amends.ledger.schema import cases

    id_ = views.case_id(tx, name)
    return id_, str(tx.execute(select(cases.c.shop).where(cases.c.id == id_)).scalar_one())
