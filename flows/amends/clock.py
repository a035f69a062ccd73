"""Clocks for everything that needs the time: aware, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A time that stands still until it is moved: for `--now`, the sandbox and tests."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("a clock's time must have a zone")
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        self._now += by


def clock_off(headers: Mapping[str, str], now: datetime) -> timedelta:
    """How far `now` is ahead of a server's clock, by the `Date` of its answer: for connectors whose signature was refused.

    Nothing where the answer tells no date. `headers` knows its names in lower case, as httpx's do.
    """
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return timedelta()
    return now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))
