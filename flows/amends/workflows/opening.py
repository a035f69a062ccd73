"""Opens what a flow needs: the merchant's settings with Prefect's Secret blocks, the plugins, the ledger, the shop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

from amends.clock import FixedClock, SystemClock
from amends.hooks.registry import Registry
from amends.ledger import Ledger
from amends.settings import Settings
from amends.steps.shop import Shop, open_ledger
from amends.workflows.blocks import read_block


def read_settings(config: str | None) -> Settings:
    """The settings at that path, else AMENDS_CONFIG, else `./config`; secrets may come from blocks."""
    return Settings.load(config, blocks=read_block)


@contextlib.asynccontextmanager
async def opened_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger, closed again at the end."""
    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        await ledger.aclose()


@contextlib.asynccontextmanager
async def opened_shop(
    settings: Settings, name: str, ledger: Ledger, now: datetime | None
) -> AsyncIterator[Shop]:
    """One shop, ready for work at `now` (absent: the machine's time), closed again at the end."""
    registry = Registry.load(allow=settings.plugins.allow, deny=settings.plugins.deny)
    clock = SystemClock() if now is None else FixedClock(now)
    shop = await Shop.open(settings, name, ledger=ledger, registry=registry, clock=clock)
    try:
        yield shop
    finally:
        await shop.aclose()
