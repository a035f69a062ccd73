"""Cells as exports hold them, for the row reader: text cleaned of a spreadsheet's tricks, exact amounts."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from amends import Money

BLANKS = frozenset({"", "-", "--", "—", "/", "\\n", "null", "none", "nil", "n/a", "#n/a", "nan", "nat"})
_UNSEEN = str.maketrans("", "", "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060")
_SPACES = re.compile(r"\s+")
_WRAPPED = re.compile(r'^="(.*)"$', re.DOTALL)
_E_NOTATION = re.compile(r"^[0-9][.,]?[0-9]*[eE]\+?[0-9]{2,3}$")
_CODE = re.compile(r"^([A-Za-z]{3})\s*(?=[-+(0-9−])|(?<=[0-9)])\s*([A-Za-z]{3})$")
_SIGNS = {
    "US$": ("USD",), "HK$": ("HKD",), "NT$": ("TWD",), "R$": ("BRL",), "¥": ("CNY", "JPY"), "元": ("CNY",),
    "€": ("EUR",), "£": ("GBP",), "₩": ("KRW",), "₹": ("INR",), "₽": ("RUB",), "₺": ("TRY",), "₫": ("VND",),
    "₱": ("PHP",), "฿": ("THB",), "zł": ("PLN",), "$": (),
}  # fmt: skip
"""Currency signs and the currencies that each may stand for; a dollar sign says too little to contradict
anything.
"""


class Bad(Exception):
    """A cell that cannot be used, raised inside the row reader: our column, the reason, and the cell as it
    was.
    """

    def __init__(self, column: str, reason: str, cell: Any = "") -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.cell = cell


def normal(text: str) -> str:
    """A header or word as it is compared: without case, spaces, width and invisible characters."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", text.translate(_UNSEEN)).casefold()).strip("\"'*")


def clean(cell: Any) -> str:
    """A cell's text. `="123"` and `'123`, which keep Excel from counting, are unwrapped; formulas are never
    evaluated.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text:
            first = text[0]
            if first == "=":
                wrapped = _WRAPPED.match(text)
                return wrapped[1].strip() if wrapped else text
            if first == "'":
                return text[1:].strip()
            if first in "\ufeff\u200b\u200e\u200f":
                return text.translate(_UNSEEN).strip()
        return text
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    if isinstance(cell, date | datetime):
        return cell.isoformat(" ") if isinstance(cell, datetime) else cell.isoformat()
    return str(cell)


def blank(text: str) -> bool:
    return not text or (len(text) < 5 and text.lower() in BLANKS)


def mask(cell: Any) -> str:
    """The shape of a cell without its content: `10/2/2017` is `99/9/9999`, letters are `a`, other scripts
    `字`.
    """
    text = clean(cell)
    shape = "".join(
        "9" if one.isdigit() else one if not one.isalpha() else "a" if one.isascii() else "字"
        for one in text[:24]
    )
    return shape + ("…" if len(text) > 24 else "")


def order_number(cell: Any) -> str:
    """The order number as users read it; raises `Bad` where a spreadsheet has rounded it away."""
    rounded = isinstance(cell, float) and abs(cell) >= 1e15
    text = clean(cell)
    if rounded or (text[1:2] in (".", ",", "e", "E") and _E_NOTATION.match(text)):
        reason = "the order number was stored as a number and lost its last digits; export the column as text"
        raise Bad("number", reason, cell)
    if blank(text):
        raise Bad("number", "no order number", cell)
    if "\n" in text:
        raise Bad("number", "the order number spans lines: a quotation mark that is never closed?", cell)
    if "\ufffd" in text:
        raise Bad(
            "number", "the order number has bytes that are not in the file's encoding; say `encoding`", cell
        )
    return text


class Amounts:
    """Reads amounts written with one pair of decimal and thousands signs, exactly."""

    def __init__(self, decimal: str, thousands: str, *, rounded: bool = False) -> None:
        self.decimal = decimal
        self.thousands = thousands
        self.rounded = rounded
        sep = re.escape(thousands) if thousands else ""
        # 1,234,567 and the Indian 12,34,567; the last group always has three digits.
        grouped = rf"|[0-9]{{1,3}}(?:{sep}[0-9]{{2,3}})*{sep}[0-9]{{3}}" if sep else ""
        self._form = re.compile(rf"^(?:[0-9]+{grouped})?(?:{re.escape(decimal)}[0-9]*)?$")
        # Prices repeat: most rows are answered from here.
        self.text = lru_cache(maxsize=16384)(self._text)

    def read(self, cell: Any, currency: str) -> Money:
        """The amount of a cell; raises `Bad` with the reason where it is none, negative, or in another
        currency.
        """
        if isinstance(cell, str):
            return self.text(cell, currency)
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise Bad("amount", "not an amount", cell)
        if not math.isfinite(cell):
            raise Bad("amount", "not an amount", cell)
        if cell < 0:
            raise Bad("amount", "negative amount", cell)
        # Fifteen digits are what Excel keeps and shows: 0.30000000000000004 is 0.3 there.
        return self._money(Decimal(f"{cell:.15g}"), currency, cell)

    def _text(self, cell: str, currency: str) -> Money:
        text = clean(cell)
        if blank(text):
            raise Bad("amount", "no amount", cell)
        text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("\u202f", " ")
        text = self._without_currency(text, currency, cell)
        negative = False
        if text.startswith("(") and text.endswith(")"):
            negative, text = True, text[1:-1].strip()
        if text[:1] in ("-", "+"):
            negative, text = negative or text[0] == "-", text[1:].strip()
        elif text.endswith("-"):
            negative, text = True, text[:-1].strip()
        text = self._without_currency(text, currency, cell)
        if self.thousands == "’":
            text = text.replace("'", "’")
        if not text or text == self.decimal or not self._form.match(text):
            signs = f"decimal {self.decimal!r}, thousands {self.thousands!r}"
            raise Bad("amount", f"not an amount with {signs}", cell)
        digits = text.replace(self.thousands, "") if self.thousands else text
        value = Decimal(digits.replace(self.decimal, "."))
        if negative and value:
            raise Bad("amount", "negative amount", cell)
        return self._money(value, currency, cell)

    def _without_currency(self, text: str, currency: str, cell: str) -> str:
        if text[:1].isdigit() and text[-1:].isdigit():
            return text
        code = _CODE.search(text)
        if code:
            shown = (code[1] or code[2]).upper()
            if shown != currency:
                raise Bad("amount", f"the amount is in {shown}, the mapping says {currency}", cell)
            text = (text[: code.start()] + text[code.end() :]).strip()
        for sign, currencies in _SIGNS.items():
            if text.startswith(sign) or text.endswith(sign):
                if currencies and currency not in currencies:
                    raise Bad("amount", f"the amount is in {sign}, the mapping says {currency}", cell)
                text = text.removeprefix(sign).removesuffix(sign).strip()
                break
        return text

    def _money(self, value: Decimal, currency: str, cell: Any) -> Money:
        if value and value.adjusted() > 15:
            raise Bad("amount", "more than any order costs", cell)
        try:
            return Money.of(value, currency)
        except ValueError as error:
            if not self.rounded:
                reason = f"more decimal places than {currency} has; set `round_amounts = true` to round"
                raise Bad("amount", reason, cell) from error
        step = Decimal(1).scaleb(-_places(currency))
        return Money.of(value.quantize(step, ROUND_HALF_UP), currency)


@lru_cache(maxsize=64)
def _places(currency: str) -> int:
    exponent = Money(minor=1, currency=currency).decimal.as_tuple().exponent
    return -int(exponent)


@lru_cache(maxsize=1024)
def currency_code(cell: str) -> str:
    """An ISO 4217 code in capitals; raises `Bad` for anything else."""
    text = clean(cell).upper()
    if blank(text):
        raise Bad("currency", "no currency", cell)
    try:
        Money.zero(text)
    except ValueError:
        shown = repr(text) if len(text) == 3 and text.isascii() and text.isalpha() else mask(text)
        raise Bad("currency", f"{shown} is not an ISO 4217 currency code", cell) from None
    return text
