"""Measures how much of a declared quota four processes use together, and whether any window sees too many calls; markdown.

python -m benchmarks.quota [--seconds 20] [--processes 4] [--postgres]

Workers with more to do than the quota allows share one ledger; a server of this process notes when each call arrives, which
is all that a platform can see. A quota of (rate, burst) is kept where no window of w seconds sees more than burst + rate × w
calls: every pair of arrivals is such a window. Used is counted after the first second, which holds the burst besides.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from amends.clock import SystemClock
from amends.ledger import Ledger, Vault
from amends.steps.pace import Pace
from amends.testing.postgres import Cluster

QUOTAS = ((10.0, 20), (50.0, 50), (200.0, 200), (500.0, 500))
"""Calls a second and burst: a small shop's plan up to the sandbox's own."""
BAR = 0.95
KEY = Vault(b"k" * 32)
EACH = 8
"""Calls under way at once in each process."""


@dataclass(frozen=True)
class Found:
    rate: float
    burst: int
    calls: int
    used: float
    beyond: float
    violations: int

    @property
    def ok(self) -> bool:
        return self.used >= BAR and not self.violations


def beyond(arrived: list[float], rate: float, burst: int) -> tuple[float, int]:
    """Over all windows that end with a call: the most calls beyond the rate, and how many had more than the burst."""
    worst = lowest = float("-inf")
    violations = 0
    for n, at in enumerate(arrived):
        lowest = max(lowest, rate * at - n)
        here = n + 1 - rate * at + lowest
        worst = max(worst, here)
        violations += here > burst + 1e-6
    return worst, violations


async def work(url: str, port: int, rate: float, burst: int, seconds: float) -> None:
    """One worker: calls as fast as its pace lets it."""
    ledger = Ledger.open(url, KEY)
    pace = Pace(ledger, "shop", SystemClock(), {"platform": (rate, burst)})
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds

    async def calls() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def call() -> None:
            writer.write(b"x")
            await writer.drain()
            await reader.readexactly(1)

        while time.monotonic() < end:
            await pace.call("platform", call)
        writer.close()

    await asyncio.gather(*(calls() for _ in range(EACH)))
    await ledger.aclose()


@contextlib.asynccontextmanager
async def platform(arrived: list[float]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            arrived.append(time.monotonic())
            writer.write(b"y")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def measure(url: str, rate: float, burst: int, *, processes: int, seconds: float) -> Found:
    Ledger.open(url, KEY).close()
    arrived: list[float] = []
    async with platform(arrived) as port:
        command = [sys.executable, "-m", "benchmarks.quota", "--work", url, str(port), str(rate), str(burst)]
        pipe = asyncio.subprocess.PIPE
        workers = [
            await asyncio.create_subprocess_exec(*command, "--seconds", str(seconds), stdin=pipe, stdout=pipe)
            for _ in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None
            await asyncio.wait_for(worker.stdout.readline(), 60)
        ended = time.monotonic() + seconds - 1  # a second before the first of them stops
        told = asyncio.gather(*(worker.communicate(b"go\n") for worker in workers))
        await asyncio.wait_for(told, seconds + 60)
        if any(worker.returncode for worker in workers):
            raise RuntimeError(f"workers ended with {[worker.returncode for worker in workers]}")
    begun = arrived[0] + 1.0
    used = sum(begun < at <= ended for at in arrived) / (rate * (ended - begun))
    worst, violations = beyond(arrived, rate, burst)
    return Found(rate, burst, len(arrived), used, worst, violations)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each quota")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--postgres", action="store_true", help="on a private Postgres cluster as well")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        url, port, rate, burst = asked.work
        asyncio.run(work(url, int(port), float(rate), int(burst), asked.seconds))
        return 0
    print(
        f"{asked.processes} processes, {EACH} calls under way in each, {asked.seconds:.0f} s for each quota. More than 100 % "
        "used is a late part of the burst."
    )
    print()
    print("| ledger | quota: calls/s, burst | calls | used | most beyond the rate | violations | bar |")
    print("|---|---|---:|---:|---:|---:|---|")
    good = True
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amends-quota-")))
        cluster = stack.enter_context(Cluster()) if asked.postgres else None
        for where in ("SQLite", "Postgres") if cluster else ("SQLite",):
            for n, (rate, burst) in enumerate(QUOTAS):
                url = (
                    cluster.create(f"q{n}")
                    if cluster and where == "Postgres"
                    else f"sqlite:///{folder}/{n}.db"
                )
                found = asyncio.run(
                    measure(url, rate, burst, processes=asked.processes, seconds=asked.seconds)
                )
                good = good and found.ok
                print(
                    f"| {where} | {rate:g}, {burst} | {found.calls} | {found.used:.1%} | {found.beyond:.1f} of {burst} "
                    f"| {found.violations} | ≥ {BAR:.0%}, 0 {'met' if found.ok else '**missed**'} |",
                    flush=True,
                )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
