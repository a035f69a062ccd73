"""`amends cases` and `amends case`: the list of cases, and one case's whole story."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_settings, zone_of
from amends.cli.options import DAILY, CaseName, Json, Now, ShopName
from amends.cli.output import Column, local, print_json, say, table

if TYPE_CHECKING:
    from amends.ledger.views import CaseLine
    from amends.settings import Settings

STAGES = (
    "verify",
    "contact",
    "awaiting-reply",
    "refused",
    "promised",
    "settling",
    "complaint",
    "arbitration",
    "ruled",
    "legal",
    "held",
    "closed",
)
"""A test keeps them the same as the domain's."""


def add_to(app: typer.Typer) -> None:
    app.command("cases", rich_help_panel=DAILY)(cases)
    app.command("case", rich_help_panel=DAILY)(case)


def cases(
    ctx: typer.Context,
    shop: ShopName = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help=f"Only cases in it: {', '.join(STAGES)}.")
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Leave closed ones out.")] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """List cases, the soonest due first, closed ones last."""
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(
            f"{stage!r} is no stage; there are {', '.join(STAGES)}", param_hint="--stage"
        )
    settings = open_settings(ctx)
    known_shop(settings, shop)
    from amends.ledger import views

    with open_ledger(settings) as ledger:
        lines = ledger.do(views.case_lines, shop=shop, stage=stage, open_only=open_only)
    if json:
        print_json({"cases": lines})
        return
    if not lines:
        say("No cases." if stage is None and not open_only else "No such cases.")
        return
    _show_list(lines, settings, now_of(now, settings, shop))


def _show_list(lines: list[CaseLine], settings: Settings, now: datetime) -> None:
    several = len({line.shop for line in lines}) > 1
    rows = [
        (
            line.id,
            *([line.shop] if several else []),
            line.number,
            line.outcome or line.stage,
            _due(line, settings, now),
            line.next_step,
            line.why,
        )
        for line in lines
    ]
    columns: list[str | Column] = [
        Column("case", right=True),
        *(["shop"] if several else []),
        "order",
        "stage",
        "due",
        "next",
        Column("why", wide=True),
    ]
    table(columns, rows)
    closed = sum(line.outcome is not None for line in lines)
    say(f"{len(lines) - closed} open, {closed} closed. `amends case NUMBER` tells one's story.")


def case(
    ctx: typer.Context,
    case: CaseName,
    texts: Annotated[
        bool, typer.Option("--texts", help="Also what was written and answered: personal texts.")
    ] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """Tell one case: where it stands, what happens next and when, and all that happened, with its why."""
    from amends.cli.story import read, show, told

    settings = open_settings(ctx)
    with open_ledger(settings) as ledger:
        record = ledger.do(read, case, settings)
    at = now_of(now, settings, record.line.shop)
    if json:
        print_json(told(record, settings, at, texts=texts))
    else:
        show(record, settings, at, texts=texts)


def _due(line: CaseLine, settings: Settings, now: datetime) -> str:
    return "" if line.due_at is None else local(line.due_at, zone_of(settings, line.shop), near=now)
