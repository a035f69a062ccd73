"""The parcel: only what the carrier did counts, in the order of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.plugins.pinduoduo.conftest import NOW

from amends import NotAllowed, Order, OrderStatus, Parcel, Unavailable
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import FakeRouter, china, order_row


@pytest.fixture
async def sent(shop: Pinduoduo, router: FakeRouter) -> Order:
    shipped = {
        "order_status": 2,
        "shipping_time": china(NOW),
        "logistics_id": 44,
        "tracking_number": "ST0017",
    }
    router.orders["P-1"] = order_row("P-1", NOW, **shipped)
    return await shop.order("P-1")


def event(action: str, hours: float) -> dict[str, Any]:
    return {
        "action": action,
        "status_time": china(NOW + timedelta(hours=hours)),
        "desc": "样品",
        "status_desc": "",
    }


async def test_the_order_names_its_carrier(sent: Order) -> None:
    assert (sent.status, sent.carrier, sent.tracking_number) == (OrderStatus.SHIPPED, "申通快递", "ST0017")
    assert sent.parcel is Parcel.UNKNOWN, "marked as shipped is not picked up"


@pytest.mark.parametrize(
    ("actions", "parcel", "picked", "delivered"),
    [
        (["GOT"], Parcel.PICKED_UP, 0, None),
        (["GOT", "DEPARTURE", "ARRIVAL"], Parcel.IN_TRANSIT, 0, None),
        (["GOT", "SEND"], Parcel.OUT_FOR_DELIVERY, 0, None),
        (["GOT", "SEND", "IN_ CABINET"], Parcel.OUT_FOR_DELIVERY, 0, None),
        (["GOT", "SEND", "SIGN"], Parcel.DELIVERED, 0, 2),
        (["GOT", "SEND", "SIGN_ON_BEHALF"], Parcel.DELIVERED, 0, 2),
        (["GOT", "IN_CABINET", "OUT_CABINET"], Parcel.DELIVERED, 0, 2),
        (["GOT", "FAIL"], Parcel.EXCEPTION, 0, None),
        (["GOT", "REJECTION", "RETURN"], Parcel.RETURNED, 0, None),
        (["DEPARTURE"], Parcel.IN_TRANSIT, 0, None),
        (["OTHER", "GOT", "OF_TOMORROW"], Parcel.PICKED_UP, 1, None),
        (["OTHER"], Parcel.LABEL_CREATED, None, None),
        ([], Parcel.LABEL_CREATED, None, None),
    ],
)
async def test_events(
    shop: Pinduoduo,
    router: FakeRouter,
    sent: Order,
    actions: list[str],
    parcel: Parcel,
    picked: int | None,
    delivered: int | None,
) -> None:
    events = [event(action, hours) for hours, action in enumerate(actions)]
    router.traces["STO", "ST0017"] = events[::-1]
    found = await shop.tracking(sent)
    assert found is not None
    assert (found.parcel, found.carrier, found.number) == (parcel, "申通快递", "ST0017")
    assert found.picked_up_at == (None if picked is None else NOW + timedelta(hours=picked))
    assert found.delivered_at == (None if delivered is None else NOW + timedelta(hours=delivered))


async def test_a_waybill_that_nobody_scanned_is_a_label(shop: Pinduoduo, sent: Order) -> None:
    found = await shop.tracking(sent)
    assert found is not None
    assert (found.parcel, found.picked_up_at) == (Parcel.LABEL_CREATED, None)


async def test_nothing_to_track(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-2"] = order_row("P-2", NOW)
    assert await shop.tracking(await shop.order("P-2")) is None
    router.orders["P-3"] = order_row("P-3", NOW, logistics_id=999, tracking_number="X1")
    order = await shop.order("P-3")
    assert order.carrier == "999"
    assert await shop.tracking(order) is None, "a carrier that the platform does not list"


async def test_carriers_are_asked_for_once(shop: Pinduoduo, router: FakeRouter, sent: Order) -> None:
    for _ in range(3):
        await shop.order("P-1")
        await shop.tracking(sent)
    assert router.calls["pdd.logistics.companies.get"] == 1


async def test_without_the_right_to_ask_for_carriers_orders_still_come(
    shop: Pinduoduo, router: FakeRouter
) -> None:
    router.fail = lambda method: 20031 if "logistics" in method else None
    router.orders["P-1"] = order_row("P-1", NOW, logistics_id=44, tracking_number="ST0017")
    order = await shop.order("P-1")
    assert order.carrier == "44"
    assert await shop.tracking(order) is None


@pytest.mark.parametrize(("code", "kind"), [(20005, NotAllowed), (50000, Unavailable)])
async def test_trouble_is_not_taken_for_no_trace(
    shop: Pinduoduo, router: FakeRouter, sent: Order, code: int, kind: type[Exception]
) -> None:
    router.fail = lambda method: code if "ordertrace" in method else None
    with pytest.raises(kind):
        await shop.tracking(sent)
