"""Kills amends and its rivals in mid-work at the same moments, starts them again, and counts what was done twice or not at all.

python -m benchmarks.kills [--kills 20] [--orders 120] [--only amends,U,N2,N1] [--latency 0.03]

Each gets a sandbox of its own, of the same seed, that answers after `--latency` and without other faults. A kill is
`SIGKILL` to the whole process once so many messages and remedies are there, and some milliseconds later; the numbers and
milliseconds are drawn once and are the same for all. After the last kill each may run to its end. The sandbox's journal
judges. The rivals get what Prefect offers against a crash: N2's tasks keep their results and are not done again where one
is kept; N1 asks Prefect's server which cases' flows have completed, and leaves those out. Prints markdown; ends with 1
where amends did anything twice or lost anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.rivals import CONFIG, QUOTA, Plugin, Requests, timed

from amends.clock import FixedClock
from amends.testing.control import SandboxControl, launch
from amends.testing.journal import duplicates

ABOUT = {
    "amends": "this project, on its SQLite ledger",
    "U": "the bare requests; started again, it begins anew",
    "N2": "one Prefect task per request, results kept; tasks whose result is kept are not done again",
    "N1": "one Prefect subflow per case; cases whose flow has completed are left out",
}
ROOT = Path(__file__).parents[1]
DAYS = 4
QUIET = timedelta(minutes=10)
"""Virtual time from a kill to the next start: more than the platform takes to show what it did."""


@dataclass
class Tally:
    """What came of one contestant."""

    cases: int = 0
    kills: int = 0
    doubled: list[str] = field(default_factory=list)
    lost: int = 0
    unknown: int = 0
    seconds: float = 0.0
    problem: str = ""

    def line(self, name: str) -> str:
        if self.problem:
            return f"| {name} | {ABOUT[name]} | – | {self.kills} | not measured: {self.problem} | – | – | – | – |"
        messages = sum(kind == "message" for kind in self.doubled)
        return (
            f"| {name} | {ABOUT[name]} | {self.cases} | {self.kills} | {len(self.doubled)} | {messages} "
            f"| {len(self.doubled) - messages} | {self.lost} | {self.unknown} |"
        )


@dataclass(frozen=True)
class Moment:
    """Kill once so many acts are there, and that much later."""

    acts: int
    after: float


def moments(kills: int, cases: int, seed: int) -> list[Moment]:
    draw = random.Random(f"kills {seed}")
    acts = sorted(draw.sample(range(1, 2 * cases - 1), kills))
    return [Moment(number, draw.uniform(0, 0.06)) for number in acts]


class Contest:
    """Runs one contestant after the other."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self.folder, self.asked = folder, asked
        self.numbers = folder / "numbers.json"
        self.plan: list[Moment] = []

    def find_work(self) -> None:
        """Which cases there are: amends, left in peace, says so."""
        with self._box("look") as box:
            now = self._late(box.control)
            self._start("amends", box.url, now, self.folder / "look", None).communicate(timeout=300)
            numbers = sorted({entry.order for entry in box.control.journal() if entry.op == "grant"})
        self.numbers.write_text(json.dumps(numbers))
        print(f"{len(numbers)} cases", file=sys.stderr)
        if len(numbers) * 2 - 2 < self.asked.kills:
            raise SystemExit(f"{len(numbers)} cases are too few for {self.asked.kills} kills: more --orders")
        self.plan = moments(self.asked.kills, len(numbers), self.asked.seed)

    def run(self, name: str, environment: dict[str, str] | None) -> Tally:
        found = Tally()
        began = time.monotonic()
        with self._box(name) as box:
            now = self._late(box.control)
            place = self.folder / name
            for moment in self.plan:
                process = self._start(name, box.url, now, place, environment)
                found.kills += self._kill(process, box.control, moment)
                now += QUIET
                box.control.set_clock(now)
            for _ in range(
                2
            ):  # to the end; what was sent and not answered may be looked for some minutes later
                process = self._start(name, box.url, now, place, environment)
                out, err = process.communicate(timeout=600)
                if process.returncode != 0:
                    found.problem = ((err or "").strip().splitlines() or ["it failed"])[-1][:160]
                    return found
                now += QUIET
                box.control.set_clock(now)
            found.unknown = json.loads(out.strip().splitlines()[-1]).get("unknown", 0)
            journal = box.control.journal()
        numbers = set(json.loads(self.numbers.read_text()))
        found.cases, found.seconds = len(numbers), time.monotonic() - began
        found.doubled = [entry.op for entry in duplicates(journal)]
        there = {(entry.order, entry.op) for entry in journal}
        found.lost = sum((number, op) not in there for number in numbers for op in ("message", "grant"))
        return found

    def _box(self, name: str) -> Any:
        faults = json.dumps({"delay": self.asked.latency})
        return launch(
            self.folder / f"box-{name}",
            seed=self.asked.seed,
            orders=self.asked.orders,
            days=DAYS,
            faults=faults,
        )

    def _late(self, control: SandboxControl) -> datetime:
        now = control.clock() + timedelta(days=DAYS + 1)
        control.set_clock(now)
        return now

    def _start(
        self, name: str, url: str, now: datetime, folder: Path, environment: dict[str, str] | None
    ) -> subprocess.Popen[str]:
        words = ["--child", name, "--url", url, "--now", now.isoformat(), "--folder", str(folder)]
        command = [sys.executable, "-m", "benchmarks.kills", *words, "--numbers", str(self.numbers)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def _kill(self, process: subprocess.Popen[str], control: SandboxControl, moment: Moment) -> bool:
        """Kill it once so many acts are there, at least one of them its own; whether it was still at work then."""
        until = time.monotonic() + 300
        earlier = control.journal()
        seen, read = {(entry.order, entry.kind) for entry in earlier}, len(earlier)
        while process.poll() is None and time.monotonic() < until:
            new = control.journal(read)
            read += len(new)
            seen |= {(entry.order, entry.kind) for entry in new}
            if len(seen) >= moment.acts and read > len(earlier):
                time.sleep(moment.after)
                break
            time.sleep(0.005)
        killed = process.poll() is None
        process.kill()
        process.communicate()
        return killed


async def child_amends(asked: argparse.Namespace) -> dict[str, Any]:
    from sqlalchemy import text

    from amends.hooks.registry import Registry
    from amends.settings import Settings
    from amends.steps.shop import Shop, open_ledger
    from amends.steps.sweep import sweep

    base = asked.folder / "config/base"
    base.mkdir(parents=True, exist_ok=True)
    (base / "bench.toml").write_text(CONFIG.format(url=asked.url, quota=QUOTA), encoding="utf-8")
    registry = Registry.load()
    registry.add(Plugin, name="bench")
    settings = Settings.load(asked.folder / "config")
    ledger = open_ledger(settings)
    shop = await Shop.open(settings, "bench", ledger=ledger, registry=registry, clock=FixedClock(asked.now))
    await sweep(shop)
    unknown = "SELECT count(*) FROM effects WHERE state IN ('unknown', 'quarantined', 'sent')"
    left = ledger.do(lambda tx: tx.execute(text(unknown)).scalar())
    await shop.aclose()
    await ledger.aclose()
    return {"unknown": left}


async def child_u(asked: argparse.Namespace) -> dict[str, Any]:
    requests = Requests(asked.url, asked.now)
    await timed(requests.all, asked.numbers)
    await requests.connector.aclose()
    return {}


async def child_n2(asked: argparse.Namespace) -> dict[str, Any]:
    from prefect import flow, task
    from prefect.cache_policies import INPUTS, TASK_SOURCE

    requests = Requests(asked.url, asked.now)
    options: Any = {"cache_policy": INPUTS + TASK_SOURCE, "persist_result": True, "retries": 3}

    @task(**options)
    async def look(number: str) -> str:
        await requests.track(await requests.observe(number))
        return number

    @task(**options)
    async def message(number: str) -> str:
        await requests.message(number)
        return number

    @task(**options)
    async def grant(number: str) -> str:
        await requests.grant(number)
        return number

    orders = asyncio.Semaphore(requests.gate._value)

    async def one(number: str) -> None:
        async with orders:
            await look(number)
            await message(number)
            await grant(number)

    @flow(name="kills-n2", persist_result=False)
    async def everything() -> None:
        await timed(one, asked.numbers)

    await everything()
    await requests.connector.aclose()
    return {}


async def child_n1(asked: argparse.Namespace) -> dict[str, Any]:
    from prefect import flow, get_client
    from prefect.client.schemas.filters import FlowRunFilter

    requests = Requests(asked.url, asked.now)
    done: set[str] = set()
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["COMPLETED"]}}})
    async with get_client() as client:
        while found := await client.read_flow_runs(flow_run_filter=wanted, limit=200, offset=len(done)):
            done |= {run.name for run in found}
            if len(found) < 200:
                break
    orders = asyncio.Semaphore(requests.gate._value)

    @flow(name="kills-n1-case", flow_run_name="{number}", persist_result=False, retries=3)
    async def case(number: str) -> None:
        await requests.all(number)

    async def one(number: str) -> None:
        async with orders:
            await case(number)

    @flow(name="kills-n1", persist_result=False)
    async def everything() -> None:
        await timed(one, [number for number in asked.numbers if number not in done])

    await everything()
    await requests.connector.aclose()
    return {}


CHILDREN: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]]] = {
    "amends": child_amends,
    "U": child_u,
    "N2": child_n2,
    "N1": child_n1,
}


def table(found: dict[str, Tally], plan: Sequence[Moment]) -> list[str]:
    head = "| | what | cases | kills | done twice | messages | remedies | lost | left unknown |"
    lines = [head, "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    lines += [tally.line(name) for name, tally in found.items()]
    acts = ", ".join(str(moment.acts) for moment in plan)
    return [
        *lines, "",
        f"Killed when so many different messages and remedies were there, the same for all: {acts}. The platform knows a "
        "remedy's key again, so that a repeated remedy comes to nothing there; nothing recognises a repeated message.",
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--orders", type=int, default=120, help="in the marketplace; about half become cases")
    parser.add_argument(
        "--latency", type=float, default=0.03, help="seconds that the platform takes to answer"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default=",".join(CHILDREN))
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        asked.numbers = json.loads(asked.numbers.read_text()) if asked.numbers.exists() else []
        print(json.dumps(asyncio.run(CHILDREN[asked.child](asked))))
        return 0
    wanted = [name for name in CHILDREN if name in asked.only.split(",")]
    found: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as made:
        contest = Contest(Path(made), asked)
        contest.find_work()
        for name in wanted:
            if name.startswith("N"):
                from amends.workflows.server import PrefectServer

                with PrefectServer(Path(made) / f"prefect-{name}", ui=False) as server:
                    environment = server.environment() | {
                        "PREFECT_LOCAL_STORAGE_PATH": str(Path(made) / f"results-{name}")
                    }
                    found[name] = contest.run(name, environment)
            else:
                found[name] = contest.run(name, None)
            print(
                f"{name}: {found[name].kills} kills, {found[name].seconds:.0f} s", file=sys.stderr, flush=True
            )
    print("\n".join(table(found, contest.plan)))
    ours = found.get("amends")
    return 0 if ours is None or not (ours.doubled or ours.lost or ours.problem) else 1


if __name__ == "__main__":
    sys.exit(main())
