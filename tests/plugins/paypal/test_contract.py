"""PayPal keeps the contracts of connectors (its messages, offers, replies, webhooks) and of desks."""

from amends.testing.contracts import ConnectorContract, DeskContract
from amends_paypal import SPEC
from amends_paypal.fake import FakePayPal


class TestConnector(ConnectorContract):
    spec = SPEC
    fake = FakePayPal


class TestDesk(DeskContract):
    spec = SPEC
    fake = FakePayPal
