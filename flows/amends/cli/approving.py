"""`amends approvals`, `approve` and `reject`: frozen lists of acts, and the yes or no of a person who shows who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_registry, open_settings, zone_of
from amends.cli.options import PEOPLE, Approver, Code, Json, Now, ShopName
from amends.cli.output import Column, local, many, print_json, say, table
from amends.clock import FixedClock

if TYPE_CHECKING:
    from datetime import tzinfo

    from amends.ledger.approvals import Decision
    from amends.ledger.notices import Notice

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
    from amends.ledger import notices

    with open_ledger(settings) as ledger:
        found = ledger.do(ledger_approvals.listing, shop=shop, open_only=not all_)
        logs = ledger.do(notices.log, [one.id for one in found])
    at = now_of(now, settings, shop)
    if not all_:
        found = [one for one in found if one.expires_at > at]
    if json:
        shown = {one.id: logs.get(one.id, []) for one in found}
        print_json({"now": at, "lists": found, "told": shown})
        return
    if not found:
        say("Nothing waits for approval.")
    for one in found:
        zone = zone_of(settings, one.shop)
        state = "" if one.state == "open" else f", {one.state}"
        total = "".join(f", {amount}" for amount in one.amounts)
        say(
            f"\n{one.id}: {one.kind}, shop {one.shop}, {many(len(one.items), 'act')}{total}, "
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
        if told := _told(logs.get(one.id, ()), zone):
            say(f"told: {told}")
    if found:
        say(
            "",
            "`amends approve LIST --as NAME [--except CASE]` sends NAME a code; with `--code CODE` it decides.",
        )
        say(f"approvers: {', '.join(settings.approvers) or 'nobody yet; add a table [approvers.NAME]'}")


def _told(log: Sequence[Notice], zone: tzinfo) -> str:
    """Who was told what, when: `lin asked 12:00, reminded 16:00; wang asked 20:00 (failed)`."""
    by_person: dict[str, list[str]] = {}
    for line in log:
        state = {"sent": "", "none": " (no channel)"}.get(line.state, f" ({line.state})")
        by_person.setdefault(line.person, []).append(
            f"{line.kind} {local(line.at or line.planned_at, zone)}{state}"
        )
    return "; ".join(f"{person} {', '.join(lines)}" for person, lines in by_person.items())


def _needed(people: int, decided_by: str) -> str:
    given = [name for name in decided_by.split(",") if name]
    return "waits" if people == 1 else f"{len(given)} of {people} yes"


def approve(
    ctx: typer.Context,
    list_id: ListId,
    by: Approver,
    code: Code = "",
    exceptions: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="CASE", help="Say no to this case's act; may be repeated."),
    ] = None,
    why: Why = "",
    now: Now = None,
    json: Json = False,
) -> None:
    """Say yes to every waiting act of a list, but for the exceptions, which get a no.

    Without `--code`, one is sent to the approver, and nothing is decided.
    """
    _decide(ctx, list_id, by, True, code, exceptions or [], why, now, json)


def reject(
    ctx: typer.Context,
    list_id: ListId,
    by: Approver,
    code: Code = "",
    why: Why = "",
    now: Now = None,
    json: Json = False,
) -> None:
    """Say no to every waiting act of a list.

    Without `--code`, one is sent to the approver, and nothing is decided.
    """
    _decide(ctx, list_id, by, False, code, [], why, now, json)


def _decide(
    ctx: typer.Context,
    list_id: str,
    by: str,
    yes: bool,
    code: str,
    exceptions: list[str],
    why: str,
    now: str | None,
    json: bool,
) -> None:
    settings = open_settings(ctx, blocks=True)
    from amends.ledger import approvals as ledger_approvals
    from amends.steps.ask_approvers import Asking, send_code
    from amends.steps.decide_list import Word, check, decide_list

    with open_ledger(settings) as ledger:
        shop = ledger.do(ledger_approvals.get, list_id).shop
        at = now_of(now, settings, shop)
        word = Word(by, yes, code, exceptions, why)
        ledger.do(check, settings, list_id, word, at)
        if code.strip() or not settings.approver(by).channel:
            decision = asyncio.run(decide_list(settings, ledger, list_id, word, at))
            found: dict[str, Any] = {"list": list_id, "by": by, "decision": decision}
            told = f"{list_id}: {_in_words(decision)}"
        else:
            asking = Asking(settings, ledger, FixedClock(at), lambda: open_registry(settings))
            way = asyncio.run(send_code(asking, list_id, by))
            verb = "approve" if yes else "reject"
            found = {"list": list_id, "by": by, "decision": None, "code_sent": way}
            told = (
                f"A code was sent to {by} by {way}; nothing is decided yet. With it:\n"
                f"amends {verb} {list_id} --as {by} --code CODE"
            )
    if json:
        print_json(found)
    else:
        say(told)


def _in_words(decision: Decision) -> str:
    parts = [
        (decision.approved, "approved"),
        (decision.refused, "refused"),
        (decision.half, "approved once, another person must too"),
        (decision.stale, "changed since they were asked: not approved, asked anew"),
    ]
    return "; ".join(f"{count} {word}" for count, word in parts if count) + ". The next sweep acts on it."
