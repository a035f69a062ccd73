"""The pace of calls: four processes keep one quota, a pause holds for all, a broken shop is left alone and probed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.demo.workshop import HOUR, MINUTE, NOW, workshop

from amends.clock import FixedClock, SystemClock
from amends.errors import PlatformError, Rejected, Throttled, TimedOut, Unavailable, Unreachable
from amends.ledger import Ledger, Vault, quotas
from amends.settings.models import Quota
from amends.steps.pace import FAILURES, Pace, Time, paced

KEY = Vault(b"k" * 32)


class Hand:
    """Time that passes when somebody sleeps, or when it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)

    @property
    def time(self) -> Time:
        return Time(lambda: self.seconds, self.sleep, lambda: int(self.seconds * 1_000_000))


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", KEY)
    yield opened
    opened.close()


def pace(ledger: Ledger, hand: Hand, *, shop: str = "flagship") -> Pace:
    return Pace(ledger, shop, FixedClock(NOW), {"woo": (10.0, 10)}, by=hand.time)


def answers(value: object = "ok") -> Callable[[], Awaitable[object]]:
    async def work() -> object:
        if isinstance(value, Exception):
            raise value
        return value

    return work


async def outcomes(at: Pace, value: object, count: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(count):
        try:
            found[str(await at.call("woo", answers(value)))] += 1
        except PlatformError as error:
            found[type(error).__name__] += 1
    return found


async def test_calls_keep_the_rate(ledger: Ledger) -> None:
    hand = Hand()
    at = pace(ledger, hand)
    for _ in range(100):
        assert await at.call("woo", answers()) == "ok"
    assert 9.0 <= hand.seconds - 1000 <= 10.0


async def test_a_shop_without_a_quota_never_waits(ledger: Ledger) -> None:
    hand = Hand()
    at = pace(ledger, hand)
    for _ in range(1000):
        await at.call("sms", answers())
    assert hand.slept == []


async def test_retry_after_holds_for_other_processes(ledger: Ledger, tmp_path: Path) -> None:
    hand = Hand()
    one, other = pace(ledger, hand), pace(Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", KEY), hand)
    assert await outcomes(other, "ok", 1) == {"ok": 1}
    assert await outcomes(one, Throttled("slow", retry_after=1.5), 1) == {"Throttled": 1}
    hand.seconds += 0.3  # the other one has slots in hand, yet looks at the ledger four times a second
    assert await outcomes(other, "ok", 1) == {"ok": 1}
    assert hand.seconds >= 1001.5


async def test_a_long_pause_is_the_callers_to_wait_for(ledger: Ledger) -> None:
    hand = Hand()
    at = pace(ledger, hand)
    await outcomes(at, Throttled("slow", retry_after=600), 1)
    with pytest.raises(Throttled, match="woo asked for a pause of 600 s more") as caught:
        await at.call("woo", answers())
    assert caught.value.retry_after == pytest.approx(600, abs=1)
    assert caught.value.sure_not_done
    hand.seconds += 600
    assert await outcomes(at, "ok", 1) == {"ok": 1}


@pytest.mark.parametrize("error", [Unavailable("5xx"), TimedOut("silence"), Unreachable("no route")])
async def test_a_broken_shop_is_left_alone(ledger: Ledger, error: Exception) -> None:
    hand, asked = Hand(), 0

    async def down() -> None:
        nonlocal asked
        asked += 1
        raise error

    at, beside = pace(ledger, hand), pace(ledger, hand, shop="outlet")
    for _ in range(50):
        with pytest.raises(PlatformError):
            await at.call("woo", down)
    assert asked == FAILURES
    assert await outcomes(beside, "ok", 5) == {"ok": 5}, "other shops go on"
    with pytest.raises(Unreachable, match=r"did not answer 10 times in a row: no calls for 1\d s") as caught:
        await at.call("woo", down)
    assert (
        caught.value.sure_not_done and caught.value.retryable and 10 < (caught.value.retry_after or 0) <= 15
    )


async def test_one_call_probes_and_the_others_wait_for_what_it_finds(ledger: Ledger) -> None:
    hand, asked = Hand(), 0
    at = pace(ledger, hand)
    await outcomes(at, Unavailable("5xx"), FAILURES)
    hand.seconds += 16

    async def back() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(0.01)
            assert asked == 1, "nobody else while the first one is out"
        return "back"

    assert await asyncio.gather(*(at.call("woo", back) for _ in range(8))) == ["back"] * 8


async def test_a_failed_probe_doubles_the_break(ledger: Ledger) -> None:
    hand = Hand()
    at = pace(ledger, hand)
    await outcomes(at, Unavailable("5xx"), FAILURES)
    for seconds in (15, 30, 60):
        hand.seconds += seconds + 1
        assert await outcomes(at, Unavailable("5xx"), 1) == {"Unavailable": 1}, "the probe"
        assert await outcomes(at, "ok", 3) == {"Unreachable": 3}
    hand.seconds += 121
    assert await outcomes(at, "ok", 5) == {"ok": 5}


async def test_an_answer_whatever_it_says_is_a_sign_of_life(ledger: Ledger) -> None:
    at = pace(ledger, Hand())
    for _ in range(5):
        await outcomes(at, Unavailable("5xx"), FAILURES - 1)
        await outcomes(at, Rejected("no"), 1)
    assert await outcomes(at, "ok", 1) == {"ok": 1}


async def test_a_probe_that_is_cancelled_leaves_nobody_waiting(ledger: Ledger) -> None:
    hand = Hand()
    at = pace(ledger, hand)
    await outcomes(at, Unavailable("5xx"), FAILURES)
    hand.seconds += 16
    probe = asyncio.create_task(at.call("woo", lambda: asyncio.sleep(60)))
    await asyncio.sleep(0.05)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await outcomes(at, "ok", 1) == {"Unreachable": 1}
    hand.seconds += quotas.PROBE / quotas.SECOND
    assert await outcomes(at, "ok", 1) == {"ok": 1}


async def test_every_call_to_the_outside_goes_through_and_nothing_else() -> None:
    async with workshop() as shop:
        made: list[str] = []

        async def call(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
            made.append(name)
            return await work()

        front = paced(shop.platform, type("Counting", (), {"call": staticmethod(call)})(), "stall")
        await front.order("A-1")
        await front.changed_orders("")
        assert made == ["stall", "stall"]
        assert front.orders is shop.platform.orders
        await front.aclose()
        assert len(made) == 2
        assert not hasattr(front, "with_dispute")


async def test_cases_of_a_broken_shop_wait_with_a_due_time_and_nothing_is_lost() -> None:
    numbers = [f"A-{n}" for n in range(12)]
    async with workshop(orders=numbers) as shop:
        shop.platform.always["order"] = Unreachable("no route")
        await shop.sweep()
        looks = len(shop.platform.looks)
        assert looks <= FAILURES + shop.shop.connector_spec.in_flight
        for number in numbers:
            due = shop.case(number).due_at
            assert due is not None and shop.clock.now() < due <= NOW + 20 * MINUTE
        shop.platform.always.clear()
        await shop.sweep(HOUR)
        assert all(shop.done("message", number) == 1 for number in numbers)
        shop.check()


WORKER = """
import asyncio, sys, time
from amends.clock import SystemClock
from amends.ledger import Ledger, Vault
from amends.steps.pace import Pace

async def main(url, port, rate, burst, seconds):
    pace = Pace(Ledger.open(url, Vault(b"k" * 32)), "flagship", SystemClock(), {"woo": (rate, burst)})
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def ask():
            writer.write(b"x")
            await writer.drain()
            await reader.readexactly(1)

        while time.monotonic() < end:
            await pace.call("woo", ask)
        writer.close()

    await asyncio.gather(*(one() for _ in range(8)))

url, port, rate, burst, seconds = sys.argv[1:]
asyncio.run(main(url, int(port), float(rate), int(burst), float(seconds)))
"""


@asynccontextmanager
async def counting(arrived: list[float]) -> AsyncIterator[int]:
    """A server that notes when each call arrives, and answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            arrived.append(time.monotonic())
            writer.write(b"y")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def most_beyond(arrived: list[float], rate: float) -> float:
    """Over all windows, the most calls beyond `rate` × the window's length: what the burst has to cover."""
    worst = lowest = float("-inf")
    for n, at in enumerate(arrived):
        lowest = max(lowest, rate * at - n)
        worst = max(worst, n + 1 - rate * at + lowest)
    return worst


@pytest.mark.parametrize(("rate", "burst"), [(200.0, 200)])
async def test_four_processes_use_the_quota_and_keep_it_in_every_window(
    tmp_path: Path, rate: float, burst: int
) -> None:
    url, arrived = f"sqlite:///{tmp_path / 'ledger.db'}", list[float]()
    Ledger.open(url, KEY).close()
    async with counting(arrived) as port:
        command = [sys.executable, "-c", WORKER, url, str(port), str(rate), str(burst), "6"]
        pipe = asyncio.subprocess.PIPE
        workers = [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(4)]
        for worker in workers:
            assert worker.stdout is not None
            assert await asyncio.wait_for(worker.stdout.readline(), 60) == b"ready\n"
        ended = time.monotonic() + 5.0  # counted until a second before the first of them stops
        await asyncio.gather(*(asyncio.wait_for(worker.communicate(b"go\n"), 60) for worker in workers))
        assert [worker.returncode for worker in workers] == [0] * 4
    begun = arrived[0] + 1.0  # the first second holds the burst besides
    used = sum(begun < at <= ended for at in arrived) / (rate * (ended - begun))
    worst = most_beyond(arrived, rate)
    print(f"{len(arrived)} calls, {used:.1%} used, {worst:.0f} beyond the rate of {burst} allowed")  # noqa: T201  # pytest -s
    assert worst <= burst
    assert used >= 0.95


def test_the_judge_of_windows_sees_a_violation() -> None:
    assert most_beyond([0.0, 1.0, 2.0, 3.0], 1.0) == 1
    assert most_beyond([0.0, 1.0, 2.0, 2.0, 2.0, 5.0], 1.0) == 3


async def test_within_a_block_a_call_costs_next_to_nothing(ledger: Ledger) -> None:
    at = Pace(ledger, "flagship", SystemClock(), {"woo": (1e6, 10**6)})
    work = answers()
    await at.call("woo", work)
    began = time.perf_counter()
    for _ in range(5000):
        await at.call("woo", work)
    assert (time.perf_counter() - began) / 5000 < 200e-6


def test_a_slow_quota_makes_small_batches(ledger: Ledger) -> None:
    at = Pace(ledger, "flagship", SystemClock(), {"slow": (5.0, 10), "fast": (500.0, 500)})
    assert (at.at_once("slow", 200), at.at_once("fast", 200), at.at_once("sms", 200)) == (50, 200, 200)
    assert timedelta(seconds=at.at_once("slow", 200) * 6 / 5) <= timedelta(seconds=60)


async def test_a_shop_may_have_its_own_quota() -> None:
    async with workshop() as shop:
        quota = Quota(per_second=2.0, burst=3)
        tables = {"stall": shop.settings.shops["stall"].model_copy(update={"quota": quota})}
        shop.settings = shop.settings.model_copy(update={"shops": tables})
        before, given = shop.shop, await shop.second()
        assert given.pace.at_once("stall", 200) == 20 < before.pace.at_once("stall", 200)
