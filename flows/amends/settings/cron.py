"""Checks a shop's schedule, the five fields of cron, so that a typing error shows before it is deployed."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def check_cron(text: str) -> str:
    """The schedule with single spaces; raises `ValueError` that names the field."""
    fields = text.lower().split()
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} has {len(fields)} fields; a schedule has five: minute hour day month weekday, "
            "such as '*/10 8-22 * * *'"
        )
    for given, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in given.split(","):
            if not _possible(part, low, high, words):
                raise ValueError(f"{given!r} is no {name} of a schedule; it goes from {low} to {high}")
    return " ".join(fields)


def _possible(part: str, low: int, high: int, words: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    ends = [_number(end, low, words) for end in match.group(1, 2) if end is not None]
    if any(end is None or not low <= end <= high for end in ends):
        return False
    if len(ends) == 2 and (ends[0] or 0) > (ends[1] or 0):
        return False
    step = match[3]
    return step is None or 0 < int(step) <= high


def _number(text: str, low: int, words: tuple[str, ...]) -> int | None:
    if text in words:
        return words.index(text) + low
    return int(text) if text.isdecimal() else None
