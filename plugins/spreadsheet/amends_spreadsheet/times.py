"""Times as exports write them, for the row reader: patterns, ISO, Excel's serial numbers, a stated zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from amends import InputError
from amends_spreadsheet.cells import Bad, blank, clean

_PARTS = {
    "Y": ("year", r"(\d{4})"), "y": ("short", r"(\d{2})"), "m": ("month", r"(\d{1,2})"),
    "d": ("day", r"(\d{1,2})"), "H": ("hour", r"(\d{1,2})"), "M": ("minute", r"(\d{1,2})"),
    "S": ("second", r"(\d{1,2})"),
}  # fmt: skip
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  # Excel's serial numbers have no zone; ours is added after
_ISO_OFFSET = re.compile(r"\s+(?:UTC|GMT|Z|([+-]\d{2}):?(\d{2}))$")
_DAY_END = timedelta(days=1, seconds=-1)

Parse = Callable[[str], "Local | None"]


class Local(NamedTuple):
    """A time as written: naive, or aware where it names its own offset; `day_only` where it has no time of
    day.
    """

    at: datetime
    day_only: bool


class Times:
    """Reads the times of one export into UTC.

    A naive time is in `zone`; a time that falls twice is the earlier one.
    """

    def __init__(self, formats: tuple[str, ...], zone: str, *, where: str) -> None:
        self.where = where
        self.formats = formats
        self.zone = ZoneInfo(zone) if zone else None
        self.parsers = [_parser(form) for form in formats]
        self._offsets: dict[int, timedelta | None] = {}

    def read(self, cell: Any, column: str, *, typed_midnight: bool = False) -> tuple[datetime, bool] | None:
        """The cell's time in UTC and whether it was a day only; None for a blank cell. Raises `Bad`.

        `typed_midnight` says that a date cell of a workbook means its midnight, because its column has times
        of day.
        """
        if isinstance(cell, str):
            text = clean(cell)
            if blank(text) or text.startswith("0000-00-00"):
                return None
            local = self._text(text, column, cell)
        else:
            found = _typed(cell, column, typed_midnight)
            if found is None:
                return None
            local = found
        at = local.at
        if not 1990 <= at.year <= 2100:
            raise Bad(column, f"the year {at.year} cannot be meant", cell)
        if at.tzinfo is not None:
            return at.astimezone(UTC), False
        return self._utc(at, column, cell), local.day_only

    def _text(self, text: str, column: str, cell: str) -> Local:
        for parse in self.parsers:
            local = parse(text)
            if local is not None:
                return local
        raise Bad(
            column, f"not a time in any of the mapping's date_formats ({', '.join(self.formats)})", cell
        )

    def _utc(self, at: datetime, column: str, cell: Any) -> datetime:
        # Offsets change on a few hours of a year only: every other hour is answered from a table.
        hour = at.toordinal() * 24 + at.hour
        try:
            offset = self._offsets[hour]
        except KeyError:
            offset = self._offsets[hour] = self._steady_offset(at)
            if len(self._offsets) > 200_000:
                self._offsets.clear()
        if offset is None:
            return self._exact(at, column, cell)
        return (at - offset).replace(tzinfo=UTC)

    def _steady_offset(self, at: datetime) -> timedelta | None:
        if self.zone is None:
            raise InputError(
                f"{self.where}: times such as {at:%Y-%m-%d %H:%M} name no time zone",
                hint='Say time_zone = "Asia/Shanghai" (or which it is) in the mapping, or give the shop one.',
            )
        start = at.replace(minute=0, second=0, microsecond=0, tzinfo=self.zone)
        seen = {
            (start + timedelta(minutes=minutes)).replace(fold=fold).utcoffset()
            for minutes in (0, 30, 59)
            for fold in (0, 1)
        }
        return seen.pop() if len(seen) == 1 else None

    def _exact(self, at: datetime, column: str, cell: Any) -> datetime:
        there = at.replace(tzinfo=self.zone, fold=0)
        utc = there.astimezone(UTC)
        if utc.astimezone(self.zone).replace(tzinfo=None) != at:
            reason = f"there was no such time in {self.zone}: the clocks went forward; is `time_zone` right?"
            raise Bad(column, reason, cell)
        return utc


def day_end(at: datetime) -> datetime:
    """The last second of the day that begins at `at`: a deadline given as a day lasts to its end."""
    return at + _DAY_END


def _typed(cell: Any, column: str, typed_midnight: bool) -> Local | None:
    if isinstance(cell, datetime):
        return Local(cell, False)
    if isinstance(cell, date):
        return Local(datetime.combine(cell, time()), not typed_midnight)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        if cell is None:
            return None
        raise Bad(column, "not a date or time", cell)
    return _serial(float(cell), column, cell)


def _serial(days: float, column: str, cell: Any) -> Local:
    if not 30_000 <= days <= 80_000:  # 1982 to 2119
        raise Bad(column, "not an Excel date", cell)
    # A serial number counts days; its seconds come out of a float, so they are rounded.
    return Local(_EXCEL_EPOCH + timedelta(seconds=round(days * 86400)), days.is_integer())


def _parser(form: str) -> Parse:
    if form == "iso":
        return _iso
    if form == "excel":
        return _excel
    fields: list[str] = []
    pattern = ""
    index = 0
    while index < len(form):
        one = form[index]
        if one != "%":
            pattern += r"\s+" if one == " " else re.escape(one)
            index += 1
            continue
        name, part = _PARTS.get(form[index + 1 : index + 2], ("", ""))
        if not name:
            return _strptime(form)
        fields.append(name)
        pattern += part
        index += 2
    return _numeric(re.compile(pattern, re.ASCII), fields)


def _numeric(pattern: re.Pattern[str], fields: list[str]) -> Parse:
    """A pattern of numbers only: several times faster than `strptime`, with the same meaning."""
    where = {name: index for index, name in enumerate(fields)}
    day_only = "hour" not in where
    year, short, month, day = (where.get(name) for name in ("year", "short", "month", "day"))
    hour, minute, second = (where.get(name) for name in ("hour", "minute", "second"))

    def parse(text: str) -> Local | None:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        parts = match.groups()
        if year is not None:
            full = int(parts[year])
        else:
            two = int(parts[short]) if short is not None else 0
            full = two + (2000 if two < 69 else 1900)
        try:
            at = datetime(  # noqa: DTZ001  # the zone is the mapping's, added after
                full,
                int(parts[month]) if month is not None else 1,
                int(parts[day]) if day is not None else 1,
                int(parts[hour]) if hour is not None else 0,
                int(parts[minute]) if minute is not None else 0,
                int(parts[second]) if second is not None else 0,
            )
        except ValueError:
            return None
        return Local(at, day_only)

    return parse


def _strptime(form: str) -> Parse:
    day_only = not any(part in form for part in ("%H", "%I", "%X", "%c", "%T"))

    def parse(text: str) -> Local | None:
        try:
            return Local(datetime.strptime(text, form), day_only)  # noqa: DTZ007  # the zone is added after
        except ValueError:
            return None

    return parse


def _iso(text: str) -> Local | None:
    if text[4:5] != "-":
        return None
    try:
        return Local(datetime.fromisoformat(text), len(text) <= 10)
    except ValueError:
        pass
    # `2026-03-01 10:00:00 +0800` and `… UTC`, as Shopify and others write it.
    joined = _ISO_OFFSET.sub(lambda m: f"{m[1]}:{m[2]}" if m[1] else "+00:00", text)
    try:
        return Local(datetime.fromisoformat(joined), len(joined) <= 10)
    except ValueError:
        return None


def _excel(text: str) -> Local | None:
    try:
        days = float(text)
    except ValueError:
        return None
    return _serial(days, "", text) if 30_000 <= days <= 80_000 else None
