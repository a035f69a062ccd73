"""Signed webhooks as the sandbox sends them (Standard Webhooks), and how to check one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from amends.errors import Rejected


def sign(secret: str, event: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove who sent `body`: HMAC-SHA256 over `id.timestamp.body`."""
    stamp = str(int(at.timestamp()))
    return {
        "webhook-id": event,
        "webhook-timestamp": stamp,
        "webhook-signature": _mac(secret, event, stamp, body),
        "content-type": "application/json",
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime, age: timedelta) -> str:
    """The webhook's id; raises `Rejected` where the signature is wrong or the time is more than `age` off."""
    given = {name.lower(): value for name, value in headers.items()}
    event, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    expected = _mac(secret, event, stamp, body)
    signatures = given.get("webhook-signature", "").split()
    if not event or not any(hmac.compare_digest(expected.encode(), s.encode()) for s in signatures):
        raise Rejected("sandbox: the webhook's signature is wrong")
    if not stamp.isdigit() or abs(now.timestamp() - int(stamp)) > age.total_seconds():
        raise Rejected("sandbox: the webhook is too old, or its clock is wrong")
    return event


def _mac(secret: str, event: str, stamp: str, body: bytes) -> str:
    signed = f"{event}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
