"""Several worker processes on one Postgres ledger and one shop, some killed, some stopped for longer than their leases."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from tests.postgres.world import FORKS, World, said_to

from amends.demo.world import CONFIG, SHOP
from amends.errors import LedgerError
from amends.hooks.registry import Registry
from amends.ledger import Tx, crash, leases, pool
from amends.ledger.schema import cases, ticks
from amends.settings import Settings
from amends.steps.advance import advance
from amends.steps.shop import Shop, open_ledger
from amends.steps.sweep import sweep
from amends.testing.control import launch
from amends.testing.faults import Faults

CUT = "ended the connection in the middle of a transaction"
AT_ONCE = 4
"""Cases that a worker holds at once: few, so that all have some."""
DELAY = timedelta(milliseconds=10)
"""Of each call to the platform, so that workers meet in the middle of their work."""


class OneClock:
    """The shop's time, the same for all processes: microseconds in shared memory."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.shared.value)


async def _work(config: str, clock: OneClock, lease: float) -> None:
    """Sweep; while another worker sweeps, advance what it has found. Ends after a sweep of its own."""
    leases.LEASE = timedelta(seconds=lease)
    pool.STALLED = int(2 * lease)
    pool.SETTINGS["idle_in_transaction_session_timeout"] = str(pool.STALLED * 1000)
    settings = Settings.load(Path(config))
    ledger = open_ledger(settings)
    shop = await Shop.open(settings, SHOP, ledger=ledger, registry=Registry.load(), clock=clock)
    shop.pace.at_once = lambda name, limit: AT_ONCE  # type: ignore[method-assign]
    moved = 0
    while (await sweep(shop)).state == "already-running":
        moved += (await advance(shop, limit=AT_ONCE)).cases
        await asyncio.sleep(0.02)
    _tell({"moved_beside": moved, "problems": shop.problems})
    await shop.aclose()
    await ledger.aclose()


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def run(config: str, shared: Any, lease: float, output: str, stop_at: str) -> None:
    """In the forked process. `stop_at` is a crash point at which it stops itself, as a machine that falls asleep."""
    said_to(output)
    if stop_at:
        seen = False

        def stop(name: str) -> None:
            nonlocal seen
            if name == stop_at and not seen:
                seen = True
                os.kill(os.getpid(), signal.SIGSTOP)

        crash.on_crashpoint(stop)
    try:
        asyncio.run(_work(config, OneClock(shared), lease))
    except LedgerError as error:
        _tell({"error": str(error)})


@dataclass
class Worker:
    process: Any
    output: Path
    number: int
    stopped: bool = False
    """Whether it ever was: then the server may have ended its transaction, which it says and ends."""

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    @property
    def alive(self) -> bool:
        return bool(self.process.is_alive())

    def send(self, how: signal.Signals) -> None:
        self.stopped = self.stopped or how == signal.SIGSTOP
        if self.alive:
            os.kill(self.pid, how)

    @property
    def state(self) -> str:
        """The kernel's letter: `T` for a stopped one."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "X"


class Flock(World):
    """A world whose sweeps are several workers at once."""

    lease = 2.0

    def prepare(self) -> None:
        self.shared = FORKS.Value("q", ticks(self.start), lock=False)
        self.workers: list[Worker] = []
        self.count = 0

    def go_on(self) -> None:
        super().go_on()
        self.shared.value = ticks(self.now)

    def spawn(self, stop_at: str = "") -> Worker:
        self.count += 1
        output = self.folder / f"worker-{self.count}.out"
        arguments = (str(self.config), self.shared, self.lease, str(output), stop_at)
        process = FORKS.Process(target=run, args=arguments, daemon=True)
        process.start()
        self.workers.append(Worker(process, output, self.count, stopped=bool(stop_at)))
        return self.workers[-1]

    def ended(self, worker: Worker, wait: float = 60.0) -> dict[str, Any]:
        """What a worker said that came to its end; a worker that was killed said nothing."""
        worker.process.join(wait)
        self.workers.remove(worker)
        if worker.process.exitcode == -signal.SIGKILL:
            return {}
        text = worker.output.read_text()
        assert worker.process.exitcode == 0, f"worker {worker.number}: {worker.process.exitcode}\n{text}"
        told: dict[str, Any] = json.loads(text.splitlines()[-1])
        assert "error" not in told or (worker.stopped and CUT in told["error"]), told
        return told

    def settle(self) -> None:
        """Workers that nobody disturbs, until every case is closed or waits for a later time."""
        until = time.monotonic() + 60
        while True:
            told = self.ended(self.spawn())
            due = self.due()
            if not due:
                return
            assert time.monotonic() < until, f"stay due at {ticks(self.now)}: {due}; the last worker: {told}"
            time.sleep(0.3)  # what a stopped worker holds is free once its lease has run out

    def due(self) -> list[Any]:
        """The cases that are due, and who holds them until when."""
        ledger = self.ledger()
        found: list[Any] = ledger.do(_due, ticks(self.now))
        ledger.close()
        return found

    def held_by(self, worker: Worker) -> int:
        """How many cases that worker's leases are on."""
        ledger = self.ledger()
        count: int = ledger.do(_held, f"%:{worker.pid}:%")
        ledger.close()
        return count

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()


def _due(tx: Tx, now: int) -> list[Any]:
    columns = (cases.c.number, cases.c.stage, cases.c.why, cases.c.due_at, cases.c.epoch, cases.c.lease_owner)
    left = (cases.c.lease_until - leases.real_ticks()).label("lease_left")
    return list(tx.execute(select(*columns, left).where(cases.c.outcome.is_(None), cases.c.due_at <= now)))


def _held(tx: Tx, owner: str) -> int:
    wanted = cases.c.lease_owner.like(owner)
    return int(tx.execute(select(func.count()).select_from(cases).where(wanted)).scalar_one())


@contextmanager
def flock(folder: Path, database: str, *, seed: int, orders: int, days: int) -> Iterator[Flock]:
    """A new sandbox under the demo's faults, the demo's shop, and an empty Postgres database as its ledger."""
    with launch(folder / "sandbox", seed=seed, orders=orders, days=days) as box:
        box.control.faults(Faults.parse("demo").model_copy(update={"delay": DELAY}).model_dump_json())
        base = folder / "config/base"
        base.mkdir(parents=True)
        (base / "demo.toml").write_text(CONFIG.format(url=box.url))
        (base / "ledger.toml").write_text(f'[ledger]\nurl = "{database}"\n')
        found = Flock(folder, folder / "config", box.control, box.control.clock())
        found.prepare()
        try:
            yield found
        finally:
            found.kill_all()
