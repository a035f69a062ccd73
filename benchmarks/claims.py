"""Measures the claim of 200 due cases among many open ones, beside raw sqlite3 doing the same; prints markdown.

python -m benchmarks.claims [--open 1000000] [--rounds 25]

amends and raw sqlite3 take turns, each on its own copy of the same file with its own warm cache, and write the same lease
in one durable transaction: rollback journal, `synchronous=FULL`. Both read the same rows, look for garbage as seldom as a
sweep does, and run on the same processor: amends' thread would else get another than raw sqlite3's, and those of a shared
machine differ. What raw sqlite3 does with the bytes comes in three kinds, because a claim is only of use when its cases can
be decided on:

bare      nothing: tuples of bytes
decoding  `json.loads` of each fact, folded into a plain dictionary per case
typed     that, with the times as datetimes and the amounts as integers, which is what deciding compares
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.ledgers import NOW, SHOP, fill, judged, opened, order, timed

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.ledger import Ledger, Tx, chain, intake, work
from amends.ledger.schema import cases, ticks
from amends.steps.advance import collected_seldom

BATCH = 200
BAR = 1.5
KINDS = ("bare", "decoding", "typed")
LIVES = {"just opened": 2, "half way": 8}
"""Facts per case: as on its first claim, and after an offer, a reply and some looks."""
OFFER = Offer(
    remedy=Remedy(kind=RemedyKind.COUPON, amount=Money(minor=500, currency="CNY")),
    new_ship_by=NOW + timedelta(days=2), reply_by=NOW + timedelta(days=1), why="late by a day", cause="stock",
)  # fmt: skip


def life(number: int, facts: int) -> list[f.FactBody]:
    """What has happened to a case since it was opened."""
    one = order(number)
    bodies: list[f.FactBody] = [
        f.Observed(order=one, lateness=judged(one)),
        f.Proposed(round=1, offer=OFFER, policy="l", state=State.OVERDUE, tier=1),
        f.Contacted(
            round=1, via="platform", effect=f"e-{number}", ref=f"R-{number}", reply_by=NOW + timedelta(days=1)
        ),
        f.SeenAgain(),
        f.Replied(round=1, answer=f.Answer.ACCEPT, event=f"v-{number}", via="platform"),
        f.Settled(round=1, remedy=OFFER.remedy, effect=f"g-{number}", ref=f"G-{number}"),
        f.SeenAgain(lateness=judged(one)),
    ]
    return bodies[: facts - 1]  # the first is `Opened`


class Claims:
    """Seconds of one claim of 200 due cases while `count` are open, for us and for each kind of raw sqlite3, in turn."""

    def __init__(self, folder: Path, count: int, facts: int) -> None:
        self.open = count
        self.ours: list[float] = []
        self.raw: dict[str, list[float]] = {kind: [] for kind in KINDS}
        file, copy = (folder / f"claims-{count}-{facts}{end}.db" for end in ("", "-raw"))
        self._files = (file, copy)
        ledger = opened(folder, file.name)
        openings = [
            intake.Opening(order(n).number, State.OVERDUE, "overdue", "p", "l", NOW) for n in range(BATCH)
        ]
        seen = [intake.Seen(order(n), judged(order(n))) for n in range(BATCH)]
        ledger.do(intake.take, SHOP, seen, now=NOW)
        ids = ledger.do(intake.open_cases, SHOP, openings, NOW)
        rows = {ids[order(n).number]: [chain.New(body, NOW) for body in life(n, facts)] for n in range(BATCH)}
        ledger.do(chain.append, rows)
        ledger.close()
        fill(file, count - BATCH)
        shutil.copyfile(file, copy)
        self._ledger, self._theirs = opened(folder, file.name), Raw(copy)
        _the_same(_claim(self._ledger), self._theirs.claim("typed"))
        self._free()

    def take_turn(self, *, measured: bool) -> None:
        """Claim once each, and free again."""
        ours = timed(lambda: _claim(self._ledger))
        self._free()
        for kind in KINDS:
            theirs = timed(lambda: self._theirs.claim(kind))  # noqa: B023  # called at once
            self._free()
            if measured:
                self.raw[kind].append(theirs)
        if measured:
            self.ours.append(ours)

    def _free(self) -> None:
        self._ledger.do(_free)
        self._theirs.free()

    def close(self) -> None:
        self._theirs.db.close()
        self._ledger.close()
        for file in self._files:
            file.unlink()

    @property
    def median(self) -> float:
        return statistics.median(self.ours)

    def ratio(self, kind: str) -> float:
        return self.median / statistics.median(self.raw[kind])


def _claim(ledger: Ledger) -> list[work.Claim]:
    """Ready to be decided on: whatever is put off until somebody asks for it is asked for."""
    claims = ledger.do(work.claim, SHOP, "bench", now=NOW, limit=BATCH)
    for claim in claims:
        assert claim.snapshot.order is not None
    return claims


def _free(tx: Tx) -> None:
    tx.execute(
        cases.update().where(cases.c.lease_owner.is_not(None)).values(lease_owner=None, lease_until=None)
    )


def _the_same(ours: list[work.Claim], theirs: dict[int, dict[str, Any]]) -> None:
    """Both have claimed the same cases, and know the same about them."""
    told = {
        claim.id: (claim.number, claim.snapshot.count, len(claim.snapshot.rounds), claim.snapshot.order)
        for claim in ours
    }
    for id_, (number, count, rounds, seen) in told.items():
        state = theirs[id_]
        assert seen is not None
        same = (state["number"], state["count"], len(state["rounds"])) == (number, count, rounds)
        same = same and state["order"]["ship_by"] == seen.ship_by
        same = same and state["order"]["amount"] == (seen.amount.minor, seen.amount.currency)
        if not same:
            raise AssertionError(f"case {id_}: {state} is not what amends knows: {told[id_]}")
    if len(told) != BATCH or told.keys() != theirs.keys():
        raise AssertionError(f"{len(told)} and {len(theirs)} cases were claimed, not {BATCH}")


class Raw:
    """The same claim on sqlite3 alone: its fastest form that we know, statements cached by the driver."""

    def __init__(self, file: Path) -> None:
        self.db = sqlite3.connect(file, isolation_level=None)
        for pragma in (
            "journal_mode=TRUNCATE",
            "synchronous=FULL",
            "cache_size=-65536",
            "temp_store=MEMORY",
            "foreign_keys=ON",
        ):
            self.db.execute(f"PRAGMA {pragma}")

    def free(self) -> None:
        self.db.execute(
            "UPDATE cases SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL"
        )

    def claim(self, kind: str) -> dict[int, dict[str, Any]]:
        now, real, db = ticks(NOW), time.time_ns() // 1000, self.db
        db.execute("BEGIN IMMEDIATE")
        due = """SELECT id FROM cases WHERE shop = ? AND due_at IS NOT NULL AND due_at <= ?
            AND (lease_until IS NULL OR lease_until < ?) ORDER BY due_at, id LIMIT ?"""
        ids = [row[0] for row in db.execute(due, (SHOP, now, real, BATCH))]
        marks = ",".join("?" * len(ids))
        taken = f"""UPDATE cases SET lease_owner = 'raw', lease_until = ?, epoch = epoch + 1, wake = 0
            WHERE id IN ({marks}) RETURNING id, number, epoch, playbook, policy, failures"""  # noqa: S608  # only marks
        rows = db.execute(taken, (real + 10**8, *ids)).fetchall()
        numbers = [row[1] for row in rows]
        facts = f"""SELECT case_id, seq, at, kind, actor, body FROM facts WHERE case_id IN ({marks})
            ORDER BY case_id, seq"""  # noqa: S608  # only marks
        told = db.execute(facts, ids).fetchall()
        effects = f"SELECT * FROM effects WHERE case_id IN ({marks}) AND settled_at IS NULL"  # noqa: S608  # only marks
        db.execute(effects, ids).fetchall()
        db.execute("SELECT * FROM holds WHERE shop IN ('', ?)", (SHOP,)).fetchall()
        watched = f"SELECT number, observed_at FROM orders WHERE shop = ? AND number IN ({','.join('?' * len(numbers))})"  # noqa: S608  # only marks
        db.execute(watched, (SHOP, *numbers)).fetchall()
        states = {} if kind == "bare" else _folded(rows, told, _ORDER if kind == "typed" else {})
        db.execute("COMMIT")
        return states


def _folded(rows: list[Any], told: list[Any], typed: dict[str, Callable[[Any], Any]]) -> dict[int, Any]:
    """A dictionary per case of what its facts say: no classes, no checks."""
    states: dict[int, Any] = {
        row[0]: {"number": row[1], "epoch": row[2], "count": 0, "order": None, "rounds": {}, "acts": {}}
        for row in rows
    }
    bodies = json.loads(f"[{','.join(row[5] for row in told)}]")  # in one go: half of one by one
    for (case, seq, at, kind, _, _), fact in zip(told, bodies, strict=True):
        state = states[case]
        state["count"] = seq
        when = datetime.fromtimestamp(at / 1e6, UTC) if typed else at
        match kind:
            case "observed":
                state["order"], state["observed_at"] = fact["order"], when
                for name, read in typed.items():
                    if name in fact["order"]:
                        fact["order"][name] = read(fact["order"][name])
            case "seen-again":
                state["observed_at"] = when
            case "opened":
                state["opened_at"] = when
            case "proposed":
                state["rounds"][fact["round"]] = fact
            case "contacted" | "replied" | "settled":
                state["rounds"][fact["round"]][kind] = (when, fact)
    return states


def _amount(text: str) -> tuple[int, str]:
    number, currency = text.split()
    return int(Decimal(number).scaleb(2)), currency


_ORDER: dict[str, Callable[[Any], Any]] = {
    "amount": _amount,
    **dict.fromkeys(("placed_at", "paid_at", "ship_by", "observed_at", "updated_at"), datetime.fromisoformat),
}


def table(few: dict[str, Claims], many: dict[str, Claims], rounds: int) -> list[str]:
    def ms(values: list[float]) -> str:
        return f"{1000 * statistics.median(values):.1f}"

    lines = [
        f"Milliseconds of one claim of {BATCH} due cases, medians of {rounds} in turn. `decoding` is the least that does the "
        "same: `python -m benchmarks.claims --help`.",
        "",
        "| open cases | due cases | amends | bare | decoding | typed | × bare | × decoding | × typed | bar (× decoding) |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for found in (few, many):
        for name, claims in found.items():
            raw = " | ".join(ms(claims.raw[kind]) for kind in KINDS)
            ratios = " | ".join(f"{claims.ratio(kind):.2f}" for kind in KINDS)
            verdict = "met" if claims.ratio("decoding") <= BAR else "**missed**"
            about = f"{name}, {LIVES[name]} facts each"
            lines.append(
                f"| {claims.open:,} | {about} | {ms(claims.ours)} | {raw} | {ratios} | ≤ {BAR} {verdict} |"
            )
    for name in many:
        growth = many[name].median / few[name].median
        verdict = "met" if growth <= BAR else "**missed**"
        lines += [
            "",
            f"{name}: amends with {many[name].open:,} open is {growth:.2f} × amends with {few[name].open:,}"
            f" (bar ≤ {BAR}: {verdict}).",
        ]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--open", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=25)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        few, many = (
            {name: Claims(Path(folder), count, facts) for name, facts in LIVES.items()}
            for count in (asked.few, asked.open)
        )
        everything = [*few.values(), *many.values()]
        with collected_seldom():
            for turn in range(asked.rounds + 2):  # the first ones warm up
                for claims in everything:
                    claims.take_turn(measured=turn > 1)
        for claims in everything:
            claims.close()
    print("\n".join(table(few, many, asked.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
