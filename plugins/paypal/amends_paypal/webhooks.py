"""Reads PayPal's webhooks before PayPal is asked whether they are its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from amends import BadAnswer, Rejected
from amends_paypal.config import PayPalConfig
from amends_paypal.wire import Dispute

_TOLD = ("auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time")
OLDEST = timedelta(days=4)  # PayPal tries again for three days
_AHEAD = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Told:
    """A webhook whose form is right: `number` is its dispute's, `dispute` is there where it came in full."""

    headers: Mapping[str, str]
    event: str
    number: str
    dispute: Dispute | None


def checked(config: PayPalConfig, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
    """Refuses what cannot be PayPal's, before anybody is asked."""
    if not config.webhook_id:
        raise Rejected("paypal: a webhook came, but no webhook_id is configured", hint="Give `webhook_id`.")
    told = {name.lower(): value for name, value in headers.items()}
    lacking = [name for name in _TOLD if not told.get(f"paypal-{name}")]
    if lacking:
        raise Rejected(f"paypal: the webhook lacks PayPal-{', PayPal-'.join(lacking)}")
    host = urlsplit(told["paypal-cert-url"]).hostname or ""
    if not host.endswith(".paypal.com"):
        raise Rejected("paypal: the webhook's certificate is not PayPal's")
    try:
        sent = datetime.fromisoformat(told["paypal-transmission-time"])
    except ValueError:
        raise Rejected("paypal: the webhook's time cannot be read") from None
    sent = sent if sent.tzinfo else sent.replace(tzinfo=UTC)
    if not now - OLDEST <= sent <= now + _AHEAD:
        raise Rejected(
            "paypal: the webhook is too old, or from the future", hint="Check this machine's clock."
        )
    try:
        content = json.loads(body)
    except ValueError:
        raise BadAnswer("paypal: the webhook's body is not JSON") from None
    if not isinstance(content, dict) or not content.get("id"):
        raise BadAnswer("paypal: the webhook has no id")
    resource = content.get("resource")
    if not str(content.get("event_type", "")).startswith("CUSTOMER.DISPUTE.") or not isinstance(
        resource, dict
    ):
        return Told(told, str(content["id"]), "", None)
    try:
        dispute = Dispute.model_validate(resource)
    except ValueError:  # a webhook may show less than the dispute itself: then that is asked for
        dispute = None
    return Told(told, str(content["id"]), str(resource.get("dispute_id") or ""), dispute)
