"""Walks the platform's change lists for `changed_orders`: windows, pages backwards, minutes behind its clock.

First the orders confirmed in the last days (24 h windows), then, for ever, windows of at most 30 minutes: in
each the changed orders and then the changed refunds, because a dispute can open without touching the order.
Lists are newest first. An order that changes while we page leaves its window for a later one, which moves the
rest towards page 1; so pages are read from the last to the first, and whatever moves is still before us. One
that appears late pushes others the wrong way: the total shows it, and the window is read again. Windows
overlap for what shows up after that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from amends_pinduoduo.config import PinduoduoConfig
from amends_pinduoduo.fields import bad, number
from amends_pinduoduo.router import Router

Phase = Literal["backfill", "orders", "refunds"]
_AGAIN = 3
"""How often a window is read again because its total grew; the overlap takes care of what still comes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stands: what a cursor holds. Times are epoch seconds by the platform's clock."""

    phase: Phase
    start: int
    end: int = 0  # 0: the window is not opened yet
    page: int = 0  # the next page to read, counting down
    total: int = 0
    again: int = 0
    then: int = 0  # where the changes begin once the backfill is through
    goal: int = 0  # how far this walk goes: paging takes time, and chasing the clock would never end

    def dump(self) -> str:
        return json.dumps({"v": 1, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def load(cls, cursor: str) -> Place | None:
        """None for an empty or foreign cursor: the walk begins anew, which repeats but loses nothing."""
        try:
            held = json.loads(cursor)
            if held.pop("v") != 1 or held["phase"] not in LISTINGS:
                return None
            return cls(**held)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list method: where its rows are, how wide its window may be and how it is named."""

    method: str
    root: str
    rows: str
    window: timedelta
    start: str
    end: str
    fixed: Mapping[str, Any]

    async def read(
        self, router: Router, place: Place, page: int, size: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """The window's total and the rows of one page, oldest first."""
        window: dict[str, Any] = {
            self.start: place.start,
            self.end: place.end,
            "page": page,
            "page_size": size,
        }
        answer = await router.call(self.method, self.root, **self.fixed, **window)
        total = number(answer, "total_count", self.method)
        if total is None:
            raise bad("total_count", "is missing", self.method)
        if not 0 <= total < _MOST:
            raise bad("total_count", "is no number of orders", self.method)
        rows = answer.get(self.rows)
        if rows is None:
            if total > (page - 1) * size:
                raise bad(self.rows, "is missing", self.method)
            rows = []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise bad(self.rows, "is not a list of objects", self.method)
        return total, rows[::-1]


_MOST = 10_000_000
"""Orders of one window of a day at most: a page number worked out from more would lead nowhere for hours."""
_ALL_ORDERS: Mapping[str, Any] = {"order_status": 5, "refund_status": 5, "use_has_next": False}
LISTINGS: Mapping[str, Listing] = {
    "backfill": Listing(
        method="pdd.order.list.get",
        root="order_list_get_response",
        rows="order_list",
        window=timedelta(hours=24),
        start="start_confirm_at",
        end="end_confirm_at",
        # All statuses: filtered by one, orders would leave the list between two pages.
        fixed=_ALL_ORDERS,
    ),
    "orders": Listing(
        method="pdd.order.number.list.increment.get",
        root="order_sn_increment_get_response",
        rows="order_sn_list",
        window=timedelta(minutes=30),
        start="start_updated_at",
        end="end_updated_at",
        fixed={**_ALL_ORDERS, "is_lucky_flag": 0},
    ),
    "refunds": Listing(
        method="pdd.refund.list.increment.get",
        root="refund_increment_get_response",
        rows="refund_list",
        window=timedelta(minutes=30),
        start="start_updated_at",
        end="end_updated_at",
        # No number for "all states" is documented; the example asks with 1, which no refund has.
        fixed={"after_sales_status": 1, "after_sales_type": 1},
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One step of a walk: a page's rows, the list they are from, its window's end, and where to go on."""

    phase: Phase
    rows: list[dict[str, Any]]
    until: datetime
    place: Place
    more: bool


async def step(router: Router, config: PinduoduoConfig, cursor: str) -> Found:
    """Read the next page of the walk that `cursor` is in."""
    edge = int((await router.now() - config.lag).timestamp())
    overlap = int(config.overlap.total_seconds())
    place = Place.load(cursor)
    if place is None:
        place = Place("backfill", start=edge - int(config.backfill.total_seconds()), then=edge)
    if place.page == 0:
        # A refund window is the order window that was just read; a backfill ends where the changes begin.
        limit = {"backfill": place.then, "orders": edge, "refunds": place.end}[place.phase]
        end = min(place.start + int(LISTINGS[place.phase].window.total_seconds()), limit)
        if end <= place.start or (place.phase == "orders" and end <= place.end):
            return Found(place.phase, [], _at(edge), place, more=False)
        place = replace(place, end=end, goal=place.goal or edge)
    return await _page(router, config.page_size, overlap, place)


async def _page(router: Router, size: int, overlap: int, place: Place) -> Found:
    listing = LISTINGS[place.phase]
    until = _at(place.end)
    if place.page == 0:
        total, rows = await listing.read(router, place, 1, size)
        place = replace(place, page=_last(total, size), total=total)
        if place.page > 1:
            # Only the count was wanted: page 1 comes last.
            _, rows = await listing.read(router, place, place.page, size)
    else:
        total, rows = await listing.read(router, place, place.page, size)
        if total > place.total and place.again < _AGAIN:
            grown = replace(place, total=total, page=_last(total, size), again=place.again + 1)
            return Found(place.phase, rows, until, grown, more=True)
    if place.page > 1:
        return Found(place.phase, rows, until, replace(place, page=place.page - 1), more=True)
    following = _after(place, overlap)
    if place.phase == "refunds" and place.end >= place.goal:
        return Found(place.phase, rows, until, replace(following, goal=0), more=False)
    return Found(place.phase, rows, until, following, more=True)


def _after(place: Place, overlap: int) -> Place:
    """The window after one that is read through; an order window is read for its refunds next."""
    if place.phase == "backfill":
        if place.end < place.then:
            return Place("backfill", start=place.end, then=place.then)
        return Place("orders", start=place.then - overlap)
    if place.phase == "orders":
        return Place("refunds", start=place.start, end=place.end, goal=place.goal)
    # `end` is kept: while the clock has not passed it there is nothing new to ask for.
    return Place("orders", start=place.end - overlap, end=place.end, goal=place.goal)


def _last(total: int, size: int) -> int:
    return max(1, -(-total // size))


def _at(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
