"""Exports as merchants have them: every file in `files/` can be opened, and reads as a person reads it."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from amends import AfterSales, InputError, Money, Order, OrderStatus, Parcel
from amends_spreadsheet import Mapping, Row, Unreadable, load_mapping, read_orders

FILES = Path(__file__).parent / "files"
NOW = datetime(2017, 10, 6, 12, tzinfo=UTC)
FOREIGN = load_mapping(FILES / "foreign.toml")


def read(name: str, mapping: Mapping | str = FOREIGN, now: datetime = NOW) -> list[Row | Unreadable]:
    chosen = load_mapping(FILES / mapping) if isinstance(mapping, str) else mapping
    return list(read_orders(FILES / name, chosen, now=now))


def orders(found: list[Row | Unreadable]) -> dict[str, Order]:
    assert [row for row in found if isinstance(row, Unreadable)] == []
    return {row.order.number: row.order for row in found if isinstance(row, Row)}


def problems(found: list[Row | Unreadable]) -> dict[int, Unreadable]:
    return {row.row: row for row in found if isinstance(row, Unreadable)}


@pytest.mark.parametrize("name", ["foreign.csv", "foreign-bom.csv", "foreign-utf16.csv"])
def test_foreign_columns_dates_and_amounts_by_a_mapping_alone(name: str) -> None:
    found = orders(read(name))
    assert list(found) == ["B-1", "B-2", "B-3", "B-4", "B-5"]
    first = found["B-1"]
    assert first.amount == Money.of("1234.56", "EUR")
    assert first.placed_at == datetime(2017, 10, 2, 8, 56, tzinfo=UTC)  # Berlin, summer time
    assert first.ship_by == datetime(2017, 10, 4, 8, 56, tzinfo=UTC)
    assert (first.shipped_at, first.status, first.observed_at) == (None, OrderStatus.TO_SHIP, NOW)
    assert found["B-2"].shipped_at == found["B-2"].picked_up_at == datetime(2017, 10, 3, 7, 15, tzinfo=UTC)
    assert found["B-2"].amount == Money.of("19.90", "EUR")
    assert found["B-3"].status is OrderStatus.SHIPPED
    assert found["B-4"].status is OrderStatus.CANCELLED


def test_a_deadline_given_as_a_day_lasts_to_its_end() -> None:
    assert orders(read("foreign.csv"))["B-3"].ship_by == datetime(2017, 10, 3, 21, 59, 59, tzinfo=UTC)


def test_a_ship_date_as_a_label_is_no_pick_up() -> None:
    strict = FOREIGN.model_copy(update={"ship_date": "label"})
    order = orders(read("foreign.csv", strict))["B-2"]
    assert (order.shipped_at is not None, order.picked_up_at, order.parcel) == (True, None, Parcel.UNKNOWN)


def test_every_bad_row_is_named_and_the_rest_goes_on() -> None:
    found = read("bad-rows.csv")
    assert [row.order.number for row in found if isinstance(row, Row)] == ["B-1", "B-16"]
    bad = problems(found)
    expected = {
        3: ("Bestellt am", "not a time in any of the mapping's date_formats"),
        4: ("Versand bis", "it looks like 99/99/9999 99:99"),
        5: ("Gesamt", "not an amount with decimal ','"),
        6: ("Gesamt", "negative amount"),
        7: ("Versendet am", "the ship date lies before the order"),
        8: ("Bestellnummer", "no order number"),
        9: ("Bestellt am", "no order time"),
        10: ("Stand", "'verschollen'"),
        11: ("Gesamt", "the amount is in USD, the mapping says EUR"),
        12: ("Gesamt", "no amount"),
        13: ("", "7 cells, but the header has 6"),
        14: ("Bestellnummer", "lost its last digits"),
        16: ("Gesamt", "more decimal places than EUR has"),
    }
    assert list(bad) == list(expected)
    for row, (column, reason) in expected.items():
        assert bad[row].column == column
        assert reason in bad[row].reason


def test_what_is_shown_of_a_cell_is_its_shape() -> None:
    cell = problems(read("bad-rows.csv"))[3]
    assert cell.value == "9.99.9999"
    assert "2.10.2017" not in cell.reason


def test_cells_that_excel_would_compute_are_text() -> None:
    found = orders(read("cells.csv", "cells.toml"))
    assert list(found) == ["100200300400500600", "42", '=HYPERLINK("x")']
    first, second, third = found.values()
    assert first.items[0].title == 'two\nlines, and a "quote"'
    assert (second.items[0].title, third.items[0].title) == ("=1+1", "+SUM(A1)")
    assert [str(order.amount) for order in found.values()] == ["1234.50 USD", "12.30 USD", "0.00 USD"]


def test_rows_are_counted_as_a_spreadsheet_counts_them() -> None:
    assert [row.row for row in read("cells.csv", "cells.toml")] == [4, 5, 6]


def test_currencies_by_column_and_wrong_ones() -> None:
    found = read("currencies.csv", "currencies.toml")
    assert [str(row.order.amount) for row in found if isinstance(row, Row)] == ["10.00 USD", "1000 JPY"]
    rounding = "set `round_amounts = true` to round"
    assert {row: (one.column, one.reason) for row, one in problems(found).items()} == {
        4: ("currency", "'XQQ' is not an ISO 4217 currency code (it looks like aaa)"),
        5: ("amount", f"more decimal places than JPY has; {rounding} (it looks like 99.99)"),
        6: ("amount", "the amount is in €, the mapping says USD (it looks like €99.99)"),
        7: ("currency", "no currency"),
    }  # fmt: skip


def test_naive_times_are_in_the_stated_zone_even_when_clocks_change() -> None:
    found = read("clocks.csv", "clocks.toml", now=datetime(2027, 1, 1, tzinfo=UTC))
    placed = {row.order.number: f"{row.order.placed_at:%m-%d %H:%M}" for row in found if isinstance(row, Row)}
    assert placed == {
        "spring-before": "03-08 06:30",
        "spring-after": "03-08 07:30",
        "autumn-twice": "11-01 05:30",  # the earlier of the two
        "summer": "07-01 16:00",
        "aware": "07-01 04:00",
    }
    (gap,) = problems(found).values()
    assert (gap.row, gap.column) == (3, "placed")
    assert "there was no such time in America/New_York" in gap.reason


def test_naive_times_without_a_zone_are_not_guessed() -> None:
    with pytest.raises(InputError, match=r"foreign\.csv: times such as .* name no time zone"):
        read("foreign.csv", FOREIGN.model_copy(update={"time_zone": ""}))


def test_a_workbook_with_real_dates_and_numbers() -> None:
    found = read("orders.xlsx", "orders-xlsx.toml", now=datetime(2026, 3, 5, tzinfo=UTC))
    good = {row.order.number: row.order for row in found if isinstance(row, Row)}
    assert list(good) == ["X-1", "1002", "X-4"]
    assert good["X-1"].placed_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert good["1002"].ship_by == datetime(2026, 3, 3, tzinfo=UTC)  # midnight: its column has times of day
    assert good["1002"].deliver_by == datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC)  # a column of days
    assert good["1002"].picked_up_at == datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
    assert [str(one.amount) for one in good.values()] == ["12.30 USD", "0.30 USD", "5.00 USD"]
    assert good["X-4"].placed_at == datetime(2026, 3, 1, 10, tzinfo=UTC)  # a serial number
    stored = "stored as a number and lost its last digits"
    assert {row: (one.column, one.reason.partition(" (")[0]) for row, one in problems(found).items()} == {
        6: ("Order", f"the order number was {stored}; export the column as text"),
        8: ("Placed", "not a date or time"),
        9: ("Total", "negative amount"),
        10: ("Total", "no amount"),
    }  # fmt: skip


def test_a_file_object_stays_open() -> None:
    data = BytesIO((FILES / "foreign.csv").read_bytes())
    assert len(list(read_orders(data, FOREIGN, now=NOW))) == 5
    assert not data.closed
    assert next(read_orders(data, FOREIGN, now=NOW)).row == 2


def test_a_quotation_mark_never_closed_is_reported_not_lost() -> None:
    text = (FILES / "foreign.csv").read_text(encoding="utf-8").replace("B-3;", '"B-3;')
    found = list(read_orders(BytesIO(text.encode()), FOREIGN, now=NOW))
    assert [one.row for one in found] == [2, 3, 4]
    assert isinstance(found[2], Unreadable)
    assert "never closed" in found[2].reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = f"id{delimiter}at{delimiter}sum\n1{delimiter}2026-03-01{delimiter}2.50\n"
    mapping = Mapping(
        columns={"number": "id", "placed_at": "at", "amount": "sum"}, currency="USD", time_zone="UTC"
    )
    (row,) = read_orders(BytesIO(text.encode()), mapping, now=NOW)
    assert isinstance(row, Row)
    assert str(row.order.amount) == "2.50 USD"


def test_damaged_bytes_do_not_turn_utf8_into_gb18030() -> None:
    text = (
        "订单,时间,金额,状态,标题\n一,2026-03-01,2.50,to-ship,好\n".encode()
        + b"2,2026-03-01,2.50,to-ship,\xff\n"
    )
    columns = {"number": "订单", "placed_at": "时间", "amount": "金额", "status": "状态", "title": "标题"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "CNY", "time_zone": "Asia/Shanghai"})
    assert list(orders(list(read_orders(BytesIO(text), mapping, now=NOW)))) == ["一", "2"]


def test_promise_hours_where_the_export_has_no_deadline() -> None:
    mapping = Mapping.model_validate(
        {
            "columns": {"number": "id", "placed_at": "at", "amount": "sum"},
            "currency": "USD",
            "promise_hours": 48,
        }
    )
    (row,) = read_orders(BytesIO(b"id,at,sum\n1,2026-03-01T00:00:00Z,1\n"), mapping, now=NOW)
    assert isinstance(row, Row)
    assert row.order.ship_by == datetime(2026, 3, 3, tzinfo=UTC)


def test_shipped_without_a_date_is_in_time_before_the_deadline_and_unknown_after() -> None:
    columns = {"number": "id", "placed_at": "at", "amount": "sum", "ship_by": "by", "status": "st"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "USD"})
    file = BytesIO(b"id,at,sum,by,st\n1,2026-03-01T00:00:00Z,1,2026-03-03T00:00:00Z,shipped\n")
    for day, status in ((2, OrderStatus.SHIPPED), (4, OrderStatus.UNKNOWN)):
        (row,) = read_orders(file, mapping, now=datetime(2026, 3, day, tzinfo=UTC))
        assert isinstance(row, Row)
        assert row.order.status is status


def test_a_date_without_time_on_the_order_day_is_no_contradiction() -> None:
    columns = {"number": "id", "placed_at": "at", "amount": "sum", "shipped_at": "out"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "USD", "time_zone": "UTC"})
    (row,) = read_orders(BytesIO(b"id,at,sum,out\n1,2026-03-01 10:56,1,2026-03-01\n"), mapping, now=NOW)
    assert isinstance(row, Row)
    assert row.order.shipped_at == row.order.placed_at


def test_an_unknown_after_sales_word_is_kept() -> None:
    columns = {"number": "id", "placed_at": "at", "amount": "sum", "after_sales": "rma"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "USD"})
    (row,) = read_orders(BytesIO(b"id,at,sum,rma\n1,2026-03-01T00:00:00Z,1,odd\n"), mapping, now=NOW)
    assert isinstance(row, Row)
    assert (row.order.after_sales, row.order.after_sales_raw) == (AfterSales.UNKNOWN, "odd")


def test_a_quotation_mark_that_swallows_a_long_file_is_reported() -> None:
    rows = "".join(f"{n},2026-03-01,1\n" for n in range(20_000))
    columns = {"number": "id", "placed_at": "at", "amount": "sum"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "USD", "time_zone": "UTC"})
    found = list(read_orders(BytesIO(f'id,at,sum\na,2026-03-01,1\n"{rows}'.encode()), mapping, now=NOW))
    bad = problems(found)
    assert isinstance(found[0], Row)
    assert "a quotation mark never closed, up to line" in bad[3].reason
    assert len(found) > 10_000  # reading goes on behind it


def test_an_amount_beyond_reason() -> None:
    columns = {"number": "id", "placed_at": "at", "amount": "sum"}
    mapping = Mapping.model_validate({"columns": columns, "currency": "USD", "time_zone": "UTC"})
    (bad,) = read_orders(BytesIO(b"id,at,sum\n1,2026-03-01,99999999999999999\n"), mapping, now=NOW)
    assert isinstance(bad, Unreadable)
    assert "more than any order costs" in bad.reason
