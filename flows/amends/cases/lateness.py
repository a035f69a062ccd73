"""Whether an order is late, and why: a value, judged by the core alone, from one snapshot and one time.

An order becomes late without being changed, so whoever keeps orders also keeps `risk_at`, the next time at which the
answer can change by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from amends.cases.durations import Duration, show_duration
from amends.cases.orders import AfterSales, Order, OrderStatus, Parcel, Tag
from amends.cases.rules import RuleBook

_TICK = timedelta(microseconds=1)
"""A deadline itself is still in time: the answer changes one tick later."""


class State(StrEnum):
    ON_TIME = "on-time"
    AT_RISK = "at-risk"
    OVERDUE = "overdue"
    SHIPPED_LATE = "shipped-late"
    STALLED = "stalled"
    EXEMPT = "exempt"
    UNKNOWN = "unknown"

    @property
    def late(self) -> bool:
        return self in (State.OVERDUE, State.SHIPPED_LATE, State.STALLED)

    @property
    def needs_case(self) -> bool:
        return self.late or self is State.AT_RISK


class Lateness(BaseModel):
    """The verdict with its reason. `ship_by` is the effective deadline; `late_by` is negative while there is time."""

    model_config = ConfigDict(frozen=True)

    state: State
    why: str
    ship_by: AwareDatetime | None = None
    ship_by_source: str = ""
    late_by: Duration | None = None
    risk_at: AwareDatetime | None = None
    tier: int = 0  # how many warning windows have begun


def judge(
    order: Order,
    *,
    now: datetime,
    rules: RuleBook,
    warn: tuple[timedelta, ...] = (timedelta(hours=24),),
    agreed: datetime | None = None,
) -> Lateness:
    """Judge one order. `agreed` is a date agreed with the customer, which then counts instead of the promise.

    `warn` are the warning windows before the deadline (24 h, 4 h …): inside the longest one an order is at risk.
    """
    promised = rules.promise(order)
    extended = max((d for d in (agreed, order.agreed_ship_by) if d is not None), default=None)
    if extended is not None and (promised is None or extended > promised[0]):
        ship_by, source = extended, "agreed"
    elif promised is not None:
        ship_by, source = promised
    else:
        ship_by, source = None, ""

    pickup = rules.pickup_counts(rules.day(ship_by or order.placed_at))
    shipped = shipped_at(order, pickup=pickup)

    def verdict(state: State, why: str, *, risk_at: datetime | None = None, tier: int = 0) -> Lateness:
        late_by = None if ship_by is None else (shipped or now) - ship_by
        return Lateness(
            state=state,
            why=why,
            ship_by=ship_by,
            ship_by_source=source,
            late_by=late_by,
            risk_at=risk_at,
            tier=tier,
        )

    exempt = _exempt(order)
    if exempt:
        return verdict(State.EXEMPT, exempt)
    if shipped is not None:
        arrive_by = None if _arrived(order) else order.deliver_by
        if arrive_by is not None and now > arrive_by:
            behind = show_duration(now - arrive_by)
            return verdict(State.STALLED, f"picked up, but {behind} past the promised arrival")
        if ship_by is not None and shipped > ship_by:
            return verdict(
                State.SHIPPED_LATE, f"shipped {show_duration(shipped - ship_by)} after the deadline"
            )
        return verdict(State.ON_TIME, "shipped in time", risk_at=arrive_by + _TICK if arrive_by else None)
    if order.status is OrderStatus.RECEIVED:
        return verdict(State.ON_TIME, "received by the customer")
    if ship_by is None:
        return verdict(State.UNKNOWN, "no ship-by date, and no rule gives one")
    if order.status is OrderStatus.UNKNOWN:
        return verdict(State.UNKNOWN, "the order's status is not known")
    label = order.shipped_at is not None or order.parcel is Parcel.LABEL_CREATED
    not_yet = "a label exists, but the carrier has not picked it up" if label else "not shipped"
    if now > ship_by:
        return verdict(State.OVERDUE, f"{not_yet}, {show_duration(now - ship_by)} past the deadline")
    windows = sorted(warn, reverse=True)
    begun = [window for window in windows if now >= ship_by - window]
    if begun:
        rest = windows[len(begun) :]
        risk_at = ship_by - rest[0] if rest else ship_by + _TICK
        return verdict(
            State.AT_RISK, f"{not_yet}, {show_duration(ship_by - now)} left", risk_at=risk_at, tier=len(begun)
        )
    risk_at = ship_by - windows[0] if windows else ship_by + _TICK
    return verdict(State.ON_TIME, f"{show_duration(ship_by - now)} left", risk_at=risk_at)


def shipped_at(order: Order, *, pickup: bool) -> datetime | None:
    """When the goods left: at the carrier's pick-up, or, where a label counts, when they were marked as shipped."""
    moving = order.parcel in (
        Parcel.PICKED_UP,
        Parcel.IN_TRANSIT,
        Parcel.OUT_FOR_DELIVERY,
        Parcel.DELIVERED,
        Parcel.EXCEPTION,
        Parcel.RETURNED,
    )
    if order.picked_up_at is not None:
        return order.picked_up_at
    if moving or order.status is OrderStatus.RECEIVED:
        return order.shipped_at or order.delivered_at or order.observed_at if moving else order.shipped_at
    if not pickup:
        return order.shipped_at or (order.observed_at if order.status is OrderStatus.SHIPPED else None)
    return None


def _arrived(order: Order) -> bool:
    return (
        order.delivered_at is not None
        or order.parcel is Parcel.DELIVERED
        or order.status is OrderStatus.RECEIVED
    )


def _exempt(order: Order) -> str:
    if order.status is OrderStatus.CANCELLED:
        return "the order was cancelled"
    if order.status is OrderStatus.UNPAID:
        return "not paid yet"
    if order.after_sales is AfterSales.REFUNDED:
        return "already refunded"
    if Tag.DO_NOT_TOUCH in order.tags:
        return "marked do-not-touch"
    if Tag.SHIP_HOLD in order.tags:
        return "the platform forbids shipping it"
    if Tag.RISK_REVIEW in order.tags:
        return "under the platform's risk review: it cannot be shipped now"
    if Tag.MAY_SHIP_LATE in order.tags:
        return "the platform lets it ship late"
    if Tag.PRESALE in order.tags and order.ship_by is None:
        return "presale without a ship date"
    return ""


def contradictions(order: Order) -> tuple[str, ...]:
    """What in one snapshot cannot all be true; a case with any is held and these lines are shown."""
    found = []
    if order.status is OrderStatus.TO_SHIP and order.delivered_at is not None:
        found.append("the platform says not shipped, the carrier says delivered")
    if (
        order.status is OrderStatus.CANCELLED
        and order.picked_up_at is not None
        and order.after_sales is AfterSales.NONE
    ):
        found.append("the order is cancelled without a refund, yet the carrier picked it up")
    for name in ("picked_up_at", "delivered_at"):
        when: datetime | None = getattr(order, name)
        if when is not None and when < order.placed_at:
            found.append(f"{name} lies before the order was placed")
    if order.picked_up_at and order.delivered_at and order.delivered_at < order.picked_up_at:
        found.append("delivered before it was picked up")
    return tuple(found)
