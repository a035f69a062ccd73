"""The list of measurements that `make bench` runs: for each its module, its arguments in full and in quick, and a limit.

A part is a module of its own (`python -m benchmarks.NAME`) that prints markdown, or plain text (`plain`), and ends with 0
where every bar was met, else with another code. To add one, write such a module and add a line here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement. `minutes` and `quick_minutes` end it; `dbos`: it takes `--dbos-python`."""

    name: str
    title: str
    module: str
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    minutes: float = 5.0
    quick_minutes: float = 1.0
    plain: bool = False
    dbos: bool = False


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PARTS = (
    Part(
        "sidebyside",
        "Cases through observation, message and grant",
        "sidebyside",
        quick=words("--orders 400 --pairs 1 --n1 4 --n2 40 --d 40"),
        minutes=25,
        quick_minutes=4,
        dbos=True,
    ),
    Part(
        "ledger",
        "The ledger alone (SQLite)",
        "ledgers",
        quick=words("--intake 10000 --facts 10000 --rounds 1"),
    ),
    Part(
        "claims",
        "Claims among many open cases, beside raw sqlite3",
        "claims",
        quick=words("--open 100000 --rounds 7"),
    ),
    Part(
        "growth",
        "How cost grows",
        "growth",
        quick=words("--orders 300,1000 --open 10000,100000 --rounds 1"),
        minutes=15,
    ),
    Part(
        "quota",
        "Use of a declared quota by four processes",
        "quota",
        full=words("--seconds 20 --postgres"),
        quick=words("--seconds 5"),
    ),
    Part(
        "kills",
        "Killed in mid-work: done twice, or not at all",
        "kills",
        full=words("--latency 0.2"),
        quick=words("--kills 3 --orders 60 --only amends,U"),
        minutes=12,
        quick_minutes=2,
    ),
    Part(
        "workers",
        "Two workers on one shop, Postgres",
        "workers",
        quick=words("--orders 800 --pairs 1"),
        minutes=10,
        quick_minutes=2,
    ),
    Part(
        "prefect_rows",
        "What Prefect stores for a sweep, beside one flow run per case",
        "prefect_rows",
        full=words("--cases 1000"),
        quick=words("--cases 10"),
        minutes=15,
        quick_minutes=3,
    ),
    Part(
        "http",
        "Requests through the HTTP client",
        "http",
        quick=words("--requests 300 --rounds 2"),
        plain=True,
    ),
    Part(
        "simulate",
        "The simulator: 30 virtual days × 10,000 cases (bar: 90 s)",
        "simulate",
        full=words("--shops 2"),
        quick=words("--cases 500 --days 10 --shops 2"),
        minutes=8,
        plain=True,
    ),
    Part(
        "memory",
        "Memory of a sweep over many due cases, and what a waiting case costs",
        "memory",
        full=words("--open 0"),
        quick=words("--cases 3000 --open 0"),
        minutes=25,
    ),
    Part(
        "recovery",
        "From kill -9 of everything to full rate",
        "recovery",
        quick=words("--orders 6000 --rounds 1"),
        minutes=10,
    ),
    Part("journal", "Journal modes of SQLite", "journal", quick=words("--rounds 2")),
    Part(
        "triage",
        "`amends triage` on large exports",
        "triage",
        quick=words("csv-100k"),
        plain=True,
    ),
    Part(
        "reply",
        "From a customer's reply to the next effect",
        "reply_latency",
        quick=words("--cases 5000 --replies 40 --crowd 500"),
        minutes=10,
        plain=True,
    ),
)
