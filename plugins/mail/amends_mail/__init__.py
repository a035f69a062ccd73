"""E-mail over SMTP: reaches customers, and the shop's own people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amends import Channel, ChannelSpec, Context, Operation, hookimpl
from amends_mail.config import MailConfig

AMENDS_API = ">=1,<2"


def _make(config: MailConfig, context: Context) -> Channel:
    from amends_mail.channel import Mail

    return Mail(config, context)


SPEC = ChannelSpec(
    name="mail",
    config=MailConfig,
    factory=_make,
    description="E-mail over SMTP",
    reaches="both",
    operations={
        # SMTP has no way to ask whether a mail arrived, and a server takes the same Message-ID twice.
        "message": Operation.blind(),
    },
)


@hookimpl
def amends_channels() -> Iterator[ChannelSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """For `amends plugin-check mail`: the fake to check against."""
    from amends_mail.fake import FakeMailServer

    yield FakeMailServer
