"""`amends report`: the numbers of the shops over some days, for a terminal, as JSON, or as one HTML file with charts."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_registry, open_settings
from amends.cli.options import DAILY, Json, Now, ShopName
from amends.cli.output import Column, local, print_json, say, table
from amends.errors import ConfigError

if TYPE_CHECKING:
    from amends.settings import Settings
    from amends.steps.report import Amounts, Report


class Language(StrEnum):
    """Languages of the HTML report; a test keeps them the same as those that have words."""

    EN = "en"
    ZH = "zh"


def add_to(app: typer.Typer) -> None:
    app.command("report", rich_help_panel=DAILY)(report)


def report(
    ctx: typer.Context,
    shop: ShopName = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY", help="The first day, as 2026-03-01. [default: 30 days]"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="The last day. [default: today]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="Write it as one HTML file.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option("--language", help="Of the HTML file. [default: the shop's, else en]")
    ] = None,
    now: Now = None,
    json: Json = False,
) -> None:
    """Count what was late and what was done: late rate, cases, cost, penalties, causes, tasks. Days of the shop's zone."""
    settings = open_settings(ctx)
    known_shop(settings, shop)
    first, last = _day(since, "--since"), _day(until, "--until")
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a folder; name a file such as report.html", param_hint="-o")
    found = _read(settings, [shop] if shop else list(settings.shops), first, last, now)
    if output is not None:
        from amends.steps.report_html import render

        output.write_text(render(found, _language(settings, found, language)), encoding="utf-8")
    if json:
        print_json({"reports": [one.to_json() for one in found]})
        return
    for one in found:
        _show(one, settings)
    if output is not None:
        say("", f"Written: {output}")


def _day(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day such as 2026-03-01", param_hint=option) from None


def _read(
    settings: Settings, shops: list[str], since: date | None, until: date | None, now: str | None
) -> list[Report]:
    from amends.settings import rule_book
    from amends.steps.report import count, read, span_of

    if not shops:
        raise ConfigError("there is no shop to report on", hint="Add a table [shops.NAME].")
    registry = open_registry(settings)
    with open_ledger(settings) as ledger:
        found = []
        for name in shops:
            at = now_of(now, settings, name)
            span = span_of(settings.shop(name).zone, at, since, until)
            rules = rule_book(settings, name, registry)
            found.append(count(ledger.do(read, name, span), span, rules=rules, now=at))
    return found


def _language(settings: Settings, found: list[Report], asked: Language | None) -> str:
    if asked is not None:
        return asked.value
    return (settings.shop(found[0].shop).language or "en") if len(found) == 1 else "en"


def _show(one: Report, settings: Settings) -> None:
    zone = settings.shop(one.shop).zone
    say("", f"{one.shop}: {one.since} to {one.until} (as of {local(one.now, zone)}, {zone})")
    table(["what", Column("number", right=True), Column("of it", wide=True)], _lines(one))
    for kind, rows in one.causes.items():
        cells = [
            (row.name or "(not stated)", row.share.late, row.share.due, _percent(row.share.rate), row.days)
            for row in rows[:5]
        ]
        if cells:
            columns: list[str | Column] = [
                kind,
                *(Column(name, right=True) for name in ("late", "due", "rate", "days")),
            ]
            table(columns, cells, title=f"Late by {kind}")


def _lines(one: Report) -> list[tuple[str, object, str]]:
    share = one.share
    limit = ""
    if one.limit is not None:
        word = "ABOVE" if one.over_limit else "within"
        limit = f"; {word} the platform's {one.limit.percent}% ({one.limit.confidence} confidence)"
    steps = ", ".join(f"{name} {n}" for name, n in one.funnel.items() if name != "opened")
    hours = "" if one.hours_median is None else f"hours, median; nine of ten within {one.hours_p90}"
    return [
        ("late rate", _percent(share.rate), f"{share.late} of {share.due} orders due{limit}"),
        ("cases opened", one.funnel["opened"], steps),
        ("cases closed", sum(one.outcomes.values()), _counts(one.outcomes)),
        ("cases open", one.open, f"penalties at stake {_money(one.penalty.at_stake)}"),
        ("remedies", _money(one.cost_total), f"{_counts(one.remedies)}; refunds apart {_money(one.refunds)}"),
        (
            "penalties avoided",
            _money(one.penalty.avoided),
            f"missed all the same {_money(one.penalty.missed)}",
        ),
        ("time to resolve", "" if one.hours_median is None else f"{one.hours_median:.1f}", hours),
        ("open tasks", one.tasks_open, f"{one.tasks_overdue} overdue; {one.tasks_done} done in these days"),
        ("customers again", one.customers_total, "with two late orders or more"),
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1])) or "none"


def _money(amounts: Amounts) -> str:
    return " + ".join(str(amounts[currency]) for currency in sorted(amounts)) or "0"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1f}%"
