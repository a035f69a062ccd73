"""`amends reply`: a customer's answer that reached you some other way than through the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amends.cli.opened import now_of, open_ledger, open_settings, time_of, which_case, zone_of
from amends.cli.options import PEOPLE, Answer, By, CaseName, Json, Now
from amends.cli.output import print_json, say

if TYPE_CHECKING:
    from amends.cases.offers import Remedy


def add_to(app: typer.Typer) -> None:
    app.command("reply", rich_help_panel=PEOPLE)(reply)


def reply(
    ctx: typer.Context,
    case: CaseName,
    answer: Annotated[Answer, typer.Argument(metavar="ANSWER", help="accept, decline, counter or cancel.")],
    by: By,
    ship_by: Annotated[
        str | None,
        typer.Option(
            "--ship-by", metavar="DATE", help="The date that a counter asks for; a day lasts to its end."
        ),
    ] = None,
    remedy: Annotated[
        str | None,
        typer.Option(
            "--remedy",
            metavar="WHAT",
            help="What a counter asks for: 'coupon 5 CNY', 'points 100', 'gift a mug'.",
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="The customer's words; kept encrypted.")] = "",
    now: Now = None,
    json: Json = False,
) -> None:
    """Record what a customer answered, by telephone for instance, to the offer that is out."""
    if (ship_by or remedy) and answer is not Answer.COUNTER:
        raise typer.BadParameter("go with `counter` only", param_hint="--ship-by and --remedy")
    settings = open_settings(ctx)
    from amends.cases.facts import Answer as Given
    from amends.steps import people
    from amends.steps.narrative import tell

    wanted = _remedy(remedy) if remedy else None
    with open_ledger(settings) as ledger:
        id_, shop = ledger.do(which_case, case)
        date = time_of(ship_by, zone_of(settings, shop), "--ship-by", day_ends=True) if ship_by else None
        fact = ledger.do(
            people.reply,
            id_,
            Given(answer.value),
            by=by,
            now=now_of(now, settings, shop),
            ship_by=date,
            remedy=wanted,
            note=note,
        )
    if json:
        print_json(
            {"case": id_, "seq": fact.seq, "at": fact.at, "by": by, "answer": answer, "told": tell(fact)}
        )
    else:
        say(f"case {id_}: {tell(fact)}. The next sweep acts on it.")


def _remedy(text: str) -> Remedy:
    """`coupon 5 CNY` as a remedy; raises a usage error that shows the form."""
    from pydantic import ValidationError

    from amends.cases.offers import Remedy

    kind, _, rest = text.strip().partition(" ")
    key = {"points": "points", "gift": "name", "replacement": "name"}.get(kind, "amount")
    try:
        return Remedy.model_validate({"kind": kind, key: rest.strip()})
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        form = "write a kind and what it is worth, such as 'coupon 5 CNY', 'points 100' or 'gift a mug'"
        raise typer.BadParameter(f"{text!r}: {why}; {form}", param_hint="--remedy") from None
