"""Vendure keeps the contract of connectors."""

from amends.testing.contracts import ConnectorContract
from amends_vendure import SPEC
from amends_vendure.fake import FakeVendure


class TestVendure(ConnectorContract):
    spec = SPEC
    fake = FakeVendure
