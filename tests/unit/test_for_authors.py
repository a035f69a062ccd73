"""What every author of a connector may use besides the protocols: windows, clocks, shapes of settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated

import pytest
from pydantic import ValidationError

from amends import Address, Polling, Window, clock_off, text_with
from amends.errors import InputError

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
