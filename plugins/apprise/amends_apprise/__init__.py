"""Notices to the shop's own people, by any service that apprise knows: DingTalk, Feishu, WeCom, Slack, ntfy …"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amends import Channel, ChannelSpec, Context, Operation, hookimpl
from amends_apprise.config import AppriseConfig

AMENDS_API = ">=1,<2"


def _make(config: AppriseConfig, context: Context) -> Channel:
    from amends_apprise.channel import Apprise

    return Apprise(config, context)


SPEC = ChannelSpec(
    name="apprise",
    config=AppriseConfig,
    factory=_make,
    description="Notices to operators by any service that apprise knows",
    # Never customers: apprise says yes or no, and its no may be a refusal, a silence or a half success.
    reaches="operators",
    operations={"message": Operation.blind()},
)


@hookimpl
def amends_channels() -> Iterator[ChannelSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """For `amends plugin-check apprise`: the fake to check against."""
    from amends_apprise.fake import FakeNotices

    yield FakeNotices
