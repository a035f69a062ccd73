"""New ship dates: so much time from now, or so many of a country's working days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo


@lru_cache(maxsize=16)
def calendar(country: str) -> Any:
    """The country's holidays, worked weekends included; raises `ValueError` for an unknown country."""
    import holidays

    try:
        return holidays.country_holidays(country)
    except NotImplementedError:
        raise ValueError(
            f"{country!r} is not a country code with known holidays, such as 'CN', 'US', 'DE'"
        ) from None


def zone_of(*names: str) -> ZoneInfo:
    """The first of these that is a time zone; a platform may give a customer's that is none. Else UTC."""
    for name in names:
        try:
            if name:
                return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            continue
    return ZoneInfo("UTC")


def later(now: datetime, by: timedelta, *, country: str = "", zone: tzinfo = UTC) -> datetime:
    """`now` plus that time; with a country, its days are working days, and the end falls on one."""
    if not country:
        return now + by
    days, rest = by.days, by - timedelta(days=by.days)
    known = calendar(country)
    when = now.astimezone(zone)
    for _ in range(days):
        when = _next_working(known, when + timedelta(days=1))
    return _next_working(known, when + rest).astimezone(now.tzinfo)


def _next_working(known: Any, when: datetime) -> datetime:
    for _ in range(60):  # no country rests longer; the bound only keeps a broken calendar from spinning
        if known.is_working_day(when.date()):
            return when
        when += timedelta(days=1)
    return when
