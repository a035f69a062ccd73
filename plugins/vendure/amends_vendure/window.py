"""The cursor of `changed_orders`: a window of times, read from its last page to its first.

Pages are cut from the list as it is when asked for, newest first, and an order that is changed while we page
leaves the window. What lies behind it then moves one place towards page 1. Read from page 1 on, one order
would be skipped; read from the last page back, one is seen twice, which the host sorts out. Nothing enters
the window meanwhile: it ends behind the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from amends import InputError


@dataclass(frozen=True, slots=True)
class Window:
    """Orders after `since` and before `until`; `page` is the next to read, 0 where not known yet."""

    since: datetime
    until: datetime | None = None
    page: int = 0

    @classmethod
    def parse(cls, cursor: str, *, now: datetime, look_back: timedelta) -> Window:
        if not cursor:
            return cls(since=(now - look_back).replace(microsecond=0))
        try:
            since, until, page = (cursor + "//").split("/")[:3]
            return cls(_time(since), _time(until) if until else None, int(page or 0))
        except ValueError:
            raise InputError(f"{cursor!r} is not a cursor of this connector") from None

    def __str__(self) -> str:
        if self.until is None:
            return _text(self.since)
        return f"{_text(self.since)}/{_text(self.until)}/{self.page}"

    def closed(self, now: datetime, lag: timedelta) -> Window:
        """With its end fixed for as long as it is being read; never before its beginning."""
        if self.until is not None:
            return self
        return replace(self, until=max(self.since, (now - lag).replace(microsecond=0)))

    def after(self, page: int, overlap: timedelta) -> Window:
        """What to read next, once `page` has been read: the page before it, or the next window."""
        if page > 1:
            return replace(self, page=page - 1)
        assert self.until is not None  # noqa: S101  # only closed windows are read
        return Window(since=max(self.since, self.until - overlap))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
