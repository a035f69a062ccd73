"""Measures recovery: amends and the platform are killed with SIGKILL in full work and started again; how long until full rate?

python -m benchmarks.recovery [--orders 16000] [--rounds 3]

The rate is read off the sandbox's journal, in windows of one second. Full rate is 80 % of what this process did before it
was killed (the median of its windows), and counts from the end of the first window that has it. A start counts from the
moment at which Python has imported amends ("beyond process start"); the time that starting took is printed beside. Prints
markdown; ends with 1 where the bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.rivals import CONFIG, QUOTA, Plugin

from amends.testing.control import SandboxControl, launch
from amends.testing.journal import duplicates

BAR = 5.0
ROOT = Path(__file__).parents[1]
DAYS = 4
WINDOW = 1.0
FULL = 0.8
BEFORE = 3
"""Windows of work before the kill."""


@dataclass
class Watch:
    """How many acts were there when: the journal's length over time."""

    control: SandboxControl
    seen: list[tuple[float, int]]

    @classmethod
    def begin(cls, control: SandboxControl) -> Watch:
        return cls(control, [(time.monotonic(), len(control.journal()))])

    def look(self) -> int:
        known = self.seen[-1][1]
        found = known + len(self.control.journal(known))
        self.seen.append((time.monotonic(), found))
        return found

    def in_full_work(self) -> bool:
        """Whether acts have been done for some windows, which tell the rate."""
        done = self.look()
        first = next((when for when, count in self.seen if count), None)
        return done > 0 and first is not None and self.seen[-1][0] > first + BEFORE * WINDOW

    def rate(self, at: float) -> float:
        """Acts a second in the window that begins then."""
        inside = [(when, count) for when, count in self.seen if at <= when <= at + WINDOW]
        if len(inside) < 2 or inside[-1][0] - inside[0][0] < WINDOW / 2:
            return 0.0
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


@dataclass
class Recovery:
    """One kill. Seconds: until Python has imported amends, then until the first act, then until full rate."""

    rate: float
    importing: float
    first: float
    full: float
    left_sent: int
    doubled: int


def start(url: str, now: datetime, folder: Path) -> subprocess.Popen[str]:
    words = ["--child", url, "--now", now.isoformat(), "--folder", str(folder)]
    command = [sys.executable, "-m", "benchmarks.recovery", *words]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def measure(folder: Path, orders: int, seed: int) -> Recovery:
    state, place = folder / "box", folder / "amends"
    with launch(state, seed=seed, orders=orders, days=DAYS) as box:
        now = box.control.clock() + timedelta(days=DAYS + 1)
        box.control.set_clock(now)
        process = start(box.url, now, place)
        began, watch = time.monotonic(), Watch.begin(box.control)
        while (
            not watch.in_full_work()
        ):  # about half of the orders become cases, of two acts each: much is left
            if process.poll() is not None or time.monotonic() > began + 300:
                raise SystemExit("it ended before it could be killed: more --orders")
            time.sleep(0.02)
        process.kill()
        process.communicate()
        first_act = next(when for when, count in watch.seen if count)
        rates = [watch.rate(at) for at in _steps(first_act, watch.seen[-1][0] - WINDOW)]
        box.kill()
    rate = statistics.median(rates)
    if not rate:
        raise SystemExit("no rate to come back to was seen before the kill")
    with launch(state, seed=seed, orders=orders, days=DAYS) as box:
        watch = Watch.begin(box.control)
        began = time.monotonic()
        process = start(box.url, now, place)
        assert process.stdout is not None
        process.stdout.readline()
        imported = time.monotonic()
        before = watch.seen[-1][1]
        while process.poll() is None and time.monotonic() < imported + 60:
            watch.look()
            time.sleep(0.02)
            if watch.seen[-1][0] > imported + 3 * BAR:
                break
        process.kill()
        out, _ = process.communicate()
        first = next((when for when, count in watch.seen if count > before), float("inf"))
        full = next(
            (
                at + WINDOW
                for at in _steps(imported, watch.seen[-1][0] - WINDOW, 0.1)
                if watch.rate(at) >= FULL * rate
            ),
            float("inf"),
        )
        left = json.loads(out.splitlines()[0])["sent"] if out else 0
        doubled = len(duplicates(box.control.journal()))
    return Recovery(rate, imported - began, first - imported, full - imported, left, doubled)


def _steps(start_: float, end: float, step: float = 0.5) -> Sequence[float]:
    return [start_ + step * n for n in range(max(0, int((end - start_) / step)) + 1)]


async def child(asked: argparse.Namespace) -> None:
    from sqlalchemy import text

    from amends.clock import FixedClock
    from amends.hooks.registry import Registry
    from amends.settings import Settings
    from amends.steps.shop import Shop, open_ledger
    from amends.steps.sweep import sweep

    print("imported", flush=True)
    base = asked.folder / "config/base"
    base.mkdir(parents=True, exist_ok=True)
    (base / "bench.toml").write_text(CONFIG.format(url=asked.child, quota=QUOTA), encoding="utf-8")
    registry = Registry.load()
    registry.add(Plugin, name="bench")
    settings = Settings.load(asked.folder / "config")
    ledger = open_ledger(settings)
    sent = ledger.do(
        lambda tx: tx.execute(text("SELECT count(*) FROM effects WHERE state = 'sent'")).scalar()
    )
    print(json.dumps({"sent": sent}), flush=True)
    shop = await Shop.open(settings, "bench", ledger=ledger, registry=registry, clock=FixedClock(asked.now))
    await sweep(shop)
    await shop.aclose()
    await ledger.aclose()


def table(found: Sequence[Recovery]) -> list[str]:
    lines = [
        "| kill | acts/s before | left `sent` | importing | first act | full rate (bar: 5 s) | done twice |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for place, one in enumerate(found, 1):
        lines.append(
            f"| {place} | {one.rate:.0f} | {one.left_sent} | {one.importing:.2f} s | {one.first:.2f} s "
            f"| {one.full:.2f} s | {one.doubled} |"
        )
    worst = max(one.full for one in found)
    median = statistics.median(one.full for one in found)
    verdict = "met" if median <= BAR else "**missed**"
    return [
        *lines,
        "",
        f"Full rate again {median:.2f} s (median; worst {worst:.2f} s) beyond process start: {verdict}.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--orders", type=int, default=16000, help="in the marketplace; about half become cases"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        asyncio.run(child(asked))
        return 0
    found = []
    for turn in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
            found.append(measure(Path(folder), asked.orders, 7 + turn))
    print("\n".join(table(found)))
    ok = statistics.median(one.full for one in found) <= BAR and not any(one.doubled for one in found)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
