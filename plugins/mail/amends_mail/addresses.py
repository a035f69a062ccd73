"""Tells which e-mail addresses can be written to."""

from __future__ import annotations

import re

# No quoted local parts: nobody's real address has one, and they are where injections hide.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")


def ascii_address(text: str) -> str:
    """The address in ASCII, its domain in punycode where needed; empty where it cannot be written to.

    An asterisk is legal before the @, but platforms mask addresses with it: what they show belongs to nobody.
    """
    local, at, domain = text.strip(" ").rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        return ""
    whole = bool(at) and len(local) <= 64 and len(domain) <= 253
    return f"{local}@{domain}" if whole and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain) else ""
