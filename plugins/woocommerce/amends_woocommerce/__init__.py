"""WooCommerce for amends: what this plugin offers. Importing it opens nothing and needs no HTTP library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from amends import Confidence, ConnectorSpec, Operation, Rule, RuleName, hookimpl
from amends_woocommerce.config import WooCommerceConfig

if TYPE_CHECKING:
    from amends import Context
    from amends_woocommerce.connector import WooCommerce

AMENDS_API = ">=1,<2"


def connect(config: WooCommerceConfig, context: Context) -> WooCommerce:
    from amends_woocommerce.connector import WooCommerce

    return WooCommerce(config, context)


SPEC = ConnectorSpec(
    name="woocommerce",
    description="WooCommerce shops over REST v3",
    config=WooCommerceConfig,
    factory=connect,
    rules="woocommerce",
    # A shop of one's own, often on a small machine: WooCommerce itself names no limit.
    quota=(5.0, 10),
    in_flight=4,
    operations={
        "changed_orders": Operation.read(),
        "order": Operation.read(),
        "find": Operation.read(),
        "verify_webhook": Operation.read(),
        "message": Operation.queryable(),
        "grant:coupon": Operation.queryable(),
        "grant:refund": Operation.queryable(),
        "grant:gift": Operation.by_hand(
            "WooCommerce > Orders > Add order: same customer, the gift at price 0, status Processing",
            limits="note the new order's number on the late order",
        ),
        "grant:replacement": Operation.by_hand(
            "WooCommerce > Orders > Add order: same customer and items at price 0, status Processing",
            limits="note the new order's number on the late order",
        ),
        "extend": Operation.idempotent(),
        "note": Operation.queryable(),
    },
)


@hookimpl
def amends_connectors() -> Iterable[ConnectorSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """The fake against which `amends plugin-check woocommerce` tries this plugin."""
    from amends_woocommerce.fake import FakeWooCommerce

    yield FakeWooCommerce


@hookimpl
def amends_rules() -> Iterable[Rule]:
    yield Rule(
        platform="woocommerce",
        name=RuleName.LATE_DEFINITION,
        kind="text",
        text="label",
        when="the shop's own word, Completed or a tracking entry, is the only sign of shipping",
        source="WooCommerce REST API v3, order properties: no carrier events, no ship-by",
        confidence=Confidence.OFFICIAL,
    )
