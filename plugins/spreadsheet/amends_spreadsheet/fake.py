"""A make-believe export that the contract suite fills, for `amends plugin-check spreadsheet`."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from amends import Clock, Order
from amends.testing.contracts import FakePlatform

_TIMES = ("placed_at", "paid_at", "updated_at", "ship_by", "picked_up_at")
_COLUMNS = ("number", "amount", "currency", "status", *_TIMES, "carrier", "tracking_number", "customer")


class FakeExport(FakePlatform):
    """A folder with one CSV file, rewritten whenever the suite puts an order there."""

    name = "spreadsheet"
    http = False
    many = 2100  # the connector's pages hold 1000
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "ship_by", "picked_up_at", "status", "carrier",
        "tracking_number", "customer",
    )  # fmt: skip
    config: ClassVar[Mapping[str, Any]] = {
        "mapping": {
            "columns": {name: name for name in _COLUMNS},
            "status": {"to-ship": "to-ship", "shipped": "shipped"},
        },
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._folder: Path | None = None
        self._missing = False
        self.orders = _Exported(self)

    async def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="amends-export-"))
        self.write(whole=True)

    async def stop(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)

    @property
    def path(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the fake is not started")
        return self._folder / "orders.csv"

    def settings(self) -> Mapping[str, Any]:
        missing, self._missing = self._missing, False
        return {**self.config, "path": self.path.with_name("none.csv") if missing else self.path}

    def provoke(self, trouble: str) -> bool:
        """The one trouble of a file: it is not there, for the next connector that looks."""
        self._missing = trouble == "a service that cannot serve now"
        return self._missing

    def write(self, *orders: Order, whole: bool = False) -> None:
        with self.path.open("w" if whole else "a", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            if whole:
                rows.writerow(_COLUMNS)
            for order in self.orders.values() if whole else orders:
                rows.writerow([_cell(order, name) for name in _COLUMNS])
        at = self.clock.now().timestamp()
        os.utime(self.path, (at, at))


class _Exported(dict[str, Order]):
    """The platform's orders: what is put here stands in the file at once."""

    def __init__(self, fake: FakeExport) -> None:
        super().__init__()
        self._fake = fake

    def __setitem__(self, number: str, order: Order) -> None:
        known = number in self
        super().__setitem__(number, order)
        self._fake.write(order, whole=known)


def _cell(order: Order, name: str) -> str:
    if name == "amount":
        return f"{order.amount.decimal:f}"
    if name == "currency":
        return order.amount.currency
    value = getattr(order, name)
    return value.isoformat() if isinstance(value, datetime) else str(value or "")
