"""A shop at the fake router, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from amends import Context
from amends.clock import FixedClock
from amends_pinduoduo import SPEC
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import CLIENT, SECRET, TOKEN, FakeRouter

NOW = datetime(2026, 3, 4, 2, 30, 7, tzinfo=UTC)  # 10:30:07 in China
CONFIG = {"client_id": CLIENT, "client_secret": SECRET, "access_token": TOKEN}

Opened = Callable[..., Pinduoduo]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def router(clock: FixedClock) -> FakeRouter:
    return FakeRouter(clock.now)


@pytest.fixture
def opened(clock: FixedClock, router: FakeRouter) -> Opened:
    """Opens the shop; keywords change its config, `transport` and `clock` what is around it."""

    def open_shop(**changes: Any) -> Pinduoduo:
        transport = changes.pop("transport", router.transport())
        ours = changes.pop("clock", clock)
        config = SPEC.config.model_validate({**CONFIG, **changes})

        def http(**options: Any) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=transport, **options)

        assert SPEC.factory is not None
        made = SPEC.factory(config, Context("sample", "Asia/Shanghai", ours, http))
        assert isinstance(made, Pinduoduo)
        return made

    return open_shop


@pytest.fixture
def shop(opened: Opened) -> Pinduoduo:
    return opened()
