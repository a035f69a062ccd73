"""What the platform shows of an order, as amends' snapshot: money, time, states, marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.plugins.pinduoduo.conftest import NOW, Opened

from amends import AfterSales, BadAnswer, Item, Money, NotFound, Order, OrderStatus, Tag
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import FakeRouter, china, order_row, refund_row
from amends_pinduoduo.orders import read_order


def read(**changes: Any) -> Order:
    row = order_row("260304-017", NOW, **changes)
    return read_order({k: v for k, v in row.items() if v is not ...}, observed_at=NOW, do_not_touch="勿动")


async def test_an_order_arrives_whole(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["260304-017"] = order_row("260304-017", NOW, promise_delivery_time="2026-03-09 23:59:59")
    assert await shop.order("260304-017") == Order(
        number="260304-017",
        amount=Money(minor=1999, currency="CNY"),
        placed_at=NOW,
        paid_at=NOW,
        updated_at=NOW,
        observed_at=NOW,
        ship_by=NOW + timedelta(hours=48),
        deliver_by=datetime(2026, 3, 9, 15, 59, 59, tzinfo=UTC),
        status=OrderStatus.TO_SHIP,
        after_sales_raw="0",
        items=(Item(sku="SKU-0017", title="样品 红,大", quantity=2),),
        customer="made-up-17",
        language="zh",
        time_zone="Asia/Shanghai",
    )


async def test_an_unknown_order(shop: Pinduoduo) -> None:
    with pytest.raises(NotFound) as caught:
        await shop.order("260304-404")
    assert "90 days" in caught.value.hint


async def test_no_personal_value_is_taken(shop: Pinduoduo, router: FakeRouter) -> None:
    """Ciphertext and masks reach nobody; a masked number would be sent a text message."""
    router.orders["P-1"] = order_row("P-1", NOW)
    shown = (await shop.order("P-1")).model_dump_json()
    assert (await shop.order("P-1")).personal is None
    assert "ciphertext" not in shown
    assert "样*" not in shown


@pytest.mark.parametrize(
    ("value", "minor"), [(29.9, 2990), ("0.01", 1), (1234567.89, 123456789), (300, 30000), ("40.350", 4035)]
)
def test_yuan_are_exact(value: object, minor: int) -> None:
    from decimal import Decimal

    # As JSON is read here: a number with a fraction is a Decimal.
    pay = Decimal(str(value)) if isinstance(value, float) else value
    assert read(pay_amount=pay).amount == Money(minor=minor, currency="CNY")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-04 00:00:00", datetime(2026, 3, 3, 16, 0, tzinfo=UTC)),
        ("2028-02-29 23:59:59", datetime(2028, 2, 29, 15, 59, 59, tzinfo=UTC)),
        ("1772591407", datetime(2026, 3, 4, 2, 30, 7, tzinfo=UTC)),
        (1772591407250, datetime(2026, 3, 4, 2, 30, 7, 250000, tzinfo=UTC)),
        ("", None),
        (None, None),
        (0, None),
        ("0000-00-00 00:00:00", None),
        ("1970-01-01 08:00:00", None),
    ],
)
def test_china_time(text: object, utc: datetime | None) -> None:
    assert read(last_ship_time=text).ship_by == utc


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"order_status": 1}, OrderStatus.TO_SHIP),
        ({"order_status": "2"}, OrderStatus.SHIPPED),
        ({"order_status": 3}, OrderStatus.RECEIVED),
        ({"order_status": 0}, OrderStatus.UNKNOWN),
        ({"order_status": 99}, OrderStatus.UNKNOWN),
        ({"confirm_status": 2}, OrderStatus.CANCELLED),
        ({"group_status": 2}, OrderStatus.CANCELLED),
        ({"confirm_status": 0}, OrderStatus.UNPAID),
    ],
)
def test_status(changes: dict[str, Any], status: OrderStatus) -> None:
    assert read(**changes).status is status


STATES = {
    AfterSales.NONE: (0,),
    AfterSales.REQUESTED: (2, 3, 14, 21),
    AfterSales.REFUNDING: (4, 5, 31, 33),
    AfterSales.REJECTED: (6,),
    AfterSales.RETURNING: (7, 22),
    AfterSales.DISPUTED: (8,),
    AfterSales.CLOSED: (9, 11, 12, 13, 16, 17, 24, 25),
    AfterSales.REFUNDED: (10,),
    AfterSales.EXCHANGING: (15, 18, 27, 32),
}


@pytest.mark.parametrize(("state", "code"), [(s, code) for s, codes in STATES.items() for code in codes])
def test_after_sales(state: AfterSales, code: int) -> None:
    order = read(after_sales_status=code)
    assert (order.after_sales, order.after_sales_raw) == (state, str(code))


@pytest.mark.parametrize(
    ("status", "rough", "state"),
    [
        (77, 2, AfterSales.REQUESTED),
        (77, 3, AfterSales.REFUNDING),
        (77, 4, AfterSales.REFUNDED),
        (77, 1, AfterSales.CLOSED),
        (77, None, AfterSales.UNKNOWN),
        (None, 2, AfterSales.REQUESTED),
        (None, 1, AfterSales.NONE),
        (None, None, AfterSales.NONE),
    ],
)
def test_an_after_sales_state_of_tomorrow(status: int | None, rough: int | None, state: AfterSales) -> None:
    """What the table does not know is read from the coarse `refund_status`, so that offers still stop."""
    assert read(after_sales_status=status, refund_status=rough).after_sales is state


def test_every_documented_state_is_in_the_table() -> None:
    from amends_pinduoduo.aftersales import STATES as table

    assert set(table) == {code for codes in STATES.values() for code in codes}


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        ({}, set()),
        ({"urge_shipping_time": "2026-03-04 09:00:00"}, {Tag.URGED}),
        ({"risk_control_status": 1}, {Tag.RISK_REVIEW}),
        ({"is_pre_sale": 1}, {Tag.PRESALE}),
        ({"is_stock_out": 1, "stock_out_handle_status": 0}, {Tag.OUT_OF_STOCK}),
        ({"is_stock_out": 1, "stock_out_handle_status": 1}, set()),
        ({"order_tag_list": [{"name": "region_black_delay_shipping", "value": 1}]}, {Tag.MAY_SHIP_LATE}),
        ({"order_tag_list": [{"name": "ship_hold", "value": 1}]}, {Tag.SHIP_HOLD}),
        ({"order_tag_list": [{"name": "ship_hold", "value": 0}, {"name": "of_tomorrow", "value": 1}]}, set()),
        ({"order_tag_list": None}, set()),
        ({"remark": "老客户，勿动"}, {Tag.DO_NOT_TOUCH}),
    ],
)
def test_marks(changes: dict[str, Any], tags: set[Tag]) -> None:
    assert set(read(**changes).tags) == tags


@pytest.mark.parametrize("field", ["order_sn", "order_status", "pay_amount", "created_time"])
@pytest.mark.parametrize("gone", [..., None, ""])
def test_missing_fields_are_named(field: str, gone: object) -> None:
    with pytest.raises(BadAnswer, match=f"`{field}`"):
        read(**{field: gone})


@pytest.mark.parametrize(
    ("field", "value"), [("pay_amount", "12,3.x"), ("pay_amount", "0.001"), ("last_ship_time", "soon")]
)
def test_unreadable_fields_are_named_with_their_order(field: str, value: str) -> None:
    with pytest.raises(BadAnswer, match=f"260304-017.*`{field}`"):
        read(**{field: value})


async def test_a_refund_shows_its_deadline(shop: Pinduoduo, router: FakeRouter) -> None:
    due = NOW + timedelta(hours=36)
    router.orders["P-1"] = order_row("P-1", NOW, after_sales_status=2, refund_status=2)
    router.refunds["P-1"] = refund_row("P-1", NOW, 2, expire_time=int(due.timestamp() * 1000))
    order = await shop.order("P-1")
    assert (order.after_sales, order.after_sales_due, order.dispute) == (AfterSales.REQUESTED, due, "")


@pytest.mark.parametrize("status", [2, 6, 7, 8])
@pytest.mark.parametrize("sign", [{"join_or_not": "1"}, {"dispute_refund_status": 1}])
async def test_the_platform_stepping_in_is_seen(
    shop: Pinduoduo, router: FakeRouter, status: int, sign: dict[str, Any]
) -> None:
    router.orders["P-1"] = order_row("P-1", NOW, after_sales_status=status, refund_status=2)
    router.refunds["P-1"] = refund_row("P-1", NOW, status, **sign)
    order = await shop.order("P-1")
    assert (order.after_sales, order.dispute, order.after_sales_raw) == (
        AfterSales.DISPUTED,
        "9001",
        str(status),
    )


@pytest.mark.parametrize("status", [4, 5])
async def test_money_on_its_way_back_is_no_dispute_any_more(
    shop: Pinduoduo, router: FakeRouter, status: int
) -> None:
    router.orders["P-1"] = order_row("P-1", NOW, after_sales_status=status, refund_status=3)
    router.refunds["P-1"] = refund_row("P-1", NOW, status, join_or_not="1")
    order = await shop.order("P-1")
    assert (order.after_sales, order.dispute) == (AfterSales.REFUNDING, "")


def test_the_promise_runs_from_the_groups_success() -> None:
    """Paid in the evening, the group was full the next morning: 48 hours count from then."""
    late = "2026-03-04 08:00:00"
    order = read(pay_time="2026-03-03 20:00:00", confirm_time=late)
    assert order.paid_at == datetime(2026, 3, 4, 0, 0, tzinfo=UTC)
    assert read(pay_time=late, confirm_time="").paid_at == order.paid_at


async def test_a_moved_deadline_is_seen(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW)
    before = (await shop.order("P-1")).ship_by
    router.orders["P-1"].update(last_ship_time=china(NOW + timedelta(days=5)))
    assert before == NOW + timedelta(hours=48)
    assert (await shop.order("P-1")).ship_by == NOW + timedelta(days=5)


async def test_an_agreed_refund_is_watched_until_it_is_paid(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW)
    seen = []
    for status, rough in ((2, 2), (4, 3), (10, 4)):
        router.orders["P-1"].update(after_sales_status=status, refund_status=rough)
        router.refunds["P-1"] = refund_row("P-1", NOW, status)
        seen.append((await shop.order("P-1")).after_sales)
    assert seen == [AfterSales.REQUESTED, AfterSales.REFUNDING, AfterSales.REFUNDED]


async def test_a_quiet_order_costs_one_call(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW)
    await shop.order("P-1")
    assert dict(router.calls) == {"pdd.order.information.get": 1}


async def test_a_word_of_the_merchants_own_keeps_us_away(opened: Opened, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW, remark="VIP 别联系")
    assert Tag.DO_NOT_TOUCH in (await opened(do_not_touch="别联系").order("P-1")).tags
    assert Tag.DO_NOT_TOUCH not in (await opened(do_not_touch="").order("P-1")).tags


@pytest.mark.parametrize(
    ("back", "state"), [(1999, AfterSales.REFUNDED), (500, AfterSales.NONE), (None, AfterSales.REFUNDED)]
)
async def test_money_given_back_in_part_is_no_refund_of_the_order(
    shop: Pinduoduo, router: FakeRouter, back: int | None, state: AfterSales
) -> None:
    """`after_sales_status` 10 says that a refund was paid; how much of the order, its detail says."""
    router.orders["P-1"] = order_row("P-1", NOW, after_sales_status=10, refund_status=4)
    if back is not None:  # else so long ago that the platform has forgotten it
        router.refunds["P-1"] = refund_row("P-1", NOW, 10, refund_amount=back)
    order = await shop.order("P-1")
    assert order.after_sales is state
    assert order.refunded == (Money(minor=back, currency="CNY") if back else None)
