"""Finds the header of an export: which of its columns is which of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amends import InputError, Tag
from amends_spreadsheet.cells import clean, mask, normal
from amends_spreadsheet.mapping import Column, Mapping, near

SEARCHED = 20
"""In how many rows a header is looked for."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header row: its number from 1, the names in it, and where our columns and flags are, from 0."""

    row: int
    names: tuple[str, ...]
    columns: dict[Column, int]
    flags: tuple[tuple[int, Tag], ...]

    @property
    def width(self) -> int:
        return len(self.names)

    def name(self, column: str) -> str:
        """The file's own name of one of our columns."""
        index = next((index for key, index in self.columns.items() if key == column), None)
        return column if index is None else self.names[index]


@dataclass(frozen=True, slots=True)
class Search:
    """The outcome of looking: the best row, what it lacks, and how many of our columns it has."""

    header: Header
    missing: tuple[str, ...]

    @property
    def found(self) -> int:
        return len(self.header.columns)


def search(rows: Sequence[Sequence[Any]], mapping: Mapping, *, first: int = 1) -> Search | None:
    """The row that serves best as header among `rows`, numbered from `first`; None where all are blank."""
    best: Search | None = None
    for number, cells in enumerate(rows, start=first):
        if mapping.header_row != "auto" and number != mapping.header_row:
            continue
        names = [clean(cell) for cell in cells]
        while names and not names[-1]:
            names.pop()
        if not names:
            continue
        one = _match(number, names, mapping)
        if not one.missing:
            return one
        if best is None or (one.found, one.header.width) > (best.found, best.header.width):
            best = one
    return best


def header(found: Search | None, mapping: Mapping, where: str) -> Header:
    """The header found, or an `InputError` naming columns wanted, columns there, and near matches."""
    if found is None:
        raise InputError(f"{where}: no header row", hint="Export again, or say `header_row` in the mapping.")
    if not found.missing:
        return found.header
    names = [name for name in found.header.names if name]
    wanted = []
    for column in found.missing:
        accepted = _accepted(column, mapping)
        close = next((hint for one in accepted if (hint := near(one, names))), "")
        wanted.append(f"{column} ({' or '.join(accepted)}{close})")
    there = ", ".join(map(_shown, names[:40])) or "none"
    raise InputError(
        f"{where}: columns not found: {'; '.join(wanted)}. Row {found.header.row} has: {there}",
        hint="Choose the preset of that platform, or write a mapping whose [columns] name these headers.",
        missing=found.missing,
    )


def _shown(name: str) -> str:
    """A header's name for a message; where the file has no header these are values, and could be personal."""
    if sum(one.isdigit() for one in name) >= 5 or "@" in name:
        return mask(name)
    return name if len(name) <= 30 else name[:30] + "…"


def _accepted(column: str, mapping: Mapping) -> tuple[str, ...]:
    if column == "flags":
        return tuple(name for names in mapping.flags.values() for name in names)
    return next((names for key, names in mapping.columns.items() if key == column), (column,))


def _match(number: int, names: list[str], mapping: Mapping) -> Search:
    places: dict[str, int] = {}
    for index, name in enumerate(names):
        places.setdefault(normal(name), index)
    columns: dict[Column, int] = {}
    missing: list[str] = []
    for column, accepted in mapping.columns.items():
        index = next((places[key] for key in map(normal, accepted) if key in places), -1)
        if index >= 0:
            columns[column] = index
        elif mapping.needs(column) or (column == "currency" and not mapping.currency):
            missing.append(column)
    if not {"placed_at", "paid_at"} & columns.keys() and not {"placed_at", "paid_at"} & set(missing):
        missing.append("placed_at" if "placed_at" in mapping.columns else "paid_at")
    flags = []
    for tag, accepted in mapping.flags.items():
        index = next((places[key] for key in map(normal, accepted) if key in places), -1)
        if index >= 0:
            flags.append((index, tag))
        elif "flags" not in mapping.optional:
            missing.append("flags")
    return Search(Header(number, tuple(names), columns, tuple(flags)), tuple(dict.fromkeys(missing)))
