"""Durations read as merchants write them, and are shown so that they read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from tests.unit.cases.makers import SECONDS

from amends.cases.durations import Duration, parse_duration, show_duration


class Wait(BaseModel):
    wait: Duration


@given(SECONDS)
def test_what_is_shown_reads_back(length: timedelta) -> None:
    assert parse_duration(show_duration(length)) == length
    assert Wait.model_validate_json(Wait(wait=length).model_dump_json()).wait == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90m", timedelta(minutes=90)), ("24h", timedelta(days=1)), ("7d", timedelta(days=7)), ("2w", timedelta(days=14)),
        ("1d12h", timedelta(hours=36)), ("1D 12 H", timedelta(hours=36)), ("-90m", timedelta(minutes=-90)),
        ("-1d12h", timedelta(hours=-36)), ("0h", timedelta()), (" 30s ", timedelta(seconds=30)),
    ],
)  # fmt: skip
def test_forms(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "-", "24", "h", "24 hours", "1.5h", "1h-2m", "--2h", "5y", "2h3", "tomorrow"]
)
def test_anything_else_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a duration such as '90m'"):
        Wait(wait=text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (timedelta(), "0h"), (timedelta(hours=49, seconds=5), "2d1h5s"), (-timedelta(hours=25), "-1d1h"),
        (timedelta(milliseconds=900), "0h"), (timedelta(milliseconds=-900), "0h"),
    ],
)  # fmt: skip
def test_shown_as_short_as_can_be(length: timedelta, shown: str) -> None:
    assert show_duration(length) == shown


@given(st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)))
def test_parts_of_a_second_are_cut_off(length: timedelta) -> None:
    assert abs(parse_duration(show_duration(length)) - length) < timedelta(seconds=1)
