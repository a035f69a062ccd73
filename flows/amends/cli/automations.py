"""`amends automations`: example automations for Prefect, made by one command."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from amends.cli.opened import open_settings
from amends.cli.options import HOUSE, Json
from amends.cli.output import print_json, say, table


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Example automations for Prefect.")
    group.command("apply")(apply)
    app.add_typer(group, name="automations", rich_help_panel=HOUSE)


def apply(
    ctx: typer.Context,
    notify: Annotated[
        str,
        typer.Option(
            "--notify", metavar="TYPE/NAME", help="A notification block, such as slack-webhook/operators."
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Create them on the Prefect server, or change them: no sweep for 2 h, storm, quarantine, overdue task, dead run.

    Doing it again changes nothing. One that you switched off stays off.
    """
    settings = open_settings(ctx)
    from amends.workflows import automations, reach

    reach.reach()
    found = asyncio.run(automations.apply(settings, notify=notify))
    if json:
        print_json({"automations": found})
        return
    table(["automation", "state"], [(one.name, one.state) for one in found])
    if not notify:
        say(
            "They fire and tell nobody yet: add `--notify TYPE/NAME`, or actions of your own in Prefect's pages."
        )
