"""`amends approvals`, `approve` and `reject`: frozen lists of acts, and a named person's yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_settings, zone_of
from amends.cli.options import PEOPLE, Approver, Json, Now, ShopName
from amends.cli.output import Column, local, many, print_json, say, table

if TYPE_CHECKING:
    from amends.ledger.approvals import Decision, Listing

ListId = Annotated[str, typer.Argument(metavar="LIST", help="The list, as `amends approvals` names it.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason; kept with the decision.")]


def add_to(app: typer.Typer) -> None:
    app.command("approvals", rich_help_panel=PEOPLE)(approvals)
    app.command("approve", rich_help_panel=PEOPLE)(approve)
    app.command("reject", rich_help_panel=PEOPLE)(reject)


def approvals(
    ctx: typer.Context,
    shop: ShopName = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are decided or expired.")] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """List what waits for a yes, act by act, with its amount and why."""
    settings = open_settings(ctx)
    known_shop(settings, shop)
    from amends.ledger import approvals as ledger_approvals

    with open_ledger(settings) as ledger:
        found = ledger.do(ledger_approvals.listing, shop=shop, open_only=not all_)
    at = now_of(now, settings, shop)
    if not all_:
        found = [one for one in found if one.expires_at > at]
    if json:
        print_json({"now": at, "lists": found})
        return
    if not found:
        say("Nothing waits for approval.")
    for one in found:
        zone = zone_of(settings, one.shop)
        state = "" if one.state == "open" else f", {one.state}"
        say(
            f"\n{one.id}: {one.kind}, shop {one.shop}, {many(len(one.items), 'act')}{_total(one)}, "
            f"until {local(one.expires_at, zone)}{state}"
        )
        rows = [
            (
                item.case,
                item.number,
                item.what,
                item.amount,
                item.decision or _needed(item.people, item.decided_by),
                item.why.removeprefix(f"a person must approve {item.what}: "),
            )
            for item in one.items
        ]
        columns: list[str | Column] = [
            Column("case", right=True),
            "order",
            "act",
            Column("amount", right=True),
            "state",
            Column("why", wide=True),
        ]
        table(columns, rows)
    if found:
        say("", "`amends approve LIST --by NAME [--except CASE]`, or `amends reject LIST --by NAME`")
        say(f"approvers: {', '.join(settings.approvers) or 'nobody yet; add a table [approvers.NAME]'}")


def _total(one: Listing) -> str:
    sums: dict[str, int] = {}
    for item in one.items:
        if item.amount is not None:
            sums[item.amount.currency] = sums.get(item.amount.currency, 0) + item.amount.minor
    from amends.cases.money import Money

    return "".join(f", {Money(minor=minor, currency=currency)}" for currency, minor in sorted(sums.items()))


def _needed(people: int, decided_by: str) -> str:
    given = [name for name in decided_by.split(",") if name]
    return "waits" if people == 1 else f"{len(given)} of {people} yes"


def approve(
    ctx: typer.Context,
    list_id: ListId,
    by: Approver,
    exceptions: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="CASE", help="Say no to this case's act; may be repeated."),
    ] = None,
    why: Why = "",
    now: Now = None,
    json: Json = False,
) -> None:
    """Say yes to every waiting act of a list, but for the exceptions, which get a no."""
    _decide(ctx, list_id, by, True, exceptions or [], why, now, json)


def reject(
    ctx: typer.Context, list_id: ListId, by: Approver, why: Why = "", now: Now = None, json: Json = False
) -> None:
    """Say no to every waiting act of a list."""
    _decide(ctx, list_id, by, False, [], why, now, json)


def _decide(
    ctx: typer.Context,
    list_id: str,
    by: str,
    yes: bool,
    exceptions: list[str],
    why: str,
    now: str | None,
    json: bool,
) -> None:
    settings = open_settings(ctx)
    from amends.ledger import approvals as ledger_approvals
    from amends.ledger import views
    from amends.steps import people

    with open_ledger(settings) as ledger:
        shop = ledger.do(ledger_approvals.get, list_id).shop
        ids = [ledger.do(views.case_id, name) for name in exceptions]
        decision = ledger.do(
            people.approve,
            list_id,
            by=by,
            now=now_of(now, settings, shop),
            exceptions=ids,
            yes=yes,
            why=why,
            approvers=sorted(settings.approvers),
        )
    if json:
        print_json({"list": list_id, "by": by, "decision": decision})
    else:
        say(f"{list_id}: {_in_words(decision)}")


def _in_words(decision: Decision) -> str:
    parts = [
        (decision.approved, "approved"),
        (decision.refused, "refused"),
        (decision.half, "approved once, another person must too"),
        (decision.stale, "changed since they were asked: not approved, asked anew"),
    ]
    return "; ".join(f"{count} {word}" for count, word in parts if count) + ". The next sweep acts on it."
