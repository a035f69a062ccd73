"""Measures how cost grows: advance with the number of orders, sweeps and claims with the number of open cases; markdown.

python -m benchmarks.growth [--orders 1000,10000,100000] [--open 10000,100000,1000000] [--rounds 5]

Orders: amends beside the served sandbox, as in benchmarks/sidebyside.py. Open cases: a ledger with so many cases that wait
for a reply, and 200 that are due; sweeps through the real steps, the marketplace in the same process, commits fsynced.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.ledgers import fill
from benchmarks.rivals import CONFIG, QUOTA, Plugin
from benchmarks.sidebyside import SideBySide

from amends import ConnectorSpec, hookimpl
from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends.ledger import Ledger, Vault
from amends.settings import Settings
from amends.steps.intake import take_orders
from amends.steps.shop import Shop
from amends.steps.sweep import sweep
from amends.testing.inprocess import in_process_spec
from amends.testing.marketplace import Marketplace

SHOP, DAYS = "bench", 4
DUE = 200
ORDERS = 390
"""Orders of the marketplace of which about 200 are late."""
QUIET = 9
"""Sweeps with nothing due after each with something."""
QUIET_BAR = 0.05


class TimedLedger(Ledger):
    """Adds up the seconds that its transactions take."""

    spent = 0.0

    def _once(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return super()._once(work, args, kwargs)
        finally:
            self.spent += time.perf_counter() - began


@dataclass
class Sweeps:
    """Seconds of sweeps with so many cases open: in all, and in the ledger's transactions."""

    open: int
    cases: int = 0
    due: list[tuple[float, float]] = field(default_factory=list)
    quiet: list[tuple[float, float]] = field(default_factory=list)
    megabytes: float = 0.0


def market() -> Marketplace:
    found = Marketplace(seed=7, orders=ORDERS, days=DAYS)
    found.set_clock(found.start + timedelta(days=DAYS + 1))
    return found


async def shop_on(file: Path) -> tuple[Shop, TimedLedger]:
    """The shop of the side by side runs, with the marketplace in this process."""
    world = market()
    tables = tomllib.loads(CONFIG.format(url="http://127.0.0.1", quota=QUOTA))
    del tables["shops"][SHOP]["connector_config"]

    class InThisProcess:
        @staticmethod
        @hookimpl
        def amends_connectors() -> Iterator[ConnectorSpec]:
            yield in_process_spec(world)

    registry = Registry.load(allow=["ladder", "rules"])
    registry.add(InThisProcess, name="sandbox")
    registry.add(Plugin, name="bench")
    ledger = TimedLedger.open(f"sqlite:///{file}", Vault(bytes(range(32))))
    assert isinstance(ledger, TimedLedger)
    settings = Settings.model_validate(tables)
    return await Shop.open(
        settings, SHOP, ledger=ledger, registry=registry, clock=FixedClock(world.now)
    ), ledger


async def _timed_sweep(shop: Shop, ledger: TimedLedger) -> tuple[float, float, int]:
    before, began = ledger.spent, time.perf_counter()
    summary = await sweep(shop)
    if summary.problems:
        raise AssertionError(f"a sweep had problems: {summary.problems[:3]}")
    return time.perf_counter() - began, ledger.spent - before, summary.cases


async def sweeps_of(folder: Path, count: int, rounds: int) -> Sweeps:
    """Sweeps with `count` open cases. What is due is taken in before, so that the sweep moves it and no more."""
    found = Sweeps(count)
    ready = folder / f"ready-{count}.db"
    shop, ledger = await shop_on(ready)
    await take_orders(shop)
    await shop.aclose()
    ledger.close()
    fill(ready, count - DUE, shop=SHOP, now=market().now)
    found.megabytes = ready.stat().st_size / 1e6
    for _ in range(rounds):
        file = folder / f"open-{count}.db"
        shutil.copyfile(ready, file)
        shop, ledger = await shop_on(file)
        whole, inside, found.cases = await _timed_sweep(shop, ledger)
        found.due.append((whole, inside))
        for turn in range(QUIET):
            whole, inside, moved = await _timed_sweep(shop, ledger)
            if moved and turn:
                raise AssertionError(f"{moved} cases were due in a quiet sweep")
            if turn:
                found.quiet.append((whole, inside))
        await shop.aclose()
        ledger.close()
        file.unlink()
    ready.unlink()
    return found


def by_orders(folder: Path, sizes: list[int]) -> Iterator[str]:
    yield "One run each (the median of three up to 2,000 orders), the sandbox served over loopback."
    yield ""
    yield "| orders | cases | cases/s | ms a case | × the first | intake orders/s | peak memory |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    first = 0.0
    for size in sizes:
        here = folder / f"orders-{size}"
        here.mkdir()
        sides = SideBySide(here, size, 1, {})
        runs = [sides.amends() for _ in range(3 if size <= 2000 else 1)]
        cost = statistics.median(run["seconds"] / run["cases"] for run in runs)
        taken = statistics.median(run["intake_orders"] / run["intake_seconds"] for run in runs)
        peak = max(run["peak_mib"] for run in runs)
        first = first or cost
        yield (
            f"| {size:,} | {runs[0]['cases']:,} | {1 / cost:.0f} | {1000 * cost:.2f} | {cost / first:.2f} "
            f"| {taken:.0f} | {peak:.0f} MiB |"
        )
        shutil.rmtree(here)


def by_open(folder: Path, sizes: list[int], rounds: int) -> Iterator[str]:
    yield f"Medians of {rounds} sweeps with cases due, and of {rounds * (QUIET - 1)} with nothing due."
    yield ""
    yield "| open cases | file | sweep, cases due | of it ledger | ms a case | sweep, nothing due | of it ledger | bar (ledger) |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---|"
    for size in sizes:
        found = asyncio.run(sweeps_of(folder, size, rounds))
        due, due_inside = (statistics.median(times) for times in zip(*found.due, strict=True))
        quiet, quiet_inside = (statistics.median(times) for times in zip(*found.quiet, strict=True))
        verdict = "met" if quiet_inside <= QUIET_BAR else "**missed**"
        yield (
            f"| {size:,} | {found.megabytes:.0f} MB | {found.cases} due: {1000 * due:.0f} ms | {1000 * due_inside:.0f} ms "
            f"| {1000 * due / found.cases:.2f} | {1000 * quiet:.1f} ms | {1000 * quiet_inside:.1f} ms | ≤ 50 ms {verdict} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])

    def sizes(text: str) -> list[int]:
        return [int(number) for number in text.split(",") if number]

    parser.add_argument("--orders", type=sizes, default=[1000, 10_000, 100_000])
    parser.add_argument("--open", type=sizes, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        for line in by_open(Path(folder), asked.open, asked.rounds):
            print(line, flush=True)
        print()
        for line in by_orders(Path(folder), asked.orders):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
