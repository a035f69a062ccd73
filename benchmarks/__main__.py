"""Runs the measurements one after another and writes benchmarks/results.md; `make bench` does this.

python -m benchmarks [--quick] [--only NAME,…] [--dbos-python /path/to/python] [-o FILE]

Each part is a process of its own with a time limit. One that fails or takes too long is reported in its place, and the
others go on. Only ratios within one part mean something, and only on a machine that does nothing else: the load is
written down. DBOS needs a newer SQLAlchemy than Prefect allows, so it lives in a Python of its own: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.parts import PARTS, Part

PACKAGE = "benchmarks"
BUSY = 0.1
"""The share of the processors that others used just before a part, above which its numbers are marked."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one part."""

    part: Part
    command: str
    text: str
    seconds: float
    others: float
    problem: str = ""

    def lines(self) -> list[str]:
        text = f"```\n{self.text}\n```" if self.part.plain and self.text else self.text
        busy = (
            " **The machine was busy with other work: rough ratios at best.**" if self.others > BUSY else ""
        )
        spent = f"{self.seconds:.0f} s; others used {self.others:.0%} of the processors just before."
        found = [f"## {self.part.title}", "", f"`{self.command}`: {spent}{busy}"]
        if self.problem:
            found += ["", f"**{self.problem}**"]
        return [*found, "", text] if text else found


def run(part: Part, *, quick: bool, dbos_python: str) -> Done:
    """Run one part to its end or its limit; whatever it started ends with it."""
    arguments = [*(part.quick if quick else part.full)]
    shown = shlex.join(["python", "-m", f"{PACKAGE}.{part.module}", *arguments])
    if part.dbos and dbos_python:
        arguments += ["--dbos-python", dbos_python]
        shown += " --dbos-python …"
    limit = 60 * (part.quick_minutes if quick else part.minutes)
    others, began = in_use(), time.monotonic()
    command = [sys.executable, "-m", f"{PACKAGE}.{part.module}", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    problem = ""
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        out, err = _end(process)
        problem = f"Not finished after {limit / 60:g} minutes."
    except BaseException:
        _end(process)
        raise
    sys.stderr.write(err)
    if process.returncode and not problem:
        last = next((line for line in reversed(err.splitlines()) if line.strip()), "")
        problem = f"Ended with code {process.returncode}: a bar was missed, or it failed. {last}".strip()
    return Done(part, shown, out.rstrip(), time.monotonic() - began, others, problem)


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Interrupt a part, so that it stops its servers and prints what it has; then end whatever is left of it."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()


def in_use(seconds: float = 2.0) -> float:
    """The share of the processors in use while we wait: the load average would still tell of the part before."""

    def ticks() -> tuple[int, int]:
        each = [int(n) for n in next(iter(_text("/proc/stat").splitlines()), "cpu 0 0 0 0 0").split()[1:]]
        return sum(each), each[3] + each[4]  # all, and idle or waiting for a disk

    before = ticks()
    time.sleep(seconds)
    spent, idle = (b - a for a, b in zip(before, ticks(), strict=True))
    return 1 - idle / spent if spent else 0.0


def machine() -> list[str]:
    model = next((v for k, v in _table("/proc/cpuinfo") if k == "model name"), platform.processor())
    memory = next((int(v.split()[0]) for k, v in _table("/proc/meminfo") if k == "MemTotal"), 0)
    names = ("prefect", "sqlalchemy", "pydantic", "httpx", "aiohttp", "asyncpg")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    changed = (
        " with changes" if _git("status", "--porcelain", "--", "flows", "plugins", "benchmarks/*.py") else ""
    )
    return [
        f"- {os.cpu_count()} × {model}, {memory / 2**20:.1f} GiB, {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}",
        f"- Commit {_git('rev-parse', '--short', 'HEAD')}{changed}",
    ]


def _table(file: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in _text(file).splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _text(file: str) -> str:
    path = Path(file)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def report(found: list[Done], load: float, command: str) -> str:
    """All of results.md, as far as there is something to tell."""
    head = [
        "# Measurements",
        "",
        f"Written by `{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. What each part measures: [README.md](README.md).",
        "",
        *machine(),
        f"- Load average before {load:.1f}, after {os.getloadavg()[0]:.1f}.",
    ]
    return "\n\n".join("\n".join(part) for part in [head, *(done.lines() for done in found)]) + "\n"


def main() -> int:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: some minutes, rough numbers")
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--dbos-python", default=os.environ.get("BENCH_DBOS_PYTHON", ""))
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results.md")
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    if unknown := set(wanted) - set(names):
        parser.error(f"--only knows {', '.join(names)}, not {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    found: list[Done] = []
    for part in PARTS:
        if part.name in wanted:
            sys.stderr.write(f"== {part.name}\n")
            found.append(run(part, quick=asked.quick, dbos_python=asked.dbos_python))
            asked.output.write_text(report(found, load, command), encoding="utf-8")
    sys.stdout.write(report(found, load, command))
    return 1 if any(done.problem for done in found) else 0


if __name__ == "__main__":
    sys.exit(main())
