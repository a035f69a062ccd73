"""The front of the command line: its commands in order, its global options, and how every error is shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from amends import __version__
from amends.cli import (
    approving,
    automations,
    cases,
    checking,
    demo,
    evidence,
    holding,
    overdue,
    plugins,
    replying,
    report,
    starting,
    sweep,
    task,
    tasks,
    triage,
    up,
)
from amends.cli.output import warn
from amends.errors import AmendsError

ANYWHERE = ("--config",)
"""Global options that may also stand after the command's name."""


class Front(TyperGroup):
    """Turns every error into one message on stderr and an exit code: 1, 2 for wrong usage, 130 for Ctrl-C.

    `AMENDS_DEBUG=1` shows tracebacks instead.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _in_front(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            warn("stopped; what was begun is settled by the next run")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # Whoever read our output has gone: nothing to say, and nothing more to write at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code") or _debug():
                raise  # typer's own, or wanted
            warn(*_told(error))
            raise typer.Exit(1) from None
        return found


def _in_front(args: list[str]) -> list[str]:
    """The arguments with the global options first, wherever they stood."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            return [*front, *rest, arg, *left]
        if arg in ANYWHERE:
            front += [arg, *(value for value in [next(left, None)] if value is not None)]
        elif arg.startswith(tuple(f"{name}=" for name in ANYWHERE)):
            front.append(arg)
        else:
            rest.append(arg)
    return [*front, *rest]


def _told(error: Exception) -> list[str]:
    if isinstance(error, AmendsError):
        return [f"error: {error}", *([f"hint: {error.hint}"] if error.hint else [])]
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return [f"error: {where}{error.strerror}"]
    return [
        f"error: unexpected {type(error).__name__}: {str(error).partition(chr(10))[0]}",
        "hint: this is a fault of amends; AMENDS_DEBUG=1 shows where. Nothing half-done was kept.",
    ]


def _debug() -> bool:
    return os.environ.get("AMENDS_DEBUG", "") not in ("", "0")


app = typer.Typer(
    name="amends",
    cls=Front,
    help="Puts late shipments right: finds late orders, contacts, compensates, complains, escalates.",
    epilog="Begin with `amends demo`, or `amends init DIR` and `amends triage FILE --preset NAME`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"amends {__version__}")
        raise typer.Exit


@app.callback()
def _front(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="PATH",
            help="The configuration: a folder or a .toml file. Else AMENDS_CONFIG, else ./config.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version
    ctx.obj = config
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show 逾期 must not end the command


for part in (
    starting,
    demo,
    up,
    triage,
    sweep,
    overdue,
    cases,
    report,
    replying,
    tasks,
    task,
    approving,
    holding,
    evidence,
    plugins,
    automations,
    checking,
):
    part.add_to(app)


def main() -> int:
    """The entry point of the `amends` command."""
    app()
    return 0
