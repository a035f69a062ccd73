"""Shopify keeps the contracts of connectors and of desks."""

from amends.testing.contracts import ConnectorContract, DeskContract
from amends_shopify import SPEC
from amends_shopify.fake import FakeShopify


class TestConnector(ConnectorContract):
    spec = SPEC
    fake = FakeShopify


class TestDesk(DeskContract):
    spec = SPEC
    fake = FakeShopify
