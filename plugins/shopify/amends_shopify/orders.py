"""Shopify's orders, fulfilment orders and parcels in the words of `amends`. Pure: no network, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from amends import AfterSales, Item, Money, Order, OrderStatus, Parcel, Personal, Tag, Tracking
from amends_shopify.config import ShopifyConfig
from amends_shopify.wire import Fulfillment, FulfillmentOrder, OrderNode

PARCELS = {
    "LABEL_PURCHASED": Parcel.LABEL_CREATED,
    "LABEL_PRINTED": Parcel.LABEL_CREATED,
    "CARRIER_PICKED_UP": Parcel.PICKED_UP,
    "IN_TRANSIT": Parcel.IN_TRANSIT,
    "DELAYED": Parcel.IN_TRANSIT,
    "OUT_FOR_DELIVERY": Parcel.OUT_FOR_DELIVERY,
    "READY_FOR_PICKUP": Parcel.OUT_FOR_DELIVERY,
    "ATTEMPTED_DELIVERY": Parcel.EXCEPTION,
    "FAILURE": Parcel.EXCEPTION,
    "NOT_DELIVERED": Parcel.EXCEPTION,
    "DELIVERED": Parcel.DELIVERED,
    "PICKED_UP": Parcel.DELIVERED,  # by the customer: the carrier's pick-up is CARRIER_PICKED_UP
}
"""By `Fulfillment.displayStatus`. The others (FULFILLED, CONFIRMED, SUBMITTED …) tell nothing of it."""

_FURTHEST = (
    Parcel.UNKNOWN, Parcel.LABEL_CREATED, Parcel.PICKED_UP, Parcel.IN_TRANSIT, Parcel.OUT_FOR_DELIVERY,
    Parcel.DELIVERED,
)  # fmt: skip
_NOT_SENT = frozenset({"CANCELLED", "ERROR", "FAILURE"})
_DONE = frozenset({"CLOSED", "CANCELLED"})
_CARRIED = frozenset({"SHIPPING", "LOCAL", "PICKUP_POINT"})
_UNPAID = frozenset({"PENDING", "PARTIALLY_PAID", "EXPIRED", "VOIDED"})
_TO_SHIP = frozenset(
    {
        "UNFULFILLED", "PARTIALLY_FULFILLED", "OPEN", "IN_PROGRESS", "ON_HOLD", "SCHEDULED",
        "PENDING_FULFILLMENT", "REQUEST_DECLINED", "RESTOCKED",
    }
)  # fmt: skip
_HOLDS = {
    "INVENTORY_OUT_OF_STOCK": Tag.OUT_OF_STOCK,
    "HIGH_RISK_OF_FRAUD": Tag.RISK_REVIEW,
    "AWAITING_PAYMENT": Tag.SHIP_HOLD,
    "AWAITING_RETURN_ITEMS": Tag.SHIP_HOLD,
}
_RETURNS = {
    "NO_RETURN": AfterSales.NONE,
    "RETURN_REQUESTED": AfterSales.REQUESTED,
    "IN_PROGRESS": AfterSales.RETURNING,
    "INSPECTION_COMPLETE": AfterSales.RETURNING,
    "RETURNED": AfterSales.CLOSED,
    "RETURN_FAILED": AfterSales.REJECTED,
}
OPEN_DISPUTE = frozenset({"NEEDS_RESPONSE", "UNDER_REVIEW"})
_LOST_DISPUTE = frozenset({"LOST", "ACCEPTED", "CHARGE_REFUNDED"})


def to_order(
    node: OrderNode, config: ShopifyConfig, *, seen_at: datetime, answer_by: datetime | None = None
) -> Order:
    """The order as seen at `seen_at`; `answer_by` is the due date of its open dispute.

    Amounts are in the store's currency, the one in which a merchant writes caps and policies.
    """
    parts = carried(node.fulfillmentOrders.nodes)
    sent = [parcel for parcel in node.fulfillments if parcel.status not in _NOT_SENT]
    status = _status(node, sent, config)
    gone = sent if status in (OrderStatus.SHIPPED, OrderStatus.RECEIVED) else []
    info = next((info for parcel in gone for info in parcel.trackingInfo), None)
    promised_arrival = [p.deliveryMethod.maxDeliveryDateTime for p in parts if p.deliveryMethod]
    after_sales, dispute = _after_sales(node)
    return Order(
        number=node.name,
        amount=node.totalPriceSet.shopMoney.money,
        placed_at=node.createdAt,
        observed_at=seen_at,
        paid_at=_paid_at(node, config),
        updated_at=node.updatedAt,
        ship_by=_ship_by(parts),
        deliver_by=max((at for at in promised_arrival if at), default=None),
        status=status,
        after_sales=after_sales,
        after_sales_raw=_raw(node),
        refunded=_refunded(node),
        after_sales_due=answer_by,
        dispute=dispute,
        shipped_at=max((parcel.createdAt for parcel in gone), default=None),
        picked_up_at=_when_all(parcel.inTransitAt for parcel in gone),
        delivered_at=_when_all(parcel.deliveredAt for parcel in gone),
        parcel=_parcel(gone),
        carrier=(info.company or "") if info else "",
        tracking_number=(info.number or "") if info else "",
        tags=_tags(node, parts, config),
        items=tuple(
            Item(sku=line.sku or "", title=line.title, quantity=line.currentQuantity)
            for line in (node.lineItems.nodes if node.lineItems else ())
            if line.currentQuantity
        ),
        warehouse=next((p.assignedLocation.name for p in parts if p.assignedLocation), ""),
        customer=node.customer.id if node.customer else "",
        language=node.customerLocale or "",
        time_zone=(node.shippingAddress.timeZone or "") if node.shippingAddress else "",
        personal=_personal(node) if config.personal else None,
    )


def carried(parts: Sequence[FulfillmentOrder]) -> list[FulfillmentOrder]:
    """The fulfilment orders that a carrier brings: not those collected in a store, nor downloads."""
    return [p for p in parts if p.deliveryMethod is None or p.deliveryMethod.methodType in _CARRIED]


def unfinished(parts: Sequence[FulfillmentOrder]) -> list[FulfillmentOrder]:
    """What still has to be shipped; INCOMPLETE and ON_HOLD are."""
    return [part for part in carried(parts) if part.status not in _DONE]


def to_tracking(parcels: Sequence[Fulfillment], *, seen_at: datetime) -> Tracking | None:
    """The carrier's word on an order: it has left, or arrived, when the last of its parcels has."""
    sent = [parcel for parcel in parcels if parcel.status not in _NOT_SENT]
    if not sent:
        return None
    info = next((info for parcel in sent for info in parcel.trackingInfo), None)
    expected = [parcel.estimatedDeliveryAt for parcel in sent if parcel.estimatedDeliveryAt]
    return Tracking(
        parcel=_parcel(sent),
        carrier=(info.company or "") if info else "",
        number=(info.number or "") if info else "",
        picked_up_at=_when_all(_picked_up(parcel) for parcel in sent),
        delivered_at=_when_all(parcel.deliveredAt for parcel in sent),
        expected_at=max(expected, default=None),
        observed_at=seen_at,
    )


def _picked_up(parcel: Fulfillment) -> datetime | None:
    moves = {"CARRIER_PICKED_UP", "IN_TRANSIT", "OUT_FOR_DELIVERY", "ATTEMPTED_DELIVERY", "DELIVERED"}
    events = parcel.events.nodes if parcel.events else []
    return min((event.happenedAt for event in events if event.status in moves), default=parcel.inTransitAt)


def _status(node: OrderNode, sent: Sequence[Fulfillment], config: ShopifyConfig) -> OrderStatus:
    if node.cancelledAt is not None:
        return OrderStatus.CANCELLED
    if node.displayFulfillmentStatus == "FULFILLED":
        arrived = bool(sent) and all(parcel.deliveredAt for parcel in sent)
        return OrderStatus.RECEIVED if arrived else OrderStatus.SHIPPED
    if node.displayFinancialStatus in _UNPAID and not config.ship_unpaid:
        return OrderStatus.UNPAID
    return OrderStatus.TO_SHIP if node.displayFulfillmentStatus in _TO_SHIP else OrderStatus.UNKNOWN


def _ship_by(parts: Sequence[FulfillmentOrder]) -> datetime | None:
    """The next deadline while something is left to ship; afterwards the last one, the last parcel's."""
    left = [part.fulfillBy for part in unfinished(parts) if part.fulfillBy]
    kept = [part.fulfillBy for part in parts if part.fulfillBy and part.status == "CLOSED"]
    return min(left) if left else None if unfinished(parts) else max(kept, default=None)


def _paid_at(node: OrderNode, config: ShopifyConfig) -> datetime | None:
    # An authorised card is paid as far as shipping goes: the shop captures it when it ships.
    kinds = {"SALE", "CAPTURE", "AUTHORIZATION"}
    times = [
        t.processedAt
        for t in node.transactions
        if t.kind in kinds and t.status == "SUCCESS" and t.processedAt
    ]
    return min(times, default=node.createdAt if config.ship_unpaid else None)


def _after_sales(node: OrderNode) -> tuple[AfterSales, str]:
    for dispute in node.disputes:
        if dispute.status in OPEN_DISPUTE:
            return AfterSales.DISPUTED, dispute_id(dispute.id)
    if node.displayFinancialStatus == "REFUNDED" or any(d.status in _LOST_DISPUTE for d in node.disputes):
        return AfterSales.REFUNDED, ""
    return _RETURNS.get(node.returnStatus, AfterSales.UNKNOWN), ""


def _refunded(node: OrderNode) -> Money | None:
    """What went back by refunds; unknown where a lost dispute took the money instead."""
    if node.totalRefundedSet is None or any(d.status in _LOST_DISPUTE for d in node.disputes):
        return None
    return node.totalRefundedSet.shopMoney.money or None


def dispute_id(summary: str) -> str:
    """The id that the `dispute` query takes: an order shows another type with the same number."""
    return f"gid://shopify/ShopifyPaymentsDispute/{summary.rpartition('/')[2]}"


def _raw(node: OrderNode) -> str:
    words = [
        node.displayFinancialStatus or "",
        node.returnStatus,
        *(f"{d.initiatedAs} {d.status}" for d in node.disputes),
    ]
    return ", ".join(word.strip() for word in words if word.strip() and word != "NO_RETURN")


def _when_all(times: Iterable[datetime | None]) -> datetime | None:
    """The latest of them, once there is one for every parcel."""
    found = list(times)
    known = [at for at in found if at is not None]
    return max(known) if known and len(known) == len(found) else None


def _parcel(sent: Sequence[Fulfillment]) -> Parcel:
    """Where the slowest parcel is; one that went wrong is what a person must hear of first."""
    seen = [PARCELS.get(parcel.displayStatus or "", Parcel.UNKNOWN) for parcel in sent]
    if Parcel.EXCEPTION in seen:
        return Parcel.EXCEPTION
    return min(seen, key=_FURTHEST.index, default=Parcel.UNKNOWN)


def _tags(node: OrderNode, parts: Sequence[FulfillmentOrder], config: ShopifyConfig) -> tuple[Tag, ...]:
    left = unfinished(parts)
    tags = {_HOLDS[hold.reason] for part in left for hold in part.fulfillmentHolds if hold.reason in _HOLDS}
    marks = {tag.casefold() for tag in node.tags}
    if config.skip_tag.casefold() in marks:
        tags.add(Tag.DO_NOT_TOUCH)
    if marks & {tag.casefold() for tag in config.presale_tags} or any(
        part.status == "SCHEDULED" for part in left
    ):
        tags.add(Tag.PRESALE)
    if node.risk is not None and node.risk.recommendation == "CANCEL":
        tags.add(Tag.RISK_REVIEW)
    nothing_to_carry = bool(node.fulfillmentOrders.nodes) and not parts
    if not node.requiresShipping or nothing_to_carry:
        # Downloads and what is collected in a store have no ship date to break.
        tags.add(Tag.MAY_SHIP_LATE)
    return tuple(tags)


def _personal(node: OrderNode) -> Personal | None:
    lines = node.shippingAddress.formatted if node.shippingAddress else []
    found = Personal(
        name=node.customer.displayName if node.customer else "",
        phone=node.phone or "",
        email=node.email or "",
        address=", ".join(lines),
    )
    return found if found != Personal() else None
