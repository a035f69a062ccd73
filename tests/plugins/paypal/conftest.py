"""A made-up PayPal account and the desk in front of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from amends import Context, Filing, Money, Order, OrderStatus
from amends.clock import FixedClock
from amends_paypal import PayPalConfig
from amends_paypal.desk import PayPal
from amends_paypal.fake import FakePayPal

NOW = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)


@dataclass
class Account:
    """A fake PayPal with every request that it was sent; `answer` may answer instead of it."""

    sent: list[httpx.Request] = field(default_factory=list)
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def __post_init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.fake = FakePayPal(self.clock)

    def desk(self, **config: Any) -> PayPal:
        settings = PayPalConfig.model_validate({**self.fake.config, **config})
        context = Context(shop="sample", time_zone="Europe/Berlin", clock=self.clock, http=self._client)
        return PayPal(settings, context)

    def order(self, number: str = "1001") -> Order:
        return Order(
            number=number,
            amount=Money.of("59.90", "EUR"),
            placed_at=NOW - timedelta(days=3),
            observed_at=NOW,
            status=OrderStatus.TO_SHIP,
        )

    def open(self, op: str = "respond", number: str = "1001", **changes: Any) -> str:
        """A dispute at the point where PayPal allows `op`; returns its id."""
        made = self.fake.prepare(op, self.order(number))
        self.fake.disputes[made] |= changes
        return made

    def filing(self, op: str = "respond", **more: Any) -> Filing:
        instance = {"respond": "response", "complain": "complaint", "arbitrate": "arbitration"}[op]
        told = {"op": op, "instance": instance, "key": "k1", "order": "1001", "text": "Sent on Monday."}
        return Filing.model_validate(told | more)

    def asked(self) -> list[str]:
        """What was asked for, sign-ins aside: `GET /PP-D-1`, `POST /PP-D-1/appeal` …"""
        paths = (f"{one.method} {one.url.path.removeprefix('/v1/customer/disputes')}" for one in self.sent)
        return [path for path in paths if "oauth2" not in path]

    def _client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._handle), **options)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self.answer(request) or self.fake.handle(request)


@pytest.fixture
def account() -> Account:
    return Account()
