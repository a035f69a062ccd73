"""Measures what a sweep over very many due cases needs of memory, and what a case that waits needs of the disk.

python -m benchmarks.memory [--cases 100000] [--open 1000000]

The marketplace is in the sweep's own process and keeps nothing but a number per order, so that what is measured is
amends. The sweep runs in a fresh process on a ledger in which that many cases are due: each is looked at, written to and
given a coupon. With `--open`, also the ledger time of a sweep that finds nothing due among that many open cases. Prints
markdown; ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.growth import QUIET_BAR, sweeps_of
from benchmarks.rivals import CONFIG, QUOTA, NoConfig, Plugin

from amends import ConnectorSpec, hookimpl
from amends.cases.money import Money
from amends.cases.orders import Order, OrderStatus
from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends.hooks.requests import AnyRequest, OrderPage, Receipt
from amends.hooks.specs import Operation
from amends.ledger import Ledger, Vault
from amends.settings import Settings
from amends.steps.intake import take_orders
from amends.steps.shop import Shop
from amends.steps.sweep import sweep

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHOP, PAGE = "bench", 200
MEMORY_BAR, WAITING_BAR = 300.0, 1024
ROOT = Path(__file__).parents[1]
OPERATIONS = {
    "changed_orders": Operation.read(), "order": Operation.read(),
    "message": Operation.idempotent(window=timedelta(days=1)), "grant": Operation.idempotent(window=timedelta(days=1)),
}  # fmt: skip


class Endless:
    """A platform with that many late orders, which it makes when asked, and which does whatever is asked of it."""

    def __init__(self, count: int) -> None:
        self.count = count

    def _order(self, number: int) -> Order:
        placed = NOW - timedelta(days=3, seconds=number % 50_000)
        return Order(
            number=f"B-{number:08}", amount=Money(minor=9900 + number % 1000, currency="CNY"), placed_at=placed,
            paid_at=placed, observed_at=NOW, updated_at=placed, ship_by=placed + timedelta(days=2),
            status=OrderStatus.TO_SHIP, customer=f"c{number}",
        )  # fmt: skip

    async def changed_orders(self, cursor: str) -> OrderPage:
        start = int(cursor or 0)
        end = min(start + PAGE, self.count)
        return OrderPage(
            orders=tuple(map(self._order, range(start, end))), cursor=str(end), more=end < self.count
        )

    async def order(self, number: str) -> Order:
        return self._order(int(number.removeprefix("B-")))

    async def message(self, request: AnyRequest) -> Receipt:
        return Receipt(ref=f"m-{request.order}")

    async def grant(self, request: AnyRequest) -> Receipt:
        return Receipt(ref=f"g-{request.order}")

    async def aclose(self) -> None:
        """Nothing is open."""


async def opened(file: Path, count: int) -> tuple[Shop, Ledger]:
    platform = Endless(count)

    class InThisProcess:
        @staticmethod
        @hookimpl
        def amends_connectors() -> Iterator[ConnectorSpec]:
            yield ConnectorSpec("sandbox", NoConfig, OPERATIONS, factory=lambda config, context: platform)

    tables = tomllib.loads(CONFIG.format(url="http://127.0.0.1", quota=QUOTA))
    del tables["shops"][SHOP]["connector_config"]
    registry = Registry.load(allow=["ladder", "rules"])
    registry.add(InThisProcess, name="sandbox")
    registry.add(Plugin, name="bench")
    ledger = Ledger.open(f"sqlite:///{file}", Vault(bytes(range(32))))
    shop = await Shop.open(
        Settings.model_validate(tables), SHOP, ledger=ledger, registry=registry, clock=FixedClock(NOW)
    )
    return shop, ledger


async def child(what: str, file: Path, count: int) -> dict[str, Any]:
    """`fill`: open the cases. `sweep`: move them on."""
    shop, ledger = await opened(file, count)
    before, began = peak(), time.perf_counter()
    found: dict[str, Any] = {"before": before}
    if what == "fill":
        found["cases"] = (await take_orders(shop)).opened
    else:
        summary = await sweep(shop)
        found |= {"cases": summary.cases, "problems": summary.problems[:3]}
    found |= {"peak": peak(), "seconds": time.perf_counter() - began}
    await shop.aclose()
    await ledger.aclose()
    return found


def peak() -> float:
    """MiB that this process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forked(what: str, file: Path, count: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.memory",
        "--child",
        what,
        "--file",
        str(file),
        "--cases",
        str(count),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(ended.stderr)
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


WAITS = ("cases", "heads", "totals")
"""What a case needs in order to wait: its row with its due time, and the signed head of its chain."""


def bytes_per_case(file: Path, count: int) -> dict[str, float]:
    """Bytes on the disk per case, by table with its indexes; empty where this SQLite cannot tell."""
    with closing(sqlite3.connect(file)) as connection:
        names = dict(
            connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE rootpage > 0").fetchall()
        )
        try:
            sizes = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
        except sqlite3.OperationalError:
            return {}
    found: dict[str, float] = {}
    for name, size in sizes:
        table = names.get(name, name)
        found[table] = found.get(table, 0.0) + size / count
    return found


def told(name: str, value: str, bar: str, ok: bool | None) -> str:
    verdict = "" if ok is None else "met" if ok else "**missed**"
    return f"| {name} | {value} | {bar} | {verdict} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=1_000_000, help="0: leave that part out")
    parser.add_argument("--child", choices=("fill", "sweep"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(asyncio.run(child(asked.child, asked.file, asked.cases))))
        return 0
    good: list[bool] = []
    lines = ["| measure | found | bar | |", "|---|---:|---:|---|"]
    with tempfile.TemporaryDirectory(prefix="memory-") as made:
        file = Path(made) / "ledger.db"
        filled = forked("fill", file, asked.cases)
        swept = forked("sweep", file, asked.cases)
        if filled["cases"] != asked.cases or swept["cases"] < asked.cases or swept["problems"]:
            raise SystemExit(f"not every case was swept: {filled}, {swept}")
        good.append(swept["peak"] <= MEMORY_BAR)
        lines.append(
            told(
                f"a sweep over {asked.cases:,} due cases: memory at most",
                f"{swept['peak']:.0f} MiB",
                "300 MB",
                good[-1],
            )
        )
        lines.append(told("of it before the sweep began", f"{swept['before']:.0f} MiB", "", None))
        rate = swept["cases"] / swept["seconds"]
        lines.append(told("that sweep", f"{swept['seconds']:.0f} s, {rate:.0f} cases/s", "", None))
        lines.append(told("the intake before it: memory at most", f"{filled['peak']:.0f} MiB", "", None))
        sizes = bytes_per_case(file, asked.cases)
        if sizes:
            waiting = sum(sizes.get(table, 0.0) for table in WAITS)
            good.append(waiting <= WAITING_BAR)
            lines.append(told("a waiting case beyond its facts", f"{waiting:.0f} bytes", "1 KiB", good[-1]))
            for table, size in sorted(sizes.items(), key=lambda item: -item[1]):
                if size >= 32:
                    lines.append(
                        told(f"table `{table}` with its indexes, per case", f"{size:.0f} bytes", "", None)
                    )
        else:
            lines.append(told("a waiting case beyond its facts", "this SQLite has no dbstat", "1 KiB", None))
        if asked.open:
            file.unlink()
            found = asyncio.run(sweeps_of(Path(made), asked.open, 1))
            quiet = statistics.median(inside for _, inside in found.quiet)
            good.append(quiet <= QUIET_BAR)
            name = f"a sweep with nothing due, {asked.open:,} cases open: ledger time"
            lines.append(told(name, f"{1000 * quiet:.1f} ms", "50 ms", good[-1]))
    print("\n".join(lines))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
