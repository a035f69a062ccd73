"""Simulates a shop for weeks in seconds: the real steps on a real SQLite ledger, the marketplace in the same process.

python -m benchmarks.simulate [--cases 10000] [--days 30] [--seed 1] [--faults demo] [--shops 1] [--json] [--keep DIR]

Everything that could differ from one run to the next is drawn from the seed: the world, its faults, the ledger's
randomness, and time, which passes only when somebody waits for it. So a seed gives the same facts, byte by byte, and
`hash` says so. It ends with 1 where anything was done twice, lost, or written down wrongly, and says how to see it again.

`--shops 2` shares the cases out among two shops that know nothing of each other, each with a marketplace, a ledger and a
process of its own: so both cores of a small machine live through the same days. A shop of such a world is by itself again
a world of one shop, which is what a wrong one is repeated as.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import json
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from benchmarks.instant import BackOffice, HereLedger, InOneGo, Instant
from sqlalchemy import select

from amends import ConnectorSpec, hookimpl
from amends.clock import FixedClock
from amends.demo import judge
from amends.demo.operator import Operator
from amends.demo.world import CONFIG, SHOP
from amends.hooks.registry import Registry
from amends.hooks.requests import Event
from amends.ledger import Tx, Vault, inbox
from amends.ledger.schema import facts
from amends.settings import Settings
from amends.steps.intake import arrival
from amends.steps.pace import Time
from amends.steps.shop import Shop
from amends.steps.sweep import sweep
from amends.testing.draws import unit
from amends.testing.faults import Faults
from amends.testing.inprocess import in_process_spec
from amends.testing.journal import duplicates
from amends.testing.marketplace import Marketplace

EVERY = timedelta(hours=6)
_MEMORY = Path("/dev/shm")
_FAR = 1_000_003
"""Between the seeds of two shops of one world, so that neighbouring seeds share none."""
NEED_A_CASE = 0.68
"""The share of the marketplace's orders that need a case sooner or later: each of its fates by quota."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One world and how it is lived through."""

    cases: int = 10_000
    days: int = 30
    seed: int = 1
    faults: str = "demo"
    shops: int = 1

    @property
    def command(self) -> str:
        """What repeats it."""
        several = f" --shops {self.shops}" if self.shops > 1 else ""
        return (
            f"python -m benchmarks.simulate --cases {self.cases} --days {self.days} --seed {self.seed} "
            f"--faults {self.faults}{several}"
        )

    def each(self) -> list[Simulation]:
        """The worlds of its shops, one by one: equal shares of the cases, each with a seed of its own."""
        shares = [self.cases // self.shops + (n < self.cases % self.shops) for n in range(self.shops)]
        return [
            replace(self, cases=share, seed=self.seed + n * _FAR, shops=1) for n, share in enumerate(shares)
        ]

    @property
    def orders(self) -> int:
        return math.ceil(self.cases / NEED_A_CASE)


SUMS = (
    "cases", "orders", "facts", "effects", "quarantined", "duplicates", "lost", "broken", "faults_of_ours",
)  # fmt: skip
"""What is added up over the shops of a world."""


@dataclass(slots=True)
class Result:
    """What came of it. `hash` covers all facts in their order."""

    command: str
    cases: int = 0
    orders: int = 0
    facts: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    effects: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lost: int = 0
    broken: int = 0
    faults_of_ours: int = 0
    hash: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.wrong


def simulate(asked: Simulation, folder: Path, say: Callable[[str], None] = lambda text: None) -> Result:
    """Live through it in a fresh ledger in `folder`; answers with what the ledger and the journal say."""
    if asked.shops > 1:
        return _side_by_side(asked, folder)
    began, used = time.perf_counter(), time.process_time()
    with _rare_collections(), asyncio.Runner(loop_factory=Instant) as runner:
        result = runner.run(_live(asked, folder, say))
    result.seconds = round(time.perf_counter() - began, 1)
    result.cpu_seconds = round(time.process_time() - used, 1)
    return result


def _side_by_side(asked: Simulation, folder: Path) -> Result:
    """Each shop in a process of its own; the results are added up, and the hash covers all of theirs."""
    began, worlds = time.perf_counter(), asked.each()
    folders = [folder / f"shop-{n + 1}" for n in range(asked.shops)]
    for each in folders:
        each.mkdir()
    with ProcessPoolExecutor(asked.shops, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(simulate, worlds, folders))
    result = Result(asked.command)
    for one in found:
        for name in SUMS:
            setattr(result, name, getattr(result, name) + getattr(one, name))
        result.outcomes = dict(Counter(result.outcomes) + Counter(one.outcomes))
        result.stages = dict(Counter(result.stages) + Counter(one.stages))
        result.wrong += [f"{what} (alone: {one.command})" for what in one.wrong]
    result.hash = hashlib.sha256(" ".join(one.hash for one in found).encode()).hexdigest()
    result.seconds = round(time.perf_counter() - began, 1)
    result.cpu_seconds = round(sum(one.cpu_seconds for one in found), 1)
    return result


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cyclic garbage seldom: the world is large, lives to the end, and would be walked through each time.

    A fifth of the processor's time otherwise (6.4 of 33 s with 1,500 cases).
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _live(asked: Simulation, folder: Path, say: Callable[[str], None]) -> Result:
    faults = Faults.parse(asked.faults)
    market = Marketplace(seed=asked.seed, orders=asked.orders, days=asked.days)
    registry = _registry(in_process_spec(market, faults))
    draws = random.Random(f"ledger {asked.seed}")
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = HereLedger.open(url, Vault(draws.randbytes(32), random=draws.randbytes))
    clock, loop = FixedClock(market.now), asyncio.get_running_loop()
    by = Time(loop.time, asyncio.sleep, lambda: int(loop.time() * 1_000_000))
    shop = await Shop.open(_settings(asked), SHOP, ledger=ledger, registry=registry, clock=clock, paced_by=by)
    result = Result(asked.command, orders=asked.orders)
    try:
        for number in range(asked.days * 4 + 1):
            now = market.start + EVERY * number
            pushed = _pushed(asked.seed, faults, market.set_clock(now))
            clock.set(now)
            ledger.do(inbox.receive, SHOP, pushed, now)
            summary = await sweep(shop)
            result.wrong += [problem for problem in summary.problems if _is_ours(problem)]
            did = ledger.do(_people, market, now)
            say(
                f"day {number / 4 + 1:5.2f}: {summary.cases} cases moved, {summary.closed} closed, {did} acts by people"
            )
        await _judge(result, shop, market)
    finally:
        await shop.aclose()
        ledger.close()
    return result


def _people(tx: Tx, market: Marketplace, now: datetime) -> int:
    return Operator(cast(Any, InOneGo(tx)), cast(Any, BackOffice(market)), SHOP).work(now)


def _pushed(seed: int, faults: Faults, events: list[Event]) -> list[inbox.Arrival]:
    """The webhooks of one step as they arrive: some twice, some out of order."""
    arrivals: list[tuple[int, float, inbox.Arrival]] = []
    for place, event in enumerate(events):
        body = arrival(event.reply).body if event.reply is not None else b""
        name = event.reply.event if event.reply is not None else event.event
        found = inbox.Arrival(name, event.order, body)
        late = 5 if unit(seed, "reordered", event.event) < faults.reordered_webhooks else 0
        arrivals.append((place + late, unit(seed, "place", event.event), found))
        if unit(seed, "again", event.event) < faults.duplicate_webhooks:
            arrivals.append((place + 3, unit(seed, "place again", event.event), found))
    return [found for _, _, found in sorted(arrivals, key=lambda item: item[:2])]


def _registry(spec: ConnectorSpec) -> Registry:
    class InThisProcess:
        """The sandbox's connector, in this process."""

        @hookimpl
        def amends_connectors(self) -> Iterable[ConnectorSpec]:
            yield spec

    registry = Registry.load(allow=["ladder", "rules"])
    registry.add(InThisProcess(), name="sandbox")
    return registry


def _settings(asked: Simulation) -> Settings:
    """The demo's shop, with a budget for so many cases."""
    tables = tomllib.loads(CONFIG.format(url="http://127.0.0.1"))
    del tables["shops"][SHOP]["connector_config"]
    tables["playbooks"]["demo"]["storm"]["orders"] = 10 * asked.cases + 1000
    tables["caps"]["per_shop_day"] = f"{max(1500, 5 * asked.cases // asked.days)} CNY"
    return Settings.model_validate(tables)


def _is_ours(problem: str) -> bool:
    """Whether a sweep's problem is a fault of ours, not one that the sandbox makes on purpose."""
    return not any(words in problem for words in ("on purpose", "did not answer", "asked for a pause"))


async def _judge(result: Result, shop: Shop, market: Marketplace) -> None:
    found = await shop.ledger.run(judge.gather, SHOP)
    now = shop.clock.now()
    told = judge.judgement(found, market.entries, shop, seed=market.seed, now=now, seconds=0.0)
    losses = judge.lost(found, market.entries, now)
    twice = duplicates(market.entries)
    result.cases, result.outcomes, result.stages = (
        told["cases"][name] for name in ("total", "outcomes", "stages")
    )
    result.effects, result.quarantined = len(found.effects), found.quarantined
    result.duplicates, result.lost, result.broken = len(twice), len(losses), found.chains.broken
    result.faults_of_ours = len(result.wrong)
    result.facts, result.hash = await shop.ledger.run(ledger_hash)
    result.wrong += [f"done twice: {entry.order} {entry.kind} {entry.round}" for entry in twice]
    result.wrong += [f"lost: {what}" for what in losses]
    result.wrong += [f"evidence: case {b.case}, fact {b.seq}: {b.problem}" for b in found.chains.breaks]


def memory() -> str | None:
    """A folder in memory, where there is one: a simulation is not about the disk, nor about what a power cut leaves."""
    return str(_MEMORY) if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None


def ledger_hash(tx: Tx) -> tuple[int, str]:
    """How many facts there are, and a hash over all of them in order, everything included."""
    seal, count = hashlib.sha256(), 0
    columns = (
        facts.c.case_id,
        facts.c.seq,
        facts.c.at,
        facts.c.kind,
        facts.c.actor,
        facts.c.body,
        facts.c.hash,
    )
    for row in tx.execute(select(*columns).order_by(facts.c.case_id, facts.c.seq)):
        count += 1
        seal.update(repr(tuple(row)).encode())
    return count, seal.hexdigest()


def main() -> int:
    """Run one simulation for the command line."""
    usual = Simulation()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--cases", type=int, default=usual.cases, help="about so many cases; orders are made to fit"
    )
    parser.add_argument("--days", type=int, default=usual.days)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--faults", default=usual.faults, help="a preset (none, demo, heavy) or p_429=0.1,…")
    parser.add_argument(
        "--shops", type=int, default=usual.shops, help="among so many, each in its own process"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--keep", type=Path, help="keep the ledger in this (empty) folder")
    parser.add_argument("--verbose", action="store_true", help="say what each sweep did")
    given = parser.parse_args()
    asked = Simulation(given.cases, given.days, given.seed, given.faults, given.shops)

    def say(text: str) -> None:
        if given.verbose:
            print(text, file=sys.stderr, flush=True)

    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
        result = simulate(asked, given.keep, say)
    else:
        with tempfile.TemporaryDirectory(prefix="simulate-", dir=memory()) as folder:
            result = simulate(asked, Path(folder), say)
    if given.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        for name, value in asdict(result).items():
            if name not in ("wrong", "command"):
                print(f"{name:>14}  {value}")
    for what in result.wrong[:50]:
        print(what, file=sys.stderr)
    if not result.ok:
        print(f"{len(result.wrong)} things are wrong; see them again:\n{asked.command}", file=sys.stderr)
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
