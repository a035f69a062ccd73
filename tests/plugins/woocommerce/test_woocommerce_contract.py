"""WooCommerce keeps the contract of connectors."""

from amends.testing.contracts import ConnectorContract
from amends_woocommerce import SPEC
from amends_woocommerce.fake import FakeWooCommerce


class TestWooCommerce(ConnectorContract):
    spec = SPEC
    fake = FakeWooCommerce
