"""Durations as merchants write them: `"90m"`, `"24h"`, `"7d"`, `"1d12h"`."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_PART = re.compile(r"(\d+)\s*([smhdw])")
_UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: Any) -> Any:
    """A `timedelta` from text; raises `ValueError` that shows the form. Other values pass through."""
    return _parsed(value) if isinstance(value, str) else value


@lru_cache(maxsize=4096)
def _parsed(value: str) -> timedelta:
    text = value.strip().lower()
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration such as '90m', '24h' or '7d'")
    return sign * sum((timedelta(**{_UNIT[unit]: int(number)}) for number, unit in parts), timedelta())


def show_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back to the same whole seconds."""
    seconds = int(value.total_seconds())
    if seconds == 0:
        return "0h"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    text = ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            text += f"{count}{unit}"
    return sign + text


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(show_duration)]
