"""Streams the orders of an export, row by row: `read_orders` for `amends triage`, the connector and plugin
authors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amends import Item, Order
from amends_spreadsheet.cells import Bad, blank, clean, mask
from amends_spreadsheet.headers import Header
from amends_spreadsheet.mapping import Mapping
from amends_spreadsheet.orders import Facts, OrderReader
from amends_spreadsheet.tables import Source, open_table


@dataclass(frozen=True, slots=True)
class Row:
    """One order of an export and the row that it began on, counted from 1 as a spreadsheet counts them."""

    row: int
    order: Order


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that gives no order: the file's own column name (or nothing), the reason, and the cell's shape
    only.
    """

    row: int
    column: str
    reason: str
    value: str = ""


def read_orders(source: Source, mapping: Mapping, *, now: datetime) -> Iterator[Row | Unreadable]:
    """Every order of a CSV or XLSX export in the file's order, observed at `now` (aware); rows of one order
    folded.

    Memory does not grow with a CSV file. A row that cannot be read is an `Unreadable` and the rest goes on; a
    file that cannot be read raises `InputError` at the first `next`. Repeated order numbers are yielded
    again: who counts decides.
    """
    with open_table(source, mapping) as table:
        reader = OrderReader(mapping, table.header, table.timed, now, where=table.name)
        number_at = table.header.columns["number"]
        pending: _Pending | None = None
        unreadable_number = ""
        for row, cells in table.rows:
            if isinstance(cells, str):
                yield Unreadable(row, "", cells)
                continue
            if mapping.lines != "one":
                number = clean(cells[number_at])
                if pending is not None and reader.continues(cells, number, pending.number):
                    pending.add(reader.item(cells))
                    continue
                if unreadable_number and reader.continues(cells, number, unreadable_number):
                    continue
                unreadable_number = ""
            if pending is not None:
                yield pending.done()
                pending = None
            try:
                facts = reader.facts(cells)
                if facts is None:
                    continue
                if mapping.lines == "one":
                    yield Row(row, Order(**facts))
                else:
                    pending = _Pending(row, facts)
            except Bad as bad:
                unreadable_number = clean(cells[number_at])
                yield _unreadable(row, bad, table.header)
            except ValueError as error:
                yield Unreadable(row, "", f"no order: {error}".partition("\n")[0])
        if pending is not None:
            yield pending.done()


class _Pending:
    """An order whose further rows may still come."""

    def __init__(self, row: int, facts: Facts) -> None:
        self.row = row
        self.facts = facts
        self.number: str = facts["number"]
        self.items: list[Item] = list(facts.get("items", ()))

    def add(self, item: Item | None) -> None:
        if item is not None:
            self.items.append(item)

    def done(self) -> Row:
        if self.items:
            self.facts["items"] = tuple(self.items)
        return Row(self.row, Order(**self.facts))


def _unreadable(row: int, bad: Bad, header: Header) -> Unreadable:
    shape: Any = mask(bad.cell)
    reason = bad.reason if blank(shape) else f"{bad.reason} (it looks like {shape})"
    return Unreadable(row, header.name(bad.column), reason, shape)
