"""Whoever locks several rows does so in one order, so that workers never wait for each other in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.unit.ledger.makers import KEY, LATE, SHOP, claim, in_threads, opened, seen, verified

from amends.cases import facts as f
from amends.ledger import Ledger, Tx, chain, intake, leases, work
from amends.ledger.schema import cases

pytestmark = pytest.mark.postgres
NUMBERS = [f"A-{n:03}" for n in range(60)]
TURNS = 25
TICK = timedelta(seconds=1)


@pytest.fixture
def open_(database: str) -> Iterator[Callable[[], Ledger]]:
    found: list[Ledger] = []

    def another() -> Ledger:
        found.append(Ledger.open(database, KEY))
        return found[-1]

    yield another
    for ledger in found:
        ledger.close()


def test_orders_taken_in_by_several_at_once(open_: Callable[[], Ledger]) -> None:
    """Pages come in the platform's order, looks of workers in that of their cases; some changed, some only looked at."""
    ledgers = [open_() for _ in range(3)]

    def take(n: int) -> None:
        for turn in range(TURNS):
            at = LATE + (3 * turn + n) * TICK
            row = NUMBERS if n % 2 else NUMBERS[::-1]
            items = [
                seen(number, at=at, updated_at=at if (turn + i) % 2 else None) for i, number in enumerate(row)
            ]
            ledgers[n].do(intake.take, SHOP, items, now=at, waking=False)
            if n == 2:
                ledgers[n].do(intake.judged, SHOP, items)

    in_threads(3, take)


def test_events_workers_and_a_restart_at_once(open_: Callable[[], Ledger]) -> None:
    """Events wake cases by their orders' numbers, workers write by their ids, and a dead worker's cases are freed."""
    ledgers = [open_() for _ in range(4)]
    opened(ledgers[0], *reversed(NUMBERS))  # numbers and ids run against each other

    def run(n: int) -> None:
        for turn in range(TURNS):
            now = LATE + turn * TICK
            match n:
                case 0:
                    ledgers[n].do(intake.wake, SHOP, NUMBERS, now)
                case 1:
                    ledgers[n].do(leases.free_dead)
                case _:
                    held = claim(ledgers[n], f"w{n}", at=now, limit=30)
                    facts = [chain.New(f.Held(why="x", by="ana"), now), chain.New(f.Released(by="ana"), now)]
                    ends = [
                        work.End(one, facts=list(facts), stage="contact", due_at=now, keep=n == 2)
                        for one in held
                    ]
                    ledgers[n].do(work.conclude, ends, now)
                    ledgers[n].do(_let_go, n)

    in_threads(4, run)
    assert verified(ledgers[0]).breaks == ()


def _let_go(tx: Tx, n: int) -> None:
    """What worker `n` still holds is now a dead process's: of a pid that cannot be."""
    machine = leases.new_owner().partition(":")[0]
    mine = cases.c.lease_owner == f"w{n}"
    tx.execute(tx.locked(select(cases.c.id).where(mine).order_by(cases.c.id)))  # in the order of all others
    tx.execute(update(cases).where(mine).values(lease_owner=f"{machine}:99999999:1:{n}"))
