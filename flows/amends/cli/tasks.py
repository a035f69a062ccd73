"""`amends tasks`: the work that waits for people, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_settings, zone_of
from amends.cli.options import PEOPLE, Json, Now, ShopName
from amends.cli.output import Column, local, print_json, say, table

if TYPE_CHECKING:
    from amends.ledger.tasks import Task
    from amends.settings import Settings

FIELDS = (
    "task",
    "shop",
    "order",
    "case",
    "kind",
    "due_at",
    "opened_at",
    "place",
    "limits",
    "choices",
    "outcome",
    "done_at",
    "done_by",
)


def add_to(app: typer.Typer) -> None:
    app.command("tasks", rich_help_panel=PEOPLE)(tasks)


def tasks(
    ctx: typer.Context,
    shop: ShopName = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Only these, such as message or grant:refund."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are done.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV; no cell can act as a formula.")] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """List the work that waits for people, the soonest due first."""
    if as_csv and json:
        raise typer.BadParameter("choose one", param_hint="--csv or --json")
    settings = open_settings(ctx)
    known_shop(settings, shop)
    from amends.ledger import tasks as ledger_tasks

    with open_ledger(settings) as ledger:
        found = ledger.do(ledger_tasks.listing, shop=shop, kind=kind, open_only=not all_)
    at = now_of(now, settings, shop)
    if json:
        print_json(
            {
                "now": at,
                "tasks": [
                    as_row(one) | {"overdue": one.done_at is None and one.due_at < at} for one in found
                ],
            }
        )
    elif as_csv:
        sys.stdout.write(as_csv_text(found, settings))
    elif not found:
        say("No open tasks." if not all_ else "No tasks.")
    else:
        rows = [
            (
                one.id,
                one.number,
                one.case,
                one.kind,
                local(one.due_at, zone_of(settings, one.shop), near=at),
                one.outcome or ("overdue" if one.due_at < at else "open"),
                one.shop,
                one.place,
            )
            for one in found
        ]
        columns: list[str | Column] = [
            Column("task", right=True),
            "order",
            Column("case", right=True),
            "kind",
            "due",
            "state",
            "shop",
            Column("where", wide=True),
        ]
        table(columns, rows)
        say("`amends task show ID` has the texts, `amends task done ID --outcome done` finishes one.")


def as_row(one: Task) -> dict[str, Any]:
    """A task as JSON and CSV show it."""
    values = (
        one.id,
        one.shop,
        one.number,
        one.case,
        one.kind,
        one.due_at,
        one.opened_at,
        one.place,
        one.limits,
        list(one.choices),
        one.outcome,
        one.done_at,
        one.done_by,
    )
    return dict(zip(FIELDS, values, strict=True))


def as_csv_text(found: Iterable[Task], settings: Settings) -> str:
    """Tasks as CSV, times in each shop's zone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for one in found:
        zone = zone_of(settings, one.shop)
        row = as_row(one) | {"choices": "|".join(one.choices)}
        row |= {
            name: local(row[name], zone) if row[name] else "" for name in ("due_at", "opened_at", "done_at")
        }
        writer.writerow([safe(row[name]) for name in FIELDS])
    return out.getvalue()


def safe(cell: object) -> str:
    """A cell that a spreadsheet shows as text: one that would begin a formula gets an apostrophe."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") else text
