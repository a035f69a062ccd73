"""A fake shop, its clock, and a connector joined to it without a network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.plugins.woocommerce.fake_shop import KEY, SECRET, FakeShop

from amends import Context
from amends.clock import FixedClock
from amends_woocommerce.config import WooCommerceConfig
from amends_woocommerce.connector import WooCommerce

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def shop(clock: FixedClock) -> FakeShop:
    return FakeShop(clock)


@pytest.fixture
def connect(shop: FakeShop, clock: FixedClock) -> Callable[..., WooCommerce]:
    def make(*, own_clock: Any = None, **changes: Any) -> WooCommerce:
        values = {
            "url": "https://shop.example.invalid", "consumer_key": KEY, "consumer_secret": SECRET,
            "webhook_secret": "made-up", "ship_within": "48h", **changes,
        }  # fmt: skip
        context = Context(
            shop="corner",
            time_zone="Europe/Berlin",
            clock=own_clock or clock,
            http=lambda **options: httpx.AsyncClient(transport=httpx.MockTransport(shop.handle), **options),
        )
        return WooCommerce(WooCommerceConfig.model_validate(values), context)

    return make


@pytest.fixture
def connector(connect: Callable[..., WooCommerce]) -> WooCommerce:
    return connect()
