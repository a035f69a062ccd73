"""How commands print: tables that read well at 100 columns without colour, pure JSON, times of the shop."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Any

WIDTH = 100
"""Columns where the output is no terminal."""

# Control characters and those that turn the direction of text: what platforms and customers write must not
# steer the terminal.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Text that cannot steer a terminal."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(text).replace("\r\n", "\n"))


def say(*lines: object) -> None:
    """Print lines on stdout."""
    for line in lines:
        print(plain(line))


def warn(*lines: object) -> None:
    """Print lines on stderr, after what stdout already has."""
    sys.stdout.flush()
    for line in lines:
        print(plain(line), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one JSON document: times as ISO 8601 in UTC, amounts as `"12.30 CNY"`."""
    utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not utf8, indent=2, default=_jsonable))


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def local(at: datetime | None, zone: tzinfo, *, near: datetime | None = None) -> str:
    """A time in the shop's zone; close to `near` the year is left out. A dash for none."""
    if at is None:
        return "–"
    there = at.astimezone(zone)
    if near is None:
        return f"{there:%Y-%m-%d %H:%M}"
    return f"{there:%m-%d %H:%M}" if abs(at - near) < timedelta(days=180) else f"{there:%Y-%m-%d}"


def many(count: int, word: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{count} {word}" + ("" if count == 1 else "s")


def hours(late: float | None) -> str:
    """`31.5 late`, or `3.0 left` before the deadline."""
    if late is None:
        return "–"
    return f"{late:.1f} late" if late >= 0 else f"{-late:.1f} left"


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: `right` for numbers, `wide` takes the room that is left and breaks its text."""

    title: str
    right: bool = False
    wide: bool = False


def table(
    columns: Sequence[str | Column], rows: Iterable[Sequence[object]], *, title: str = "", gap: int = 2
) -> None:
    """Print a table on stdout; None and the empty text become a dash."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if title:
        say("", title)
    shown = Table(
        box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, header_style="bold", show_edge=False
    )
    for item in columns:
        column = Column(item) if isinstance(item, str) else item
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wide,
            overflow="fold",
            ratio=1 if column.wide else None,
            min_width=12 if column.wide else None,
        )
    for row in rows:
        shown.add_row(*("–" if cell is None or cell == "" else plain(cell) for cell in row))
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False, file=sys.stdout)
    console.print(shown)


def indented(text: str, by: str = "    ") -> Iterator[str]:
    """Lines of a text under a mark, broken to the terminal's width."""
    import textwrap

    width = max(40, min(shutil.get_terminal_size((WIDTH, 24)).columns, 120) - len(by))
    for line in plain(text).splitlines():
        yield from (
            (by + part).rstrip() for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]
        )


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr what long work is at, where that is a terminal; yields what changes the words."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with console.status(plain(what)) as status:
        yield lambda words: status.update(plain(words))
