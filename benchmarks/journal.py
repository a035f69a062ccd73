"""Measures commits of a SQLite file under each journal mode with `synchronous=FULL`: the ledger's choice, and its price.

python -m benchmarks.journal [--rounds 9] [--dir DIR]     DIR: a folder on the disk in question; else the temporary one

A commit here is what the ledger does per window: BEGIN IMMEDIATE, rows of 300 bytes, COMMIT. `writers` are processes.
Modes take turns, and the median round counts, so that what else the disk does meets all of them alike.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODES = ("truncate", "persist", "delete", "wal")
OURS = "truncate"
LOADS = ((1, 1), (1, 50), (2, 1), (2, 50))
"""Writers, and rows in one commit. A sweep's window holds up to some dozens of cases, so 50 rows are a usual one."""
BODY = "x" * 300
SECONDS = 0.4
"""Of one round."""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def write(path: Path, mode: str, rows: int) -> int:
    """Commits of one writer in one round."""
    connection = connect(path, mode)
    commits, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO facts (body) VALUES (?)", [(BODY,)] * rows)
        connection.execute("COMMIT")
        commits += 1
    connection.close()
    return commits


def measure(folder: Path, mode: str, writers: int, rows: int) -> float:
    """Commits a second of all writers together, on a fresh file."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="journal-") as fresh:
        path = Path(fresh) / "ledger.db"
        connection = connect(path, mode)
        connection.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        connection.close()
        command = [sys.executable, "-m", "benchmarks.journal", "--write", str(path), mode, str(rows)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(writers)]
        counts = [int(process.communicate(timeout=120)[0]) for process in started]
    return sum(counts) / SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        path, mode, rows = asked.write
        print(write(Path(path), mode, int(rows)))
        return
    print(
        f"SQLite {sqlite3.sqlite_version}, {asked.dir}; commits/s, synchronous=FULL, median of {asked.rounds}\n"
    )
    print(
        f"| {'writers':>7} | {'rows':>4} | " + " | ".join(f"{mode:>8}" for mode in MODES) + f" | {OURS}/wal |"
    )
    print(f"|{'-' * 8}:|{'-' * 5}:|" + "|".join("-" * 9 + ":" for _ in MODES) + f"|{'-' * (len(OURS) + 5)}:|")
    for writers, rows in LOADS:
        found: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(asked.rounds):
            for mode in MODES:
                found[mode].append(measure(asked.dir, mode, writers, rows))
        median = {mode: statistics.median(each) for mode, each in found.items()}
        cells = " | ".join(f"{median[mode]:8.0f}" for mode in MODES)
        ratio = median[OURS] / median["wal"]
        print(f"| {writers:7} | {rows:4} | {cells} | {ratio:{len(OURS) + 4}.2f} |", flush=True)


if __name__ == "__main__":
    main()
