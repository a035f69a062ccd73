"""PayPal as the desk where disputes are fought, for shops of any platform: Customer Disputes API v1."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from amends import Connector, ConnectorSpec, Context, Operation, hookimpl
from amends_paypal.config import PayPalConfig

AMENDS_API = ">=1,<2"

# PayPal shows what was written into a dispute a little later than it takes it.
_QUIET = timedelta(minutes=10)


def _make(config: PayPalConfig, context: Context) -> Connector:
    from amends_paypal.desk import PayPal

    return PayPal(config, context)


SPEC = ConnectorSpec(
    name="paypal",
    config=PayPalConfig,
    factory=_make,
    description='PayPal disputes, as the desk of a shop (desk = "paypal")',
    # A page of changed disputes is a list and a look at each of its 20.
    quota=(5.0, 30),
    in_flight=4,
    operations={
        "find": Operation.read(),
        "ruling": Operation.read(),
        "disputes": Operation.read(),
        "replies": Operation.read(),
        "verify_webhook": Operation.read(),
        # PayPal knows no idempotency key here, but shows all that was written into a dispute.
        "respond": Operation.queryable(quiet=_QUIET),
        "complain": Operation.queryable(quiet=_QUIET),
        "arbitrate": Operation.queryable(quiet=_QUIET),
        "message": Operation.queryable(quiet=_QUIET),
        # An offer in the dispute: the customer accepts it or not.
        "grant:refund": Operation.queryable(quiet=_QUIET, reviewed=True),
        "grant:replacement": Operation.queryable(quiet=_QUIET, reviewed=True),
    },
)


@hookimpl
def amends_connectors() -> Iterator[ConnectorSpec]:
    yield SPEC


def amends_contract() -> Iterator[Any]:
    """For `amends plugin-check paypal`: the fake to check against."""
    from amends_paypal.fake import FakePayPal

    yield FakePayPal
