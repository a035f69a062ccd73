"""Made-up orders, customers and requests with which the contract suites try a plugin."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from amends.cases.money import Money, minor_digits
from amends.cases.offers import Remedy, RemedyKind
from amends.cases.orders import Item, Order, OrderStatus, Parcel, Personal
from amends.hooks.requests import AnyRequest, Extension, File, Filing, Grant, Message, Note

# Just after a spring change of clocks: local times jump here, yet none of them is ambiguous.
START = datetime(2026, 3, 29, 4, 0, 0, tzinfo=UTC)

# Amounts that binary floats get wrong, the smallest, one with thousands, and one without a fraction.
MINOR = (1, 7, 110, 1999, 4035, 123456789, 30000)

PERSONAL = Personal(
    name="Sample Customer 0017",
    phone="+15550100017",
    email="sample.customer.0017@example.invalid",
    address="17 Invented Lane, Nowhere 00017",
)

TEXT = "Your parcel leaves later than promised. We are sorry, and this is what we offer."
REPLY_URL = "https://replies.example.invalid/r/sample-token-0017"


def key(of: str) -> str:
    """An effect's short key as the host makes them: the same for the same words."""
    return hashlib.sha256(of.encode()).hexdigest()[:16]


def order(
    number: str, n: int, *, now: datetime, currency: str = "CNY", age: timedelta = timedelta(0)
) -> Order:
    """A paid order that waits for shipping, changed `age` ago; amount and customer depend on `n` alone."""
    changed = now - age
    return Order(
        number=number,
        amount=Money(minor=MINOR[n % len(MINOR)], currency=currency),
        placed_at=changed - timedelta(minutes=7),
        paid_at=changed - timedelta(minutes=5),
        updated_at=changed,
        ship_by=changed + timedelta(hours=48),
        observed_at=now,
        status=OrderStatus.TO_SHIP,
        items=(Item(sku=f"SKU-{n:04d}", title=f"Sample article {n}", quantity=1 + n % 3),),
        customer=f"c{10000 + n}",
        personal=PERSONAL,
    )


def late(number: str, *, now: datetime, currency: str = "CNY") -> Order:
    """An order whose deadline passed six hours ago, with nothing picked up."""
    made = order(number, 3, now=now, currency=currency, age=timedelta(hours=1))
    return made.model_copy(
        update={
            "amount": Money.of(199, currency),
            "placed_at": now - timedelta(hours=55),
            "paid_at": now - timedelta(hours=54),
            "ship_by": now - timedelta(hours=6),
        }
    )


def travelling(number: str, *, now: datetime, currency: str = "CNY") -> Order:
    """An order that the carrier picked up two hours ago."""
    return order(number, 4, now=now, currency=currency, age=timedelta(hours=1)).model_copy(
        update={
            "status": OrderStatus.SHIPPED,
            "placed_at": now - timedelta(hours=26),
            "paid_at": now - timedelta(hours=25),
            "parcel": Parcel.IN_TRANSIT,
            "carrier": "Sample Express",
            "tracking_number": "SE0000000017",
            "shipped_at": now - timedelta(hours=3),
            "picked_up_at": now - timedelta(hours=2),
        }
    )


def remedy(kind: str, currency: str = "CNY") -> Remedy:
    """A small remedy of that kind."""
    what = RemedyKind(kind)
    if what is RemedyKind.POINTS:
        return Remedy(kind=what, points=300)
    if what in (RemedyKind.GIFT, RemedyKind.REPLACEMENT):
        return Remedy(kind=what, name="SKU-0001")
    return Remedy(kind=what, amount=Money(minor=3 * 10 ** minor_digits(currency), currency=currency))


def request(
    op: str, variant: str, *, order: Order, key: str, now: datetime, dispute: str = "", round: int = 1
) -> AnyRequest:
    """A complete write: `op` as in `Operation` tables, `variant` a remedy kind for `grant`."""
    personal = order.personal or PERSONAL
    common = {
        "key": key,
        "order": order.number,
        "round": round,
        "customer": order.customer,
        "personal": personal,
    }
    currency = order.amount.currency
    match op:
        case "message":
            return Message.model_validate(
                common
                | {
                    "text": TEXT,
                    "subject": "Your order is late",
                    "reply_url": REPLY_URL,
                    "remedy": remedy("coupon", currency),
                    "new_ship_by": now + timedelta(days=2),
                    "reply_by": now + timedelta(days=1),
                    "template": "SMS_0017",
                    "parameters": {"order": order.number},
                }
            )
        case "grant":
            return Grant.model_validate(
                common | {"remedy": remedy(variant or "coupon", currency), "reason": "late"}
            )
        case "extend":
            return Extension.model_validate(common | {"until": now + timedelta(days=3), "reason": "late"})
        case "note":
            text = f"offer {round}: coupon 3.00 {currency}, ships by 04-01"
            return Note.model_validate(common | {"about": "offer", "text": text})
        case _:
            content = b"order, promised, picked up\n"
            proof = File(
                name="evidence.csv",
                media_type="text/csv",
                content=content,
                sha256=hashlib.sha256(content).hexdigest(),
            )
            instance = {"respond": "response", "complain": "complaint"}.get(op, "arbitration")
            return Filing.model_validate(
                common | {"op": op, "instance": instance, "text": TEXT, "dispute": dispute, "files": (proof,)}
            )
