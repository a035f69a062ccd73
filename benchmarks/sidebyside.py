"""Runs amends and its rivals in turn on the same work, each on a fresh sandbox of the same seed, and takes medians."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from amends.testing.control import launch
from amends.workflows.server import PrefectServer, environment

ABOUT = {
    "amends": "this project, `advance()` on its SQLite ledger, every commit fsynced",
    "U": "the same requests with no durability at all",
    "N2": "one Prefect task per request in one flow, until the server has recorded them",
    "N1": "one Prefect subflow per case",
    "D": "one DBOS workflow per case, one step per request (look and tracking are one), SQLite",
}
BARS = {"U": 0.7, "N2": 10.0, "N1": 300.0, "D": 5.0}
"""What amends is to reach: times the rival's cases a second."""


@dataclass
class Rates:
    """Cases a second of every run, and of the runs of amends beside it."""

    cases: int = 0
    rival: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the pairs' ratios."""
        pairs = [a / b for a, b in zip(self.ours, self.rival, strict=False)]
        return statistics.median(pairs) if pairs else None


@dataclass
class SideBySide:
    """`orders` in the marketplace; not all are late. `limits`: fewer cases for a rival that is slow."""

    folder: Path
    orders: int
    pairs: int
    limits: dict[str, int]
    dbos_python: str = ""
    days: int = 4
    intake: list[float] = field(default_factory=list)

    def run(self, names: Sequence[str]) -> dict[str, Rates]:
        found = {name: Rates() for name in names if name != "amends"}
        with PrefectServer(self.folder / "prefect", ui=False) as server:
            for pair in range(self.pairs):
                for name, rates in found.items():
                    if rates.problem:
                        continue
                    try:
                        self._pair(f"{pair}-{name}", name, rates, server)
                    except subprocess.CalledProcessError as error:
                        rates.problem = (error.stderr or "").strip().splitlines()[-1:][0][:200]
                    self._say(pair, name, rates)
        return found

    def _pair(self, place: str, name: str, rates: Rates, server: PrefectServer) -> None:
        """amends, then the rival, then (next pair) amends again: what else the machine does meets both."""
        ours, numbers = self._ours(place)
        if name == "D" and not self._dbos():
            rates.problem = "dbos is not installed here, and --dbos-python names no Python that has it"
            return
        with launch(self.folder / place / "rival-box", seed=7, orders=self.orders, days=self.days) as box:
            now = box.control.clock() + timedelta(days=self.days + 1)
            box.control.set_clock(now)
            more = ["--numbers", str(numbers), "--limit", str(self.limits.get(name, self.orders))]
            env = environment(server.url, server.home) if name in ("N1", "N2") else None
            found = self._child(name, box.url, now.isoformat(), self.folder / place / "rival", more, env)
        rates.cases = found["cases"]
        rates.ours.append(ours)
        rates.rival.append(found["cases"] / found["seconds"])

    def _ours(self, place: str) -> tuple[float, Path]:
        with launch(self.folder / place / "box", seed=7, orders=self.orders, days=self.days) as box:
            now = box.control.clock() + timedelta(days=self.days + 1)
            box.control.set_clock(now)
            found = self._child("amends", box.url, now.isoformat(), self.folder / place / "ours", [], None)
            granted = [entry.order for entry in box.control.journal() if entry.kind == "grant:coupon"]
        if len(granted) != len(set(granted)) or len(granted) != found["cases"]:
            raise AssertionError(f"{len(granted)} grants, {len(set(granted))} orders, {found['cases']} cases")
        numbers = self.folder / place / "numbers.json"
        numbers.write_text(json.dumps(granted))
        self.intake.append(found["intake_orders"] / found["intake_seconds"])
        return found["cases"] / found["seconds"], numbers

    def _child(
        self, name: str, url: str, now: str, folder: Path, more: list[str], env: dict[str, str] | None
    ) -> Any:
        python = sys.executable
        if name == "D" and importlib.util.find_spec("dbos") is None:
            python = self.dbos_python
            env = {**os.environ, "BENCH_SITE": sysconfig.get_path("purelib")}
        command = [
            python,
            "-m",
            "benchmarks.rivals",
            name,
            "--url",
            url,
            "--now",
            now,
            "--folder",
            str(folder),
        ]
        done = subprocess.run(
            [*command, *more], check=True, capture_output=True, text=True, env=env, timeout=900
        )
        return json.loads(done.stdout.splitlines()[-1])

    def _dbos(self) -> bool:
        return bool(self.dbos_python) or importlib.util.find_spec("dbos") is not None

    def _say(self, pair: int, name: str, rates: Rates) -> None:
        last = rates.problem or f"amends {rates.ours[-1]:.0f}/s, {name} {rates.rival[-1]:.1f}/s"
        sys.stderr.write(f"pair {pair + 1}: {last}\n")
        sys.stderr.flush()
