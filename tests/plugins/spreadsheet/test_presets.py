"""The presets, each on a made-up export with the column names of that platform."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from amends import AfterSales, Order, OrderStatus, State, Tag, judge
from amends.cases.rules import RuleBook
from amends_spreadsheet import PRESETS, Row, Unreadable, preset, read_orders

FILES = Path(__file__).parent / "files"
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def read(name: str, file: str, **own: object) -> list[Order]:
    mapping = preset(name).model_copy(update=own)
    rows = list(read_orders(FILES / file, mapping, now=NOW))
    assert [row for row in rows if isinstance(row, Unreadable)] == []
    return [row.order for row in rows if isinstance(row, Row)]


def states(orders: list[Order]) -> list[State]:
    return [judge(order, now=NOW, rules=RuleBook()).state for order in orders]


def test_pinduoduo() -> None:
    orders = read("pinduoduo", "pinduoduo.csv")
    assert [str(order.amount) for order in orders][:2] == ["28.00 CNY", "28.50 CNY"]
    assert orders[0].number == "260301-000000000000001"
    assert orders[0].ship_by == datetime(2026, 3, 3, 2, tzinfo=UTC)
    assert orders[1].tracking_number == "XX0001"
    assert (orders[1].items[0].title, orders[1].items[0].quantity) == ("示例商品乙", 2)
    assert orders[2].after_sales is AfterSales.REFUNDED
    assert (orders[3].tags, orders[3].after_sales) == ((Tag.RISK_REVIEW,), AfterSales.REQUESTED)
    assert states(orders) == [State.OVERDUE, State.SHIPPED_LATE, State.EXEMPT, State.EXEMPT, State.ON_TIME]


def test_taobao_in_gb18030_with_a_row_a_line() -> None:
    orders = read("taobao", "taobao-gb18030.csv")
    assert [order.number[-1] for order in orders] == ["1", "2", "3"]
    assert str(orders[0].amount) == "90.00 CNY"
    assert [(item.title, item.quantity) for item in orders[0].items] == [("示例宝贝一", 1), ("示例宝贝二", 2)]
    assert orders[1].carrier == "示例快递"
    assert states(orders) == [State.OVERDUE, State.ON_TIME, State.EXEMPT]


def test_shopify_folds_the_lines_of_an_order() -> None:
    orders = read("shopify", "shopify.csv", promise_hours=48)
    assert [order.number for order in orders] == ["#1001", "#1002", "#1003", "#1004", "#1005"]
    assert [(item.sku, item.quantity) for item in orders[0].items] == [("MUG", 1), ("PLATE", 3)]
    assert orders[0].ship_by == datetime(2026, 3, 3, 15, tzinfo=UTC)
    assert [order.status for order in orders[2:]] == [
        OrderStatus.UNPAID,
        OrderStatus.TO_SHIP,
        OrderStatus.CANCELLED,
    ]
    assert states(orders) == [State.OVERDUE, State.ON_TIME, State.EXEMPT, State.EXEMPT, State.EXEMPT]


def test_woocommerce_times_are_the_sites() -> None:
    orders = read("woocommerce", "woocommerce.csv", promise_hours=24, time_zone="Europe/Berlin")
    assert orders[0].paid_at == datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    assert orders[2].paid_at is None
    assert orders[0].customer == "5"
    assert states(orders) == [State.OVERDUE, State.ON_TIME, State.EXEMPT, State.EXEMPT]


@pytest.mark.parametrize("name", PRESETS)
def test_no_personal_column_is_read(name: str) -> None:
    files = {"pinduoduo": "pinduoduo.csv", "taobao": "taobao-gb18030.csv"}
    text = "".join(
        order.model_dump_json()
        for order in read(name, files.get(name, f"{name}.csv"), time_zone="UTC", promise_hours=24)
    )
    assert [word for word in ("虚构", "010101010101", "Nobody", "shop.example") if word in text] == []


def test_a_repeated_order_with_its_own_columns_is_not_folded() -> None:
    text = (FILES / "shopify.csv").read_text(encoding="utf-8")
    line = text.splitlines()[1]
    from io import BytesIO

    rows = list(read_orders(BytesIO(f"{text}{line}\n{line}\n".encode()), preset("shopify"), now=NOW))
    assert [row.order.number for row in rows if isinstance(row, Row)].count("#1001") == 3
