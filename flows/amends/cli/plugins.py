"""`amends plugins`, `new-plugin` and `plugin-check`: what is there, how to write and check one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amends.cli.opened import open_registry, settings_if_any
from amends.cli.options import HOUSE, Json
from amends.cli.output import Column, print_json, progress, say, table

if TYPE_CHECKING:
    from amends.hooks.registry import Registry


def add_to(app: typer.Typer) -> None:
    app.command("plugins", rich_help_panel=HOUSE)(plugins)
    app.command("new-plugin", rich_help_panel=HOUSE)(new_plugin)
    app.command("plugin-check", rich_help_panel=HOUSE)(plugin_check)


def plugins(
    ctx: typer.Context,
    matrix: Annotated[
        bool,
        typer.Option("--matrix", help="What each connector and channel can do, and how far to trust it."),
    ] = False,
    json: Json = False,
) -> None:
    """List installed plugins: what they offer, and what is wrong with those that were set aside."""
    registry = open_registry(settings_if_any(ctx), quiet=True)
    if matrix:
        _matrix(registry, json=json)
        return
    if json:
        print_json({"plugins": registry.providers})
        return
    if not registry.providers:
        say("No plugin is installed. `pip install amends[all]` brings the ones that belong to amends.")
        return
    rows = [
        (
            one.name,
            one.state,
            f"{one.distribution} {one.version}".strip(),
            one.problem or ", ".join(one.offers),
        )
        for one in registry.providers
    ]
    table(["plugin", "state", "from", Column("offers, or what is wrong", wide=True)], rows)


def _matrix(registry: Registry, *, json: bool) -> None:
    from amends.hooks.matrix import capabilities, markdown

    if json:
        print_json({"capabilities": capabilities(registry)})
    else:
        say(markdown(registry).rstrip("\n"))


def new_plugin(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="connector, desk, channel or policy.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words joined by hyphens.")],
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to put the folder amends-NAME.")
    ] = Path(),
    json: Json = False,
) -> None:
    """Write a plugin of your own that works and passes its tests as it is; its blanks are marked FILL IN."""
    from amends.testing.scaffold import new_plugin as write

    made = write(kind, name, folder)
    if json:
        print_json(
            {"folder": made.folder, "files": made.files, "blanks": made.blanks, "next": made.next_steps}
        )
        return
    say(
        f"{made.folder}: a {made.kind}, {len(made.files)} files, {made.blanks} blanks to fill in",
        "",
        "Next:",
    )
    say(*(f"  {step}" for step in made.next_steps))


def plugin_check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `amends plugins` names it.")],
    json: Json = False,
) -> None:
    """Check an installed plugin against the contract, with its own fakes. Ends with 1 where it fails."""
    from amends.testing.check import plugin_check as check

    registry = open_registry(settings_if_any(ctx), quiet=True)
    with progress(f"checking {name}"):
        report = check(name, registry)
    if json:
        print_json(
            {
                "plugin": report.plugin,
                "ok": report.ok,
                "checks": report.checks,
                "capabilities": report.capabilities,
            }
        )
    else:
        say(*report.lines())
    if not report.ok:
        raise typer.Exit(1)
