"""Money for every other room: an integer number of minor units and an ISO 4217 currency, never a float."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator

_TEXT = re.compile(r"^\s*([+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3})(?:\.[0-9]+)?)\s*([A-Z]{3})\s*$")
_PLAIN = re.compile(r"(-?[0-9]{1,16})(?:\.([0-9]{1,4}))? ([A-Z]{3})", re.ASCII)
_LARGEST = 10**18
"""Minor units below this fit the ledger's 64 bits."""
_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}  # fmt: skip
"""ISO 4217's minor units where there are not two; CLDR's are how people write prices (no cents in RSD or IRR)."""


@lru_cache(maxsize=256)
def minor_digits(currency: str) -> int:
    """How many decimal places a currency has; raises `ValueError` for a code that ISO 4217 does not know."""
    from babel import Locale

    if currency not in Locale("en").currencies:
        raise ValueError(f"{currency!r} is not an ISO 4217 currency code such as CNY, USD or EUR")
    return _DIGITS.get(currency, 2)


class Money(BaseModel):
    """An exact amount: `Money.of("12.30", "CNY")` is 1230 minor units (fen); arithmetic refuses mixed currencies.

    In config and JSON it reads and writes as text, `"12.30 CNY"`.
    """

    model_config = ConfigDict(frozen=True)

    minor: int
    currency: str

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, value: Any, handler: Callable[[Any], Money]) -> Money:
        """From text, too; of a known currency, and no more than fits the ledger."""
        if isinstance(value, str):
            return _read(value)
        found = handler(value)
        minor_digits(found.currency)
        if abs(found.minor) >= _LARGEST:
            raise ValueError(f"an amount of {found.minor} minor units is too large")
        return found

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str) -> Money:
        """Exact from a decimal in major units; raises `ValueError` for floats, NaN and too many decimal places."""
        if isinstance(amount, float):
            raise ValueError("a float is not exact: give the amount as text or Decimal")
        if not isinstance(currency, str):  # what a platform says may be anything
            raise ValueError("a currency is a code such as CNY, USD or EUR")
        try:
            value = Decimal(amount)
        except (InvalidOperation, TypeError, ValueError):
            raise ValueError(f"{amount!r} is not a decimal amount") from None
        if not value.is_finite():
            raise ValueError(f"{amount!r} is not a finite amount")
        if value.adjusted() > 18:  # beyond this a Decimal context would round
            raise ValueError(f"{amount} {currency} is too large an amount")
        minor = value.scaleb(minor_digits(currency))
        if minor != minor.to_integral_value():
            raise ValueError(f"{amount} {currency} has more decimal places than {currency} allows")
        return cls(minor=int(minor), currency=currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(minor=0, currency=currency)

    @property
    def decimal(self) -> Decimal:
        """The amount in major units."""
        return Decimal(self.minor).scaleb(-minor_digits(self.currency))

    def percent(self, rate: Decimal | int | str) -> Money:
        """That many per cent of this, rounded half up to a minor unit."""
        if isinstance(rate, float):
            raise ValueError("a float is not exact: give the rate as text or Decimal")
        exact = Decimal(self.minor) * Decimal(rate) / 100
        return Money(minor=int(exact.to_integral_value(ROUND_HALF_UP)), currency=self.currency)

    def _same(self, other: Money) -> int:
        if self.currency != other.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(minor=self.minor + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(minor=self.minor - self._same(other), currency=self.currency)

    def __neg__(self) -> Money:
        return Money(minor=-self.minor, currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        digits = minor_digits(self.currency)
        if not digits:
            return f"{self.minor} {self.currency}"
        whole, rest = divmod(abs(self.minor), 10**digits)
        return f"{'-' if self.minor < 0 else ''}{whole}.{rest:0{digits}} {self.currency}"

    def clamp(self, low: Money | None = None, high: Money | None = None) -> Money:
        """This amount, moved into the closed range where a bound is given."""
        if low is not None and self < low:
            return low
        if high is not None and self > high:
            return high
        return self


@lru_cache(maxsize=4096)
def _read(text: str) -> Money:
    """An amount from its text. The same texts come again and again, and amounts never change."""
    plain = _PLAIN.fullmatch(text)
    if plain and len(plain[2] or "") == minor_digits(plain[3]):  # as we write it ourselves
        return Money(minor=int(plain[1] + (plain[2] or "")), currency=plain[3])
    match = _TEXT.match(text)
    if not match:
        raise ValueError(f"{text!r} is not an amount with a currency such as '12.30 CNY'")
    return Money.of(match[1].replace(",", ""), match[2])
