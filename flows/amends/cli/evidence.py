"""`amends evidence verify`, `dossier` and `erase`: what proves a case, packed, checked, or destroyed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import now_of, open_ledger, open_settings, which_case, zone_of
from amends.cli.options import PROOF, By, CaseName, Json, Now
from amends.cli.output import many, print_json, progress, say, warn
from amends.errors import InputError

if TYPE_CHECKING:
    from amends.ledger import Tx

evidence = typer.Typer(help="Check the hash chains of cases.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(evidence, name="evidence", rich_help_panel=PROOF)
    app.command("dossier", rich_help_panel=PROOF)(dossier)
    app.command("erase", rich_help_panel=PROOF)(erase)


@evidence.command("verify")
def verify(
    ctx: typer.Context,
    case: Annotated[
        str | None,
        typer.Argument(metavar="[CASE]", help="Only this case; else every case and the ledger's totals."),
    ] = None,
    json: Json = False,
) -> None:
    """Walk the hash chains from their first facts. Ends with 1 and names the fact where one is broken."""
    settings = open_settings(ctx)
    from amends.ledger import chain, views

    with open_ledger(settings) as ledger, progress("walking the chains"):
        id_ = ledger.do(views.case_id, case) if case else None
        report = ledger.do(chain.verify, id_)
    if json:
        print_json(
            {
                "chains": report.chains,
                "facts": report.facts,
                "verified": report.verified,
                "broken": report.broken,
                "breaks": report.breaks,
            }
        )
    else:
        say(
            f"{many(report.chains, 'chain')}, {many(report.facts, 'fact')}: "
            f"{report.verified} hold, {report.broken} broken"
        )
        for one in report.breaks:
            where = f"case {one.case}" if one.case else "the ledger"
            say(f"  {where}" + (f", fact {one.seq}" if one.seq else "") + f": {one.problem}")
        if report.breaks:
            warn("hint: stop all workers, keep the ledger's file, and compare it with your last backup")
    if report.breaks:
        raise typer.Exit(1)


def dossier(
    ctx: typer.Context,
    case: CaseName,
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.zip", help="Where to write it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: Json = False,
) -> None:
    """Pack a case for a platform, arbitrator or lawyer: chronology, chain, texts, files, verifier.

    It holds personal texts. Ends with 1 where the chain is broken; the file is written all the same.
    """
    if file.exists() and not force:
        raise InputError(
            f"{file} is there already; nothing was written", hint="Choose another name, or say --force."
        )
    settings = open_settings(ctx)
    with open_ledger(settings) as ledger:
        id_, shop = ledger.do(which_case, case)
        report = ledger.do(_pack, id_, file, zone_of(settings, shop))
    if json:
        print_json(report)
    else:
        holds = (
            "the chain holds" if report["verified"] else "THE CHAIN IS BROKEN, see `amends evidence verify`"
        )
        say(f"{file}: {report['files']} files, {report['facts']} facts; {holds}")
    if not report["verified"]:
        raise typer.Exit(1)


def _pack(tx: Tx, case: int, file: Path, zone: Any) -> dict[str, Any]:
    """Write it whole or not at all, for the owner's eyes only."""
    from amends.steps import dossier as steps_dossier

    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        report = steps_dossier.pack(tx, case, part, zone)
        part.replace(file)
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror or error}", hint="Choose a folder that you can write to."
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return report | {"file": str(file)}


def erase(
    ctx: typer.Context,
    case: CaseName,
    by: By,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """Destroy the personal values of a closed case for good; its facts and their chain stay whole."""
    settings = open_settings(ctx)
    from amends.steps import people

    with open_ledger(settings) as ledger:
        id_, shop = ledger.do(which_case, case)
        if not yes:
            if not sys.stdin.isatty():
                raise InputError(
                    f"erasing case {id_} cannot be undone; nothing was erased", hint="Say --yes."
                )
            typer.confirm(
                f"Destroy names, addresses, texts and files of case {id_} for good?", abort=True, err=True
            )
        ledger.do(people.erase, id_, by=by, now=now_of(now, settings, shop))
    if json:
        print_json({"case": id_, "erased": True, "by": by})
    else:
        say(f"case {id_}: personal values destroyed; the chain stays whole")
