"""A made-up Aliyun account and the channel before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from amends import Context, Message, Money, Personal, Remedy, RemedyKind
from amends.clock import FixedClock
from amends_aliyun_sms import AliyunSmsConfig
from amends_aliyun_sms.channel import AliyunSms
from amends_aliyun_sms.fake import PHONE, FakeAliyunSms

NOW = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)  # 17:00 in China


@dataclass
class Account:
    """The fake with every request that it was sent; `answer` may answer instead of it."""

    sent: list[httpx.Request] = field(default_factory=list)
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def __post_init__(self) -> None:
        self.clock = FixedClock(NOW)
        self.fake = FakeAliyunSms(self.clock)

    def channel(self, **config: Any) -> AliyunSms:
        settings = AliyunSmsConfig.model_validate({**self.fake.config, **config})
        context = Context(shop="sample", time_zone="Asia/Shanghai", clock=self.clock, http=self._client)
        return AliyunSms(settings, context)

    def say(self, status: int, code: str, message: str = "") -> None:
        """Refuse every request with that code."""
        body = {"Code": code, "Message": message, "RequestId": "R-1"}
        self.answer = lambda request: httpx.Response(status, json=body)

    def _client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(**options | {"transport": httpx.MockTransport(self._handle)})

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self.answer(request) or self.fake.handle(request)


@pytest.fixture
def account() -> Account:
    return Account()


def message(**more: Any) -> Message:
    told = {
        "key": "amsamplekey0017",
        "order": "1001",
        "personal": Personal(name="Sample Customer 0017", phone=PHONE),
        "text": "We are late.",
        "template": "first-notice",
        "parameters": {"order": "1001", "remedy": "3 元优惠券"},
        "remedy": Remedy(kind=RemedyKind.COUPON, amount=Money.of("3.00", "CNY")),
        "new_ship_by": NOW + timedelta(days=2),
        "reply_by": NOW + timedelta(days=1),
        "language": "zh",
    }
    return Message.model_validate(told | more)
