"""A served sandbox and a ledger on Postgres: what a command does there, and what the judge says in the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from amends.demo import judge
from amends.demo.operator import Operator
from amends.demo.world import SHOP
from amends.ledger import Ledger, Tx, Vault
from amends.ledger.schema import cases
from amends.settings import Settings
from amends.testing.control import SandboxControl
from amends.testing.journal import duplicates

EVERY = timedelta(hours=6)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["amends.cli", "amends.steps.sweep", "amends_sandbox.connector", "amends_ladder.policy", "amends_rules",
     "sqlalchemy.ext.asyncio", "asyncpg", "aiohttp", "tests.postgres.flock"]
)  # fmt: skip


def said_to(output: str) -> None:
    """In a forked process: what it says goes there."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)


def command(arguments: list[str], output: str) -> None:
    """In the forked process: what `amends …` does."""
    said_to(output)
    from amends.cli import main

    sys.argv = ["amends", *arguments]
    main()


def fork(arguments: list[str], output: Path) -> Any:
    process = FORKS.Process(target=command, args=(arguments, str(output)), daemon=True)
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

    @property
    def now(self) -> datetime:
        return self.start + EVERY * self.moment

    @property
    def arguments(self) -> list[str]:
        where = ["--config", str(self.config)]
        return [*where, "sweep", "--local", "--shop", SHOP, "--now", self.now.isoformat(), "--json"]

    def sweep_whole(self) -> None:
        """The command, to its end."""
        began = time.monotonic()
        output = self.folder / "whole.out"
        process = fork(self.arguments, output)
        process.join(120)
        text = output.read_text()
        assert process.exitcode == 0, f"{process.exitcode}: {text}"
        self.took = time.monotonic() - began
        (found,) = json.loads(text[text.index("{") :])["shops"]
        assert found["state"] == "done", found

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
        """What the judge says: all of it must be empty."""
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


def nothing_wrong(verdict: dict[str, Any]) -> bool:
    return not any(verdict.values())


def _held(tx: Tx) -> list[Any]:
    return list(tx.execute(select(cases.c.id).where(cases.c.lease_owner.is_not(None))))
