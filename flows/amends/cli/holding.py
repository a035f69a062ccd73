"""`amends hold` and `amends release`: stop a case, a shop, a step or everything, and let go again."""

from __future__ import annotations

from typing import Annotated

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_settings
from amends.cli.options import PEOPLE, By, Json, Now, Step
from amends.cli.output import print_json, say
from amends.errors import CaseError

Case = Annotated[
    str | None, typer.Option("--case", metavar="CASE", help="This case: its number, or its order's.")
]
Shop = Annotated[str | None, typer.Option("--shop", metavar="NAME", help="All of this shop.")]
OneStep = Annotated[Step | None, typer.Option("--step", help="This step, in that shop or in all.")]
Everything = Annotated[bool, typer.Option("--all", help="Everything, in every shop.")]


def add_to(app: typer.Typer) -> None:
    app.command("hold", rich_help_panel=PEOPLE)(hold)
    app.command("release", rich_help_panel=PEOPLE)(release)


def hold(
    ctx: typer.Context,
    why: Annotated[
        str, typer.Option("--why", metavar="TEXT", help="The reason; shown wherever it holds something.")
    ],
    by: By,
    case: Case = None,
    shop: Shop = None,
    step: OneStep = None,
    all_: Everything = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """Stop a case, a shop or a step: from the next check on, nothing of it is sent."""
    _one_thing(case, shop, step, all_)
    settings = open_settings(ctx)
    known_shop(settings, shop)
    from amends.ledger import views
    from amends.steps import people

    at = now_of(now, settings, shop)
    with open_ledger(settings, make=True) as ledger:
        id_ = ledger.do(views.case_id, case) if case else None
        ledger.do(
            people.hold, by=by, why=why, now=at, case=id_, shop=shop or "", step=step.value if step else ""
        )
    held = _named(id_, shop, step)
    if json:
        print_json({"held": held, "case": id_, "shop": shop, "step": step, "by": by, "why": why, "at": at})
    else:
        say(f"{held} is held: {why}")


def release(
    ctx: typer.Context,
    by: By,
    case: Case = None,
    shop: Shop = None,
    step: OneStep = None,
    all_: Everything = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason.")] = "",
    now: Now = None,
    json: Json = False,
) -> None:
    """Let go on what was held. A shop's release also frees the cases that a storm or a first run held."""
    _one_thing(case, shop, step, all_)
    settings = open_settings(ctx)
    known_shop(settings, shop)
    from amends.ledger import holds, views
    from amends.steps import people

    at = now_of(now, settings, shop)
    with open_ledger(settings) as ledger:
        id_ = ledger.do(views.case_id, case) if case else None
        count = ledger.do(
            people.release, by=by, now=at, case=id_, shop=shop or "", step=step.value if step else "", why=why,
            approvers=tuple(settings.approvers),
        )  # fmt: skip
        left = ledger.do(holds.current)
    freed = _named(id_, shop, step)
    if not count:
        there = (
            "; ".join(map(str, left))
            or "no shop and no step is held; `amends cases --stage held` lists cases"
        )
        raise CaseError(f"{freed} was not held", hint=there)
    if json:
        print_json(
            {
                "released": freed,
                "count": count,
                "case": id_,
                "shop": shop,
                "step": step,
                "by": by,
                "left": left,
            }
        )
    else:
        say(f"{freed} is released" + (f" ({count} holds)" if count > 1 else ""))
        for one in left:
            say(f"still: {one}")


def _one_thing(case: str | None, shop: str | None, step: Step | None, all_: bool) -> None:
    """Usage errors: nothing named, or what does not go together."""
    hint = "--case, --shop, --step or --all"
    if not (case or shop or step or all_):
        raise typer.BadParameter("say what", param_hint=hint)
    if (case and (shop or step or all_)) or (all_ and (shop or step)):
        raise typer.BadParameter("--case and --all stand alone", param_hint=hint)


def _named(case: int | None, shop: str | None, step: Step | None) -> str:
    if case is not None:
        return f"case {case}"
    parts = [f"shop {shop}" if shop else "", f"step {step.value}" if step else ""]
    return ", ".join(part for part in parts if part) or "everything"
