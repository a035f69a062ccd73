"""Measures the ledger alone, on SQLite: intake, claims among many open cases beside raw sqlite3, evidence."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from amends.cases import facts as f
from amends.cases.lateness import State, judge
from amends.cases.money import Money
from amends.cases.orders import Order, OrderStatus
from amends.cases.rules import RuleBook
from amends.ledger import Ledger, Tx, Vault, chain, intake, work
from amends.ledger.schema import ticks

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHOP, BATCH = "bench", 200
RULES = RuleBook()
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO cases (shop, number, generation, opened_at, stage, due_at, playbook, policy)
SELECT 'bench', 'W-' || i, 1, ?, 'awaiting-reply', ? + i, 'p', 'l' FROM n
"""


def order(number: int) -> Order:
    placed = NOW - timedelta(days=1, seconds=number % 50_000)
    return Order(
        number=f"B-{number:08}", amount=Money(minor=9900 + number % 1000, currency="CNY"), placed_at=placed, paid_at=placed,
        observed_at=NOW, updated_at=placed, ship_by=placed + timedelta(days=2), status=OrderStatus.TO_SHIP,
        customer=f"c{number % 70_000}",
    )  # fmt: skip


def opened(folder: Path, name: str) -> Ledger:
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger.open(f"sqlite:///{folder / name}", Vault(bytes(range(32))))


def timed(work_: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work_()
    return time.perf_counter() - began


def intake_of(folder: Path, count: int, page: int = 200) -> tuple[float, float]:
    """Seconds to judge and take in that many new orders in pages, and the same again unchanged."""
    ledger = opened(folder, "intake.db")
    orders = [order(n) for n in range(count)]

    def take() -> None:
        for start in range(0, count, page):
            seen = [
                intake.Seen(one, judge(one, now=NOW, rules=RULES)) for one in orders[start : start + page]
            ]
            ledger.do(intake.take, SHOP, seen, now=NOW)

    found = timed(take), timed(take)
    ledger.close()
    return found


@dataclass
class Claims:
    """Seconds of one claim, for us and for raw sqlite3, in turn."""

    open: int
    ours: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.raw)


def claims_of(folder: Path, count: int, rounds: int) -> Claims:
    """Claim 200 due cases while `count` are open. Raw sqlite3 reads and writes the same rows and decodes nothing."""
    ledger = opened(folder, f"claims-{count}.db")
    late = [order(n) for n in range(BATCH)]
    ledger.do(
        intake.take, SHOP, [intake.Seen(one, judge(one, now=NOW, rules=RULES)) for one in late], now=NOW
    )
    openings = [intake.Opening(one.number, State.OVERDUE, "overdue", "p", "l", NOW) for one in late]
    ids = ledger.do(intake.open_cases, SHOP, openings, NOW)

    def observe(tx: Tx) -> None:
        chain.append(
            tx,
            {
                ids[one.number]: [
                    chain.New(f.Observed(order=one, lateness=judge(one, now=NOW, rules=RULES)), NOW)
                ]
                for one in late
            },
        )

    ledger.do(observe)
    file = str(folder / f"claims-{count}.db")
    raw = sqlite3.connect(file, isolation_level=None)
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA cache_size=-65536")
    raw.execute(FILL, (count - BATCH, ticks(NOW), ticks(NOW + timedelta(hours=1))))
    found = Claims(count)
    free = "UPDATE cases SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL"
    for turn in range(rounds + 1):
        ours = timed(lambda: ledger.do(work.claim, SHOP, "bench", now=NOW, limit=BATCH))
        raw.execute(free)
        theirs = timed(lambda: _raw_claim(raw))
        raw.execute(free)
        if turn:  # the first one warms up
            found.ours.append(ours)
            found.raw.append(theirs)
    raw.close()
    ledger.close()
    return found


def _raw_claim(db: sqlite3.Connection) -> None:
    now = ticks(NOW)
    real = time.time_ns() // 1000
    db.execute("BEGIN IMMEDIATE")
    due = """SELECT id FROM cases WHERE shop = ? AND due_at IS NOT NULL AND due_at <= ?
        AND (lease_until IS NULL OR lease_until < ?)"""
    ids = [row[0] for row in db.execute(f"{due} ORDER BY due_at, id LIMIT {BATCH}", (SHOP, now, real))]
    marks = ",".join("?" * len(ids))
    taken = f"""UPDATE cases SET lease_owner = 'raw', lease_until = ?, epoch = epoch + 1, wake = 0
        WHERE id IN ({marks}) RETURNING id, number, epoch, playbook, policy, failures"""  # noqa: S608  # only marks
    numbers = [row[1] for row in db.execute(taken, (real + 10**8, *ids)).fetchall()]
    for query in (
        f"SELECT * FROM facts WHERE case_id IN ({marks}) ORDER BY case_id, seq",  # noqa: S608
        f"SELECT * FROM effects WHERE case_id IN ({marks}) AND settled_at IS NULL",  # noqa: S608
    ):
        db.execute(query, ids).fetchall()
    db.execute("SELECT * FROM holds WHERE shop IN ('', ?)", (SHOP,)).fetchall()
    seen = f"SELECT number, observed_at FROM orders WHERE shop = ? AND number IN ({','.join('?' * len(numbers))})"  # noqa: S608
    db.execute(seen, (SHOP, *numbers)).fetchall()
    db.execute("COMMIT")


def evidence_of(folder: Path, count: int) -> float:
    """Seconds to verify that many facts, ten to a case."""
    ledger = opened(folder, "evidence.db")
    body = f.Observed(order=order(1), lateness=judge(order(1), now=NOW, rules=RULES))
    for start in range(0, count // 10, 2000):
        openings = [
            intake.Opening(f"B-{n}", State.OVERDUE, "overdue", "p", "l", NOW)
            for n in range(start, min(start + 2000, count // 10))
        ]
        ids = ledger.do(intake.open_cases, SHOP, openings, NOW)
        rows = {id_: [chain.New(body, NOW)] * 9 for id_ in ids.values()}
        ledger.do(chain.append, rows)
    report: list[chain.Report] = []
    seconds = timed(lambda: report.append(ledger.do(chain.verify)))
    if report[0].broken or report[0].facts != count:
        raise AssertionError(f"{report[0].facts} facts, {report[0].broken} broken")
    ledger.close()
    return seconds
