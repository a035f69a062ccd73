"""Measures `amends triage` on generated exports: rows a second and peak memory, each in a process of its own.

python -m benchmarks.triage [case …]     cases: csv-100k csv-1m xlsx-100k
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
HEADER = [
    "Order No",
    "Placed",
    "Paid",
    "Ship until",
    "Shipped",
    "State",
    "Total",
    "Refund",
    "Parcel",
    "Article",
]
TIMES = (1, 2, 3, 4)
MAPPING = """
currency = "EUR"
time_zone = "Europe/Berlin"
date_formats = ["%m/%d/%Y %H:%M"]
decimal = ","
[columns]
number = "Order No"
placed_at = "Placed"
paid_at = "Paid"
ship_by = "Ship until"
shipped_at = "Shipped"
status = "State"
amount = "Total"
after_sales = "Refund"
tracking_number = "Parcel"
title = "Article"
[status]
"open" = "to-ship"
"sent" = "shipped"
[after_sales]
"no" = "none"
"""
CASES = {"csv-100k": (100_000, "10 s"), "csv-1m": (1_000_000, "300 MB"), "xlsx-100k": (100_000, "15 s")}
"""Rows, and what the project promises."""


def orders(count: int) -> Iterator[tuple[list[datetime | None], list[str]]]:
    """Made-up orders as times and other cells; two in five are late. No time repeats for long, prices do."""
    start = datetime(2026, 3, 1)  # noqa: DTZ001  # naive on purpose: the export's own time
    for n in range(count):
        placed = start + timedelta(minutes=n * 27_000 // count)
        waiting, late = n % 3 == 0, n % 5 == 0
        shipped = None if waiting else placed + timedelta(hours=60 if late else 30)
        times = [placed, placed + timedelta(minutes=3), placed + timedelta(hours=48), shipped]
        price = f"{1 + n % 9}.{n % 1000:03},{n % 100:02}"
        yield (
            times,
            [
                f"A-{10_000_000 + n}",
                "open" if waiting else "sent",
                price,
                "no",
                f"T{n:012}",
                "Made-up article",
            ],
        )


def written(at: datetime | None) -> str:
    return "" if at is None else f"{at.month}/{at.day}/{at.year} {at.hour}:{at.minute:02}"


def generate(case: str, folder: Path) -> Path:
    """The export of a case."""
    path = folder / f"{case}.{case.partition('-')[0]}"
    count = CASES[case][0]
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=";")
            writer.writerow(HEADER)
            writer.writerows([cells[0], *map(written, times), *cells[1:]] for times, cells in orders(count))
        return path
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("orders")
    sheet.append(HEADER)
    for times, cells in orders(count):
        price = float(cells[2].replace(".", "").replace(",", "."))
        sheet.append([cells[0], *times, cells[1], price, *cells[3:]])
    book.save(path)
    return path


def measure(path: Path, mapping: Path) -> dict[str, float]:
    """Triage one file here: what a process that does nothing else needs."""
    from amends.cases.rules import RuleBook
    from amends.clock import FixedClock
    from amends.hooks.protocols import Context
    from amends.steps.triage import triage
    from amends_spreadsheet import SpreadsheetConfig
    from amends_spreadsheet.connector import make

    started = time.perf_counter()
    config = SpreadsheetConfig(path=path, mapping=mapping)
    connector = make(config, Context(shop="bench", time_zone="UTC", clock=FixedClock(NOW), http=None))
    result = triage(connector.rows(), now=NOW, rules=RuleBook())
    with Path("/dev/null").open("w", encoding="utf-8") as out:
        result.write_json(out)
    seconds = time.perf_counter() - started
    assert len(result.unreadable) == 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": result.rows, "late": len(result.late), "seconds": seconds, "mb": peak}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(Path(arguments[1]), Path(arguments[2]))))
        return
    print(f"{'case':10} {'rows':>9} {'late':>8} {'seconds':>8} {'rows/s':>8} {'peak MB':>8}  promised")
    with tempfile.TemporaryDirectory() as folder:
        mapping = Path(folder) / "mapping.toml"
        mapping.write_text(MAPPING, encoding="utf-8")
        for case in arguments or CASES:
            path = generate(case, Path(folder))
            command = [sys.executable, "-m", "benchmarks.triage", "--one", str(path), str(mapping)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            seconds, count = found["seconds"], found["rows"]
            figures = (
                f"{count:>9} {found['late']:>8} {seconds:>8.2f} {count / seconds:>8.0f} {found['mb']:>8.0f}"
            )
            print(f"{case:10} {figures}  {CASES[case][1]}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
