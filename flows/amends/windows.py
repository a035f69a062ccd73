"""The cursor of `changed_orders` for platforms that list orders by time and page by number, newest first.

An order that changes while we page leaves its window, and what lies behind it moves one place towards page 1. Read
from page 1 on, one order would be skipped; read from the last page back, one is seen twice, which the host sorts out.
Nothing enters the window meanwhile: it ends behind the clock.

    window = Window.of(cursor, self.config, now)          # since and until, the same after a crash
    page = window.page or how_many_pages(window)          # first the last one, by the platform's own count
    orders, unreadable = read_each(rows, self.read, "id")
    cursor = str(window.after(page, self.config.overlap))
    return OrderPage(orders=orders, unreadable=unreadable, cursor=cursor, more=page > 1)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from amends.cases.durations import Duration
from amends.errors import InputError


class Polling(BaseModel):
    """Settings of a connector that reads its list in windows: let its config inherit them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    look_back: Duration = Field(default=timedelta(days=30), description="How far the first look goes back.")
    lag: Duration = Field(
        default=timedelta(minutes=2), description="How far behind the clock the list is read."
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How much of the last window is read again."
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Orders changed after `since` and before `until`; `page` is the next to read, 0 where not known yet."""

    since: datetime
    until: datetime | None = None
    page: int = 0

    @classmethod
    def of(cls, cursor: str, polling: Polling, now: datetime) -> Window:
        """The window that the cursor names, or the next one; closed. Raises `InputError` for another's cursor."""
        return cls.parse(cursor, now=now, look_back=polling.look_back).closed(now, polling.lag)

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

    @property
    def end(self) -> datetime:
        """`until` of a closed window."""
        if self.until is None:
            raise ValueError("only closed windows are read")
        return self.until

    def closed(self, now: datetime, lag: timedelta) -> Window:
        """With its end fixed for as long as it is being read; never before its beginning."""
        if self.until is not None:
            return self
        return replace(self, until=max(self.since, (now - lag).replace(microsecond=0)))

    def after(self, page: int, overlap: timedelta) -> Window:
        """What to read next, once `page` has been read: the page before it, or the next window."""
        if page > 1:
            return replace(self, page=page - 1)
        return Window(since=max(self.since, self.end - overlap))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
