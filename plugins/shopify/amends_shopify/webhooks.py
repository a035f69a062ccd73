"""Checks Shopify's webhooks and says which order each one is about."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from amends import BadAnswer, Event, Rejected
from amends_shopify.config import ShopifyConfig

_OLDEST = timedelta(hours=24)  # Shopify retries for hours; an older one was kept by somebody and sent again
_AHEAD = timedelta(minutes=10)
_PART = re.compile(r"\.\d+$")


def events(
    config: ShopifyConfig, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> tuple[Event, ...]:
    """The order to look at again; none for topics that name no order: the next sweep finds it."""
    told = {name.lower(): value for name, value in headers.items()}
    _check(config, told, body, now)
    try:
        content = json.loads(body)
    except ValueError:
        raise BadAnswer("shopify: the webhook's body is not JSON") from None
    topic, event = told.get("x-shopify-topic", ""), told.get("x-shopify-webhook-id", "")
    if not event:
        raise BadAnswer("shopify: the webhook has no X-Shopify-Webhook-Id")
    name = content.get("name") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name:
        return ()
    if topic.startswith("fulfillments/"):
        name = _PART.sub("", name)  # a parcel is called after its order: #1001.1
    elif not topic.startswith("orders/"):
        return ()
    return (Event(event=event, order=name),)


def _check(config: ShopifyConfig, told: Mapping[str, str], body: bytes, now: datetime) -> None:
    secret = config.signing_secret
    if secret is None:
        raise Rejected(
            "shopify: a webhook came, but no webhook_secret is configured", hint="Give `webhook_secret`."
        )
    right = base64.b64encode(
        hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).digest()
    ).decode()
    if not hmac.compare_digest(right.encode(), told.get("x-shopify-hmac-sha256", "").encode()):
        raise Rejected("shopify: the webhook's signature is wrong", hint="Check `webhook_secret`.")
    if told.get("x-shopify-shop-domain", config.store).lower() != config.store:
        raise Rejected("shopify: the webhook is another store's")
    sent = told.get("x-shopify-triggered-at", "")
    if not sent:
        return
    try:
        at = datetime.fromisoformat(sent)
    except ValueError:
        raise Rejected("shopify: the webhook's time cannot be read") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if not now - _OLDEST <= at <= now + _AHEAD:
        raise Rejected(
            "shopify: the webhook is too old, or from the future", hint="Check this machine's clock."
        )
