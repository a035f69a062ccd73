"""Small worlds lived through from the first order to the last outcome: nothing twice, nothing lost, the same each time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.simulate import Instant, Result, Simulation, memory, simulate

SMALL = {"cases": 34, "days": 6}


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory, where it can be: these tests are not about the disk."""
    with tempfile.TemporaryDirectory(dir=memory() or tmp_path) as folder:
        yield Path(folder)


def lived(asked: Simulation, folder: Path) -> Result:
    """Fails with the command that repeats it."""
    result = simulate(asked, folder)
    assert result.ok, f"{asked.command}\n" + "\n".join(result.wrong)
    return result


@pytest.mark.parametrize(("seed", "faults"), [(1, "demo"), (2, "demo"), (3, "heavy"), (4, "none")])
def test_a_small_world(seed: int, faults: str, tmp_path: Path) -> None:
    result = lived(Simulation(**SMALL, seed=seed, faults=faults), tmp_path)
    assert result.cases > 20
    assert result.facts > 10 * result.cases
    assert sum(result.outcomes.values()) + sum(result.stages.values()) == result.cases


def test_the_same_seed_gives_the_same_ledger(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        found.append(lived(Simulation(20, 4, seed=5, faults="heavy"), tmp_path / name))
    assert found[0].hash == found[1].hash
    (tmp_path / "another").mkdir()
    assert lived(Simulation(20, 4, seed=6, faults="heavy"), tmp_path / "another").hash != found[0].hash


def test_a_wrong_world_says_how_to_see_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that is told of a loss: the result is not ok, and the command names all that matters."""
    monkeypatch.setattr("benchmarks.simulate.judge.lost", lambda *_: ["A-1: a remedy is owed"])
    result = simulate(Simulation(4, 1, seed=9, faults="none"), tmp_path)
    assert not result.ok
    assert result.wrong == ["lost: A-1: a remedy is owed"]
    assert result.command == "python -m benchmarks.simulate --cases 4 --days 1 --seed 9 --faults none"


def test_waiting_takes_no_time() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
        return loop.time() - begun

    began = time.monotonic()
    with asyncio.Runner(loop_factory=Instant) as runner:
        assert runner.run(wait()) == pytest.approx(7200)
    assert time.monotonic() - began < 5


def test_shops_of_one_world_live_side_by_side(tmp_path: Path) -> None:
    """Each is the same as alone, and the whole is repeatable; a wrong one names the world to look at alone."""
    asked = Simulation(20, 4, seed=5, faults="heavy", shops=2)
    assert asked.command.endswith("--shops 2")
    first, second = asked.each()
    assert (first.cases, second.cases, first.shops, first.seed) == (10, 10, 1, 5)
    assert second.seed not in range(1000)
    found = []
    for name in ("whole", "again", "first", "second"):
        (tmp_path / name).mkdir()
    for name in ("whole", "again"):
        found.append(lived(asked, tmp_path / name))
    alone = [lived(first, tmp_path / "first"), lived(second, tmp_path / "second")]
    assert found[0].hash == found[1].hash
    assert found[0].hash not in (alone[0].hash, alone[1].hash)
    assert found[0].facts == sum(one.facts for one in alone)
    assert found[0].outcomes == dict(Counter(alone[0].outcomes) + Counter(alone[1].outcomes))
