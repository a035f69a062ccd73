"""Classifies every row of an order export for `amends triage`: which orders are late, by how much, at what
cost.

Opens no case and writes nothing. Whoever offers the rows (a connector's `rows()`) may be a plugin that the
host does not know, so rows are recognised by what they have.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Protocol, TextIO

from amends.cases.lateness import Lateness, State, judge
from amends.cases.money import Money
from amends.cases.orders import Order
from amends.cases.rules import RuleBook

_IN_MEMORY = 4 * 1024 * 1024
_ENCODER = json.JSONEncoder(ensure_ascii=False)


class OrderRow(Protocol):
    """One order and the row of the file that it came from, counted from 1."""

    @property
    def row(self) -> int: ...

    @property
    def order(self) -> Order: ...


class UnreadableRow(Protocol):
    """A row that gives no order: the file's own column name, where one is to blame, and the reason."""

    @property
    def row(self) -> int: ...

    @property
    def column(self) -> str: ...

    @property
    def reason(self) -> str: ...


class Records:
    """JSON objects kept in a file once they grow beyond a few megabytes: a late million costs no memory to
    speak of.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # closed with us
        self._at = array("Q")
        self._keys = array("d")
        self._end = 0

    def add(self, record: dict[str, Any], key: float = 0.0) -> None:
        line = _ENCODER.encode(record).encode() + b"\n"
        self._file.write(line)
        self._at.append(self._end)
        self._keys.append(key)
        self._end += len(line)

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """In order of key; equal keys as they came."""
        return map(json.loads, self.lines())

    def lines(self) -> Iterator[str]:
        """The same as JSON text."""
        for index in sorted(range(len(self._at)), key=self._keys.__getitem__):
            self._file.seek(self._at[index])
            yield self._file.readline().decode().rstrip()


@dataclass(slots=True)
class Triage:
    """The outcome. `rows` = orders counted in `counts` + unreadable rows + the further rows of duplicates.

    `late` holds the overdue, the shipped-late and the stalled, soonest ship-by first; `amount` is the sum of
    what these orders cost their customers, by currency. Rows of one order that a reader folded are one row
    here.
    """

    rows: int = 0
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    late: Records = field(default_factory=Records)
    amount: dict[str, Money] = field(default_factory=dict)
    unreadable: Records = field(default_factory=Records)
    duplicates: dict[str, list[int]] = field(default_factory=dict)

    @property
    def readable(self) -> int:
        """How many orders were judged: zero means that nothing could be done."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """The whole outcome as `amends triage --json` prints it.

        Times are ISO 8601 in UTC, amounts decimal text.
        """
        return {**self._head(), "late": list(self.late), **self._tail(), "unreadable": list(self.unreadable)}

    def write_json(self, out: TextIO) -> None:
        """The same as `to_json`, written record by record, so that a million late orders need no memory."""
        out.write("{\n")
        for key, value in (self._head() | self._tail()).items():
            out.write(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n")
        for key, records in (("late", self.late), ("unreadable", self.unreadable)):
            out.write(f"  {json.dumps(key)}: [")
            for index, line in enumerate(records.lines()):
                out.write((",\n    " if index else "\n    ") + line)
            out.write("]" if key == "unreadable" else "],\n")
        out.write("\n}\n")

    def _head(self) -> dict[str, Any]:
        return {"rows": self.rows, "counts": {state.value: count for state, count in self.counts.items()}}

    def _tail(self) -> dict[str, Any]:
        amount = {currency: f"{money.decimal:f}" for currency, money in sorted(self.amount.items())}
        duplicates = [{"number": number, "rows": rows} for number, rows in self.duplicates.items()]
        return {"amount": amount, "duplicates": duplicates}


def triage(
    rows: Iterable[Order | OrderRow | UnreadableRow],
    *,
    now: datetime,
    rules: RuleBook,
    warn: tuple[timedelta, ...] = (timedelta(hours=24),),
) -> Triage:
    """Judge every order of `rows` at `now` (aware). The first row of an order number counts, later ones are
    listed.

    Memory grows by about 100 bytes a row, for the order numbers seen. What `rows` raises passes through.
    """
    result = Triage()
    first: dict[int, int] = {}
    for item in rows:
        result.rows += 1
        if isinstance(item, Order):
            row, order = result.rows, item
        else:
            row = item.row
            found = getattr(item, "order", None)
            if found is None:
                result.unreadable.add(_unreadable(item))
                continue
            order = found
        # 64 bits of a keyed hash stand for the number: among a million orders two collide once in 10^7 runs.
        key = hash(order.number)
        before = first.setdefault(key, row)
        if before != row:
            result.duplicates.setdefault(order.number, [before]).append(row)
            continue
        _judged(result, order, now, rules, warn)
    return result


def _judged(
    result: Triage, order: Order, now: datetime, rules: RuleBook, warn: tuple[timedelta, ...]
) -> None:
    lateness = judge(order, now=now, rules=rules, warn=warn)
    result.counts[lateness.state] += 1
    if not lateness.state.late:
        return
    amount = order.amount
    known = result.amount.get(amount.currency)
    result.amount[amount.currency] = amount if known is None else known + amount
    deadline = lateness.ship_by or order.deliver_by or now
    result.late.add(_late(order, lateness, now, rules), deadline.timestamp())


def _late(order: Order, lateness: Lateness, now: datetime, rules: RuleBook) -> dict[str, Any]:
    ship_by = lateness.ship_by
    penalty = rules.penalty(order, ship_by) if ship_by is not None else None
    behind = lateness.late_by
    if lateness.state is State.STALLED and order.deliver_by is not None:
        behind = now - order.deliver_by  # what is late is the arrival
    return {
        "number": order.number,
        "amount": str(order.amount),
        "placed_at": _utc(order.placed_at),
        "ship_by": _utc(ship_by),
        "hours_late": None if behind is None else round(behind.total_seconds() / 3600, 1),
        "after_sales": order.after_sales.value,
        "state": lateness.state.value,
        "why": lateness.why,
        "penalty": None if penalty is None else str(penalty[0]),
    }


def _unreadable(item: Any) -> dict[str, Any]:
    return {"row": item.row, "column": item.column, "reason": item.reason}


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
