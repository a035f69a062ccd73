"""Where workers are killed: a farm of workers, a marketplace that outlives them, and small worlds to begin from."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.crash.farm import Ended, Farm
from tests.crash.served import Kill, Served, Worker, World, scripted
from tests.crash.worker import KEY

from amends.demo import judge
from amends.demo.world import SHOP
from amends.hooks.requests import Event
from amends.ledger import Ledger, Tx, Vault
from amends.ledger.effects import Effect
from amends.ledger.schema import cases
from amends.testing.fates import Fate, fate_of
from amends.testing.journal import Entry, duplicates
from amends.testing.marketplace import Marketplace

SEED = next(seed for seed in count(88) if fate_of(seed, 0) is Fate.EXTENDED)
"""A world whose first order is at risk, and whose customer agrees to a later date and a remedy."""
WARNED = datetime(2026, 3, 3, 14, tzinfo=UTC)
"""When that order's warning window has begun."""


_OPEN = "SELECT state FROM effects WHERE settled_at IS NULL AND effect_class <> 'by-hand'"
_HELD = "SELECT count(*) FROM cases WHERE lease_owner IS NOT NULL"


@dataclass(frozen=True)
class Start:
    """A state to begin from: the ledger's file, what the marketplace has done, and the time."""

    ledger: Path
    entries: tuple[Entry, ...]
    now: datetime


@dataclass
class Verdict:
    """What the judge says of a world. `wrong` must be empty; `quarantined` are the unknowns that a person settled."""

    wrong: list[str]
    duplicates: int
    quarantined: int
    effects: list[Effect]

    def done(self, op: str) -> int:
        return sum(effect.op == op and effect.state.value == "confirmed" for effect in self.effects)


@dataclass
class Arena:
    """Everything that the tests of this room share; see `opened`."""

    folder: Path
    farm: Farm
    served: Served
    starts: dict[str, Start] = field(default_factory=dict)
    found_at_restart: Counter[str] = field(default_factory=Counter)
    _numbers: Any = field(default_factory=count)

    def world(self, world: World, start: Start | None = None) -> Place:
        name = f"w{next(self._numbers)}"
        self.served.worlds[name] = world
        ledger = self.folder / f"{name}.db"
        if start is not None:
            shutil.copyfile(start.ledger, ledger)
            world.market.replay(start.entries)
            world.market.set_clock(start.now)
        return Place(self, name, world, ledger)

    def start(self, name: str) -> Start:
        """`contact`: a message is due. `settle`: the customer has agreed to a remedy and a later date."""
        if name not in self.starts:
            self.starts[name] = self._make(name)
        return self.starts[name]

    def _make(self, name: str) -> Start:
        market = new_market()
        market.set_clock(WARNED)
        with self.world(scripted(market)) as place:
            now = WARNED
            if name == "settle":
                assert not place.sweep([now]).killed
                now = market._replies[0][0] + timedelta(minutes=1)
            else:
                assert not place.sweep([WARNED - timedelta(days=2)], platform=False).killed
            kept = self.folder / f"start-{name}.db"
            shutil.copyfile(place.ledger, kept)
            return Start(kept, tuple(market.entries), now)


@dataclass
class Place:
    """One world's name, ledger and marketplace. Leaving it forgets them."""

    arena: Arena
    name: str
    world: World
    ledger: Path
    blind: bool = False
    sabotage: str = ""

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.world.begin(None)
        del self.arena.served.worlds[self.name]
        for file in (self.ledger, self.ledger.with_name(f"{self.ledger.name}-journal")):
            file.unlink(missing_ok=True)

    def sweep(
        self, moments: list[datetime], *, platform: bool = True, people: bool = False, crash: str = "",
        kill: Kill | None = None, kill_after: float | None = None,
    ) -> Ended:  # fmt: skip
        """Sweep at these times in one worker; `platform`: its clock goes along.

        `people` do their tasks once time has passed: nobody looks into a back office within seconds.
        """
        told: list[dict[str, Any]] = []
        before = self.world.market.now
        for now in moments:
            told.append({"now": now.isoformat(), "people": people and now > before})
            if platform and now >= before:  # its own clock never goes back
                told[-1]["platform"] = now.isoformat()
        return self._run({"do": "live", "moments": told, "crash": crash}, kill, kill_after)

    def deliver(self, events: list[Any], now: datetime, *, crash: str = "") -> Ended:
        """Give the inbox these webhooks, in a worker of its own."""
        told = [event.model_dump(mode="json") for event in events]
        return self._run(
            {"do": "deliver", "events": told, "now": now.isoformat(), "crash": crash}, None, None
        )

    def _run(self, job: dict[str, Any], kill: Kill | None, kill_after: float | None) -> Ended:
        job |= {"ledger": str(self.ledger), "url": self.arena.served.url(self.name)}
        job |= {"blind": self.blind, "sabotage": self.sabotage}
        more = {} if kill_after is None else {"kill_after": kill_after}
        began = partial(self._began, kill)
        ended = self.arena.farm.run(job, began=began, **more)
        assert ended.killed or ended.code == 0, ended.words
        if ended.killed:
            self.arena.found_at_restart.update([self.left()])
        return ended

    def _began(self, kill: Kill | None, pid: int) -> None:
        self.world.begin(Worker(pid), kill)

    def left(self) -> str:
        """What a restart finds: `sent`, else `planned`, else `claimed`, else `idle`. Read from a copy: a commit that was
        cut short is the restarted worker's to undo.
        """
        if not self.ledger.exists():
            return "idle"
        copy = self.arena.folder / "left.db"
        for suffix in ("", "-journal"):
            there = self.ledger.with_name(self.ledger.name + suffix)
            target = copy.with_name(copy.name + suffix)
            target.unlink(missing_ok=True)
            if there.exists():
                shutil.copyfile(there, target)
        with closing(sqlite3.connect(copy)) as connection:
            try:
                states = {row[0] for row in connection.execute(_OPEN)}
                held = connection.execute(_HELD).fetchone()[0]
            except sqlite3.OperationalError:  # its tables are not there yet
                return "idle"
        for state in ("sent", "planned"):
            if state in states:
                return state
        return "claimed" if held else "idle"

    def pushed(self) -> list[Event]:
        """Every webhook that the marketplace has had reason to send so far."""
        market = self.world.market
        return market._events(market.start, market.now)

    def verdict(self, now: datetime) -> Verdict:
        ledger = Ledger.open(f"sqlite:///{self.ledger}", Vault(KEY))
        try:
            return judged(ledger, self.world.journal, now)
        finally:
            ledger.close()


def judged(ledger: Ledger, journal: list[Entry], now: datetime) -> Verdict:
    """Compare the ledger with what really happened."""
    found, held = ledger.do(judge.gather, SHOP), ledger.do(_leases)
    twice = duplicates(journal)
    wrong = [f"done twice: {e.order} {e.kind} {e.round}" for e in twice]
    wrong += [f"lost: {what}" for what in judge.lost(found, journal, now)]
    wrong += [f"evidence: case {b.case}, fact {b.seq}: {b.problem}" for b in found.chains.breaks]
    wrong += [f"case {id_} is leased to nobody alive" for id_ in held]
    return Verdict(wrong, len(twice), found.quarantined, found.effects)


def new_market() -> Marketplace:
    return Marketplace(seed=SEED, orders=1, days=4)


def _leases(tx: Tx) -> list[int]:
    return [row.id for row in tx.execute(select(cases.c.id).where(cases.c.lease_owner.is_not(None)))]


def _warm(arena: Arena) -> None:
    market = new_market()
    market.set_clock(WARNED)
    with arena.world(scripted(market)) as place:
        told = [(WARNED + timedelta(hours=hours)).isoformat() for hours in (0, 6, 12, 48)]
        moments = [{"now": now, "platform": now, "people": True} for now in told]
        job = {
            "do": "live",
            "moments": moments,
            "ledger": str(place.ledger),
            "url": arena.served.url(place.name),
        }
        arena.farm.warm(job)
        place.sweep([WARNED], platform=False)  # which waits until that is done


def memory() -> str | None:
    """A folder in memory, where there is one: a killed process leaves the same behind there as on a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def opened() -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="amends-crash-", dir=memory()) as made:
        folder = Path(made)
        served = Served()
        try:
            with Farm(folder / "worker.log") as farm:
                arena = Arena(folder, farm, served)
                _warm(arena)
                yield arena
        finally:
            served.close()
