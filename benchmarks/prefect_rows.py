"""How much Prefect stores: a sweep in which so many cases are due, beside one flow run per case. Both are run and counted.

    python -m benchmarks.prefect_rows [--cases 1000] [--with-steps]

Each gets a Prefect server of its own (SQLite, loopback). Before and after, every row of every table of its database is
counted, events and their resources included. The flow run per case is the cheapest there can be: it does nothing.
`--with-steps` also counts one with a task run per step, as our sweep shows its steps; that takes long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amends.workflows.server import PrefectServer

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
AT_ONCE = 2
"""Flow runs under way together; more only wait for SQLite, and the server answers 503."""
BAR = 50
"""A sweep of 1,000 cases or more stores at most this part of what a flow run per case does."""
MAPPING = """\
date_formats = ["%Y-%m-%d %H:%M"]
time_zone = "Asia/Shanghai"
currency = "CNY"
platform = "pdd"
[columns]
number = "number"
amount = "amount"
placed_at = "ordered"
ship_by = "ship_by"
shipped_at = "shipped"
"""
CONFIG = """\
[shops.east]
connector = "spreadsheet"
rules = "pdd"
time_zone = "Asia/Shanghai"
connector_config = {{ path = "{folder}/east.csv", mapping = "{folder}/mapping.toml" }}
[playbooks.standard]
storm = {{ orders = 1000000, within = "1h" }}
[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", amount = "3 CNY" }}
[caps]
per_shop_day = "100000000 CNY"
"""


def count(home: Path) -> Counter[str]:
    """Rows by table of a server's database."""
    found: Counter[str] = Counter()
    with contextlib.closing(
        sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True, timeout=60)
    ) as db:
        for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
            found[table] = db.execute(f'select count(*) from "{table}"').fetchone()[0]  # noqa: S608  # names of its own
    return found


def settled(home: Path) -> Counter[str]:
    """The same once nothing more has been written for a while: events are stored after the fact."""
    last, since = count(home), time.monotonic()
    while time.monotonic() - since < 6:
        time.sleep(0.5)
        now = count(home)
        if now != last:
            last, since = now, time.monotonic()
    return last


def measured(folder: Path, work: Callable[[Path], Awaitable[int]]) -> tuple[int, Counter[str], float]:
    """What `work` answers (how many cases it handled), the rows that it caused by table, and the seconds it took."""
    folder.mkdir()
    with PrefectServer(folder / "prefect", ui=False) as server:
        from prefect.events.worker import EventsWorker

        before = settled(server.home)
        began = time.monotonic()
        cases = asyncio.run(work(folder))
        took = time.monotonic() - began
        EventsWorker.drain_all(timeout=60)
        after = settled(server.home)
    return cases, after - before, took


def ours(cases: int) -> Callable[[Path], Awaitable[int]]:
    """One sweep of a shop with so many late orders, or none: each is found, verified, and its customer written to."""

    async def work(folder: Path) -> int:
        from amends.workflows.sweep import sweep

        (folder / "mapping.toml").write_text(MAPPING)
        (folder / "amends.toml").write_text(CONFIG.format(folder=folder))
        lines = ["number,amount,ordered,ship_by,shipped"]
        lines += [f"N-{number},120.00,2026-03-06 09:00,2026-03-09 09:00," for number in range(cases)]
        export = folder / "east.csv"
        export.write_text("\n".join(lines) + "\n")
        os.utime(export, ((NOW - timedelta(minutes=1)).timestamp(),) * 2)
        summary = await sweep(shop="east", config=str(folder / "amends.toml"), now=NOW)
        assert summary.opened == cases, summary
        assert not cases or (summary.steps["verify-order"], summary.steps["contact-customer"]) == (
            cases,
            cases,
        ), summary
        return cases

    return work


def a_flow_run_each(cases: int, steps: int) -> Callable[[Path], Awaitable[int]]:
    """One flow run per case, with so many task runs."""

    async def work(folder: Path) -> int:
        from prefect import flow, task
        from prefect.cache_policies import NO_CACHE
        from prefect.exceptions import PrefectHTTPStatusError

        del folder

        @task(cache_policy=NO_CACHE, persist_result=False)
        async def step(case: int) -> None: ...

        @flow(name="one-case", persist_result=False)
        async def one_case(case: int) -> None:
            for _ in range(steps):
                await step(case)

        gate = asyncio.Semaphore(AT_ONCE)

        async def run(case: int) -> None:
            async with gate:
                while True:
                    try:
                        return await one_case(case)
                    except PrefectHTTPStatusError as error:  # busy: nothing was stored
                        if error.response.status_code != 503:
                            raise
                        await asyncio.sleep(1)

        await asyncio.gather(*map(run, range(cases)))
        return cases

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--with-steps", action="store_true")
    given = parser.parse_args()
    cases = given.cases
    runs_of = {
        "amends: one sweep": ours(cases),
        "amends: a sweep that finds nothing": ours(0),
        "one flow run per case": a_flow_run_each(cases, 0),
    }
    if given.with_steps:
        runs_of["one flow run per case, two task runs"] = a_flow_run_each(cases, 2)
    with tempfile.TemporaryDirectory(prefix="amends-rows-") as folder:
        found = {
            name: measured(Path(folder, str(number)), work)
            for number, (name, work) in enumerate(runs_of.items())
        }
    print(
        f"| Prefect stores, for {cases} cases | flow and task runs | states | events | all rows | of a flow run each |"
    )
    print("|---|---|---|---|---|---|")
    whole = found["one flow run per case"][1].total()
    for name, (_, rows, _) in found.items():
        runs = rows["flow_run"] + rows["task_run"]
        states = rows["flow_run_state"] + rows["task_run_state"]
        share = f"1/{whole / rows.total():.0f}" if rows.total() < whole else f"{rows.total() / whole:.1f}"
        print(f"| {name} | {runs} | {states} | {rows['events']} | {rows.total()} | {share} |")
    ours_ = found["amends: one sweep"][1].total()
    if cases >= 1000 and ours_ * BAR > whole:
        raise SystemExit(f"more than 1/{BAR} of one flow run per case")


if __name__ == "__main__":
    main()
