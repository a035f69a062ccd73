"""Money is exact, in every currency's own minor unit, and never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from tests.unit.cases.makers import ANY_CURRENCY, MONEY, yuan

from amends.cases.money import Money, minor_digits


class Price(BaseModel):
    price: Money


@given(MONEY)
def test_text_and_json_read_back_to_the_same_amount(money: Money) -> None:
    assert Money.model_validate(str(money)) == money
    assert Price.model_validate_json(Price(price=money).model_dump_json()) == Price(price=money)
    assert Money.of(money.decimal, money.currency) == money


@given(MONEY, st.data())
def test_sums_are_exact_and_undo_each_other(money: Money, data: st.DataObject) -> None:
    other = Money(minor=data.draw(st.integers(-(10**15), 10**15)), currency=money.currency)
    assert (money + other).decimal == money.decimal + other.decimal
    assert money + other - other == money
    assert money.__neg__().__neg__() == money
    assert (money < other) == (money.decimal < other.decimal)
    assert (money <= other) == (not money > other)
    assert bool(money) == (money.decimal != 0)


@pytest.mark.parametrize(
    ("text", "minor", "shown"),
    [
        ("12.30 CNY", 1230, "12.30 CNY"),
        ("0.01 USD", 1, "0.01 USD"),
        ("-5 EUR", -500, "-5.00 EUR"),
        ("+5 EUR", 500, "5.00 EUR"),
        ("1,234,567.89 USD", 123456789, "1234567.89 USD"),
        ("1500 JPY", 1500, "1500 JPY"),
        ("1.234 KWD", 1234, "1.234 KWD"),
        ("0.005 BHD", 5, "0.005 BHD"),
        ("12.50 RSD", 1250, "12.50 RSD"),
        (" 7 CNY ", 700, "7.00 CNY"),
    ],
)
def test_each_currency_has_its_own_minor_unit(text: str, minor: int, shown: str) -> None:
    money = Money.model_validate(text)
    assert (money.minor, str(money)) == (minor, shown)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1.5 JPY", "more decimal places than JPY"),
        ("1.234 CNY", "more decimal places than CNY"),
        ("12.30", "not an amount with a currency"),
        ("12.30 YUAN", "not an amount with a currency"),
        ("12.30 cny", "not an amount with a currency"),
        ("12.30 XQQ", "not an ISO 4217"),
        ("twelve CNY", "not an amount with a currency"),
        ("1e3 CNY", "not an amount with a currency"),
        ("NaN CNY", "not an amount with a currency"),
        ("1,23 EUR", "not an amount with a currency"),
        ("1.234,56 EUR", "not an amount with a currency"),
        ("1,2345 EUR", "not an amount with a currency"),
        (f"{10**17} CNY", "too large"),
    ],
)
def test_what_is_not_an_exact_amount_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Money.model_validate(text)


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), Decimal("NaN"), Decimal("Infinity"), "abc", Decimal("0.001")]
)
def test_floats_and_the_like_are_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        Money.of(value, "CNY")


def test_a_float_of_minor_units_is_refused() -> None:
    with pytest.raises(ValidationError):
        Money(minor=1.5, currency="CNY")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="float"):
        yuan("10").percent(0.1)  # type: ignore[arg-type]


def test_more_digits_than_a_decimal_context_keeps_are_not_rounded_away() -> None:
    with pytest.raises(ValueError):
        Money.of("12345678901234567890123456789.01", "CNY")


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_currencies_never_mix(operation: str) -> None:
    with pytest.raises(ValueError, match="cannot combine CNY with USD"):
        getattr(yuan("1"), operation)(Money.of("1", "USD"))
    assert yuan("1") != Money.of("1", "USD")


@pytest.mark.parametrize(
    ("amount", "rate", "result"),
    [
        ("0.50 CNY", "1", "0.01 CNY"),  # half a fen goes up
        ("0.49 CNY", "1", "0.00 CNY"),
        ("-0.50 CNY", "1", "-0.01 CNY"),
        ("299.99 CNY", "1", "3.00 CNY"),
        ("150 JPY", "1", "2 JPY"),
        ("149 JPY", "1", "1 JPY"),
        ("1.000 KWD", "0.05", "0.001 KWD"),
        ("100 CNY", "33.333", "33.33 CNY"),
    ],
)
def test_per_cents_are_rounded_half_up_to_a_minor_unit(amount: str, rate: str, result: str) -> None:
    assert str(Money.model_validate(amount).percent(rate)) == result


@given(MONEY, st.integers(0, 100))
def test_a_per_cent_and_its_rest_make_the_whole(money: Money, rate: int) -> None:
    part = money.percent(rate)
    assert abs((part.decimal - money.decimal * rate / 100).scaleb(minor_digits(money.currency))) <= Decimal(
        "0.5"
    )
    assert money.percent(100) == money


@given(
    st.integers(-500, 500),
    st.none() | st.integers(-500, 500),
    st.none() | st.integers(-500, 500),
    ANY_CURRENCY,
)
def test_clamp_keeps_within_the_bounds(minor: int, low: int | None, high: int | None, currency: str) -> None:
    def money(value: int | None) -> Money | None:
        return None if value is None else Money(minor=value, currency=currency)

    kept = Money(minor=minor, currency=currency).clamp(money(low), money(high))
    if low is not None and high is not None and low > high:
        return  # no such range
    assert low is None or kept.minor >= low
    assert high is None or kept.minor <= high
    assert kept.minor in (minor, low, high)


def test_clamp_refuses_a_bound_in_another_currency() -> None:
    with pytest.raises(ValueError, match="cannot combine"):
        yuan("1").clamp(Money.of("1", "USD"))
