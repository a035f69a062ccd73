"""Money and times as customers read them: in their language and their zone."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime
from babel.numbers import format_currency

from amends.cases.money import Money

_PATTERN = {"zh": "y年M月d日 HH:mm", "en": "d MMMM y, HH:mm"}


@lru_cache(maxsize=64)
def language_chain(language: str) -> tuple[str, ...]:
    """Where to look for a text: that language, its parent, English. A malformed code means English."""
    if not re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", language):
        return ("en",)
    name = language.replace("_", "-")
    return tuple(dict.fromkeys((name, name.partition("-")[0].lower(), "en")))


@lru_cache(maxsize=64)
def locale_of(language: str) -> Locale:
    for name in language_chain(language):
        try:
            return Locale.parse(name, sep="-")
        except (ValueError, UnknownLocaleError):
            continue
    return Locale("en")


@lru_cache(maxsize=1024)
def shown_money(amount: Money, language: str) -> str:
    """`¥3.00`, `US$3.00`: with the currency's own decimals."""
    return format_currency(amount.decimal, amount.currency, locale=locale_of(language))


@lru_cache(maxsize=1024)
def shown_time(when: datetime, language: str, time_zone: str) -> str:
    """`6 March 2026, 17:00 (GMT+08:00)`: in that zone; raises `ValueError` for a naive time."""
    if when.tzinfo is None:
        raise ValueError(f"{when:%Y-%m-%d %H:%M} has no time zone")
    try:
        zone = ZoneInfo(time_zone or "UTC")
    except (ValueError, OSError, KeyError):  # a platform may give a customer's zone that is none
        zone = ZoneInfo("UTC")
    locale = locale_of(language)
    pattern = _PATTERN.get(locale.language, "medium")
    time = format_datetime(when, pattern, tzinfo=zone, locale=locale)
    if locale.language == "zh" and zone.key in ("Asia/Shanghai", "PRC"):
        return f"{time}（北京时间）"
    name = (
        format_datetime(when, "ZZZZ", tzinfo=zone, locale=locale)
        if when.astimezone(zone).utcoffset()
        else "UTC"
    )
    return f"{time}（{name}）" if locale.language == "zh" else f"{time} ({name})"
