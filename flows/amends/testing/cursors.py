"""The cursors of the marketplace model: a time and a name, so that what changes meanwhile shifts nothing."""

from __future__ import annotations

from datetime import datetime

from amends.errors import Rejected


def write_cursor(place: tuple[datetime, str] | None) -> str:
    """A place in a list by time and name, as text; empty for its start."""
    return f"{place[0].isoformat()}~{place[1]}" if place else ""


def read_cursor(cursor: str) -> tuple[datetime, str] | None:
    """The place that such a text names; raises `Rejected` for one that is not ours."""
    if not cursor:
        return None
    at, _, rest = cursor.partition("~")
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        raise Rejected(f"sandbox: {cursor!r} is not a cursor of ours") from None
    if when.tzinfo is None:
        raise Rejected(f"sandbox: {cursor!r} is not a cursor of ours")
    return when, rest
