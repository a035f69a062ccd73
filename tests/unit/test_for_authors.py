"""What every author of a connector may use besides the protocols: windows, clocks, shapes of settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import InvalidOperation
from itertools import pairwise
from typing import Annotated, Any

import pytest
from pydantic import ValidationError

from amends import Address, Order, Polling, Window, clock_off, read_each, text_with
from amends.errors import BadAnswer, InputError

NOW = datetime(2026, 3, 10, 8, 0, 0, 500_000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Config(Polling):
    url: Address = "https://shop.example.invalid"
    words: Annotated[str, text_with("code", "until")] = "{code} until {until}"


def test_windows_follow_each_other_without_a_gap() -> None:
    config, cursor, now, read = Config(), "", NOW, []
    for _ in range(3):
        window = Window.of(cursor, config, now)
        for page in range(window.page or 3, 0, -1):
            cursor = str(window.after(page, config.overlap))
            now += MINUTE
            if page > 1:
                again = Window.of(cursor, config, now)
                assert (again.since, again.end, again.page) == (window.since, window.end, page - 1)
        read.append((window.since, window.end))
        now += timedelta(hours=1)
    assert read[0][0] == (NOW - config.look_back).replace(microsecond=0)
    assert [later[0] - earlier[1] for earlier, later in pairwise(read)] == [-config.overlap] * 2
    assert all(end <= now - config.lag for _, end in read)


@pytest.mark.parametrize("cursor", ["yesterday", "2026-03-10T08:00:00Z/x/1", "2026-03-10T08:00:00Z//one"])
def test_another_connectors_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InputError, match="not a cursor"):
        Window.of(cursor, Config(), NOW)


def read(row: dict[str, Any]) -> Order:
    if row.get("bug"):
        raise row["bug"]
    return Order.model_validate({"observed_at": NOW, "placed_at": NOW, **row})


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"amount": "Visible Name"}, "what it says cannot be: amount"),
        ({"bug": BadAnswer("order 2: the field total is missing")}, "order 2: the field total is missing"),
        ({"bug": BadAnswer("half \ud83d")}, "half \ufffd"),
        ({"bug": ValueError("Visible Name")}, "ValueError in "),
        ({"bug": InvalidOperation("Visible Name")}, "InvalidOperation in "),
        ({"bug": OverflowError("Visible Name")}, "OverflowError in "),
        ({"bug": KeyError("Visible Name")}, "KeyError in "),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(odd: dict[str, Any], says: str) -> None:
    rows = [{"number": "1", "amount": "1.00 EUR"}, {"number": "2", "amount": "1.00 EUR"} | odd]
    orders, unreadable = read_each([*rows, {"number": "3", "amount": "1.00 EUR"}], read, "number")
    assert [order.number for order in orders] == ["1", "3"]
    assert [one.order for one in unreadable] == ["2"]
    assert unreadable[0].why.startswith(says) and "Visible" not in unreadable[0].why


@pytest.mark.parametrize(
    "row", [{"number": None, "amount": "1.00 EUR"}, {"number": ""}, {}, {"bug": KeyError("x")}]
)
def test_a_row_without_a_number_is_the_pages_trouble(row: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="number"):
        read_each([row], read, "number")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "shop.example.invalid"}, "must be an address such as"),
        ({"url": "https://me:secret@shop.example.invalid"}, "no credentials"),
        ({"url": "https://shop.example.invalid/?key=1"}, "no `\\?`"),
        ({"words": "{kode}"}, r"may use \{code\}, \{until\} only"),
        ({"words": "{code"}, "may use"),
        ({"words": "{code.__class__.x}"}, "may use"),
        ({"lagg": "2m"}, "Extra inputs"),
        ({"lag": "soon"}, "lag"),
    ],
)
def test_what_a_merchant_may_get_wrong(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Config.model_validate(changes)


def test_an_address_ends_without_a_slash() -> None:
    assert Config(url="https://shop.example.invalid/api/").url == "https://shop.example.invalid/api"


@pytest.mark.parametrize(
    ("date", "off"),
    [
        ("Tue, 10 Mar 2026 07:35:00 GMT", timedelta(minutes=25)),
        ("Tue, 10 Mar 2026 08:10:00 GMT", timedelta(minutes=-10)),
        ("Tue, 10 Mar 2026 08:10:00 -0000", timedelta(minutes=-10)),
        ("soon", timedelta()),
        ("", timedelta()),
    ],
)
def test_a_clock_is_compared_with_the_servers(date: str, off: timedelta) -> None:
    assert clock_off({"date": date}, NOW.replace(microsecond=0)) == off
    assert clock_off({}, NOW) == timedelta()
