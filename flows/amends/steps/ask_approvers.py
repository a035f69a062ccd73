"""Asks approvers about the lists of a shop: who is told when, and the telling, each thing at most once.

Sweeps call it, with Prefect and without; `amends approve` and the form send a further code by it. What was planned is
in the ledger, so a crash repeats nothing and forgets nothing but a notice that was just leaving: whoever lacks a code
asks for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from amends.cases.orders import Personal
from amends.errors import AmendsError, ApprovalError, PlatformError
from amends.hooks.protocols import Channel, Clock, Context
from amends.hooks.registry import Registry
from amends.ledger import Ledger, Tx, approvals, codes, notices
from amends.ledger.approvals import Listing
from amends.ledger.notices import Notice
from amends.settings import Settings, channel_config
from amends.steps.approval_letters import letter


@dataclass
class Asking:
    """What asking needs. `links` gives for a list the page where it is decided, where there is one."""

    settings: Settings
    ledger: Ledger
    clock: Clock
    registry: Callable[[], Registry]
    links: Mapping[str, str] = field(default_factory=dict)


def able(settings: Settings) -> list[str]:
    """Approvers who can show who they are, in config's order: those whom `then` names are last, in its order."""
    later = [name for name in settings.approvals.then if name in settings.approvers]
    names = [name for name in settings.approvers if name not in later] + later
    return [name for name in names if settings.approver(name).provable]


def due(
    listing: Listing, log: Sequence[Notice], settings: Settings, now: datetime
) -> list[tuple[str, notices.Kind]]:
    """Who is to be told of an open list by now, beyond what its log already has."""
    rules, names = settings.approvals, able(settings)
    said_yes = [set(item.decided_by.split(",")) for item in listing.waiting]
    done = set.intersection(*said_yes) if said_yes else set()
    asked = {one.person: one.planned_at for one in log if one.kind == "asked"}
    first = [name for name in names if name not in rules.then]
    needed = max((item.people for item in listing.waiting), default=0)
    first += names[len(first) : max(needed, 1)] if len(first) < max(needed, 1) else []
    found: list[tuple[str, notices.Kind]] = [(name, "asked") for name in first if name not in asked]
    later = [name for name in names if name not in first and name not in asked]
    if asked and later and max(asked.values()) + rules.next_after <= now:
        found.append((later[0], "asked"))
    reminded = {one.person for one in log if one.kind == "reminded"}
    for name, at in sorted(asked.items()):
        if rules.remind_after is None or now < at + rules.remind_after or name in reminded:
            continue
        if name in names and settings.approver(name).channel:
            found.append((name, "reminded"))
    return [(name, kind) for name, kind in found if name not in done]


async def ask_approvers(asking: Asking, shop: str, *, only: str = "") -> list[str]:
    """Tell whoever is to be told of the shop's lists (or of that one) by now; answers with what went wrong, a line each."""
    await asking.ledger.run(plan, asking.settings, shop, asking.clock.now())
    problems = []
    for notice in await asking.ledger.run(notices.waiting, shop):
        if only not in ("", notice.list):
            continue
        problem = await _tell(asking, notice)
        problems += [problem] if problem else []
    return problems


async def send_code(asking: Asking, list_id: str, person: str) -> str:
    """Send that person a further code for that list, in place of the one before; answers with the channel's name.

    Raises `ApprovalError` where they have no channel, have had too many, or it did not reach them for certain.
    """
    listing = await asking.ledger.run(approvals.get, list_id)
    channel = asking.settings.approver(person).channel
    if not channel:
        raise ApprovalError(
            f"{person} has no channel by which a code could be sent", hint="Give the code that config names."
        )
    notice = await asking.ledger.run(notices.again, list_id, listing.shop, person, asking.clock.now())
    problem = await _tell(asking, notice)
    if problem:
        await asking.ledger.run(notices.end, notice, "dropped", problem)  # they are here, and ask again
        raise ApprovalError(problem)
    return channel


def plan(tx: Tx, settings: Settings, shop: str, now: datetime) -> int:
    """Write down what is due for the open lists of a shop; answers with how much is new."""
    lists = [one for one in approvals.listing(tx, shop=shop, open_only=True) if now < one.expires_at]
    logs = notices.log(tx, [one.id for one in lists])
    return sum(
        notices.plan(tx, one.id, shop, due(one, logs.get(one.id, ()), settings, now), now)
        for one in lists
        if one.waiting
    )


def hold_undecided(tx: Tx, settings: Settings, shop: str, now: datetime) -> list[str]:
    """Hold the cases of lists that nobody decided in time, where config says so; whoever was asked is to be told.

    Answers with a line for each such list.
    """
    after = settings.approvals.hold_after
    lists = [] if after is None else approvals.hold_undecided(tx, shop, after, now)
    for list_id, log in notices.log(tx, lists).items():
        people = {one.person for one in log if one.kind == "asked"}
        notices.plan(tx, list_id, shop, [(person, "held") for person in sorted(people)], now)
    return [f"list {list_id}: nobody decided in time, its cases are held" for list_id in lists]


async def _tell(asking: Asking, notice: Notice) -> str:
    """Send one notice, marked before it leaves; answers with what went wrong."""
    settings, ledger, name = asking.settings, asking.ledger, notice.person
    approver = settings.approvers.get(name)
    if approver is None or not approver.channel:  # they look by themselves, or have left
        await ledger.run(notices.end, notice, "none" if approver is not None else "dropped")
        return ""
    try:
        made = await ledger.run(_begin, notice, asking.clock.now(), settings)
    except ApprovalError as error:  # too many codes
        await ledger.run(notices.end, notice, "dropped", error.message)
        return error.message
    if made is None:
        return ""
    listing, code = made
    try:
        channel = _channel(asking, listing.shop, approver.channel)
        try:
            to = settings.approver_address(name)
            person = Personal(name=name, phone=to, email=to, address=to) if to else None
            link = asking.links.get(listing.id, "")
            await channel.message(letter(settings, listing, notice, code, person, link))
        finally:
            await channel.aclose()
    except Exception as error:  # one person's channel must not keep the list from the others
        await ledger.run(_failed, notice, error)
        words = f": {error.message}" if isinstance(error, AmendsError) else ""
        return f"{name} was not told of list {listing.id}: {type(error).__name__}{words}"
    await ledger.run(notices.end, notice, "sent")
    return ""


def _failed(tx: Tx, notice: Notice, error: Exception) -> None:
    """It certainly did not leave (then it is tried again), or what became of it is unknown (then it is not)."""
    # Errors of ours that no platform raised come from config or a plugin's making, before anything is sent.
    kept_here = error.sure_not_done if isinstance(error, PlatformError) else isinstance(error, AmendsError)
    counts = isinstance(error, PlatformError)
    notices.end(tx, notice, "failed" if kept_here else "unknown", type(error).__name__, counts=counts)
    if kept_here and notice.kind != "held":
        codes.withdraw(tx, notice.list, notice.person)


def _begin(tx: Tx, notice: Notice, now: datetime, settings: Settings) -> tuple[Listing, str] | None:
    """Mark the notice and make the code that it carries; None where it is not to be sent."""
    state = notices.begin(tx, notice, now)
    if not state:
        return None
    listing = approvals.get(tx, notice.list)
    if notice.kind == "held":
        return listing, ""
    if state != "open" or not listing.waiting or now >= listing.expires_at:
        notices.end(tx, notice, "dropped")
        return None
    until = min(listing.expires_at, now + settings.approvals.code_for)
    return listing, codes.issue(tx, listing.id, notice.person, expires_at=until)


def _channel(asking: Asking, shop: str, name: str) -> Channel:
    from amends.http import new_client

    spec, config = channel_config(asking.settings, name, asking.registry())
    if spec.factory is None:
        raise AmendsError(f"channel {spec.name} cannot be used")
    zone = asking.settings.shop(shop).time_zone
    made: Channel = spec.factory(config, Context(shop, zone, asking.clock, new_client))
    return made
