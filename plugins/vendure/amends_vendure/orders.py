"""Vendure's order, as the Admin API gives it, to ours: exact money, UTC, missing fields named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from amends import AfterSales, BadAnswer, Item, Money, Order, OrderStatus, Parcel, Personal
from amends_vendure.config import VendureConfig

STATUS = {
    "Created": OrderStatus.UNPAID,
    "Draft": OrderStatus.UNPAID,
    "AddingItems": OrderStatus.UNPAID,
    "ArrangingPayment": OrderStatus.UNPAID,
    "ArrangingAdditionalPayment": OrderStatus.UNPAID,
    "PaymentAuthorized": OrderStatus.TO_SHIP,
    "PaymentSettled": OrderStatus.TO_SHIP,
    "PartiallyShipped": OrderStatus.TO_SHIP,
    "Shipped": OrderStatus.SHIPPED,
    "PartiallyDelivered": OrderStatus.SHIPPED,
    "Delivered": OrderStatus.RECEIVED,
    "Cancelled": OrderStatus.CANCELLED,
    # `Modifying` and the states of a merchant's own order process are not known: nothing is guessed.
}
PAID = ("Authorized", "Settled")


def to_order(raw: Any, config: VendureConfig, *, observed_at: datetime) -> Order:
    """One order; raises `BadAnswer` that names the order and the field where one is missing or unreadable."""
    if not isinstance(raw, dict) or not isinstance(raw.get("code"), str) or not raw["code"]:
        raise BadAnswer("an order lacks the field code")
    look = Look(raw, config)
    status = STATUS.get(look.text("state"), OrderStatus.UNKNOWN)
    placed_at = look.needed("orderPlacedAt")
    payments, fulfillments = look.rows("payments"), look.rows("fulfillments")
    paid = [at for row in payments if row.get("state") in PAID and (at := look.when(row, "createdAt"))]
    shipped_at, delivered_at = look.reached("Shipped"), look.reached("Delivered")
    after_sales, after_sales_raw, refunded = _after_sales(look, payments)
    last = fulfillments[-1] if fulfillments else {}
    customer, address = look.part("customer"), look.part("shippingAddress")
    return Order(
        number=look.code,
        amount=look.money(raw, "totalWithTax"),
        placed_at=placed_at,
        observed_at=observed_at,
        paid_at=max(min(paid), placed_at) if paid else None,
        updated_at=_updated_at(look, placed_at, payments, fulfillments),
        ship_by=placed_at + config.ship_within if config.ship_within is not None else None,
        status=status,
        after_sales=after_sales,
        after_sales_raw=after_sales_raw,
        refunded=refunded,
        # While some lines are unshipped the order is not: their parcels show in `parcel` only.
        shipped_at=shipped_at if status in (OrderStatus.SHIPPED, OrderStatus.RECEIVED) else None,
        delivered_at=delivered_at if status is OrderStatus.RECEIVED else None,
        parcel=_parcel(status, fulfillments),
        carrier=str(last.get("method") or ""),
        tracking_number=str(last.get("trackingCode") or ""),
        items=tuple(_item(line) for line in look.rows("lines")),
        customer=str(customer.get("id") or ""),
        personal=Personal(
            name=_joined(customer, "firstName", "lastName") or str(address.get("fullName") or ""),
            phone=str(customer.get("phoneNumber") or address.get("phoneNumber") or ""),
            email=str(customer.get("emailAddress") or ""),
            address=_joined(
                address, "streetLine1", "streetLine2", "postalCode", "city", "province", "country"
            ),
        ),
    )


def rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


class Look:
    """Reads fields of one order, and names the order and the field in what it raises."""

    def __init__(self, raw: Mapping[str, Any], config: VendureConfig) -> None:
        self.raw = raw
        self.code = str(raw.get("code"))
        self.precision = config.precision

    def missing(self, field: str) -> BadAnswer:
        return BadAnswer(f"order {self.code}: the field {field} is missing")

    def text(self, field: str) -> str:
        value = self.raw.get(field)
        if not isinstance(value, str) or not value:
            raise self.missing(field)
        return value

    def money(self, row: Mapping[str, Any], field: str) -> Money:
        value = row.get(field)
        if not isinstance(value, int):
            raise self.missing(field)
        try:
            return Money.of(Decimal(value).scaleb(-self.precision), self.text("currencyCode"))
        except ValueError as error:
            raise BadAnswer(f"order {self.code}: the field {field} is no amount: {error}") from None

    def when(self, row: Mapping[str, Any], field: str) -> datetime | None:
        if not row.get(field):
            return None
        try:
            found = datetime.fromisoformat(str(row[field]))
        except ValueError:
            raise BadAnswer(f"order {self.code}: the field {field} is no time") from None
        if found.tzinfo is None:
            raise BadAnswer(f"order {self.code}: the field {field} has no time zone")
        return found.astimezone(UTC)

    def needed(self, field: str) -> datetime:
        value = self.when(self.raw, field)
        if value is None:
            raise self.missing(field)
        return value

    def rows(self, field: str) -> list[dict[str, Any]]:
        return rows(self.raw.get(field))

    def part(self, field: str) -> Mapping[str, Any]:
        value = self.raw.get(field)
        return value if isinstance(value, dict) else {}

    def reached(self, state: str) -> datetime | None:
        """When the last fulfilment came into that state: by the history, for its own time moves on."""
        found = [
            at
            for entry in rows(self.part("history").get("items"))
            if isinstance(entry.get("data"), dict) and entry["data"].get("to") == state
            if (at := self.when(entry, "createdAt"))
        ]
        found = found or [
            at
            for row in self.rows("fulfillments")
            if row.get("state") == state and (at := self.when(row, "updatedAt"))
        ]
        return max(found, default=None)


def _updated_at(
    look: Look, placed_at: datetime, payments: list[dict[str, Any]], fulfillments: list[dict[str, Any]]
) -> datetime:
    """The latest change of anything shown: an order's `updatedAt` stays when its parts change."""
    refunds = [refund for row in payments for refund in rows(row.get("refunds"))]
    parts = (look.when(row, "updatedAt") for row in [*payments, *refunds, *fulfillments])
    return max([look.needed("updatedAt"), placed_at, *(at for at in parts if at)])


def _after_sales(look: Look, payments: list[dict[str, Any]]) -> tuple[AfterSales, str, Money | None]:
    """The state of its refunds, Vendure's words for it, and the money that has gone back."""
    refunds = [refund for row in payments for refund in rows(row.get("refunds"))]
    if not refunds:
        return AfterSales.NONE, "", None
    raw = ", ".join(str(refund.get("state")) for refund in refunds)
    none = Money.zero(look.text("currencyCode"))
    settled = (look.money(refund, "total") for refund in refunds if refund.get("state") == "Settled")
    back = sum(settled, none)
    if any(refund.get("state") == "Pending" for refund in refunds):
        return AfterSales.REFUNDING, raw, back
    paid = sum((look.money(row, "amount") for row in payments if row.get("state") in PAID), none)
    return (AfterSales.REFUNDED if paid and back >= paid else AfterSales.NONE), raw, back or None


def _parcel(status: OrderStatus, fulfillments: list[dict[str, Any]]) -> Parcel:
    states = {row.get("state") for row in fulfillments} - {"Cancelled"}
    if status is OrderStatus.RECEIVED:
        return Parcel.DELIVERED
    if status is OrderStatus.TO_SHIP and states & {"Created", "Pending", "Shipped"}:
        return Parcel.LABEL_CREATED
    return Parcel.UNKNOWN


def _item(line: Mapping[str, Any]) -> Item:
    variant, quantity = line.get("productVariant"), line.get("quantity")
    variant = variant if isinstance(variant, dict) else {}
    return Item(
        sku=str(variant.get("sku") or ""),
        title=str(variant.get("name") or ""),
        quantity=quantity if isinstance(quantity, int) else 0,
    )


def _joined(part: Mapping[str, Any], *fields: str) -> str:
    return " ".join(str(part[field]) for field in fields if part.get(field))


def later(at: datetime, by: timedelta) -> str:
    """A time as Vendure's DateTime takes it."""
    return (at + by).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
