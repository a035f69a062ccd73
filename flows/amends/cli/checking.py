"""`amends doctor` and `amends config check`: what is wrong here, and what to do about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import open_registry, open_settings
from amends.cli.options import HOUSE, Json, Now
from amends.cli.output import many, print_json, progress, say, warn
from amends.errors import ConfigError

if TYPE_CHECKING:
    from amends.settings import Settings
    from amends.settings.problems import Problem

config = typer.Typer(help="Check the configuration.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(config, name="config", rich_help_panel=HOUSE)
    app.command("doctor", rich_help_panel=HOUSE)(doctor)


@config.command("check")
def check(ctx: typer.Context, json: Json = False) -> None:
    """Read the whole configuration, plugins' own keys and secrets included; list every problem."""
    settings: Settings | None = None
    try:
        settings = open_settings(ctx)
        problems = _plugged(settings)
    except ConfigError as error:
        problems = list(error.context.get("problems", ()))
        if not problems:
            raise
    where = str(settings.path) if settings is not None and settings.path else ""
    if json:
        told = [{"file": one.file, "key": one.key, "what": one.what, "todo": one.todo} for one in problems]
        print_json({"ok": not problems, "path": where, "problems": told})
    elif problems:
        warn(*(f"error: {problem}" for problem in problems))
        warn(f"hint: {len(problems)} to correct; then run `amends config check` again")
    elif settings is not None:
        say(f"{where}: in order")
        for name, shop in settings.shops.items():
            say(
                f"  shop {name}: connector {shop.connector}, desk {shop.desk_name}, "
                f"playbook {shop.playbook}, policy {shop.policy}"
            )
        say(f"  approvers: {', '.join(settings.approvers) or 'nobody'}")
    if problems:
        raise typer.Exit(1)


def _plugged(settings: Settings) -> list[Problem]:
    from amends.settings import check_plugged

    return check_plugged(settings, open_registry(settings))


def doctor(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody over the network.")] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """Look at this installation: versions, config, plugins, ledger, key, clocks, Prefect, credentials, schedules, sweeps.

    Each finding says what to do. Platforms are only asked for something harmless. Ends with 1 where something is broken.
    """
    from amends.cli.findings import Finding
    from amends.cli.health import examine

    with progress("looking"):
        findings: list[Finding] = list(examine(ctx, now, offline=offline))
    counts: Counter[str] = Counter(one.level for one in findings)
    if json:
        rows: list[dict[str, Any]] = [
            {"level": one.level, "about": one.about, "what": one.what, "todo": one.todo} for one in findings
        ]
        print_json({"ok": not counts["error"], "findings": rows})
    else:
        width = max(len(one.about) for one in findings)
        for one in findings:
            say(f"{one.level:<8}{one.about:<{width}}  {one.what}")
            if one.todo:
                say(f"{'':<8}{'':<{width}}  → {one.todo}")
        say("", f"{many(counts['error'], 'error')}, {many(counts['warning'], 'warning')}")
    if counts["error"]:
        raise typer.Exit(1)
