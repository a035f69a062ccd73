"""Whether each shop's connector, desk and channels let us in: `amends doctor` asks them something harmless, in their pace."""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from amends.cli.findings import Finding
from amends.errors import (
    AmendsError,
    AuthFailed,
    NotAllowed,
    PlatformError,
    RiskControl,
    Throttled,
    Unsupported,
)

if TYPE_CHECKING:
    from amends.hooks.registry import Registry
    from amends.ledger import Ledger
    from amends.settings import Settings
    from amends.steps.shop import Shop

PATIENCE = 30.0
"""Seconds for one shop's connector, desk or channel."""

Harmless = Callable[[], Awaitable[object]]


async def examine_shops(
    settings: Settings, registry: Registry, ledger: Ledger | None
) -> tuple[list[Finding], timedelta | None]:
    """Findings shop by shop, and how far ahead of ours the clock of a platform is, where one told the time.

    Without a ledger the shops are opened on one in memory, which also keeps no shared pace: nobody else is at work yet.
    """
    found: list[Finding] = []
    ahead: list[timedelta] = []
    async with _some(ledger) as on:
        for name in settings.shops:
            found += await _shop(settings, registry, on, name, ahead)
    for name in sorted({one.channel for one in settings.approvers.values() if one.channel}):
        found.append(await _approvers(settings, registry, name))
    return found, min(ahead, key=abs, default=None)


@asynccontextmanager
async def _some(ledger: Ledger | None) -> AsyncIterator[Ledger]:
    from amends.ledger import Ledger, Vault

    if ledger is not None:
        yield ledger
        return
    made = Ledger.open("sqlite://", Vault(bytes(32)))
    try:
        yield made
    finally:
        await made.aclose()


async def _shop(
    settings: Settings, registry: Registry, ledger: Ledger, name: str, ahead: list[timedelta]
) -> list[Finding]:
    from amends.http import new_client
    from amends.steps.shop import Shop

    async def note(response: Any) -> None:
        try:
            told = email.utils.parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return
        ahead.append(told - datetime.now(UTC))

    def watched(**options: Any) -> Any:
        return new_client(**options, event_hooks={"response": [note]})

    about = f"shop {name}"
    try:
        shop = await Shop.open(settings, name, ledger=ledger, registry=registry, http=watched)
    except AmendsError as error:
        return [Finding("error", about, str(error), error.hint)]
    try:
        return [
            await _asked(f"{what} {plugin}", about, harmless)
            for what, plugin, harmless in await _questions(shop)
        ]
    finally:
        await shop.aclose()


async def _approvers(settings: Settings, registry: Registry, name: str) -> Finding:
    """The channel that brings approvers their codes."""
    from amends.clock import SystemClock
    from amends.hooks.protocols import Context
    from amends.http import new_client
    from amends.settings import channel_config

    try:
        spec, config = channel_config(settings, name, registry)
    except AmendsError as error:
        return Finding("error", "approvers", str(error), error.hint)
    live: Any = spec.factory(config, Context("", "UTC", SystemClock(), new_client)) if spec.factory else None
    try:
        return await _asked(f"channel {name}", "approvers", getattr(live, "check", None))
    finally:
        await live.aclose()


async def _questions(shop: Shop) -> list[tuple[str, str, Harmless | None]]:
    """What of a shop is asked, and how: a page of changes from where the last sweep was, or what the plugin offers."""
    from amends.ledger import intake

    async def since(name: str) -> str:
        return await shop.ledger.run(intake.cursor, shop.name, name)

    def ask(live: Any, spec: Any, cursors: tuple[str, str]) -> Harmless | None:
        if hasattr(live, "check"):
            return partial(shop.pace.call, spec.name, live.check)
        for read, cursor in zip(("changed_orders", "replies"), cursors, strict=True):
            if spec.operation(read).how == "api":
                return partial(getattr(live, read), cursor)
        return None

    own = (await since("orders"), await since("replies"))
    found = [("connector", shop.connector_spec.name, ask(shop.connector, shop.connector_spec, own))]
    if not shop.settings.shop(shop.name).own_desk:
        cursors = ("", await since("desk-replies"))
        found.append(("desk", shop.desk_spec.name, ask(shop.desk, shop.desk_spec, cursors)))
    for name, (_, live) in shop.channels.items():
        channel: Any = live
        harmless = partial(shop.pace.call, name, channel.check) if hasattr(channel, "check") else None
        found.append(("channel", name, harmless))
    return found


async def _asked(what: str, about: str, harmless: Harmless | None) -> Finding:
    if harmless is None:
        return Finding("note", about, f"{what} offers nothing harmless to ask; not tried")
    try:
        await asyncio.wait_for(harmless(), PATIENCE)
    except Throttled as error:
        return Finding("note", about, f"{what} is busy: {error}", "ask again later")
    except Unsupported:
        return Finding("note", about, f"{what} offers nothing harmless to ask; not tried")
    except (AuthFailed, NotAllowed) as error:
        return Finding(
            "error", about, f"{what} does not let us in: {error}", error.hint or "renew its credentials"
        )
    except RiskControl as error:
        return Finding(
            "error", about, f"{what} blocks us: {error}", error.hint or "clear it in the back office"
        )
    except (PlatformError, TimeoutError) as error:
        said = str(error) or f"no answer within {PATIENCE:.0f} s"
        todo = getattr(error, "hint", "") or "is its address right, and the network up? `amends config check`"
        return Finding("error", about, f"{what} does not answer: {said}", todo)
    except Exception as error:  # a fault of the plugin; the other shops are asked all the same
        return Finding("error", about, f"{what} failed: {type(error).__name__}", "report it to its author")
    return Finding("ok", about, f"{what} lets us in")
