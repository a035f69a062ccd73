"""OAuth 1.0a without a token ("one-legged"), as WooCommerce wants it on plain http: HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def signed(
    method: str, url: str, query: Mapping[str, str], *, key: str, secret: str, timestamp: int, nonce: str
) -> dict[str, str]:
    """The query with its `oauth_` parameters. Only form bodies would be signed too, and we send JSON."""
    out = {
        **query,
        "oauth_consumer_key": key,
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(timestamp),
    }
    # WooCommerce sorts by the encoded name alone and, without a token, ends the key with a bare "&".
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in out.items())
    base = "&".join(
        [method.upper(), _encoded(url), _encoded("&".join(f"{name}={value}" for name, value in pairs))]
    )
    digest = hmac.new(f"{secret}&".encode(), base.encode(), hashlib.sha256).digest()
    out["oauth_signature"] = base64.b64encode(digest).decode()
    return out


def _encoded(text: str) -> str:
    return quote(text, safe="~")
