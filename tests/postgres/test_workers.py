"""Four workers on one Postgres ledger and one shop: side by side, killed, and stopped for longer than their leases."""

from __future__ import annotations

import math
import random
import signal
import time
from pathlib import Path

import pytest
from tests.crash.killing import KILLS, SEED, draws
from tests.postgres.flock import Flock, Worker, flock
from tests.postgres.world import nothing_wrong

pytestmark = [pytest.mark.postgres, pytest.mark.crash]
DAYS = 3
WORKERS = 4
STOPS = ("after-claim", "after-plan", "after-sent", "after-send", "before-outcome")


def test_side_by_side_they_share_the_work(folder: Path, database: str) -> None:
    with flock(folder, database, seed=SEED, orders=50, days=2) as here:
        beside = 0
        for _ in range(2 * 4):
            workers = [here.spawn() for _ in range(WORKERS)]
            beside += sum(here.ended(worker)["moved_beside"] for worker in workers)
            assert here.due() == []
            here.people()
            here.go_on()
        assert beside > 10, "workers beside the sweeping one took cases, too"
        _ended(here)


@pytest.mark.parametrize("seed", range(SEED, SEED + math.ceil(KILLS / 300)))
def test_killed_and_stopped_nothing_is_done_twice_or_lost(folder: Path, database: str, seed: int) -> None:
    draw = draws(seed, "workers")
    killed = stopped = 0
    with flock(folder, database, seed=seed, orders=60, days=DAYS) as here:
        asleep: list[Worker] = []
        for _ in range(DAYS * 4):
            for (
                worker
            ) in asleep:  # they wake up hours later by the shop's time: their leases have long run out
                worker.send(signal.SIGCONT)
            began = time.monotonic()
            sleeper = here.spawn(stop_at=draw.choice(STOPS))
            victims = [here.spawn() for _ in range(WORKERS - 1)]
            killed += _disturb(here, draw, victims)
            here.settle()
            for worker in [*asleep, *victims]:
                here.ended(worker)
            asleep = [sleeper] if sleeper.state == "T" else []
            if asleep:
                stopped += 1
            else:
                here.ended(sleeper)
            here.took = min(here.took, time.monotonic() - began)
            here.people()
            here.go_on()
        for worker in asleep:
            worker.send(signal.SIGCONT)
            here.ended(worker)
        _ended(here)
    assert killed >= 6 and stopped >= 6, f"{killed} killed, {stopped} stopped: the draw misses the work"


def _disturb(here: Flock, draw: random.Random, victims: list[Worker]) -> int:
    """Kill two at random moments, and stop another past its lease; answers with how many were killed at work."""
    first, second, third = victims
    killed = 0
    time.sleep(draw.uniform(0.1, 0.6))
    for victim in (first, third):
        killed += victim.alive
        victim.process.kill()
        time.sleep(draw.uniform(0.0, 0.2))
    second.send(signal.SIGSTOP)
    time.sleep(here.lease + 0.3)
    second.send(signal.SIGCONT)
    return killed


def _ended(here: Flock) -> None:
    """A last day without trouble, so that what was left open is settled; then the judge."""
    for _ in range(2):
        here.go_on()
        here.settle()
        here.people()
    verdict = here.verdict()
    assert nothing_wrong(verdict), verdict
