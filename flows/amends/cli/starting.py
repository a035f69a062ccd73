"""`amends init`: a folder with a configuration to edit, and the ledger's key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amends.cli.options import FIRST, Json
from amends.cli.output import print_json, say


def add_to(app: typer.Typer) -> None:
    app.command("init", rich_help_panel=FIRST)(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")],
    json: Json = False,
) -> None:
    """Write a configuration to start from into DIR/config, and the ledger's key into DIR/state.

    Nothing that is there is overwritten.
    """
    from amends.settings import Settings, write_starter

    written = write_starter(folder)
    settings = Settings.load(folder / "config")
    state = settings.prepare_state()
    settings.ledger_key()
    if json:
        print_json({"config": folder / "config", "files": written, "state": state})
        return
    say(f"{folder / 'config'}: {len(written)} files to edit; README.md there explains every key")
    say(f"{state}: the ledger's key; keep a copy apart, personal values cannot be read without it")
    say("", "Next:")
    here = folder == Path()
    steps = [
        *([] if here else [(f"cd {folder}", "commands look for ./config")]),
        ("edit config/base/shops.toml", "your shops; or put your own values into config/local/"),
        ("amends config check", "says what is missing"),
        ("amends triage FILE --shop NAME", "tries an order export, writes nothing"),
        ("amends sweep --dry-run", "says what would be done"),
        ("amends sweep --local", "does it"),
    ]
    for command, why in steps:
        say(f"  {command:<32} {why}")
