"""The Open Platform's signature: what is sent is exactly what was signed.

Source: the platform's API call guide (接入指南, third part), with its public test vector in the tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def as_text(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Every parameter as the text that is signed and sent; absent and empty values are dropped first."""
    texts = {}
    for name, value in parameters.items():
        text = _text(value)
        if text:
            texts[name] = text
    return texts


def _text(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sign(texts: Mapping[str, str], secret: str) -> str:
    """The `sign` parameter for these texts: MD5 over secret, sorted keys with their values, secret."""
    body = "".join(f"{name}{texts[name]}" for name in sorted(texts) if name != "sign")
    # The platform defines MD5; it guards against tampering only together with https.
    return hashlib.md5(f"{secret}{body}{secret}".encode(), usedforsecurity=False).hexdigest().upper()
