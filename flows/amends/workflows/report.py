"""The flow that counts a shop's days: a markdown artifact with the numbers, and one HTML file with charts."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed

from amends.clock import SystemClock
from amends.hooks.registry import Registry
from amends.settings import Settings, rule_book
from amends.steps import report as steps
from amends.steps.report import Amounts, Report
from amends.steps.report_html import render
from amends.workflows.faults import told
from amends.workflows.masks import masked, slug
from amends.workflows.opening import opened_ledger, read_settings


def _run_name() -> str:
    given: dict[str, Any] = flow_run.parameters
    return f"report-{given['shop']}"


@flow(
    name="report",
    flow_run_name=_run_name,
    retries=1,
    retry_delay_seconds=30,
    persist_result=False,
    log_prints=False,
)
async def report(
    shop: str,
    since: date | None = None,
    until: date | None = None,
    language: str | None = None,
    config: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Count the days of one shop, show them as the artifact `report-<shop>`, and write an HTML file beside the ledger.

    Answers with the numbers.

    Args:
        shop: The shop's name in config.
        since: The first day, in the shop's zone. Empty: 30 days ago.
        until: The last day. Empty: today.
        language: zh or en. Empty: the shop's.
        config: The config folder or file. Empty: AMENDS_CONFIG, else ./config.
        now: A time to judge by, for rehearsals. Empty: the machine's own.
    """
    async with told():
        settings = read_settings(config)
        zone = settings.shop(shop).zone  # a wrong name shows before anything is opened
        registry = Registry.load(allow=settings.plugins.allow, deny=settings.plugins.deny)
        rules = rule_book(settings, shop, registry)
        at = now or SystemClock().now()
        span = steps.span_of(zone, at, since, until)
        async with opened_ledger(settings) as ledger:
            rows = await ledger.run(steps.read, shop, span)
        found = await asyncio.to_thread(steps.count, rows, span, rules=rules, now=at)
        file = write(settings, found, language or settings.shop(shop).language or "en")
        await _publish(found, file)
    return _ended(found)  # type: ignore[return-value]  # Prefect unpacks a state that a flow returns: callers get its data


def write(settings: Settings, found: Report, language: str) -> Path:
    """Write the HTML file `reports/report-<shop>.html` in the state folder, mode 0600: it names orders."""
    folder = settings.prepare_state() / "reports"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"report-{slug(found.shop)}.html"
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(render([found], language), encoding="utf-8")
    fresh.replace(file)
    return file


def markdown(found: Report, file: Path | None = None) -> str:
    """The numbers in markdown: ids of articles, warehouses and carriers, and nothing of a customer."""
    share = found.share
    limit = "no rule gives the platform's limit"
    if found.limit is not None:
        word = "**above**" if found.over_limit else "within"
        limit = f"{word} the platform's {found.limit.percent}% ({found.limit.source}; {found.limit.confidence} confidence)"
    penalty = found.penalty
    hours = (
        "–"
        if found.hours_median is None
        else f"{found.hours_median:.1f} h, nine of ten within {found.hours_p90} h"
    )
    rows = [
        ("late rate", f"{_percent(share.rate)}: {share.late} of {share.due} orders due; {limit}"),
        *((f"cases {name}", f"{count:,}") for name, count in found.funnel.items()),
        ("cases closed", f"{sum(found.outcomes.values()):,}"),
        ("cases open", f"{found.open:,}"),
        ("cost of remedies", f"{_money(found.cost_total)}; refunds apart {_money(found.refunds)}"),
        ("penalties avoided", f"{_money(penalty.avoided)}; missed all the same {_money(penalty.missed)}"),
        ("penalties at stake", _money(penalty.at_stake)),
        ("time to resolve, median", hours),
        ("open tasks", f"{found.tasks_open:,}, {found.tasks_overdue:,} overdue"),
        ("customers to whom it happened again", f"{found.customers_total:,}"),
    ]
    days = [
        (
            f"{day.day}",
            day.share.due,
            day.share.late,
            _percent(day.share.rate),
            day.opened,
            day.settled,
            day.closed,
        )
        for day in found.days
    ]
    sections = [
        f"## {found.shop} · {found.since} – {found.until}",
        _table(("what", "number"), rows),
        *(
            _table(
                (f"late by {kind}", "late", "due", "rate", "days"),
                [
                    (
                        row.name or "(not stated)",
                        row.share.late,
                        row.share.due,
                        _percent(row.share.rate),
                        row.days,
                    )
                    for row in causes
                ],
            )
            for kind, causes in found.causes.items()
            if causes
        ),
        _table(("day", "due", "late", "rate", "cases opened", "remedies", "closed"), days),
    ]
    if file is not None:
        sections.append(f"With charts: `{file}`")
    return "\n\n".join(sections)


async def _publish(found: Report, file: Path) -> None:
    told_ = f"{found.shop}: {_percent(found.share.rate)} late, {found.since} to {found.until}"
    try:
        await acreate_markdown_artifact(
            markdown(found, file), key=f"report-{slug(found.shop)}", description=told_
        )
    except Exception as error:  # the file is written; what Prefect shows is a copy
        get_run_logger().warning("the report of %s was not published: %s", found.shop, type(error).__name__)


def _ended(found: Report) -> State[dict[str, Any]]:
    told_ = f"{_percent(found.share.rate)} late of {found.share.due} orders due, {found.funnel['opened']} cases opened"
    return Completed(message=told_, data=found.to_json())


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)])


def _cell(cell: Any) -> str:
    return masked(str(cell)).replace("|", "/")


def _money(amounts: Amounts) -> str:
    return " + ".join(str(amounts[currency]) for currency in sorted(amounts)) or "–"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1f}%"
