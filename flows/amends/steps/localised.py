"""Money and times as customers read them: in their language and their zone."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency

from amends.cases.money import Money

_DAY = {"zh": ("y年M月d日", " "), "en": ("d MMMM y", ", ")}
"""How a day is written, and what stands between it and the time; other languages have their locale's own way."""


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
def zone_of(name: str, otherwise: str = "UTC") -> ZoneInfo:
    """That time zone; the other one where it is none: a platform may give anything for a customer's."""
    try:
        return ZoneInfo(name or otherwise)
    except (ValueError, OSError, KeyError):
        return ZoneInfo(otherwise)


@lru_cache(maxsize=1024)
def shown_time(when: datetime, language: str, time_zone: str) -> str:
    """`6 March 2026, 17:00 (GMT+08:00)`: in that zone; raises `ValueError` for a naive time."""
    if when.tzinfo is None:
        raise ValueError(f"{when:%Y-%m-%d %H:%M} has no time zone")
    zone = zone_of(time_zone)
    locale, local = locale_of(language), when.astimezone(zone)
    if locale.language in _DAY:
        time = f"{_day(local.date(), language)}{_DAY[locale.language][1]}{local:%H:%M}"
    else:
        time = format_datetime(when, "medium", tzinfo=zone, locale=locale)
    if locale.language == "zh" and zone.key in ("Asia/Shanghai", "PRC"):
        return f"{time}（北京时间）"
    offset = local.utcoffset()
    name = _offset(offset, language) if offset else "UTC"
    return f"{time}（{name}）" if locale.language == "zh" else f"{time} ({name})"


@lru_cache(maxsize=1024)
def _day(day: date, language: str) -> str:
    locale = locale_of(language)
    return format_date(day, _DAY[locale.language][0], locale=locale)


@lru_cache(maxsize=256)
def _offset(offset: timedelta, language: str) -> str:
    """`GMT+08:00`, as the language has it."""
    noon = datetime(2000, 1, 1, 12, tzinfo=timezone(offset))
    return format_datetime(noon, "ZZZZ", tzinfo=noon.tzinfo, locale=locale_of(language))
