"""WooCommerce's order, as JSON, to ours: exact money, UTC, neutral words, missing fields named."""

from __future__ import annotations

import hashlib
import html
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from amends import AfterSales, BadAnswer, Item, Money, Order, OrderStatus, Parcel, Personal, Tag
from amends_woocommerce.config import WooCommerceConfig

log = logging.getLogger("amends.woocommerce")

STATUS = {
    "pending": OrderStatus.UNPAID,
    "failed": OrderStatus.UNPAID,
    "checkout-draft": OrderStatus.UNPAID,
    "processing": OrderStatus.TO_SHIP,
    "completed": OrderStatus.SHIPPED,
    "cancelled": OrderStatus.CANCELLED,
    "refunded": OrderStatus.CANCELLED,
    "trash": OrderStatus.CANCELLED,
}
# Written by WooCommerce's Shipment Tracking and by the free plugins that imitate it.
TRACKING_META = "_wc_shipment_tracking_items"


def to_order(raw: Any, config: WooCommerceConfig, *, shop: str, zone: str, observed_at: datetime) -> Order:
    """One order; raises `BadAnswer` that names the order and the field where one is missing or unreadable.

    `number` is WooCommerce's order id, which every call needs; a plugin that renumbers orders changes only
    what customers see.
    """
    if not isinstance(raw, dict):
        raise BadAnswer("an order is not an object")
    look = Look(raw)
    paid_at = look.when("date_paid_gmt")
    completed_at = look.when("date_completed_gmt")
    status = _status(look, config, paid_at)
    amount = look.money("total")
    carrier, tracking_number, handed_over = _tracking(look, ZoneInfo(zone))
    shipped_at = completed_at if status is OrderStatus.SHIPPED and completed_at else handed_over
    refunded = _refunded(look)
    billing, shipping = look.part("billing"), look.part("shipping")
    kept_away = look.meta(config.do_not_touch_meta)
    label = status is OrderStatus.TO_SHIP and (handed_over is not None or tracking_number)
    return Order(
        number=look.number,
        amount=amount,
        placed_at=look.needed("date_created_gmt"),
        observed_at=observed_at,
        paid_at=paid_at,
        updated_at=look.needed("date_modified_gmt"),
        ship_by=_ship_by(look, config, paid_at, ZoneInfo(zone)),
        agreed_ship_by=look.date(config.agreed_meta, ZoneInfo(zone)),
        status=status,
        after_sales=AfterSales.REFUNDED if refunded and refunded >= amount.decimal else AfterSales.NONE,
        after_sales_raw=f"refunded {refunded:f}" if refunded else "",
        refunded=Money.of(refunded, amount.currency) if refunded > 0 else None,
        shipped_at=shipped_at,
        parcel=Parcel.LABEL_CREATED if label else Parcel.UNKNOWN,
        carrier=carrier,
        tracking_number=tracking_number,
        tags=(Tag.DO_NOT_TOUCH,) if str(kept_away or "").lower() not in ("", "no", "0") else (),
        items=tuple(_item(line) for line in look.rows("line_items")),
        customer=_customer(raw, billing, shop),
        personal=Personal(
            name=_joined(billing, "first_name", "last_name"),
            phone=str(billing.get("phone") or ""),
            email=str(billing.get("email") or ""),
            address=_joined(
                shipping or billing, "address_1", "address_2", "postcode", "city", "state", "country"
            ),
        ),
    )


class Look:
    """Reads fields of one order, and names the order and the field in what it raises."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        if not isinstance(raw.get("id"), int):
            raise BadAnswer("an order lacks the field id")
        self.number = str(raw["id"])

    def wrong(self, field: str, why: str) -> BadAnswer:
        return BadAnswer(f"order {self.number}: {field} {why}")

    def text(self, field: str) -> str:
        value = self.raw.get(field)
        if not isinstance(value, str) or not value:
            raise self.wrong(f"the field {field}", "is missing")
        return value

    def money(self, field: str) -> Money:
        try:
            return Money.of(self.text(field), self.text("currency"))
        except ValueError as error:
            raise self.wrong(f"the field {field}", f"is no amount: {error}") from None

    def when(self, field: str) -> datetime | None:
        """A `…_gmt` time: UTC, written without a zone."""
        if not self.raw.get(field):
            return None
        try:
            return datetime.fromisoformat(str(self.raw[field])).replace(tzinfo=UTC)
        except ValueError:
            raise self.wrong(f"the field {field}", "is no time") from None

    def needed(self, field: str) -> datetime:
        value = self.when(field)
        if value is None:
            raise self.wrong(f"the field {field}", "is missing")
        return value

    def part(self, field: str) -> Mapping[str, Any]:
        value = self.raw.get(field)
        return value if isinstance(value, dict) else {}

    def rows(self, field: str) -> list[dict[str, Any]]:
        value = self.raw.get(field)
        return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []

    def meta(self, key: str) -> Any:
        found = [row.get("value") for row in self.rows("meta_data") if key and row.get("key") == key]
        return found[-1] if found else None

    def date(self, key: str, zone: ZoneInfo) -> datetime | None:
        """A date in a meta key, by a person or plugin: ISO 8601 or seconds; a day alone lasts to its end."""
        value = self.meta(key)
        if value in (None, ""):
            return None
        text = str(value).strip()
        try:
            if text.isdigit() and len(text) >= 9:
                return datetime.fromtimestamp(int(text), UTC)
            if len(text) == 10:
                return datetime.combine(
                    datetime.fromisoformat(text).date(), time(23, 59, 59), zone
                ).astimezone(UTC)
            found = datetime.fromisoformat(text)
        except (
            ValueError,
            OverflowError,
            OSError,
        ):  # one order's slip must not stop the watch over all others
            hint = "write it as 2026-11-30 or 2026-11-30T18:00 in the back office"
            log.warning("woocommerce: the meta key %s of order %s is no date; %s", key, self.number, hint)
            return None
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _status(look: Look, config: WooCommerceConfig, paid_at: datetime | None) -> OrderStatus:
    word = look.text("status")
    if word in config.statuses:
        return config.statuses[word]
    if word == "on-hold":
        # "Awaiting payment" by default (bank transfer, cheque); with a payment, the merchant holds it back.
        return OrderStatus.TO_SHIP if paid_at else OrderStatus.UNPAID
    return STATUS.get(word, OrderStatus.UNKNOWN)


def _ship_by(
    look: Look, config: WooCommerceConfig, paid_at: datetime | None, zone: ZoneInfo
) -> datetime | None:
    promised = look.date(config.ship_by_meta, zone)
    if promised is not None:
        return promised
    if config.ship_within is None:
        return None
    start = paid_at or look.needed("date_created_gmt")
    return start + timedelta(seconds=config.ship_within.total_seconds())


def _tracking(look: Look, zone: ZoneInfo) -> tuple[str, str, datetime | None]:
    rows = look.meta(TRACKING_META)
    if not isinstance(rows, list) or not rows or not isinstance(rows[-1], dict):
        return "", "", None
    last = rows[-1]
    carrier = str(last.get("tracking_provider") or last.get("custom_tracking_provider") or "")
    shipped = str(last.get("date_shipped") or "")
    try:
        at = datetime.fromtimestamp(int(shipped), UTC) if shipped else None
    except (
        ValueError,
        OverflowError,
        OSError,
    ):  # a plugin's own way to write it: the tracking number still counts
        at = None
    return carrier, str(last.get("tracking_number") or ""), at


def _refunded(look: Look) -> Decimal:
    try:
        found = -sum((Decimal(str(row["total"])) for row in look.raw.get("refunds") or ()), Decimal(0))
        if found:
            Money.of(found, look.text("currency"))
        return found
    except (InvalidOperation, KeyError, TypeError, ValueError):
        raise look.wrong("the field refunds", "lists a refund without a total") from None


def _item(line: Mapping[str, Any]) -> Item:
    title, quantity = html.unescape(str(line.get("name") or "")), line.get("quantity")
    return Item(
        sku=str(line.get("sku") or ""), title=title, quantity=quantity if isinstance(quantity, int) else 0
    )


def _customer(raw: Mapping[str, Any], billing: Mapping[str, Any], shop: str) -> str:
    """The account's id; for guests a hash of shop and e-mail, so that caps per customer hold for them too."""
    if raw.get("customer_id"):
        return str(raw["customer_id"])
    email = str(billing.get("email") or "").strip().lower()
    return "guest-" + hashlib.sha256(f"{shop}\0{email}".encode()).hexdigest()[:16] if email else ""


def _joined(part: Mapping[str, Any], *fields: str) -> str:
    return " ".join(str(part[field]) for field in fields if part.get(field))
