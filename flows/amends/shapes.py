"""Shapes of settings that several plugins share, so that each is checked, and told, in one way."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://shop.example.invalid")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be an address alone: no credentials, no `?`, no `#`")
    return url.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
"""Where a service listens: http or https, without credentials, query or a slash at the end."""


def text_with(*names: str) -> AfterValidator:
    """For a text that is filled in later: `Annotated[str, text_with("code", "until")]` allows `{code}`, `{until}`."""

    def check(text: str) -> str:
        try:
            text.format(**dict.fromkeys(names, ""))
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            allowed = ", ".join(f"{{{name}}}" for name in names)
            raise ValueError(f"may use {allowed} only ({error})") from None
        return text

    return AfterValidator(check)
