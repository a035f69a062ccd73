"""The platform's field formats as exact values: yuan and fen, China time, numbers that may be text.

Lists give yuan, details fen; times come as `YYYY-MM-DD HH:MM:SS` without a zone (China time), or as epoch
seconds or milliseconds. Whatever cannot be read is reported by the field's name, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from amends import BadAnswer, Money

CHINA = timezone(timedelta(hours=8))
"""China has had no daylight saving since 1991, so a fixed offset is exact."""

_MILLISECONDS = 10**11


def bad(field: str, why: str, of: str) -> BadAnswer:
    return BadAnswer(f"pinduoduo: {of}: field `{field}` {why}", field=field)


def need(row: Mapping[str, Any], field: str, of: str) -> Any:
    """The field's value; absent, null or empty is an error that names it."""
    value = row.get(field)
    if value is None or value == "":
        raise bad(field, "is missing", of)
    return value


def number(row: Mapping[str, Any], field: str, of: str) -> int | None:
    """A whole number that may come as text; None where the platform leaves it out."""
    value = row.get(field)
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise bad(field, "is not a whole number", of) from None


def flag(row: Mapping[str, Any], field: str) -> bool:
    return str(row.get(field)).strip().lower() in ("1", "true")


def when(row: Mapping[str, Any], field: str, of: str) -> datetime | None:
    """A time in UTC; None where empty, zero or the platform's "never" (before 1971)."""
    value = row.get(field)
    text = "" if value is None else str(value).strip()
    if not text or text.startswith("0000"):
        return None
    try:
        if text.isdigit():
            stamp = int(text)
            seconds, rest = divmod(stamp, 1000) if stamp >= _MILLISECONDS else (stamp, 0)
            found = datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=rest)
        else:
            read = datetime.fromisoformat(text)
            found = (read if read.tzinfo else read.replace(tzinfo=CHINA)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise bad(field, "is not a time", of) from None
    return found if found.year > 1970 else None


def yuan(row: Mapping[str, Any], field: str, of: str) -> Money:
    """An amount given in yuan, as lists and orders do."""
    value = need(row, field, of)
    try:
        return Money.of(str(value), "CNY")
    except ValueError:
        raise bad(field, "is not an amount in yuan", of) from None


def fen(row: Mapping[str, Any], field: str, of: str) -> Money | None:
    """An amount given in fen, as refund details do."""
    minor = number(row, field, of)
    return None if minor is None else Money(minor=minor, currency="CNY")
