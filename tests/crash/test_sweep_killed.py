"""`kill -9` of `amends sweep --local`, at random moments and at each named point; run again, nothing is repeated or lost."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.killing import KILLS, POINTS, SEED, World, again, draws, nothing_wrong, world

pytestmark = pytest.mark.crash
DAYS = 5
"""Virtual days of one world: so many sweeps fit in that each world takes twenty kills."""
PER_WORLD = DAYS * 4


@pytest.fixture
def folder() -> Iterator[Path]:
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="amends-crash-", dir=shm) as found:
        yield Path(found)


@pytest.mark.parametrize("seed", range(SEED, SEED + math.ceil(KILLS / PER_WORLD)))
def test_at_random_moments(folder: Path, seed: int) -> None:
    draw = draws(seed, "moments")
    with world(folder, seed=seed, orders=50, days=DAYS) as here:
        here.sweep_whole()
        here.people()
        for _ in range(PER_WORLD):
            here.go_on()
            here.sweep_killed(after=draw.uniform(0.02, 0.9) * here.took)
            here.sweep_whole()
            here.people()
        _ended(here, again("random", seed))
        assert here.killed >= PER_WORLD / 2, here.log  # else the draw misses the work


@pytest.mark.parametrize("seed", range(SEED, SEED + math.ceil(KILLS / 100)))
def test_at_each_point(folder: Path, seed: int) -> None:
    """Each durable boundary is met once, and those of a sweep's later steps twice."""
    draw = draws(seed, "points")
    later = [point for point in POINTS if point not in ("before-intake", "after-claim")]
    crashes = [*(f"{point}:1" for point in POINTS), *(f"{point}:2" for point in later)]
    draw.shuffle(crashes)
    died: set[str] = set()
    with world(folder, seed=seed + 1000, orders=50, days=DAYS) as here:
        here.sweep_whole()
        here.people()
        while crashes and here.moment < DAYS * 4:
            here.go_on()
            for crash in crashes[:3]:
                crashes.remove(crash)
                if not here.sweep_killed(crash=crash):  # that sweep came to its end
                    crashes.append(crash)
                    break
                died.add(crash.partition(":")[0])
            else:
                here.sweep_whole()
            here.people()
        _ended(here, again("point", seed))
        assert died == set(POINTS), here.log


def test_the_command_itself_killed_and_run_again(folder: Path) -> None:
    """The same by the command that a merchant types, not forked: from the first import on."""
    with world(folder, seed=SEED, orders=30, days=DAYS) as here:
        command = [sys.executable, "-m", "amends", *here.arguments]
        for after in (0.5, 1.4):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(after)
            process.kill()
            process.wait()
        environment = {**os.environ, "AMENDS_CRASH": "before-intake:1"}
        for _ in range(4):
            here.go_on()
        command = [sys.executable, "-m", "amends", *here.arguments]
        first = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert first.returncode == -9, first.stderr
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        here.people()
        _ended(here, again("command", SEED))


def _ended(here: World, how: str) -> None:
    """A last day without kills, so that what was left open is settled; then the judge."""
    for _ in range(2):
        here.go_on()
        here.sweep_whole()
        here.people()
    verdict = here.verdict()
    assert nothing_wrong(verdict), f"{verdict}\nkills: {here.log}\nrepeat: {how}"
