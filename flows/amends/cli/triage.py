"""`amends triage`: classifies every row of an order export, and writes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from amends.cli.opened import known_shop, open_registry, open_settings, settings_if_any, time_of
from amends.cli.options import FIRST, Json, Now
from amends.cli.output import Column, hours, local, many, progress, say, table, warn
from amends.clock import FixedClock, SystemClock
from amends.errors import InputError

if TYPE_CHECKING:
    from amends.cases.rules import RuleBook
    from amends.hooks.registry import Registry
    from amends.settings import Settings
    from amends.steps.triage import Triage

SHOWN = 20
"""Late orders in the table, and unreadable rows; `--all` and `--json` show every one."""


def add_to(app: typer.Typer) -> None:
    app.command("triage", rich_help_panel=FIRST)(triage)


def triage(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An order export: CSV or XLSX.")],
    shop: Annotated[
        str | None, typer.Option("--shop", metavar="NAME", help="Read it as this shop's export.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="P", help="Read it as an export of pinduoduo, taobao, shopify or woocommerce."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="FILE", help="Read it by your own column mapping (TOML)."),
    ] = None,
    zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="IANA zone of times that name none.")
    ] = "",
    now: Now = None,
    all_: Annotated[bool, typer.Option("--all", help="List every late order and unreadable row.")] = False,
    json: Json = False,
) -> None:
    """Classify every row of an order export: what is late, by how much, at what cost. Opens no case.

    Ends with 1 where no row could be read.
    """
    if sum(given is not None for given in (shop, preset, mapping)) != 1:
        raise typer.BadParameter(
            "say how to read the file, by one of them", param_hint="--shop, --preset or --mapping"
        )
    settings = open_settings(ctx) if shop else settings_if_any(ctx)
    registry = open_registry(settings)
    clock = FixedClock(SystemClock().now())
    read = {"preset": preset} if preset else {"mapping": mapping}
    connector, rules, warn_at = _reader(
        registry, settings, shop, {**read, "path": file}, clock, _known_zone(zone)
    )
    where = _zone_of(connector)
    if now:
        clock.set(time_of(now, where))
    at = clock.now()

    from amends.steps.triage import triage as judge_all

    with progress(f"reading {file}") as tell:
        found = judge_all(_counted(connector.rows(), file, tell), now=at, rules=rules, warn=warn_at)
    if json:
        found.write_json(sys.stdout)
    else:
        _show(found, where, None if all_ else SHOWN)
    if not found.readable:
        if found.rows:
            warn(
                f"error: {file}: no row could be read",
                "hint: is it the right preset or mapping?",
            )
        else:
            warn(f"error: {file} holds no orders")
        raise typer.Exit(1)


def _known_zone(name: str) -> str:
    """The zone as it is; raises a usage error for one that nobody knows."""
    try:
        return name if not name else str(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(
            f"{name!r} is not an IANA zone such as Asia/Shanghai", param_hint="--time-zone"
        ) from None


def _zone_of(connector: Any) -> tzinfo:
    """The zone that the export's own times are in, for `--now` and for showing them."""
    mapping, context = getattr(connector, "mapping", None), getattr(connector, "context", None)
    return ZoneInfo(getattr(mapping, "time_zone", "") or getattr(context, "time_zone", "") or "UTC")


def _reader(
    registry: Registry,
    settings: Settings | None,
    shop: str | None,
    config: dict[str, Any],
    clock: FixedClock,
    zone: str,
) -> tuple[Any, RuleBook, tuple[timedelta, ...]]:
    """Whoever reads the file, the rules that count, and the warning windows."""
    from amends.cases.rules import RuleBook
    from amends.hooks.protocols import Context

    name, platform = "spreadsheet", ""
    warn_at: tuple[timedelta, ...] = (timedelta(hours=24),)
    if settings is not None and known_shop(settings, shop) and shop is not None:
        given = settings.shop(shop)
        name, platform, zone = given.connector, given.rules, zone or given.time_zone
        config = {**given.connector_config, "path": config["path"]}
        warn_at = settings.playbook_of(shop).at_risk_before
    spec = registry.connector(name)
    if "path" not in spec.config.model_fields:
        raise InputError(
            f"shop {shop} has the connector {name!r}, which reads no files",
            hint="Say by --preset or --mapping how to read the export.",
        )
    context = Context(shop=shop or "triage", time_zone=zone, clock=clock, http=None)
    checked = _validated(spec.config, config, shop)
    connector: Any = spec.factory(checked, context) if spec.factory else None
    if not hasattr(connector, "rows"):
        raise InputError(
            f"the connector {name!r} cannot list the rows of a file", hint="Use --preset or --mapping."
        )
    platform = platform or (spec.rules(checked) if callable(spec.rules) else spec.rules)
    own = settings.rules.for_platform(platform) if settings else ()
    rows = [rule for rule in registry.rules if rule.platform == platform]
    book = RuleBook(rows, platform=platform, overrides=own, zone=_zone_of(connector))
    return connector, book, warn_at


def _validated(model: Any, config: dict[str, Any], shop: str | None) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "connector_config"
        where = f"shops.{shop}.connector_config: {key}" if shop else key
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _counted(rows: Iterable[Any], file: Path, tell: Any) -> Iterator[Any]:
    for count, row in enumerate(rows, start=1):
        if count % 5000 == 0:
            tell(f"reading {file}: {count} rows")
        yield row


def _show(found: Triage, zone: tzinfo, most: int | None) -> None:
    from datetime import datetime
    from itertools import islice

    say(f"{many(found.rows, 'row')}, {many(found.readable, 'order')} judged")
    table(
        ["lateness", Column("orders", right=True)],
        [(state.value, count) for state, count in found.counts.items() if count],
    )
    if len(found.late):
        amount = ", ".join(str(money) for _, money in sorted(found.amount.items()))
        title = (
            f"{many(len(found.late), 'late order')} worth {amount}, soonest deadline first (times in {zone})"
        )
        rows = (
            (
                late["number"],
                late["amount"],
                _time(late["placed_at"], zone, datetime),
                _time(late["ship_by"], zone, datetime),
                hours(late["hours_late"]),
                late["state"],
                late["after_sales"] if late["after_sales"] != "none" else "",
                late["penalty"],
            )
            for late in islice(found.late, most)
        )
        columns: list[str | Column] = [
            "order",
            Column("amount", right=True),
            "ordered",
            "ship by",
            Column("hours", right=True),
            "lateness",
            "after-sales",
            Column("penalty", right=True),
        ]
        table(columns, rows, title=title)
        _more(len(found.late), most, "late orders")
    if len(found.unreadable):
        lost = ((bad["row"], bad["column"], bad["reason"]) for bad in islice(found.unreadable, most))
        title = f"{many(len(found.unreadable), 'row')} that cannot be read"
        table([Column("row", right=True), "column", Column("reason", wide=True)], lost, title=title)
        _more(len(found.unreadable), most, "rows")
    if found.duplicates:
        twice = [
            (number, ", ".join(map(str, rows))) for number, rows in islice(found.duplicates.items(), most)
        ]
        title = f"{many(len(found.duplicates), 'order number')} more than once; the first row counts"
        table(["order", Column("rows", wide=True)], twice, title=title)
        _more(len(found.duplicates), most, "order numbers")


def _time(text: str | None, zone: tzinfo, kind: Any) -> str:
    return "–" if text is None else local(kind.fromisoformat(text), zone)


def _more(there: int, shown: int | None, what: str) -> None:
    if shown is not None and there > shown:
        say(f"… and {there - shown} more {what}: --all or --json shows them")
