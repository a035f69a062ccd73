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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amends.cases.durations import Duration
from amends.cases.orders import Order
from amends.errors import BadAnswer, InputError, place
from amends.hooks.requests import Unreadable


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


def read_each(
    rows: Iterable[Any], read: Callable[[Any], Order], number: str
) -> tuple[tuple[Order, ...], tuple[Unreadable, ...]]:
    """A page's orders, and those of its rows that cannot be read: one must not hold up the others.

    `number` is the field that names an order. A row without it is the whole page's trouble: `BadAnswer` goes on.
    """
    orders: list[Order] = []
    unreadable: list[Unreadable] = []
    for row in rows:
        of = _whole(row.get(number)) if isinstance(row, Mapping) else ""
        try:
            orders.append(read(row))
            continue
        except BadAnswer as error:
            if not of:
                raise
            why = _whole(error)
        except ValidationError as error:
            why = f"what it says cannot be: {fields_of(error)}"
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            why = f"{type(error).__name__} {place(error)}"
        if not of:
            raise BadAnswer(f"an order without the field {number}: {why}")
        unreadable.append(Unreadable(order=of, why=why))
    return tuple(orders), tuple(unreadable)


def fields_of(error: ValidationError) -> str:
    """The fields that pydantic complains of. Its own words show values, and they may be personal."""
    found = (".".join(map(str, one["loc"])) or one["type"] for one in error.errors(include_input=False))
    return ", ".join(dict.fromkeys(found))


def _whole(value: object) -> str:
    """As text, without halves of characters, which neither pydantic nor a database takes."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
