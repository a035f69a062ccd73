"""Runs the side-by-side measurements and writes benchmarks/results.md.

python -m benchmarks [--orders 1500] [--pairs 5] [--n1 30] [--n2 300] [--d 1500] [--only U,N2,N1,D,ledger]
                     [--dbos-python /path/to/python] [--open 1000000] [--facts 100000] [--intake 100000] [-o FILE]

Only ratios within one run mean something, and only on a machine that does nothing else: the load is written down.
DBOS needs a newer SQLAlchemy than Prefect allows, so it may live in a Python of its own: --dbos-python.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ledgers import BATCH, claims_of, evidence_of, intake_of
from benchmarks.sidebyside import ABOUT, BARS, Rates, SideBySide

RIVALS = ("U", "N2", "N1", "D")


def machine() -> list[str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _text("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = next(
        (int(line.split()[1]) for line in _text("/proc/meminfo").splitlines() if "MemTotal" in line), 0
    )
    names = ("prefect", "sqlalchemy", "pydantic", "httpx", "aiohttp")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return [
        f"- {os.cpu_count()} × {model}, {memory / 2**20:.1f} GiB, {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}; commit {commit.stdout.strip()}",
    ]


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.exists() else ""


def beside(found: dict[str, Rates], sides: SideBySide) -> list[str]:
    lines = [
        "## Cases through observation, message and grant",
        "",
        f"{sides.orders} orders in the sandbox; medians of the pairs. amends runs before each rival, on a fresh sandbox "
        "process of the same seed, and its grants are counted in the sandbox's own journal: one each.",
        "",
        "| rival | what it is | pairs | cases | its cases/s | amends' cases/s | amends is × | bar |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, rates in found.items():
        ratio = rates.ratio
        if ratio is None:
            lines.append(
                f"| {name} | {ABOUT[name]} | 0 | – | not measured: {rates.problem} | – | – | ≥ {BARS[name]:g} |"
            )
            continue
        lines.append(
            f"| {name} | {ABOUT[name]} | {len(rates.rival)} | {rates.cases} | {statistics.median(rates.rival):.2f} "
            f"| {statistics.median(rates.ours):.1f} | {ratio:.2f} | ≥ {BARS[name]:g} |"
        )
    if sides.intake:
        lines += [
            "",
            f"amends' intake through the connector: {statistics.median(sides.intake):.0f} orders/s.",
        ]
    return lines


def ledger(folder: Path, asked: argparse.Namespace) -> list[str]:
    fresh, again = intake_of(folder, asked.intake)
    few = claims_of(folder, 10_000, asked.rounds)
    many = claims_of(folder, asked.open, asked.rounds)
    seconds = evidence_of(folder, asked.facts)

    def ms(values: list[float]) -> str:
        return f"{1000 * statistics.median(values):.1f} ms"

    growth = statistics.median(many.ours) / statistics.median(few.ours)
    return [
        "## The ledger alone (SQLite)",
        "",
        "| measure | found | bar |",
        "|---|---:|---:|",
        f"| intake of {asked.intake:,} new orders, judged, pages of 200 | {fresh:.1f} s | 100,000 in ≤ 10 s |",
        f"| the same again, unchanged | {again:.1f} s | |",
        f"| claim {BATCH} due of {few.open:,} open: amends / raw sqlite3 | {ms(few.ours)} / {ms(few.raw)} = {few.ratio:.2f} | |",
        f"| claim {BATCH} due of {many.open:,} open: amends / raw sqlite3 "
        f"| {ms(many.ours)} / {ms(many.raw)} = {many.ratio:.2f} | ≤ 1.5 |",
        f"| {many.open:,} open against {few.open:,} open, both amends | {growth:.2f} | ≤ 1.5 |",
        f"| {asked.facts:,} facts of evidence verified | {seconds:.2f} s | 100,000 in ≤ 2 s |",
        "",
        f"Medians of {asked.rounds} claims each, in turn. Raw sqlite3 reads and writes the same rows and decodes nothing; "
        "amends' time includes decoding the facts and folding them into what is decided on.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--n1", type=int, default=30, help="cases of the slow rival N1")
    parser.add_argument("--n2", type=int, default=300, help="cases of N2")
    parser.add_argument("--d", type=int, default=1500, help="cases of D")
    parser.add_argument("--dbos-python", default=os.environ.get("BENCH_DBOS_PYTHON", ""))
    parser.add_argument("--only", default=",".join((*RIVALS, "ledger")))
    parser.add_argument("--intake", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=1_000_000)
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results.md")
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    unknown = set(wanted) - {*RIVALS, "ledger"}
    if unknown:
        parser.error(f"--only knows {', '.join((*RIVALS, 'ledger'))}, not {', '.join(sorted(unknown))}")
    before = os.getloadavg()[0]
    parts: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        names = [name for name in RIVALS if name in wanted]
        if names:
            limits = {"N1": asked.n1, "N2": asked.n2, "D": asked.d}
            sides = SideBySide(Path(folder), asked.orders, asked.pairs, limits, asked.dbos_python)
            parts.append(beside(sides.run(names), sides))
        if "ledger" in wanted:
            parts.append(ledger(Path(folder) / "ledger", asked))
    after = os.getloadavg()[0]
    busy = ""
    if before > 1:
        busy = " **The machine was busy with other work: read nothing but rough ratios from this run.**"
    head = [
        "# Measurements",
        "",
        f"Written by `python -m benchmarks {shlex.join(sys.argv[1:])}`".rstrip("` ") + "`, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. `python -m benchmarks --help` tells what is measured.",
        "",
        *machine(),
        f"- Load average before {before:.1f}, after {after:.1f}.{busy}",
    ]
    text = "\n\n".join("\n".join(part) for part in [head, *parts]) + "\n"
    asked.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
