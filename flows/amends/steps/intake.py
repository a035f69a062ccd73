"""Brings in what changed: orders into the watch, late ones opened as cases; customers' replies into the inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel

from amends.cases import facts as f
from amends.cases.durations import show_duration
from amends.cases.lateness import judge
from amends.cases.orders import Order
from amends.errors import AuthFailed, BadAnswer, NotAllowed, NotFound, PlatformError, RiskControl
from amends.hooks.requests import Reply, ReplyPage
from amends.ledger import Tx, holds, inbox, intake, views
from amends.ledger.crash import crashpoint
from amends.rows import whole_text
from amends.steps.acts import hold_shop
from amends.steps.reading import own_faults, patiently
from amends.steps.shop import Shop

P = TypeVar("P")
M = TypeVar("M", bound=BaseModel)

PAGES = 10_000
"""More pages than this in one go is a platform that never says that it is done."""
AGAIN = 20
"""Orders that cannot be read now either, after which the rest waits for the next sweep."""
A_FEW = 3
"""Orders of which a line tells why they cannot be read."""


@dataclass(slots=True)
class Found:
    """What an intake brought."""

    orders: int = 0
    changed: int = 0
    opened: int = 0
    replies: int = 0
    problem: str = ""


async def take_orders(shop: Shop) -> Found:
    """Read every page of changed orders since the cursor, and look at watched ones whose time has come."""
    found = Found(problem=await shop.ledger.run(_stopped, shop.name))
    if found.problem:
        shop.problems.append(f"{shop.name} is held: {found.problem}")
        found.opened = await open_due(shop)
        return found
    unread = await shop.ledger.run(intake.unread, shop.name)
    try:
        if shop.connector_spec.operation("order").how == "api":
            await _look_again(shop, unread, found)
        for _ in range(PAGES):
            now = shop.clock.now()
            cursor = await shop.ledger.run(intake.cursor, shop.name, "orders")
            page = await _page(partial(shop.connector.changed_orders, cursor))
            odd = {item.order: item.why for item in page.unreadable}
            unread |= odd
            seen = [judged(shop, order, now) for order in page.orders]
            crashpoint("before-intake")
            changed = await store(
                shop, seen, cursor_value=page.cursor, unreadable=odd, began=not cursor, now=now
            )
            if at_last := (unread.keys() - odd.keys()) & {item.order.number for item in seen}:
                await shop.ledger.run(intake.read_at_last, shop.name, at_last)
            found.orders += len(seen)
            found.changed += len(changed)
            if not page.more:
                break
        else:
            found.problem = f"the platform still says `more` after {PAGES} pages"
    except PlatformError as error:
        await _trouble(shop, error, found)
    if unread := await shop.ledger.run(intake.unread, shop.name):
        shop.problems.append(f"{shop.name}: {say_unread(unread)}")
    found.opened = await open_due(shop)
    return found


def say_unread(unread: Mapping[str, str]) -> str:
    """One line about the orders that cannot be read."""
    some = "; ".join(f"{number}: {why}" for number, why in islice(unread.items(), A_FEW))
    more = f"; and {len(unread) - A_FEW} more" if len(unread) > A_FEW else ""
    return f"{len(unread)} order(s) cannot be read, and are not watched until they can: {some}{more}"


async def _look_again(shop: Shop, unread: Mapping[str, str], found: Found) -> None:
    """Ask by themselves for orders that could not be read with their page, until some cannot be read now either."""
    failed = 0
    for number, known in unread.items():
        now = shop.clock.now()
        try:
            order = await own_faults("the connector", partial(shop.connector.order, number))
        except PlatformError as error:
            why, failed = str(error), failed + 1
            if isinstance(error, NotFound) and why == known:  # said twice: not some gateway's passing word
                await shop.ledger.run(intake.read_at_last, shop.name, [number])
                continue
            await store(shop, [], unreadable={number: why}, now=now)
            if isinstance(error, (AuthFailed, RiskControl)):
                raise
            if failed == AGAIN or (error.retryable and not isinstance(error, BadAnswer)):
                return  # none of this order's own: the pages meet it too, or it has passed by the next sweep
        else:
            found.changed += len(await store(shop, [judged(shop, order, now)], now=now))
            found.orders += 1
            await shop.ledger.run(intake.read_at_last, shop.name, [number])


async def store(shop: Shop, seen: list[intake.Seen], **more: Any) -> list[str]:
    """Write what was seen of these orders; texts of theirs that cannot be written are mended, in `seen` itself."""
    try:
        return await shop.ledger.run(intake.take, shop.name, seen, **more)
    except ValueError:
        seen[:] = [replace(item, order=whole(item.order)) for item in seen]
        more["unreadable"] = _mended(more.get("unreadable"))
        return await shop.ledger.run(intake.take, shop.name, seen, **more)


def whole(found: M) -> M:
    """The same, every text of it whole."""
    return type(found).model_validate(_mended(found.model_dump()))


def as_json(model: BaseModel, **more: Any) -> bytes:
    """As stored, mended where it must be."""
    try:
        return model.model_dump_json(**more).encode()
    except ValueError:
        return whole(model).model_dump_json(**more).encode()


def _mended(value: Any) -> Any:
    match value:
        case str():
            return whole_text(value)
        case dict():
            return {_mended(key): _mended(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_mended(inner) for inner in value]
    return value


async def open_due(shop: Shop) -> int:
    """Judge watched orders whose time has come; open cases for those that are late or at risk."""
    opened = 0
    began = await shop.ledger.run(intake.began, shop.name)
    old = began - shop.playbook.backfill if began is not None else None
    while True:
        now = shop.clock.now()
        due = await shop.ledger.run(intake.due_orders, shop.name, now)
        seen = [judged(shop, order, now) for order in due]
        openings = [_opening(shop, item, now, old) for item in seen if item.lateness.state.needs_case]
        opened += await shop.ledger.run(_open, shop, seen, openings, now)
        if len(due) < 500:
            return opened


def _open(tx: Tx, shop: Shop, seen: list[intake.Seen], openings: list[intake.Opening], now: datetime) -> int:
    intake.judged(tx, shop.name, seen)
    if not openings:
        return 0
    storm = shop.playbook.storm
    recent = views.opened_since(tx, shop.name, now - storm.within)
    if recent + len(openings) > storm.orders:
        many = (
            f"{recent + len(openings)} cases within {show_duration(storm.within)}, more than {storm.orders}"
        )
        why = f"{many}: is something wrong?"
        held = f.Held(why=why, by="amends", cause="storm")
        openings = [o if o.held else _held(o, held) for o in openings]
    return len(intake.open_cases(tx, shop.name, openings, now))


def judged(shop: Shop, order: Order, now: datetime) -> intake.Seen:
    lateness = judge(order, now=now, rules=shop.rules, warn=shop.playbook.at_risk_before)
    if lateness.state.needs_case:  # due for a case now, not at its next warning window
        lateness = lateness.model_copy(update={"risk_at": now})
    return intake.Seen(order, lateness)


def _opening(shop: Shop, item: intake.Seen, now: datetime, old: datetime | None) -> intake.Opening:
    """`old`: what was due before that was there, and left alone, before this shop's first run."""
    late = item.lateness
    held = None
    if old is not None and late.ship_by is not None and late.ship_by < old:
        why = f"its deadline lies more than {show_duration(shop.playbook.backfill)} before the first run"
        held = f.Held(why=why, by="amends", cause="backfill")
    return intake.Opening(
        item.order.number,
        late.state,
        f"{late.state.value}: {late.why}",
        shop.playbook.version,
        shop.policy_version,
        now,
        held,
    )


def _held(opening: intake.Opening, held: f.Held) -> intake.Opening:
    return replace(opening, held=held)


async def take_replies(shop: Shop) -> Found:
    """Read customers' answers since the cursor into the inbox, each once: at the platform, and at another's desk."""
    found = Found(problem=await shop.ledger.run(_stopped, shop.name))
    if found.problem:
        return found  # told with the orders
    if shop.connector_spec.operation("replies").how == "api":
        await _read_replies(shop, shop.connector.replies, "replies", found)
    own_desk = shop.settings.shop(shop.name).own_desk
    if not own_desk and shop.desk_spec.operation("replies").how == "api":
        await _read_replies(shop, shop.desk.replies, "desk-replies", found)
    return found


async def _read_replies(
    shop: Shop, read: Callable[[str], Awaitable[ReplyPage]], name: str, found: Found
) -> None:
    try:
        for _ in range(PAGES):
            cursor = await shop.ledger.run(intake.cursor, shop.name, name)
            page = await _page(partial(read, cursor))
            arrivals = [arrival(reply) for reply in page.replies]
            found.replies += await shop.ledger.run(
                inbox.receive, shop.name, arrivals, shop.clock.now(), cursor=(name, page.cursor)
            )
            if not page.more:
                break
    except PlatformError as error:
        await _trouble(shop, error, found)


async def _page(read: Callable[[], Awaitable[P]]) -> P:
    """What a list answers. A connector's own fault is trouble like any other: the cases that are due go on."""
    return await own_faults("the connector", partial(patiently, read))


def arrival(reply: Reply) -> inbox.Arrival:
    return inbox.Arrival(reply.event, reply.order, as_json(reply))


async def _trouble(shop: Shop, error: PlatformError, found: Found) -> None:
    found.problem = str(error)
    if isinstance(error, (AuthFailed, NotAllowed, RiskControl)):
        await hold_shop(shop, error, shop.clock.now())
    else:
        shop.problems.append(f"{shop.name}: {error} ({error.code}). {error.hint}".removesuffix(". "))


def _stopped(tx: Tx, shop: str) -> str:
    """Why the platform is not to be called at all until a person has released the shop; empty where it may be.

    What a person holds is still watched. What the platform stopped is left in peace: each further call with a revoked
    token, or under a risk-control block, makes it worse. Nothing is lost: the cursor stays where it is.
    """
    mine = (hold for hold in holds.current(tx, shop) if hold.shop == shop and not hold.step)
    return next((hold.why for hold in mine if hold.by == "amends"), "")
