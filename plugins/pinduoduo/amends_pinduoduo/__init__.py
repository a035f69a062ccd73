"""Pinduoduo (拼多多) for amends: late orders are seen through the Open Platform; most acts are done by hand.

Importing this costs nothing but the spec: the connector and its HTTP client load when a shop is opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from amends import ConnectorSpec, Operation, hookimpl
from amends_pinduoduo.backoffice import BY_HAND
from amends_pinduoduo.config import PinduoduoConfig

if TYPE_CHECKING:
    from amends import Connector, Context

AMENDS_API = ">=1,<2"


def open_shop(config: PinduoduoConfig, context: Context) -> Connector:
    """The live connector of one shop, for the host."""
    from amends_pinduoduo.connector import Pinduoduo

    return Pinduoduo(config, context)


SPEC = ConnectorSpec(
    name="pinduoduo",
    config=PinduoduoConfig,
    factory=open_shop,
    rules="pdd",
    description="拼多多 Pinduoduo: orders, refunds and tracking by API; chat, coupons and disputes by hand",
    operations={
        "changed_orders": Operation.read(),
        "order": Operation.read(),
        "tracking": Operation.read(),
        # The outcome of a dispute over a refund is in the API; that of a penalty appeal is not.
        "ruling:response": Operation.read(),
        "ruling:arbitration": Operation.read(),
        # One line of ours, exchanged in its place: the same again is the same line.
        "note": Operation.idempotent(window=timedelta(days=60)),
        **BY_HAND,
    },
    # The tightest list allows 3000 calls a minute and shop; some stay free for the merchant's other software.
    # A page of 100 changed refunds reads each order and each refund.
    quota=(40.0, 250),
    in_flight=8,
)


def amends_contract() -> Iterable[Any]:
    """The fakes on which `amends plugin-check pinduoduo` tries what the spec declares."""
    from amends_pinduoduo.fake import FakePinduoduo

    yield FakePinduoduo


@hookimpl
def amends_connectors() -> Iterable[ConnectorSpec]:
    yield SPEC
