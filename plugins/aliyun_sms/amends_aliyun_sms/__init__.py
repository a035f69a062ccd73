"""Text messages to customers in mainland China, by Aliyun SMS (Dysmsapi 2017-05-25)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from amends import Channel, ChannelSpec, Context, Operation, hookimpl
from amends_aliyun_sms.config import AliyunSmsConfig

AMENDS_API = ">=1,<2"

# A message shows up among the details a little after it was taken.
_QUIET = timedelta(minutes=10)


def _make(config: AliyunSmsConfig, context: Context) -> Channel:
    from amends_aliyun_sms.channel import AliyunSms

    return AliyunSms(config, context)


SPEC = ChannelSpec(
    name="aliyun_sms",
    config=AliyunSmsConfig,
    factory=_make,
    description="Aliyun SMS: approved templates, mobile numbers of mainland China",
    reaches="customers",
    operations={
        # Aliyun keeps no idempotency key, but shows every message of the last 30 days with its OutId: our key.
        "message": Operation.queryable(quiet=_QUIET),
        "find": Operation.read(),
    },
)


@hookimpl
def amends_channels() -> Iterator[ChannelSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """For `amends plugin-check aliyun_sms`: the fake to check against."""
    from amends_aliyun_sms.fake import FakeAliyunSms

    yield FakeAliyunSms
