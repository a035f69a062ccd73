"""Orders as platforms show them: frozen snapshots in neutral words, whatever the platform calls things."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from amends.cases.money import Money


class OrderStatus(StrEnum):
    """Where the sale stands."""

    UNPAID = "unpaid"
    TO_SHIP = "to-ship"
    SHIPPED = "shipped"  # the platform says so; a label alone also reads as this
    RECEIVED = "received"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class AfterSales(StrEnum):
    """Where a refund, return, exchange or dispute of the order stands."""

    NONE = "none"
    REQUESTED = "requested"  # the customer asked, the merchant must act
    REVIEW = "review"  # the platform looks at a refund that we asked for
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    RETURNING = "returning"
    EXCHANGING = "exchanging"
    REJECTED = "rejected"
    DISPUTED = "disputed"  # the platform stepped in, or a payment dispute is open
    CLOSED = "closed"
    UNKNOWN = "unknown"

    @property
    def under_way(self) -> bool:
        """Something runs between customer and platform: no offer may be made meanwhile."""
        return self in _UNDER_WAY


_UNDER_WAY = frozenset(
    {
        AfterSales.REQUESTED, AfterSales.REVIEW, AfterSales.REFUNDING,
        AfterSales.RETURNING, AfterSales.EXCHANGING, AfterSales.DISPUTED,
    }
)  # fmt: skip


class Parcel(StrEnum):
    """What the carrier says. A label is no shipment: only a pick-up is."""

    UNKNOWN = "unknown"
    LABEL_CREATED = "label-created"
    PICKED_UP = "picked-up"
    IN_TRANSIT = "in-transit"
    OUT_FOR_DELIVERY = "out-for-delivery"
    DELIVERED = "delivered"
    EXCEPTION = "exception"
    RETURNED = "returned"


class Tag(StrEnum):
    """Marks that change what may be done with an order."""

    PRESALE = "presale"
    OUT_OF_STOCK = "out-of-stock"
    RISK_REVIEW = "risk-review"  # the platform keeps it back: it cannot be shipped now
    SHIP_HOLD = "ship-hold"  # shipping is forbidden
    MAY_SHIP_LATE = "may-ship-late"  # the platform waives the deadline
    DO_NOT_TOUCH = "do-not-touch"  # the merchant's own mark: leave it alone
    URGED = "urged"  # the customer pressed for shipping


class Item(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(frozen=True)

    sku: str = ""
    title: str = ""
    quantity: int = 1


class Personal(BaseModel):
    """What identifies a customer. Never in facts, logs or `repr`; the ledger keeps it encrypted, apart."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(default="", repr=False)
    phone: str = Field(default="", repr=False)
    email: str = Field(default="", repr=False)
    address: str = Field(default="", repr=False)


class Order(BaseModel):
    """One order as last observed. Times are aware; amounts exact; unknown means `None` or the enum's unknown."""

    model_config = ConfigDict(frozen=True)

    number: str = Field(min_length=1, description="The platform's order number, as users read it.")
    amount: Money
    placed_at: AwareDatetime
    observed_at: AwareDatetime
    paid_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    ship_by: AwareDatetime | None = Field(default=None, description="Promised: the platform's own deadline.")
    agreed_ship_by: AwareDatetime | None = Field(
        default=None,
        description="Extended with the customer, where the platform shows that apart from `ship_by`.",
    )
    deliver_by: AwareDatetime | None = Field(default=None, description="Promised arrival.")
    status: OrderStatus = OrderStatus.UNKNOWN
    after_sales: AfterSales = AfterSales.NONE
    after_sales_raw: str = Field(default="", description="The platform's own word or number for it.")
    refunded: Money | None = Field(
        default=None,
        description="Money given back so far, where the platform tells; a part of it is no refund.",
    )
    after_sales_due: AwareDatetime | None = Field(default=None, description="Until when we must answer it.")
    dispute: str = Field(default="", description="The desk's id of an open dispute.")
    shipped_at: AwareDatetime | None = Field(default=None, description="Marked as shipped (label or notice).")
    picked_up_at: AwareDatetime | None = Field(default=None, description="Taken by the carrier.")
    delivered_at: AwareDatetime | None = None
    parcel: Parcel = Parcel.UNKNOWN
    carrier: str = ""
    tracking_number: str = ""
    tags: tuple[Tag, ...] = ()
    items: tuple[Item, ...] = ()
    warehouse: str = ""
    customer: str = Field(
        default="", description="The platform's opaque id of the customer; no name, no address."
    )
    language: str = Field(default="", description="The customer's language, where known.")
    time_zone: str = Field(default="", description="The customer's IANA time zone, where known.")
    personal: Personal | None = Field(default=None, repr=False)

    @field_validator("tags")
    @classmethod
    def _sorted(cls, tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
        return tuple(sorted(set(tags)))

    @model_validator(mode="after")
    def _refunded_in_part(self) -> Self:
        """Money was given back, but not all of it: the order is still to be shipped, and may still be late."""
        if self.after_sales is AfterSales.REFUNDED and self.refunded is not None:
            if self.refunded.currency == self.amount.currency and 0 < self.refunded.minor < self.amount.minor:
                self.__dict__["after_sales"] = AfterSales.NONE  # frozen from here on
        return self

    def paid_back_since(self, before: Order | None, amount: Money | None) -> bool:
        """Whether the money of a refund that was asked for has been given back between two observations."""
        if self.after_sales is AfterSales.REFUNDED:
            return True
        now, then = self.refunded, before.refunded if before is not None else None
        if now is None or amount is None or now.currency != amount.currency:
            return False
        if then is not None and then.currency == now.currency:
            now = now - then
        return amount.minor > 0 and now >= amount

    def public(self) -> Order:
        """The same without personal values: what facts may hold."""
        return self if self.personal is None else self.model_copy(update={"personal": None})

    def same_as(self, other: Order) -> bool:
        """True where nothing but the time of looking differs."""
        aside = {"observed_at", "personal"}
        return self.model_dump(exclude=aside) == other.model_dump(exclude=aside)


class Tracking(BaseModel):
    """What the carrier says of a parcel now."""

    model_config = ConfigDict(frozen=True)

    parcel: Parcel = Parcel.UNKNOWN
    carrier: str = ""
    number: str = ""
    picked_up_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    expected_at: AwareDatetime | None = None
    observed_at: AwareDatetime | None = None


def with_tracking(order: Order, tracking: Tracking | None) -> Order:
    """The order with the carrier's word taken in: where the carrier knows more, it wins."""
    if tracking is None:
        return order
    found: dict[str, object] = {}
    if tracking.parcel is not Parcel.UNKNOWN:
        found["parcel"] = tracking.parcel
    for name in ("picked_up_at", "delivered_at"):
        seen: datetime | None = getattr(tracking, name)
        if seen is not None:
            found[name] = seen
    return order.model_copy(update=found) if found else order
