"""One order of the marketplace model as a history of changes, and three views of it: page, list, carrier.

The order's own page shows a change at once; the list of changed orders may lag, the carrier may run ahead.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from amends.cases.orders import Order, OrderStatus, Parcel, Tracking
from amends.testing.draws import Draw
from amends.testing.fates import STORIES, Fate, Story

SECOND = timedelta(seconds=1)
NEVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that becomes true at `at`. `lag` delays the list, `ahead` lets the carrier know earlier."""

    at: datetime
    about: str
    patch: Mapping[str, Any] = field(default_factory=dict)
    lag: timedelta = timedelta()
    ahead: timedelta = timedelta()

    @property
    def listed_at(self) -> datetime:
        return self.at + self.lag


class Sale:
    """An order with everything that has happened to it and will, as far as is settled yet."""

    __slots__ = ("agreements", "base", "changes", "draw", "fate", "index", "number")

    def __init__(self, index: int, fate: Fate, draw: Draw, base: Order, changes: Iterable[Change]) -> None:
        self.index = index
        self.number = base.number
        self.fate = fate
        self.draw = draw
        self.base = base
        self.agreements = 0
        self.changes = sorted([Change(base.placed_at, "placed"), *changes], key=_when)

    @property
    def story(self) -> Story:
        return STORIES[self.fate]

    def page(self, now: datetime) -> Order:
        """The order as its own page shows it."""
        return self._fold([c for c in self.changes if c.at <= now], now)

    def listed(self, now: datetime) -> Order:
        """The order as the list shows it; `observed_at` is the last time at which that was all."""
        missing = [c.at for c in self.changes if c.at <= now < c.listed_at]
        return self._fold(
            [c for c in self.changes if c.listed_at <= now], min(missing, default=now + SECOND) - SECOND
        )

    def tracking(self, now: datetime) -> Tracking | None:
        """What the carrier says; None while there is no label."""
        seen = self._fold([c for c in self.changes if c.at - c.ahead <= now], now)
        if not seen.tracking_number:
            return None
        return Tracking(
            parcel=seen.parcel,
            carrier=seen.carrier,
            number=seen.tracking_number,
            picked_up_at=seen.picked_up_at,
            delivered_at=seen.delivered_at,
            expected_at=seen.deliver_by,
            observed_at=now,
        )

    def _fold(self, changes: list[Change], now: datetime) -> Order:
        patch: dict[str, Any] = {}
        for change in changes:
            patch.update(change.patch)
        patch["updated_at"] = changes[-1].at if changes else self.base.placed_at
        patch["observed_at"] = now
        return self.base.model_copy(update=patch)

    def last_listed(self, now: datetime) -> datetime | None:
        return max((c.listed_at for c in self.changes if c.listed_at <= now), default=None)

    def put(self, change: Change) -> None:
        insort(self.changes, change, key=_when)

    def drop(self, about: str, after: datetime) -> list[Change]:
        """Forget what was planned of that kind after that time; returns what was forgotten."""
        gone = [c for c in self.changes if c.about == about and c.at > after]
        self.changes = [c for c in self.changes if c not in gone]
        return gone

    def pickup(self) -> datetime | None:
        """When the carrier takes it, or has taken it, as far as is settled yet."""
        return next((c.patch["picked_up_at"] for c in self.changes if c.patch.get("picked_up_at")), None)


def shipping(
    draw: Draw,
    order: Order,
    pickup: datetime,
    *,
    label: datetime | None = None,
    labelled: bool = False,
    transit: timedelta | None = None,
    promised: timedelta = timedelta(days=4),
    lag: timedelta = timedelta(),
    ahead: timedelta = timedelta(),
) -> list[Change]:
    """A shipment as changes: label (unless `labelled`), pick-up by the carrier, delivery."""
    found = []
    if not labelled:
        printed = label or max(pickup - draw.hours(0.5, 2, "label"), order.placed_at + timedelta(minutes=5))
        marked = {
            "status": OrderStatus.SHIPPED,
            "shipped_at": min(printed, pickup),
            "parcel": Parcel.LABEL_CREATED,
            "tracking_number": f"SBX{draw.order:010d}",
        }
        found.append(Change(min(printed, pickup), "ship", marked, lag=lag))
    taken = {"parcel": Parcel.PICKED_UP, "picked_up_at": pickup, "deliver_by": pickup + promised}
    found.append(Change(pickup + ahead, "ship", taken, lag=lag, ahead=ahead))
    arrival = pickup + (transit or draw.hours(20, 60, "transit"))
    moving = {"parcel": Parcel.IN_TRANSIT}
    found.append(Change(pickup + ahead + (arrival - pickup) / 4, "ship", moving, lag=lag, ahead=ahead))
    arrived = {"parcel": Parcel.DELIVERED, "delivered_at": arrival, "status": OrderStatus.RECEIVED}
    found.append(Change(max(arrival, pickup + ahead + SECOND), "ship", arrived, lag=lag))
    return found


def _when(change: Change) -> datetime:
    return change.at
