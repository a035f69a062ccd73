"""One rival doing the same work once, in a process of its own: per order one observation, one message, one grant.

python -m benchmarks.rivals NAME --url URL --now TIME --folder DIR [--numbers FILE] [--limit N] [--database URL]

`amends` takes in the orders of the sandbox at URL and puts the late ones right; the others do exactly these, by the list
of their numbers. All send the same four requests per order through the same connector and HTTP client, as many at once
as the connector says, and all read the whole list of orders first, so that connections and the sandbox are warm. Prints
one JSON object. What comes before (imports, servers, opening files, reading the list) is not in `seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import importlib
import json
import os
import resource
import site
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

for extra in filter(
    None, [os.environ.get("BENCH_SITE")]
):  # amends' packages, for a Python that has only DBOS
    site.addsitedir(extra)

import httpx  # noqa: E402  # from there
from pydantic import BaseModel  # noqa: E402  # from there

from amends import Grant, Message, Money, Offer, PolicySpec, Remedy, hookimpl  # noqa: E402
from amends.clock import FixedClock  # noqa: E402
from amends.hooks.protocols import Context  # noqa: E402
from amends.hooks.registry import Registry  # noqa: E402
from amends.http import new_client  # noqa: E402

COUPON = Remedy(kind="coupon", amount=Money.of("3", "CNY"))  # type: ignore[arg-type]  # the kind's own word
TEXT = "Your order is late. We are sorry, and this is what we do about it. " * 3
QUOTA = 5_000
"""Calls a second that the shop may make: about twice what amends makes here, so that pacing does not bound it.

Not much more, because each block of slots is laid out for a quarter of a second of the whole rate."""
CONFIG = """
[shops.bench]
connector = "sandbox"
time_zone = "Asia/Shanghai"
policy = "bench"
playbook = "bench"
quota = {{ per_second = {quota}.0, burst = {quota} }}
[shops.bench.connector_config]
url = "{url}"
[playbooks.bench]
fresh_for = "60m"
shipped_late = "offer"
at_risk = "watch"
storm = {{ orders = 100000000, within = "1h" }}
backfill = "365d"
"""
Work = Callable[[str], Awaitable[None]]


class NoConfig(BaseModel):
    pass


class Always:
    """A policy that gives everybody the same coupon."""

    def propose(self, case: Any, context: Any) -> Offer:
        del case, context
        return Offer(remedy=COUPON, why="benchmark", agreed=True)


class Plugin:
    @staticmethod
    @hookimpl
    def amends_policies() -> Any:
        yield PolicySpec(name="bench", config=NoConfig, factory=lambda config: Always())


class Requests:
    """The four requests about one order."""

    def __init__(self, url: str, now: datetime) -> None:
        spec = Registry.load().connector("sandbox")
        context = Context(
            shop="bench", time_zone="Asia/Shanghai", clock=FixedClock(now), http=lambda **o: new_client(**o)
        )
        self.connector: Any = spec.factory(spec.config(url=url), context)  # type: ignore[misc]
        self.gate = asyncio.Semaphore(spec.in_flight)

    async def observe(self, number: str) -> Any:
        async with self.gate:
            return await self.connector.order(number)

    async def track(self, order: Any) -> None:
        async with self.gate:
            await self.connector.tracking(order)

    async def message(self, number: str) -> None:
        async with self.gate:
            await self.connector.message(Message(key=f"m-{number}", order=number, round=1, text=TEXT))

    async def grant(self, number: str) -> None:
        async with self.gate:
            await self.connector.grant(Grant(key=f"g-{number}", order=number, round=1, remedy=COUPON))

    async def warm(self) -> None:
        """Read the list of orders to its end, as amends' intake does."""
        cursor = ""
        while (page := await self.connector.changed_orders(cursor)).more:
            cursor = page.cursor

    async def all(self, number: str) -> None:
        await self.track(await self.observe(number))
        await self.message(number)
        await self.grant(number)


async def timed(work: Work, numbers: Sequence[str]) -> dict[str, Any]:
    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(work, numbers))
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    return {"cases": len(numbers), "seconds": seconds, "cpu": busy}


async def run_amends(asked: argparse.Namespace) -> dict[str, Any]:
    from amends.ledger import views
    from amends.settings import Settings
    from amends.steps.advance import advance
    from amends.steps.intake import take_orders
    from amends.steps.shop import Shop, open_ledger

    base = asked.folder / "config/base"
    base.mkdir(parents=True)
    ledger_url = f'[ledger]\nurl = "{asked.database}"\n' if asked.database else ""
    (base / "bench.toml").write_text(CONFIG.format(url=asked.url, quota=QUOTA) + ledger_url, encoding="utf-8")
    registry = Registry.load()
    registry.add(Plugin, name="bench")
    settings = Settings.load(asked.folder / "config")
    ledger = open_ledger(settings)
    shop = await Shop.open(settings, "bench", ledger=ledger, registry=registry, clock=FixedClock(asked.now))
    began = time.perf_counter()
    taken = await take_orders(shop)
    intake = time.perf_counter() - began
    profile = cProfile.Profile()
    if asked.profile:
        profile.enable()
    began, busy = time.perf_counter(), time.process_time()
    await advance(shop)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    if asked.profile:
        profile.disable()
        profile.dump_stats(asked.profile)
    counts = ledger.do(views.count_effects)
    done = counts.get("grant:coupon", {}).get("confirmed", 0)
    await shop.aclose()
    await ledger.aclose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cases": done,
        "seconds": seconds,
        "cpu": busy,
        "intake_orders": taken.orders,
        "intake_seconds": intake,
        "peak_mib": peak,
    }


async def run_u(asked: argparse.Namespace) -> dict[str, Any]:
    requests = Requests(asked.url, asked.now)
    await requests.warm()
    found = await timed(requests.all, asked.numbers)
    await requests.connector.aclose()
    return found


async def run_n2(asked: argparse.Namespace) -> dict[str, Any]:
    """One Prefect task per request, all in one flow.

    Prefect's server learns of task runs by events that trail behind. `seconds` goes until it has recorded every one as
    completed, since before that a crash forgets them; `done_seconds` only until the last request was answered.
    """
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    requests = Requests(asked.url, asked.now)
    await requests.warm()
    options: Any = {"cache_policy": NO_CACHE, "persist_result": False, "retries": 3}
    observe, track = task(**options)(requests.observe), task(**options)(requests.track)
    message, grant = task(**options)(requests.message), task(**options)(requests.grant)
    orders = asyncio.Semaphore(requests.gate._value)

    async def one(number: str) -> None:
        async with orders:
            await track(await observe(number))
            await message(number)
            await grant(number)

    @flow(name="bench-n2", persist_result=False)
    async def everything() -> dict[str, Any]:
        return await timed(one, asked.numbers)

    before = await completed()
    began = time.perf_counter()
    found = await everything()
    await recorded(before + 4 * len(asked.numbers))
    found |= {"done_seconds": found["seconds"], "seconds": time.perf_counter() - began}
    await requests.connector.aclose()
    return found


async def completed() -> int:
    """How many task runs the server has recorded as completed."""
    async with httpx.AsyncClient(
        base_url=os.environ["PREFECT_API_URL"], trust_env=False, timeout=60
    ) as client:
        wanted = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        return int((await client.post("/task_runs/count", json=wanted)).json())


async def recorded(count: int, *, limit: float = 300.0) -> None:
    """Wait until that many are."""
    until = time.monotonic() + limit
    while await completed() < count:
        if time.monotonic() > until:
            raise TimeoutError(f"Prefect's server has not recorded {count} task runs within {limit:.0f} s")
        await asyncio.sleep(0.1)


async def run_n1(asked: argparse.Namespace) -> dict[str, Any]:
    """One Prefect subflow per case, its requests inside."""
    from prefect import flow

    requests = Requests(asked.url, asked.now)
    await requests.warm()
    orders = asyncio.Semaphore(requests.gate._value)

    @flow(name="bench-n1-case", persist_result=False, retries=3)
    async def case(number: str) -> None:
        await requests.all(number)

    async def one(number: str) -> None:
        async with orders:
            await case(number)

    @flow(name="bench-n1", persist_result=False)
    async def everything() -> dict[str, Any]:
        return await timed(one, asked.numbers)

    found = await everything()
    await requests.connector.aclose()
    return found


async def run_d(asked: argparse.Namespace) -> dict[str, Any]:
    """One DBOS workflow per case, one step per request, on the database at --database.

    As its documentation advises for speed: workflows are called, not enqueued (a queue costs writes and a poll more),
    no tracing, no Conductor, no admin server; its pool is as large as the workflows at once need.
    """
    DBOS: Any = importlib.import_module("dbos").DBOS  # not installed with amends
    requests = Requests(asked.url, asked.now)
    await requests.warm()

    async def observe(number: str) -> None:
        await requests.track(await requests.observe(number))

    async def message(number: str) -> None:
        await requests.message(number)

    async def grant(number: str) -> None:
        await requests.grant(number)

    steps = [DBOS.step()(step) for step in (observe, message, grant)]

    async def all_steps(number: str) -> None:
        for step in steps:
            await step(number)

    case = DBOS.workflow()(all_steps)
    at_once = asked.at_once or requests.gate._value
    database = asked.database or f"sqlite:///{asked.folder / 'dbos.sqlite'}"
    config = {"name": "bench", "system_database_url": database, "enable_otlp": False, "log_level": "ERROR"}
    DBOS(config={**config, "sys_db_pool_size": max(20, min(at_once, 50))})
    DBOS.launch()
    orders = asyncio.Semaphore(at_once)

    async def one(number: str) -> None:
        async with orders:
            await case(number)

    found = await timed(one, asked.numbers)
    await requests.connector.aclose()
    DBOS.destroy()
    return found


RIVALS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]]] = {
    "amends": run_amends,
    "U": run_u,
    "N2": run_n2,
    "N1": run_n1,
    "D": run_d,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=RIVALS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--now", required=True, type=datetime.fromisoformat)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--numbers", type=lambda file: json.loads(Path(file).read_text()), default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--database", default="", help="amends and D: not a SQLite file, but this address")
    parser.add_argument("--at-once", type=int, help="D: workflows at once; absent: as many as requests")
    parser.add_argument("--profile", help="amends: write a cProfile file there; slows it")
    asked = parser.parse_args()
    asked.numbers = asked.numbers[: asked.limit]
    asked.folder.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(RIVALS[asked.name](asked))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
