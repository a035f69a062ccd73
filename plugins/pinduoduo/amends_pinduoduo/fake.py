"""The fake router as the contract suites want it: neutral orders in, the platform's words out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from amends import Clock, Order, OrderStatus
from amends.testing.contracts import FakePlatform
from amends_pinduoduo.fake_router import CLIENT, SECRET, TOKEN, FakeRouter, china, error, order_row

CODES = {
    "unauthorized": 10019,
    "not-allowed": 20005,
    "risk-control": 70034,
    "rejected": 10000,
    "unavailable": 50000,
}
STATUS = {OrderStatus.TO_SHIP: 1, OrderStatus.SHIPPED: 2, OrderStatus.RECEIVED: 3}


class FakePinduoduo(FakePlatform):
    """Shows the suite's neutral orders as the router would."""

    name = "pinduoduo"
    config: ClassVar[Mapping[str, Any]] = {
        "client_id": CLIENT, "client_secret": SECRET, "access_token": TOKEN, "page_size": 10,
        "backfill": "3d",
    }  # fmt: skip
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "ship_by", "shipped_at", "status", "tracking_number",
        "carrier", "items", "customer", "tags",
    )  # fmt: skip
    required = ("order_sn", "order_status", "pay_amount", "created_time")
    spare = ("updated_at",)
    volatile = ("timestamp", "sign")

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.router = FakeRouter(clock.now)
        self.router.carriers.append(
            {"id": 17, "logistics_company": "Sample Express", "code": "SE", "available": 1}
        )

    def handle(self, request: httpx.Request) -> httpx.Response:
        noted = {number: shown["remark"] for number, shown in self.router.orders.items()}
        self.router.orders = {
            number: row(order) | {"remark": noted.get(number, "")} for number, order in self.orders.items()
        }
        self.router.traces = {
            ("SE", order.tracking_number): [{"action": "GOT", "status_time": china(order.picked_up_at)}]
            for order in self.orders.values()
            if order.picked_up_at is not None
        }
        answer = self.router.handle(request)
        for number, shown in self.router.orders.items():
            if shown["remark"] != noted.get(number, ""):
                self.act("note", number, key=shown["remark"].split()[1])
        return answer

    def refuse(self, why: Any, request: httpx.Request) -> httpx.Response | None:
        if why == "throttled":
            return httpx.Response(200, json=error(52101))
        if why == "not-found":
            return httpx.Response(200, json=error(50001, sub_msg="订单不存在"))
        return httpx.Response(200, json=error(CODES[why])) if why in CODES else None


def row(order: Order) -> dict[str, Any]:
    """A neutral order in the router's words."""
    item = order.items[0]
    return order_row(
        order.number,
        order.updated_at or order.placed_at,
        created_time=china(order.placed_at),
        pay_time=china(order.paid_at),
        confirm_time=china(order.paid_at),
        last_ship_time=china(order.ship_by),
        shipping_time=china(order.shipped_at),
        order_status=STATUS[order.status],
        pay_amount=str(order.amount.decimal),
        tracking_number=order.tracking_number,
        logistics_id=17 if order.carrier else 0,
        open_address_id_2=order.customer,
        item_list=[{"outer_id": item.sku, "goods_name": item.title, "goods_count": item.quantity}],
    )
