"""Measures amends beside its rivals: the same cases, in turn, each on a fresh sandbox process of the same seed; markdown.

python -m benchmarks.sidebyside [--orders 3000] [--pairs 5] [--only U,N2,N1,D,DP] [--dbos-python PATH]

How each rival does it is in benchmarks/rivals.py. A pair is amends, then the rival. Before the pairs each rival runs once
unmeasured, so that Prefect's server is warm; DBOS is tried with several numbers of workflows at once, and the best counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.rivals import QUOTA

from amends.errors import AmendsError
from amends.testing.control import launch
from amends.testing.postgres import Cluster
from amends.workflows.server import PrefectServer, environment

SEED, DAYS = 7, 4
ABOUT = {
    "U": "the same requests with no durability at all",
    "N2": "one Prefect task per request in one flow, until the server has recorded them",
    "N1": "one Prefect subflow per case",
    "D": "one DBOS workflow per case, one step per request (look and tracking are one), SQLite",
    "DP": "the same on Postgres, and amends on the same cluster",
}
BARS = {"U": 0.7, "N2": 10.0, "N1": 300.0, "D": 5.0, "DP": 2.0}
"""What amends is to reach: times the rival's cases a second."""
WARM = {"U": 100, "N2": 40, "N1": 4, "D": 40, "DP": 100}
"""Cases of the unmeasured run."""
AT_ONCE = (16, 64)
"""Workflows at once that DBOS is tried with; requests at once are the connector's 16 for all."""


class NotMeasured(Exception):
    """Why a rival has no numbers."""


@dataclass
class Rates:
    """Cases a second of every run, and of the runs of amends beside it."""

    cases: int = 0
    rival: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    problem: str = ""
    at_once: int = 0

    @property
    def ratios(self) -> list[float]:
        """One for each pair."""
        return [a / b for a, b in zip(self.ours, self.rival, strict=False)]


@dataclass
class SideBySide:
    """`orders` in the marketplace; about half are late. `limits`: fewer cases for a rival that is slow."""

    folder: Path
    orders: int
    pairs: int
    limits: dict[str, int]
    dbos_python: str = ""
    intake: list[float] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    found: dict[str, Rates] = field(default_factory=dict)
    _runs: int = 0
    _prefect: PrefectServer | None = None
    _cluster: Cluster | None = None

    def run(self, names: Sequence[str]) -> None:
        found = self.found = {name: Rates() for name in names}
        with contextlib.ExitStack() as stack:
            if {"N1", "N2"} & set(names):
                self._prefect = stack.enter_context(PrefectServer(self.folder / "prefect", ui=False))
            if "DP" in found:
                with self._reported(found["DP"]):
                    self._cluster = stack.enter_context(Cluster())
                    self.settings.append(self._of_postgres(self._cluster))
            for name, rates in found.items():
                if not rates.problem:
                    with self._reported(rates):
                        self._warm_up(name, rates)
            for pair in range(self.pairs):
                for name, rates in found.items():
                    if not rates.problem:
                        with self._reported(rates):
                            self._pair(name, rates)
                        self._say(pair, name, rates)

    @contextlib.contextmanager
    def _reported(self, rates: Rates) -> Iterator[None]:
        """A rival that cannot run is a line in the table, and the others go on."""
        try:
            yield
        except subprocess.CalledProcessError as error:
            rates.problem = ((error.stderr or "").strip().splitlines() or [str(error)])[-1][:200]
        except (NotMeasured, AmendsError, OSError, subprocess.TimeoutExpired) as error:
            rates.problem = str(error)[:200]

    def _warm_up(self, name: str, rates: Rates) -> None:
        if name not in ("D", "DP"):
            self._rival(name, rates, WARM[name])
            return
        if not self.dbos_python:
            raise NotMeasured("no Python with DBOS was named: --dbos-python, see benchmarks/README.md")
        tried = {}
        for at_once in AT_ONCE:
            rates.at_once = at_once
            found = self._rival(name, rates, WARM[name])
            tried[at_once] = found["cases"] / found["seconds"]
        rates.at_once = max(tried, key=lambda n: tried[n])
        words = ", ".join(f"{n} at once {rate:.1f}" for n, rate in tried.items())
        self.settings.append(
            f"{name}: {self._of_dbos()}; tried, cases/s: {words}; measured with {rates.at_once}"
        )

    def _pair(self, name: str, rates: Rates) -> None:
        ours = self.amends(postgres=name == "DP")
        found = self._rival(name, rates, self.limits.get(name, self.orders))
        rates.cases = found["cases"]
        rates.ours.append(ours["cases"] / ours["seconds"])
        rates.rival.append(found["cases"] / found["seconds"])

    def _rival(self, name: str, rates: Rates, limit: int) -> Any:
        if not (self.folder / "numbers.json").exists():
            self.amends()
        more = ["--numbers", str(self.folder / "numbers.json"), "--limit", str(limit)]
        if rates.at_once:
            more += ["--at-once", str(rates.at_once)]
        if name == "DP":
            more += ["--database", self._database()]
        with self._sandbox() as (box, now):
            return self._child("D" if name == "DP" else name, box.url, now, more)

    def amends(self, *, postgres: bool = False) -> dict[str, Any]:
        """One run of amends, whose grants are counted in the sandbox's own journal: one each."""
        more = ["--database", self._database()] if postgres else []
        with self._sandbox() as (box, now):
            found: dict[str, Any] = self._child("amends", box.url, now, more)
            granted = [entry.order for entry in box.control.journal() if entry.kind == "grant:coupon"]
        if len(granted) != len(set(granted)) or len(granted) != found["cases"]:
            raise AssertionError(f"{len(granted)} grants, {len(set(granted))} orders, {found['cases']} cases")
        (self.folder / "numbers.json").write_text(json.dumps(granted))
        self.intake.append(found["intake_orders"] / found["intake_seconds"])
        return found

    @contextlib.contextmanager
    def _sandbox(self) -> Iterator[tuple[Any, str]]:
        self._runs += 1
        with launch(self.folder / f"box-{self._runs}", seed=SEED, orders=self.orders, days=DAYS) as box:
            now = box.control.clock() + timedelta(days=DAYS + 1)
            box.control.set_clock(now)
            yield box, now.isoformat()

    def _database(self) -> str:
        """A new one, empty, on the private cluster."""
        self._runs += 1
        assert self._cluster is not None
        return self._cluster.create(f"run{self._runs}")

    def _child(self, name: str, url: str, now: str, more: list[str]) -> Any:
        self._runs += 1
        python, env = sys.executable, None
        if name == "D":
            python, env = self.dbos_python, {**os.environ, "BENCH_SITE": sysconfig.get_path("purelib")}
        if name in ("N1", "N2") and self._prefect is not None:
            env = environment(self._prefect.url, self._prefect.home)
        command = [python, "-m", "benchmarks.rivals", name, "--url", url, "--now", now]
        command += ["--folder", str(self.folder / f"run-{self._runs}"), *more]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env, timeout=600)
        return json.loads(done.stdout.splitlines()[-1])

    def _of_dbos(self) -> str:
        ask = "from importlib.metadata import version as v; print(v('dbos'), '/ SQLAlchemy', v('sqlalchemy'))"
        done = subprocess.run([self.dbos_python, "-c", ask], check=True, capture_output=True, text=True)
        return f"DBOS {done.stdout.strip()}"

    def _of_postgres(self, cluster: Cluster) -> str:
        """What matters to a comparison, as the server itself tells it."""
        command = [str(cluster._bin / "psql"), "-At", "-d", cluster.url(), "-c"]
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
        found = subprocess.run([*command, query], check=True, capture_output=True, text=True).stdout.strip()
        return "Postgres, a private cluster for both: " + ", ".join(
            f"{name} {value}" for name, value in zip(names, found.split("|"), strict=True)
        )

    def _say(self, pair: int, name: str, rates: Rates) -> None:
        last = rates.problem or f"amends {rates.ours[-1]:.0f}/s, {name} {rates.rival[-1]:.1f}/s"
        sys.stderr.write(f"pair {pair + 1}: {last}\n")
        sys.stderr.flush()


def table(sides: SideBySide) -> list[str]:
    lines = [
        f"{sides.orders:,} orders in the sandbox, about half of them late; medians of the pairs. All use the connector's 16 "
        f"requests at once. amends' own quota for this shop is set to {QUOTA:,} calls/s, so that it bounds nobody; the ledger's "
        "part of keeping it is in the time. amends commits with fsync: SQLite `synchronous=FULL`, Postgres as below; DBOS on "
        "SQLite has that library's defaults, `FULL` too.",
        "",
        "| rival | what it is | pairs | cases | its cases/s | amends' cases/s | amends is × | from … to | bar | |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, rates in sides.found.items():
        bar, about = BARS[name], ABOUT[name]
        if not rates.rival:
            why = rates.problem or "ended before"
            lines.append(f"| {name} | {about} | 0 | – | not measured: {why} | – | – | – | ≥ {bar:g} | – |")
            continue
        ratio = statistics.median(rates.ratios)
        lines.append(
            f"| {name} | {about} | {len(rates.rival)} | {rates.cases} | {statistics.median(rates.rival):.4g} "
            f"| {statistics.median(rates.ours):.4g} | {ratio:.3g} | {min(rates.ratios):.3g} … {max(rates.ratios):.3g} "
            f"| ≥ {bar:g} | {'met' if ratio >= bar else '**missed**'} |"
        )
        if rates.problem:
            lines.append(f"| | it stopped then: {rates.problem} | | | | | | | | |")
    if sides.intake:
        lines += [
            "",
            f"amends' intake through the connector: {statistics.median(sides.intake):.0f} orders/s.",
        ]
    return [*lines, "", *(f"- {line}" for line in sides.settings)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--n1", type=int, default=30, help="cases of the slow rival N1")
    parser.add_argument("--n2", type=int, default=400, help="cases of N2")
    parser.add_argument("--d", type=int, default=500, help="cases of D")
    parser.add_argument("--only", default=",".join(ABOUT))
    parser.add_argument("--dbos-python", default=os.environ.get("BENCH_DBOS_PYTHON", ""))
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    if unknown := set(wanted) - set(ABOUT):
        parser.error(f"--only knows {', '.join(ABOUT)}, not {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        limits = {"N1": asked.n1, "N2": asked.n2, "D": asked.d}
        sides = SideBySide(Path(folder), asked.orders, asked.pairs, limits, asked.dbos_python)
        ended = False
        try:
            sides.run([name for name in ABOUT if name in wanted])
        except KeyboardInterrupt:
            ended = True
        print("\n".join(table(sides)))
    return 1 if ended or any(rates.problem for rates in sides.found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
