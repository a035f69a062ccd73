"""`amends demo`: the whole job on a made-up marketplace on this machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from amends.cli.options import FIRST
from amends.errors import InputError


def add_to(app: typer.Typer) -> None:
    app.command("demo", rich_help_panel=FIRST)(demo)


def demo(
    orders: Annotated[
        int, typer.Option("--orders", min=1, max=100_000, help="Orders of the marketplace.")
    ] = 200,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="Virtual days.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same story.")] = 7,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="Keep everything there; an unfinished run goes on, a finished one starts clean.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers there as JSON.")
    ] = None,
    ui: Annotated[
        bool, typer.Option("--ui", help="Leave Prefect's pages up afterwards, until Ctrl-C.")
    ] = False,
) -> None:
    """Show it all: a seeded marketplace with faults, swept four times a virtual day, and what came of it."""
    try:
        run_demo: Callable[..., int] = import_module("amends.demo").run_demo
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the demo cannot run here ({error})", hint="`pip install amends[demo]`, then `amends doctor`."
        ) from error
    code = run_demo(orders=orders, days=days, seed=seed, state=state, json_file=json_file, ui=ui)
    if code:
        raise typer.Exit(code)
