"""Amounts in every sign convention: what is written is read back exactly, and nothing else is."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends import Money
from amends_spreadsheet.cells import Amounts, Bad, mask

CONVENTIONS = [(d, t) for d, t in product((".", ","), ("", ",", ".", "'", "’", " ")) if d != t]


def written(minor: int, places: int, decimal: str, thousands: str) -> str:
    whole, fraction = divmod(minor, 10**places)
    text = f"{whole:,}".replace(",", thousands)
    return f"{text}{decimal}{fraction:0{places}}" if places else text


@given(
    minor=st.integers(0, 10**14),
    currency=st.sampled_from([("EUR", 2), ("JPY", 0), ("KWD", 3)]),
    convention=st.sampled_from(CONVENTIONS),
    around=st.sampled_from(["{}", " {} ", "{} CODE", "CODE {}", "+{}", "{}\t"]),
)
def test_what_is_written_is_read_back(
    minor: int, currency: tuple[str, int], convention: tuple[str, str], around: str
) -> None:
    code, places = currency
    text = around.replace("CODE", code).format(written(minor, places, *convention))
    assert Amounts(*convention).read(text, code) == Money(minor=minor, currency=code)


@given(minor=st.integers(1, 10**12), form=st.sampled_from(["-{}", "({})", "{}-", "−{}", "€ -{}", "-{} €"]))
def test_every_way_to_write_a_negative_amount_is_seen(minor: int, form: str) -> None:
    with pytest.raises(Bad, match="negative amount"):
        Amounts(",", ".").read(form.format(written(minor, 2, ",", ".")), "EUR")


@given(text=st.text(max_size=12), convention=st.sampled_from(CONVENTIONS))
def test_any_text_is_an_amount_or_a_reason(text: str, convention: tuple[str, str]) -> None:
    try:
        assert Amounts(*convention).read(text, "EUR").minor >= 0
    except Bad as bad:
        assert bad.reason


@given(value=st.decimals(0, 10**9, places=2))
def test_a_number_cell_is_the_number_that_excel_shows(value: Decimal) -> None:
    assert Amounts(".", ",").read(float(value), "USD").decimal == value


@pytest.mark.parametrize(
    "text", ["1.234,56", "1,23", "12,50", "1,2345", "1 234", "12.3.4", "abc", "1e5", ".", "--5"]
)
def test_other_conventions_are_refused_not_misread(text: str) -> None:
    with pytest.raises(Bad):
        Amounts(".", ",").read(text, "USD")


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("￥12.30", "CNY"),
        ("¥12.30", "CNY"),
        ("12.30元", "CNY"),
        ("１２．３０", "CNY"),
        ("US$12.30", "USD"),
        ("$12.30", "USD"),
    ],
)
def test_signs_and_full_width_digits(text: str, currency: str) -> None:
    assert Amounts(".", ",").read(text, currency) == Money.of("12.30", currency)


def test_indian_grouping() -> None:
    assert Amounts(".", ",").read("₹12,34,567.50", "INR") == Money.of("1234567.50", "INR")


def test_rounding_only_when_asked() -> None:
    with pytest.raises(Bad, match="round_amounts"):
        Amounts(".", ",").read("314.6450146", "USD")
    assert Amounts(".", ",", rounded=True).read("314.6450146", "USD") == Money.of("314.65", "USD")


def test_a_mask_shows_shapes_only() -> None:
    assert mask("张三 Anna 10000000017") == "字字 aaaa 99999999999"
