"""Shopify as a platform, and as the desk for Shopify Payments disputes: Admin GraphQL API 2026-07."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from amends import Connector, ConnectorSpec, Context, Operation, hookimpl
from amends_shopify.config import ShopifyConfig

AMENDS_API = ">=1,<2"

# A code is made from the effect's key and Shopify gives no code out twice: a resend is safe for good.
_FOR_GOOD = timedelta(days=365)


def _make(config: ShopifyConfig, context: Context) -> Connector:
    from amends_shopify.connector import Shopify

    return Shopify(config, context)


SPEC = ConnectorSpec(
    name="shopify",
    config=ShopifyConfig,
    factory=_make,
    rules="shopify",
    description="Shopify, and its desk for Shopify Payments disputes",
    # Requests a second; what counts for Shopify are query points, which the connector keeps to by itself.
    quota=(10.0, 20),
    in_flight=4,
    operations={
        "changed_orders": Operation.read(),
        "order": Operation.read(),
        "tracking": Operation.read(),
        "find": Operation.read(),
        "verify_webhook": Operation.read(),
        "ruling": Operation.read(),
        "extend": Operation.idempotent(window=_FOR_GOOD),
        "note": Operation.idempotent(window=_FOR_GOOD),
        "grant:coupon": Operation.idempotent(window=_FOR_GOOD),
        "grant:discount": Operation.idempotent(window=_FOR_GOOD),
        "grant:refund": Operation.idempotent(window=timedelta(hours=24)),
        "grant:gift": Operation.queryable(quiet=timedelta(minutes=10)),
        # Neither a key nor a note travels with it: after a lost answer only a person can tell.
        "grant:store-credit": Operation.blind(),
        "grant:replacement": Operation.by_hand(
            "Shopify admin → Orders → the order → More actions → Duplicate; "
            "give the draft a discount of 100 % and complete it",
            limits="only while the goods are in stock",
        ),
        "respond": Operation.queryable(quiet=timedelta(minutes=10)),
    },
)


@hookimpl
def amends_connectors() -> Iterator[ConnectorSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """For `amends plugin-check shopify`: the fake to check against."""
    from amends_shopify.fake import FakeShopify

    yield FakeShopify
