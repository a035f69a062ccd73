"""The platform's orders as amends' snapshots: the same reading for every list and the detail.

No personal value is taken: receiver fields come as ciphertext that only the platform's own cloud may decrypt,
and a masked phone number reaches nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from amends import AfterSales, Item, Order, OrderStatus, Parcel, Tag
from amends_pinduoduo.aftersales import Refund, state_of
from amends_pinduoduo.fields import bad, flag, need, number, when, yuan

STATUS: Mapping[int, OrderStatus] = {1: OrderStatus.TO_SHIP, 2: OrderStatus.SHIPPED, 3: OrderStatus.RECEIVED}
TAGS: Mapping[str, Tag] = {"region_black_delay_shipping": Tag.MAY_SHIP_LATE, "ship_hold": Tag.SHIP_HOLD}

WHOLE = frozenset(
    {
        "order_status", "pay_amount", "created_time", "updated_at", "last_ship_time", "after_sales_status",
        "refund_status", "risk_control_status", "order_tag_list", "urge_shipping_time",
        "promise_delivery_time",
    }
)  # fmt: skip
"""What a list's entry must carry to be used as it is; otherwise the detail is read: both look the same."""


def is_whole(row: Mapping[str, Any]) -> bool:
    return row.keys() >= WHOLE


def read_order(
    row: Mapping[str, Any],
    *,
    observed_at: datetime,
    refund: Refund | None = None,
    seen: datetime | None = None,
    carrier: str = "",
    do_not_touch: str = "",
) -> Order:
    """One order. `refund` is its detail where one is under way, `seen` when a refund list last saw it change.

    Raises `BadAnswer` naming the order and the field that is missing or unreadable.
    """
    sn = str(need(row, "order_sn", "an order"))
    of = f"order {sn}"
    after_sales, raw = state_of(row, of)
    due = None
    dispute = ""
    if refund is not None:
        after_sales, raw, due = refund.state, str(refund.status), refund.due
        dispute = refund.id if after_sales is AfterSales.DISPUTED else ""
    refunded = refund.amount if refund is not None and refund.state is AfterSales.REFUNDED else None
    changes = (when(row, "updated_at", of), refund.updated_at if refund else None, seen)
    confirmed = when(row, "confirm_time", of)
    paid = when(row, "pay_time", of)
    received = when(row, "receive_time", of)
    status = _status(row, of)
    return Order(
        number=sn,
        amount=yuan(row, "pay_amount", of),
        placed_at=_known(row, "created_time", of),
        # The promise runs from the group's success (成交), which can be a day after the payment.
        paid_at=confirmed or paid,
        # A refund changes without touching the order; whoever compares `updated_at` must still see it.
        updated_at=max((change for change in changes if change is not None), default=None),
        observed_at=observed_at,
        ship_by=when(row, "last_ship_time", of),
        deliver_by=when(row, "promise_delivery_time", of),
        status=status,
        after_sales=after_sales,
        after_sales_raw=raw,
        after_sales_due=due,
        refunded=refunded,
        dispute=dispute,
        shipped_at=when(row, "shipping_time", of),
        # The customer confirmed it, at the latest then it had arrived.
        delivered_at=received if status is OrderStatus.RECEIVED else None,
        parcel=Parcel.UNKNOWN,
        carrier=carrier or _id(row.get("logistics_id")),
        tracking_number=str(row.get("tracking_number") or ""),
        tags=_tags(row, of, do_not_touch),
        items=_items(row),
        warehouse=_warehouse(row),
        # 合单ID: opaque, the same for one receiver at one address; orders carry no id of the buyer.
        customer=str(row.get("open_address_id_2") or row.get("open_address_id") or ""),
        language="zh",
        time_zone="Asia/Shanghai",
    )


def _status(row: Mapping[str, Any], of: str) -> OrderStatus:
    if number(row, "confirm_status", of) == 2 or number(row, "group_status", of) == 2:
        return OrderStatus.CANCELLED
    if number(row, "confirm_status", of) == 0:
        # Paid, but the group is still forming: nothing may be shipped and no deadline runs yet.
        return OrderStatus.UNPAID
    need(row, "order_status", of)
    return STATUS.get(number(row, "order_status", of) or 0, OrderStatus.UNKNOWN)


def _known(row: Mapping[str, Any], field: str, of: str) -> datetime:
    need(row, field, of)
    value = when(row, field, of)
    if value is None:
        raise bad(field, "is not a time", of)
    return value


def _tags(row: Mapping[str, Any], of: str, do_not_touch: str) -> tuple[Tag, ...]:
    tags = set()
    for label in _dicts(row.get("order_tag_list")):
        tag = TAGS.get(str(label.get("name")))
        if tag is not None and flag(label, "value"):
            tags.add(tag)
    if flag(row, "is_pre_sale"):
        tags.add(Tag.PRESALE)
    if flag(row, "is_stock_out") and number(row, "stock_out_handle_status", of) != 1:
        tags.add(Tag.OUT_OF_STOCK)
    if number(row, "risk_control_status", of) == 1:
        tags.add(Tag.RISK_REVIEW)
    if when(row, "urge_shipping_time", of) is not None:
        tags.add(Tag.URGED)
    if do_not_touch and do_not_touch in str(row.get("remark") or ""):
        tags.add(Tag.DO_NOT_TOUCH)
    return tuple(tags)


def _items(row: Mapping[str, Any]) -> tuple[Item, ...]:
    return tuple(
        Item(
            sku=str(item.get("outer_id") or item.get("sku_id") or ""),
            title=" ".join(str(item.get(name) or "") for name in ("goods_name", "goods_spec")).strip(),
            quantity=number(item, "goods_count", "an order's item") or 1,
        )
        for item in _dicts(row.get("item_list"))
    )


def _warehouse(row: Mapping[str, Any]) -> str:
    depot = row.get("order_depot_info")
    return str(depot.get("depot_name") or "") if isinstance(depot, dict) else ""


def _id(value: Any) -> str:
    return "" if value in (None, "", 0, "0") else str(value)


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
