"""Measures the ledger alone, on SQLite: intake of orders with de-duplication, and evidence verified; prints markdown.

python -m benchmarks.ledgers [--intake 100000] [--facts 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from amends.cases import facts as f
from amends.cases.lateness import Lateness, State, judge
from amends.cases.money import Money
from amends.cases.orders import Order, OrderStatus
from amends.cases.rules import RuleBook
from amends.ledger import Ledger, Vault, chain, intake
from amends.ledger.schema import ticks

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHOP = "bench"
RULES = RuleBook()
PAGE = 200
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO cases (shop, number, generation, opened_at, stage, due_at, why, playbook, policy)
SELECT :shop, 'W-' || i, 1, :now, 'awaiting-reply', :due + i, 'an offer is out until 2026-11-24 08:00 UTC', 'p', 'l' FROM n
"""


def order(number: int) -> Order:
    placed = NOW - timedelta(days=1, seconds=number % 50_000)
    return Order(
        number=f"B-{number:08}", amount=Money(minor=9900 + number % 1000, currency="CNY"), placed_at=placed, paid_at=placed,
        observed_at=NOW, updated_at=placed, ship_by=placed + timedelta(days=2), status=OrderStatus.TO_SHIP,
        customer=f"c{number % 70_000}",
    )  # fmt: skip


def judged(one: Order) -> Lateness:
    return judge(one, now=NOW, rules=RULES)


def opened(folder: Path, name: str) -> Ledger:
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger.open(f"sqlite:///{folder / name}", Vault(bytes(range(32))))


def fill(file: Path, count: int, *, shop: str = SHOP, now: datetime = NOW) -> None:
    """Add so many open cases that wait for a reply, due after an hour."""
    db = sqlite3.connect(file, isolation_level=None)
    due = ticks(now + timedelta(hours=1))
    db.execute(FILL, {"count": count, "shop": shop, "now": ticks(now), "due": due})
    db.close()


def timed(work_: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work_()
    return time.perf_counter() - began


def intake_of(folder: Path, count: int) -> tuple[float, float]:
    """Seconds to judge and take in that many new orders in pages, and the same again unchanged."""
    ledger = opened(folder, f"intake-{count}.db")
    orders = [order(n) for n in range(count)]

    def take() -> None:
        for start in range(0, count, PAGE):
            seen = [intake.Seen(one, judged(one)) for one in orders[start : start + PAGE]]
            ledger.do(intake.take, SHOP, seen, now=NOW)

    found = timed(take), timed(take)
    ledger.close()
    (folder / f"intake-{count}.db").unlink()
    return found


def evidence_of(folder: Path, count: int, rounds: int) -> list[float]:
    """Seconds to verify that many facts, ten to a case."""
    ledger = opened(folder, "evidence.db")
    body = f.Observed(order=order(1), lateness=judged(order(1)))
    for start in range(0, count // 10, 2000):
        openings = [
            intake.Opening(f"B-{n}", State.OVERDUE, "overdue", "p", "l", NOW)
            for n in range(start, min(start + 2000, count // 10))
        ]
        ids = ledger.do(intake.open_cases, SHOP, openings, NOW)
        ledger.do(chain.append, {id_: [chain.New(body, NOW)] * 9 for id_ in ids.values()})
    report: list[chain.Report] = []
    seconds = [timed(lambda: report.append(ledger.do(chain.verify))) for _ in range(rounds)]
    if any(found.broken or found.facts != count for found in report):
        raise AssertionError(f"{report[0].facts} facts, {report[0].broken} broken")
    ledger.close()
    return seconds


def lines(asked: argparse.Namespace) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        turns = [intake_of(Path(folder), asked.intake) for _ in range(asked.rounds)]
        seconds = statistics.median(evidence_of(Path(folder), asked.facts, asked.rounds))
    fresh, again = (statistics.median(turn[n] for turn in turns) for n in (0, 1))

    def verdict(ok: bool, full: bool) -> str:
        return ("met" if ok else "**missed**") if full else "another number of them"

    taken = verdict(max(fresh, again) <= 10, asked.intake == 100_000)
    checked = verdict(seconds <= 2, asked.facts == 100_000)
    yield f"Medians of {asked.rounds}."
    yield ""
    yield "| measure | found | bar | |"
    yield "|---|---:|---:|---|"
    yield f"| intake of {asked.intake:,} new orders, judged, pages of {PAGE} | {fresh:.1f} s | 100,000 in ≤ 10 s | {taken} |"
    yield f"| the same again: all known and unchanged | {again:.1f} s | 100,000 in ≤ 10 s | {taken} |"
    yield f"| {asked.facts:,} facts of evidence verified | {seconds:.2f} s | 100,000 in ≤ 2 s | {checked} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--intake", type=int, default=100_000)
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    print("\n".join(lines(parser.parse_args())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
