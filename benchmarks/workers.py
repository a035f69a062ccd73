"""Measures several workers on one shop and one Postgres ledger beside one worker, at a platform that takes its time.

python -m benchmarks.workers [--workers 2] [--orders 3000] [--pairs 5] [--delay 0.02] [--in-flight 8]

Each side puts the same late orders right: observation, tracking, message and grant, each a call of `--delay` seconds, at
most `--in-flight` at once in a worker. A worker is a process. Intake is done before; measured is the time from the word
to begin, given to all at once, until the last worker finds nothing due. Each side gets a fresh sandbox process and a
fresh database on a private Postgres cluster with its durable defaults. Prints the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.rivals import CONFIG, QUOTA, Plugin

from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends.settings import Settings
from amends.steps.advance import advance
from amends.steps.intake import take_orders
from amends.steps.shop import Shop, open_ledger
from amends.testing.control import launch
from amends.testing.postgres import Cluster

SEED, DAYS = 7, 4
BAR = 1.6


@dataclass(frozen=True)
class Side:
    """What so many workers did together, and CPU seconds: of the workers, the sandbox, Postgres, and everybody else here."""

    workers: int
    cases: int
    seconds: float
    cpu: tuple[float, float, float, float]
    shares: tuple[int, ...]

    @property
    def rate(self) -> float:
        return self.cases / self.seconds


async def opened(folder: Path, now: datetime, in_flight: int) -> Shop:
    registry = Registry.load()
    registry.add(Plugin, name="bench")
    settings = Settings.load(folder / "config")
    ledger = open_ledger(settings)
    shop = await Shop.open(settings, "bench", ledger=ledger, registry=registry, clock=FixedClock(now))
    shop.connector_spec = replace(shop.connector_spec, in_flight=in_flight)
    return shop


async def closed(shop: Shop) -> None:
    await shop.aclose()
    await shop.ledger.aclose()


async def take_in(folder: Path, now: datetime, in_flight: int) -> int:
    """Before the workers begin: all orders read, the late ones opened as cases."""
    shop = await opened(folder, now, in_flight)
    found = await take_orders(shop)
    await closed(shop)
    return found.opened


async def work(folder: Path, now: datetime, in_flight: int, profile: str) -> dict[str, Any]:
    """One worker: says that it is ready, waits for the word, advances until nothing is due."""
    import cProfile

    shop = await opened(folder, now, in_flight)
    await shop.connector.changed_orders("")  # so that its connection is there
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    before = time.process_time()
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    moved = await advance(shop)
    if profile:
        profiler.disable()
        profiler.dump_stats(f"{profile}.{os.getpid()}")
    found = {"cases": moved.cases, "cpu": time.process_time() - before}
    print(json.dumps(found), flush=True)
    await closed(shop)
    return found


def side(folder: Path, cluster: Cluster, workers: int, asked: argparse.Namespace) -> Side:
    """That many workers on the whole work, once; checked by the sandbox's own journal."""
    faults = json.dumps({"delay": asked.delay})
    with launch(folder / "box", seed=SEED, orders=asked.orders, days=DAYS) as box:
        now = box.control.clock() + timedelta(days=DAYS + 1)
        box.control.set_clock(now)
        (folder / "config/base").mkdir(parents=True)
        database = cluster.create(f"bench_{folder.name.replace('-', '_')}")
        text = CONFIG.format(url=box.url, quota=QUOTA) + f'[ledger]\nurl = "{database}"\n'
        (folder / "config/base/bench.toml").write_text(text, encoding="utf-8")
        cases = asyncio.run(take_in(folder, now, asked.in_flight))
        box.control.faults(faults)
        command = [
            sys.executable,
            "-m",
            "benchmarks.workers",
            "--folder",
            str(folder),
            "--now",
            now.isoformat(),
        ]
        command += ["--in-flight", str(asked.in_flight), "--profile", asked.profile]
        started = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(workers)
        ]
        try:
            seconds, found, cpu = _race(started, box.process.pid, cluster)
        finally:
            for process in started:
                process.kill()
                process.wait()
        granted = [entry.order for entry in box.control.journal() if entry.kind == "grant:coupon"]
    if (
        not len(granted) == len(set(granted)) > 0.9 * cases
    ):  # a few turn out to be shipped, or to want no remedy
        raise AssertionError(f"{len(granted)} grants, {len(set(granted))} orders, {cases} cases")
    shares = tuple(one["cases"] for one in found)
    return Side(workers, len(granted), seconds, cpu, shares)


def _race(
    workers: list[subprocess.Popen[str]], sandbox: int, cluster: Cluster
) -> tuple[float, list[dict[str, Any]], tuple[float, float, float, float]]:
    for process in workers:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise AssertionError(f"a worker did not begin: exit code {process.wait()}")
    before = _used(sandbox), _used_below(cluster), _used_by_all()
    began = time.perf_counter()
    for process in workers:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    found = [json.loads(process.stdout.readline()) for process in workers if process.stdout is not None]
    seconds = time.perf_counter() - began
    after = _used(sandbox), _used_below(cluster), _used_by_all()
    ours = sum(one["cpu"] for one in found)
    box, postgres, everybody = (late - early for late, early in zip(after, before, strict=True))
    return seconds, found, (ours, box, postgres, max(0.0, everybody - ours - box - postgres))


def _used(pid: int, *, children: bool = False) -> float:
    """CPU seconds of a process so far, by the kernel's count; with those of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) / os.sysconf("SC_CLK_TCK")


def _used_below(cluster: Cluster) -> float:
    """The same of the server and its backends."""
    if cluster.process is None:
        raise AssertionError("the cluster does not run")
    pid = cluster.process.pid
    found = _used(pid, children=True)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # ended just now
            found += _used(int(child))
    return found


def _used_by_all() -> float:
    """CPU seconds of this machine so far, but for waiting and idling."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def compare(asked: argparse.Namespace) -> list[str]:
    pairs: list[tuple[Side, Side]] = []
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder, Cluster() as cluster:
        for n in range(asked.pairs):
            one, many = (
                side(_made(Path(folder) / f"{n}-{workers}"), cluster, workers, asked)
                for workers in (1, asked.workers)
            )
            if one.cases != many.cases:
                raise AssertionError(f"{one.cases} cases by one worker, {many.cases} by {asked.workers}")
            pairs.append((one, many))
            said = f"1: {one.rate:.1f}/s, {asked.workers}: {many.rate:.1f}/s {many.shares}, × {many.rate / one.rate:.2f}"
            print(f"pair {n + 1}: {said}", file=sys.stderr, flush=True)
    ratio = statistics.median(many.rate / one.rate for one, many in pairs)
    lines = [
        f"{pairs[0][0].cases} cases, each call {1000 * asked.delay:.0f} ms, {asked.in_flight} in flight in each worker; "
        f"medians of {asked.pairs} pairs.",
        "",
        "| workers | cases/s | CPU a case, ms: workers | sandbox | Postgres | CPU used by others meanwhile |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for sides in zip(*pairs, strict=True):
        rate = statistics.median(one.rate for one in sides)
        cpu = [statistics.median(1000 * one.cpu[n] / one.cases for one in sides) for n in range(3)]
        others = statistics.median(one.cpu[3] / one.seconds / (os.cpu_count() or 1) for one in sides)
        each = " | ".join(f"{ms:.1f}" for ms in cpu)
        lines.append(f"| {sides[0].workers} | {rate:.1f} | {each} | {100 * others:.0f} % |")
    bar = f" (bar: ≥ {BAR}, {'met' if ratio >= BAR else '**missed**'})" if asked.workers == 2 else ""
    return [*lines, "", f"{asked.workers} workers are {ratio:.2f} × one{bar}."]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.workers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--orders", type=int, default=3000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds of every call to the platform")
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--profile", default="", help="each worker writes a cProfile file FILE.PID; slows it")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # a worker's
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.folder is not None:
        asyncio.run(work(asked.folder, asked.now, asked.in_flight, asked.profile))
        return
    print("\n".join(compare(asked)))


if __name__ == "__main__":
    main()
