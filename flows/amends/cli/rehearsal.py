"""What a sweep would do, for `amends sweep --dry-run`: reads platform and ledger, writes to neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import select

from amends.cli.opened import ledger_file, open_ledger
from amends.cli.output import Column, local, many, progress, say, table, warn
from amends.cli.sweep import failed
from amends.clock import FixedClock
from amends.errors import AmendsError, PlatformError
from amends.ledger import Ledger, Tx, Vault, inbox, intake, work
from amends.ledger.schema import cases, ticks
from amends.steps.advance import apply_reply
from amends.steps.intake import PAGES, judged
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amends.hooks.registry import Registry
    from amends.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
SHOWN = 30


class Undone(Exception):
    """Carries a transaction's answer out while the transaction itself is rolled back."""

    def __init__(self, answer: Any) -> None:
        super().__init__("rolled back")
        self.answer = answer


class Rehearsal(Ledger):
    """A ledger that forgets: every transaction sees the real state, and is rolled back."""

    def __init__(self, real: Ledger) -> None:
        self.real = real
        self.url, self.vault, self.sqlite = real.url, real.vault, real.sqlite

    def do(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return self.real.do(_undone(work), *args, **kwargs)
        except Undone as undone:
            return undone.answer  # type: ignore[no-any-return]  # it is what `work` answered

    async def run(self, work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self.real.run(_undone(work), *args, **kwargs)
        except Undone as undone:
            return undone.answer  # type: ignore[no-any-return]  # it is what `work` answered


def _undone(work: Callable[Concatenate[Tx, P], R]) -> Callable[Concatenate[Tx, P], R]:
    def done(tx: Tx, /, *args: P.args, **kwargs: P.kwargs) -> R:
        raise Undone(work(tx, *args, **kwargs))

    return done


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger; where there is none yet, an empty one in memory."""
    file = ledger_file(settings)
    if file is not None and not file.is_file():
        empty = Ledger.open("sqlite:///:memory:", Vault(bytes(32)))
        try:
            yield Rehearsal(empty)
        finally:
            empty.close()
        return
    with open_ledger(settings) as real:
        yield Rehearsal(real)


def rehearse_all(
    settings: Settings, registry: Registry, names: Sequence[str], now: datetime
) -> list[dict[str, Any]]:
    """What a sweep of each shop would do now; a shop that fails has `state: failed`."""
    found = []
    with _ledger(settings) as ledger, progress("looking") as tell:
        for name in names:
            tell(f"looking at {name}")
            try:
                found.append(asyncio.run(_rehearse(settings, registry, ledger, name, now)))
            except AmendsError as error:
                found.append(failed(name, error))
    return found


async def _rehearse(
    settings: Settings, registry: Registry, ledger: Ledger, name: str, now: datetime
) -> dict[str, Any]:
    shop = await Shop.open(settings, name, ledger=ledger, registry=registry, clock=FixedClock(now))
    try:
        problems: list[str] = []
        seen = await _orders(shop, now, problems)
        opening, ids = await ledger.run(_taken, shop, seen, now)
        due = [
            line
            for start in range(0, len(ids), 200)
            for line in await _decided(shop, ids[start : start + 200], now)
        ]
        return {
            "shop": name,
            "state": "done",
            "orders": len(seen),
            "replies": await _replies(shop, problems),
            "would_open": opening,
            "due": due,
            "problems": problems,
        }
    finally:
        await shop.aclose()


async def _orders(shop: Shop, now: datetime, problems: list[str]) -> list[intake.Seen]:
    """Every order that changed since the last sweep, judged; the cursor stays where it is."""
    cursor = await shop.ledger.run(intake.cursor, shop.name, "orders")
    found: list[intake.Seen] = []
    try:
        for _ in range(PAGES):
            page = await shop.connector.changed_orders(cursor)
            found += [judged(shop, order, now) for order in page.orders]
            cursor = page.cursor
            if not page.more:
                break
    except PlatformError as error:
        problems.append(f"{error} ({error.code})")
    return found


async def _replies(shop: Shop, problems: list[str]) -> int:
    """How many customers' answers wait at the platform."""
    if shop.connector_spec.operation("replies").how != "api":
        return 0
    count, cursor = 0, await shop.ledger.run(intake.cursor, shop.name, "replies")
    try:
        for _ in range(PAGES):
            page = await shop.connector.replies(cursor)
            count, cursor = count + len(page.replies), page.cursor
            if not page.more:
                break
    except PlatformError as error:
        problems.append(f"{error} ({error.code})")
    return count


def _taken(
    tx: Tx, shop: Shop, seen: Sequence[intake.Seen], now: datetime
) -> tuple[list[dict[str, Any]], list[int]]:
    """The cases that would be opened, the soonest deadline first, and those that are due already."""
    due = select(cases.c.id).where(
        cases.c.shop == shop.name, cases.c.outcome.is_(None), cases.c.due_at <= ticks(now)
    )
    ids = [row.id for row in tx.execute(due.order_by(cases.c.due_at, cases.c.id))]
    intake.take(tx, shop.name, seen, now=now, waking=False)
    watched = [judged(shop, order, now) for order in intake.due_orders(tx, shop.name, now, 1_000_000)]
    late = {item.order.number: item.lateness for item in watched if item.lateness.state.needs_case}
    openings = [
        intake.Opening(number, one.state, one.why, shop.playbook.version, shop.policy_version, now)
        for number, one in late.items()
    ]
    opened = [(number, late[number]) for number in intake.open_cases(tx, shop.name, openings, now)]
    opened.sort(key=lambda pair: (pair[1].ship_by is None, pair[1].ship_by or now, pair[0]))
    return [
        {"number": number, "state": one.state, "why": one.why, "ship_by": one.ship_by}
        for number, one in opened
    ], ids


async def _decided(shop: Shop, ids: Sequence[int], now: datetime) -> list[dict[str, Any]]:
    """What is decided about these cases, replies in the inbox taken in."""
    claims = await shop.ledger.run(work.claim, shop.name, shop.owner, now=now, limit=len(ids), only=ids)
    events = await shop.ledger.run(inbox.waiting, shop.name, [claim.id for claim in claims])
    found = []
    for claim in claims:
        turn = Turn(claim, now)
        for event in events.get(claim.id, ()):
            apply_reply(shop, turn, event)
        answer = decide_turn(shop, turn)
        held = claim.held_steps.get(answer.step.value, "") if answer.step else ""
        found.append(
            {
                "case": claim.id,
                "number": claim.number,
                "stage": answer.stage,
                "do": "person" if held else answer.do,
                "step": answer.step,
                "at": answer.at,
                "what": answer.what,
                "amount": answer.amount,
                "why": held or answer.why,
                "records": [new.body.kind for new in turn.facts],
            }
        )
    return found


def show(found: Sequence[dict[str, Any]], settings: Settings) -> None:
    """The same for a terminal."""
    for one in found:
        if one["state"] == "failed":
            warn(
                f"{one['shop']}: error: {one['error']}",
                *([f"{one['shop']}: hint: {one['hint']}"] if one["hint"] else []),
            )
            continue
        zone = settings.shop(one["shop"]).zone
        opening, due = one["would_open"], one["due"]
        say(
            f"{one['shop']}: {many(one['orders'], 'order')} changed, {one['replies']} new replies; "
            f"{many(len(opening), 'case')} would be opened, {len(due)} due"
        )
        for problem in dict.fromkeys(one["problems"]):
            warn(f"  problem: {problem}")
        if opening:
            rows = [
                (line["number"], line["state"].value, local(line["ship_by"], zone), line["why"])
                for line in opening[:SHOWN]
            ]
            table(["order", "lateness", "ship by", Column("why", wide=True)], rows, title="Would open a case")
            _more(len(opening))
        if due:
            rows = [
                (line["case"], line["number"], what_next(line, zone), line["why"]) for line in due[:SHOWN]
            ]
            table(
                [Column("case", right=True), "order", "would", Column("why", wide=True)],
                rows,
                title="Due cases",
            )
            _more(len(due))
    say("", "Nothing was written or sent.")


def what_next(line: dict[str, Any], zone: Any) -> str:
    """One decision in a few words."""
    match line["do"]:
        case "step":
            return str(line["step"].value)
        case "wait":
            return f"wait until {local(line['at'], zone)}"
        case "ask":
            return f"ask a yes to {line['what']}"
        case "person":
            return "leave it to a person"
        case "close":
            return "close"
    return str(line["do"])


def _more(there: int) -> None:
    if there > SHOWN:
        say(f"… and {there - SHOWN} more; --json shows them")
