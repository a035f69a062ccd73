"""`kill -9` at random moments, many of them while requests are under way; started again, judged by the marketplace's journal.

`AMENDS_KILLS=5000` (what `make soak` sets) kills more often, in more worlds; a world that fails says how to repeat it.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest
from tests.crash.arena import Arena, Place
from tests.crash.killing import KILLS, SEED, again, draws
from tests.crash.served import Kill, World, slow

from amends.ledger.effects import EffectState
from amends.testing.faults import PRESETS, Dice
from amends.testing.marketplace import Marketplace

pytestmark = pytest.mark.crash
PER_WORLD = 40
ORDERS, DAYS = 24, 8
QUIET = 6
"""Days at most until everything is settled: looks fail too in such a world, and each comes later than the one before."""
EVERY = timedelta(hours=6)
LATENCY = 0.004
"""Seconds that a write takes at most to arrive: so long that kills find requests under way."""
UNDER_WAY = (EffectState.PLANNED, EffectState.SENT, EffectState.UNKNOWN)
SABOTAGES = {
    "no-mark-sent": "an effect leaves without having been written down as sent",
    "random-keys": "each sending draws a key of its own",
    "no-look": "what may have been done is sent again unseen",
    "blind-again": "what must never be sent twice is",
}
_found: Counter[str] = Counter()


class Killer:
    """Lives through one world, killing what sweeps it."""

    def __init__(self, arena: Arena, seed: int, sabotage: str = "", *, limit: int = PER_WORLD) -> None:
        self.limit = limit
        market = Marketplace(seed=seed, orders=ORDERS, days=DAYS)
        faults = PRESETS["heavy"]
        market.visibility_lag = faults.visibility_lag
        self.place: Place = arena.world(World(market, Dice(seed, faults), slow(seed, LATENCY)))
        self.place.sabotage = sabotage
        self.draw: random.Random = draws(seed, "kills")
        self.now: datetime = market.start
        self.took = 0.1
        self.left: Counter[str] = Counter()
        self.log: list[str] = []

    @property
    def killed(self) -> int:
        return self.left.total()

    def live(self) -> Iterator[int]:
        """Six hours after six hours: killed again and again, then let go on; answers with the kills so far."""
        for _ in range(DAYS * 4):
            for _ in range(self.draw.randint(3, 6)):
                self._kill_once()
                if self.killed == self.limit:
                    return
            self._whole()
            yield self.killed

    def end(self) -> list[str]:
        """Some days without a kill, until what was left open is settled; then the judge's word, as of the last sweep."""
        for turn in range(QUIET * 4):
            said = self.place.verdict(self._whole())
            if turn >= 3 and not any(
                e.state in UNDER_WAY and e.effect_class != "by-hand" for e in said.effects
            ):
                return said.wrong
        return [f"an act is under way after {QUIET} days without a kill", *said.wrong]

    def _whole(self) -> datetime:
        last = self.now + timedelta(minutes=7)
        self.took = self.place.sweep([self.now, last], people=True).seconds
        self.now += EVERY
        return last

    def _kill_once(self) -> None:
        kill = kill_after = None
        if self.draw.random() < 0.7:
            then = self.draw.choice(("done", "done", "lost", "late"))
            after = self.draw.choice((0.0, self.draw.uniform(0, 2 * LATENCY)))
            kill = Kill("", self.draw.choice((1, 1, 2, 3)), then, after if then == "done" else 0.0)
        else:
            kill_after = self.draw.uniform(0.1, 0.9) * self.took / 2
        if self.place.sweep([self.now], kill=kill, kill_after=kill_after).killed:
            self.left.update([self.place.left()])
            self.log.append(f"{self.now:%m-%d %H:%M} {kill or f'after {kill_after:.3f} s'}")


@pytest.mark.parametrize("seed", range(SEED, SEED + math.ceil(KILLS / PER_WORLD)))
def test_nothing_twice_and_nothing_lost(arena: Arena, seed: int) -> None:
    killed, how = 0, again("nothing_twice_and_nothing_lost", seed)
    for world in count(seed, 100_000):  # some come to their end before they have seen so many
        killer = Killer(arena, world, limit=PER_WORLD - killed)
        with killer.place:
            for _ in killer.live():
                pass
            wrong = killer.end()
        killed += killer.killed
        _found.update(killer.left)
        assert not wrong, "\n".join([*wrong, f"kills: {killer.log}", f"repeat: {how}"])
        if killed == PER_WORLD:
            return


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_judge_sees_a_worker_without_one_safeguard(arena: Arena, sabotage: str) -> None:
    """The same kills, and one safeguard broken: duplicates must come to light, else these tests prove nothing."""
    for seed in range(SEED, SEED + 3):
        killer = Killer(arena, seed, sabotage)
        with killer.place:
            for _ in killer.live():
                if any("done twice" in wrong for wrong in killer.place.verdict(killer.now).wrong):
                    return
    pytest.fail(f"{SABOTAGES[sabotage]}, and nobody saw it")


def test_zz_the_kills_met_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    """Last in this file: says what the restarts found, and that kills often landed between sending and knowing."""
    total = _found.total()
    if not total:
        pytest.skip("no random kill was run")
    with capsys.disabled():
        states = ", ".join(f"{state} {count}" for state, count in _found.most_common())
        sys.stdout.write(f"\nrandom kills: {total}; a restart found {states}\n")
    assert _found["sent"] >= total / 4
