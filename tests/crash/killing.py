"""What the crash tests kill: commands of `amends`, each in a process of its own, forked from one that has imported it all."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from amends.demo import judge
from amends.demo.operator import Operator
from amends.demo.world import CONFIG, SHOP
from amends.ledger import Ledger, Tx, Vault
from amends.settings import Settings
from amends.testing.control import SandboxControl, launch
from amends.testing.journal import duplicates

EVERY = timedelta(hours=6)
POINTS = (
    "before-intake", "after-claim", "before-plan", "after-plan", "after-sent", "after-send", "before-outcome", "after-outcome",
)  # fmt: skip
KILLS = int(os.environ.get("AMENDS_KILLS", "300"))
SEED = int(os.environ.get("AMENDS_CRASH_SEED", "7"))

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["amends.cli", "amends.steps.sweep", "amends.demo.judge", "amends_sandbox.connector", "amends_ladder.policy", "amends_rules",
     "aiohttp", "tests.crash.killing"]
)  # fmt: skip


def command(arguments: list[str], output: str, crash: str = "") -> None:
    """In the forked process: what `amends …` does. `crash` is a point such as `after-sent:2`, as in AMENDS_CRASH."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if crash:
        from amends.ledger import crash as points

        os.environ["AMENDS_CRASH"] = crash
        points._from_environment()
    from amends.cli import main

    sys.argv = ["amends", *arguments]
    main()


def fork(arguments: list[str], output: Path, crash: str = "") -> Any:
    process = _forks.Process(target=command, args=(arguments, str(output), crash), daemon=True)
    process.start()
    return process


@dataclass
class World:
    """A sandbox with faults, a ledger, and an operator; each sweep is a process."""

    folder: Path
    config: Path
    control: SandboxControl
    start: datetime
    moment: int = 0
    took: float = 1.0
    killed: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.start + EVERY * self.moment

    @property
    def arguments(self) -> list[str]:
        return [
            "--config",
            str(self.config),
            "sweep",
            "--local",
            "--shop",
            SHOP,
            "--now",
            self.now.isoformat(),
            "--json",
        ]

    def sweep_killed(self, after: float | None = None, crash: str = "") -> bool:
        """Sweep, and kill it after that many seconds or at that point; whether it was still at work."""
        process = fork(self.arguments, self.folder / "killed.out", crash)
        if after is not None:
            process.join(after)
            process.kill()
        process.join(60)
        died = process.exitcode == -9
        self.killed += died
        self.log.append(
            f"{self.now:%m-%d %H:%M} {crash or f'{after:.3f} s'}: {'killed' if died else process.exitcode}"
        )
        assert died or process.exitcode == 0, (self.folder / "killed.out").read_text()
        return died

    def sweep_whole(self) -> dict[str, Any]:
        """Sweep to the end; what the command printed."""
        began = time.monotonic()
        output = self.folder / "whole.out"
        process = fork(self.arguments, output)
        process.join(120)
        text = output.read_text()
        assert process.exitcode == 0, f"{process.exitcode}: {text}"
        self.took = time.monotonic() - began
        (found,) = json.loads(text[text.index("{") :])["shops"]
        assert found["state"] == "done", found  # the lease of the killed one is free at once
        return found  # type: ignore[no-any-return]

    def people(self) -> None:
        ledger = self.ledger()
        Operator(ledger, self.control, SHOP).work(self.now)
        ledger.close()

    def go_on(self) -> None:
        self.moment += 1
        self.control.set_clock(self.now)

    def ledger(self) -> Ledger:
        settings = Settings.load(self.config)
        return Ledger.open(settings.ledger_url, Vault(settings.ledger_key()))

    def verdict(self) -> dict[str, Any]:
        """What the judge says: all of it must be empty or zero."""
        ledger = self.ledger()
        found = ledger.do(judge.gather, SHOP)
        held = ledger.do(_held)
        ledger.close()
        journal = self.control.journal()
        return {
            "duplicates": [f"{e.order} {e.kind} {e.round}" for e in duplicates(journal)],
            "lost": judge.lost(found, journal, self.now),
            "broken": found.chains.breaks,
            "forgotten": found.forgotten,
            "leases": held,
        }


def _held(tx: Tx) -> list[Any]:
    from sqlalchemy import select

    from amends.ledger.schema import cases

    return list(tx.execute(select(cases.c.id).where(cases.c.lease_owner.is_not(None))))


@contextmanager
def world(folder: Path, *, seed: int, orders: int, days: int) -> Iterator[World]:
    """A new sandbox under the demo's faults, with the demo's shop."""
    with launch(folder / "sandbox", seed=seed, orders=orders, days=days, faults="demo") as box:
        config = folder / "config"
        (config / "base").mkdir(parents=True)
        (config / "base" / "demo.toml").write_text(CONFIG.format(url=box.url))
        yield World(folder, config, box.control, box.control.clock())


def nothing_wrong(verdict: dict[str, Any]) -> bool:
    return not any(verdict.values())


def again(test: str, seed: int) -> str:
    """How to repeat a failing one."""
    return f"AMENDS_CRASH_SEED={seed} AMENDS_KILLS={KILLS} .venv/bin/python -m pytest tests/crash -k {test}"


def draws(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed} {name}")
