"""A made-up store, the connector in front of it, and Shopify's own description of its API."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from amends import Context, Money, Order, OrderStatus
from amends.clock import FixedClock
from amends_shopify import ShopifyConfig
from amends_shopify.connector import Shopify
from amends_shopify.fake import FakeShopify

NOW = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)
PACKAGE = "@shopify/dev-mcp@1.16.0"
INTROSPECTION = "package/dist/data/admin_2026-07.json.gz"


@dataclass
class Store:
    """A fake store with every request that it was sent; `answer` may answer instead of it."""

    config: dict[str, Any] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def __post_init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.fake = FakeShopify(self.clock)

    def connector(self, **config: Any) -> Shopify:
        settings = ShopifyConfig.model_validate({**self.fake.config, **self.config, **config})
        context = Context(shop="sample", time_zone="Europe/Berlin", clock=self.clock, http=self._client)
        return Shopify(settings, context, sleep=self._sleep)

    def late(self, number: str = "#1001", **changes: Any) -> Order:
        order = Order(
            number=number,
            amount=Money.of("59.90", "EUR"),
            placed_at=NOW - timedelta(days=3),
            paid_at=NOW - timedelta(days=3),
            updated_at=NOW - timedelta(hours=5),
            observed_at=NOW,
            ship_by=NOW - timedelta(hours=6),
            status=OrderStatus.TO_SHIP,
        )
        self.fake.orders[number] = order.model_copy(update=changes)
        return self.fake.orders[number]

    def operations(self) -> list[str]:
        return [body["operationName"] for body in self.sent if "operationName" in body]

    def variables(self, operation: str) -> dict[str, Any]:
        found: dict[str, Any] = [b["variables"] for b in self.sent if b.get("operationName") == operation][-1]
        return found

    def _client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle), **options)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if request.headers["content-type"] == "application/json":
            self.sent.append(json.loads(request.content))
        return self.answer(request) or self.fake.handle(request)

    def _sleep(self, seconds: float) -> Awaitable[None]:
        self.slept.append(seconds)

        async def done() -> None: ...

        return done()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(scope="session")
def schema() -> Any:
    """Shopify's Admin API 2026-07 by its own introspection, kept in a cache outside the project."""
    graphql = pytest.importorskip("graphql", reason="graphql-core is not installed")
    described = json.loads(gzip.decompress(_introspection().read_bytes()))
    return graphql.build_client_schema(described["data"], assume_valid=True)


def _introspection() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amends-specs"
    found = cache / INTROSPECTION
    if found.exists():
        return found
    if shutil.which("npm") is None:
        pytest.skip(f"{found} is not there, and without npm it cannot be fetched")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        run = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE],
            cwd=cache,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        subprocess.run(["tar", "xzf", run.stdout.strip(), INTROSPECTION], cwd=cache, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{PACKAGE} cannot be had: {error}")
    return found
