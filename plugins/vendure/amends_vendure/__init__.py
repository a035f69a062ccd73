"""Vendure for amends: what this plugin offers. Importing it opens nothing and needs no HTTP library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from amends import Confidence, ConnectorSpec, Operation, Rule, RuleName, hookimpl
from amends_vendure.config import VendureConfig

if TYPE_CHECKING:
    from amends import Context
    from amends_vendure.connector import Vendure

AMENDS_API = ">=1,<2"


def connect(config: VendureConfig, context: Context) -> Vendure:
    from amends_vendure.connector import Vendure

    return Vendure(config, context)


SPEC = ConnectorSpec(
    name="vendure",
    description="Vendure shops over the Admin GraphQL API",
    config=VendureConfig,
    factory=connect,
    rules="vendure",
    # A server of one's own: Vendure itself names no limit.
    quota=(10.0, 20),
    in_flight=4,
    operations={
        "changed_orders": Operation.read(),
        "order": Operation.read(),
        "find": Operation.read(),
        "message": Operation(
            how="api",
            effect="queryable",
            limits="shown with the order in the storefront; Vendure itself mails no notes",
        ),
        "note": Operation.queryable(),
        "grant:coupon": Operation.queryable(),
        "grant:refund": Operation.queryable(),
        "grant:gift": Operation.by_hand(
            "Vendure admin > Orders > Create draft order: same customer, the gift with a 100 % discount",
            limits="note the new order's code on the late order",
        ),
        "grant:replacement": Operation.by_hand(
            "Vendure admin > Orders > Create draft order: same customer and items with a 100 % discount",
            limits="note the new order's code on the late order",
        ),
    },
)


@hookimpl
def amends_connectors() -> Iterable[ConnectorSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """The fake against which `amends plugin-check vendure` tries this plugin."""
    from amends_vendure.fake import FakeVendure

    yield FakeVendure


@hookimpl
def amends_rules() -> Iterable[Rule]:
    yield Rule(
        platform="vendure",
        name=RuleName.LATE_DEFINITION,
        kind="text",
        text="label",
        when="the fulfilment's state Shipped, set by the merchant or a plugin, is the only sign of shipping",
        source="Vendure 3.7 Admin API: Fulfillment has states and a tracking code, no carrier events",
        confidence=Confidence.OFFICIAL,
    )
