"""Every call to a platform, desk or channel passes here: within its quota, not while it asks for a pause or is broken.

Slots and pauses come from the ledger, so that all processes keep one quota together; within a block of slots a call
costs no transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from amends.deadline import in_time
from amends.errors import LedgerError, PlatformError, Throttled, TimedOut, Unavailable, Unreachable
from amends.hooks.protocols import Channel, Clock, Connector, Desk
from amends.ledger import Ledger, quotas
from amends.ledger.leases import LEASE, real_ticks
from amends.ledger.quotas import Grant, Quota
from amends.ledger.schema import ticks

R = TypeVar("R")

FAILURES = 10
"""Calls in a row that found nobody, or no answer, after which the breaker opens for the shop."""
PATIENCE = 3.0
"""Seconds that a call waits for the end of a pause; a longer one is the caller's to turn into a due time.

More than the steps' own patience, so that a pause that one call waits for is waited for by all.
"""
FRESH = 0.25
"""Seconds after which what the ledger says about pauses is read again."""
_DOWN = (Unavailable, TimedOut, Unreachable)
PER_CASE = 6
"""Calls that a case may need between two transactions, rather more than fewer."""
_UNASKED = 0.5
"""Seconds to pause after a 429 that does not say how long."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One call may be made from `at` until `until`: seconds of this process's monotonic clock."""

    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Time:
    """The clocks that pacing goes by; a simulator gives its own. `ledger`: microseconds, where not the ledger's own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ledger: Callable[[], int] | None = None


REAL = Time()


class Pace:
    """Paces the calls of one shop, each connector or channel by its own quota."""

    def __init__(
        self,
        ledger: Ledger,
        shop: str,
        clock: Clock,
        rates: Mapping[str, tuple[float, int]],
        *,
        by: Time = REAL,
    ) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._rates = rates
        self._make: Callable[[str], _Lane] = lambda name: _Lane(
            ledger, name, shop, clock, rates.get(name), by
        )

    def at_once(self, name: str, limit: int) -> int:
        """How many cases a worker should hold at once, so that a slow quota does not outlast their lease."""
        return max(1, int(min(limit, self.within(name, LEASE.total_seconds() / PER_CASE))))

    def within(self, name: str, seconds: float) -> float:
        """How many calls the quota lets through in that time."""
        rate, _ = self._rates.get(name, (float("inf"), 0))
        return rate * seconds

    async def call(self, name: str, work: Callable[[], Awaitable[R]]) -> R:
        """What `work` answers, called when connector or channel `name` may be.

        Raises what `work` raises; before it is called, `Throttled` for a pause that is too long to wait for here, and
        `Unreachable` while the breaker is open: both certainly did nothing, and say after how long to try again.
        """
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._make(name)
        try:
            probe = await lane.turn()
        except LedgerError as error:  # the call was not made: whoever wanted it has nothing to find out
            raise Unreachable(f"{name} was not called: {error}", hint=error.hint) from error
        try:
            in_time(name)
        except Unreachable:
            lane.gave_up(probe)
            raise
        try:
            answer = await work()
        except Throttled as error:
            await lane.answered(probe)
            await lane.throttled(error)
            raise
        except _DOWN:
            await lane.failed(probe)
            raise
        except PlatformError:
            await lane.answered(probe)
            raise
        except BaseException:
            lane.gave_up(probe)
            raise
        if probe or lane.failures:
            await lane.answered(probe)
        return answer


def paced(live: Any, pace: Pace, name: str) -> Any:
    """The connector, desk or channel `live` with every call to the outside in its turn; all else is its own."""
    return _Paced(live, pace, name)


class _Paced:
    """Stands before the live object; nothing else holds that one, so that no call can go round its quota."""

    def __init__(self, live: Any, pace: Pace, name: str) -> None:
        self._live, self._pace, self._name = live, pace, name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._live, name)
        if name not in CALLS:
            return found

        @wraps(found)
        async def in_turn(*args: Any, **more: Any) -> Any:
            return await self._pace.call(self._name, partial(found, *args, **more))

        setattr(self, name, in_turn)
        return in_turn


CALLS = frozenset(
    name
    for protocol in (Connector, Desk, Channel)
    for name, method in vars(protocol).items()
    if iscoroutinefunction(method) and name != "aclose"
)
"""What goes out to a platform."""


class _Lane:
    """One connector or channel of one shop, in this process."""

    def __init__(
        self, ledger: Ledger, name: str, shop: str, clock: Clock, rate: tuple[float, int] | None, by: Time
    ) -> None:
        self.name, self.shop = name, shop
        self.failures = 0
        self._ledger, self._clock, self._by = ledger, clock, by
        self._machine: Callable[[], int] = by.ledger or real_ticks
        self._quota = Quota.of(*rate) if rate is not None else None
        self._slots: deque[Slot] = deque()
        self._size = 4  # of the next block
        self._used = 0  # slots of the last one
        self._fresh_until = float("-inf")
        self._stop: Grant | None = None
        self._stop_until = 0.0
        self._stop_due = 0
        self._hold: asyncio.Event | None = None  # a probe is out, or a stop is being written
        self._lock = asyncio.Lock()

    async def turn(self) -> bool:
        """Wait until a call may be made; answers whether it is the one that probes a broken shop."""
        while True:
            if self._hold is not None:
                await self._hold.wait()
            elif self._stop is not None and not self._over():
                await self._rest(self._stop, self._stop_until - self._by.now())
            elif self._slots:
                if await self._take(self._slots.popleft()):
                    return False
            elif self._quota is None and self._by.now() < self._fresh_until:
                return False
            else:
                async with self._lock:
                    if self._needs_slots() and await self._reserve():
                        return True

    def _needs_slots(self) -> bool:
        """Whether the next block is to be fetched: asked again by whoever waited for the lock."""
        fresh = self._quota is None and self._by.now() < self._fresh_until
        return not (self._slots or self._hold or fresh) and self._over()

    async def _take(self, slot: Slot) -> bool:
        """Wait for a slot; False where it came too late, or a pause came first: it is lost."""
        if slot.at > self._by.now():
            await self._by.sleep(slot.at - self._by.now())
        if self._by.now() >= self._fresh_until:
            async with self._lock:
                if self._by.now() >= self._fresh_until and self._stop is None:
                    self._note(await self._run(quotas.look))
        if self._stop is not None or self._hold is not None or self._by.now() > slot.until:
            return False
        self._used += 1
        return True

    async def _rest(self, stop: Grant, left: float) -> None:
        if stop.broken:
            why = f"{self.name} did not answer {FAILURES} times in a row: no calls for {left:.0f} s"
            error = Unreachable(why, hint="Is it down?")
            error.retry_after = left
            raise error
        if left > PATIENCE:
            raise Throttled(f"{self.name} asked for a pause of {left:.0f} s more", retry_after=left)
        await self._by.sleep(max(0.0, left))

    def _over(self) -> bool:
        """Whether the pause has passed, by the real clock or by the shop's."""
        if self._stop is None:
            return True
        if self._by.now() < self._stop_until and ticks(self._clock.now()) < self._stop_due:
            return False
        self._stop, self._fresh_until = None, float("-inf")
        return True

    async def _reserve(self) -> bool:
        """Get the next block of slots; True where there is one call only, to probe whether the shop is back."""
        if self._quota is not None:
            # Twice what was used of the last block, so that blocks follow the demand both ways; never very small
            # ones, so that whoever is slow because its ledger is does not ask it more often.
            size = max(2 * self._used, self._size // 2, self._quota.block // 4, 1)
            self._size = min(size, self._quota.block)
        asked = self._by.now()
        grant = await self._run(quotas.reserve, self._quota, count=self._size)
        self._used = 0
        self._note(grant)
        if grant.count and grant.broken:
            self._hold = asyncio.Event()
            return True
        if self._quota is not None:
            answered = self._by.now()
            if self._ledger.sqlite:  # its clock is this machine's
                asked = answered = answered + (grant.now - self._machine()) / quotas.SECOND
            # Else its `now` lies somewhere in the transaction: the later bound for starts, the earlier for ends.
            starts = answered - grant.now / quotas.SECOND
            ends = asked + (self._quota.tolerance - grant.now) / quotas.SECOND
            for n in range(grant.count):
                place = (grant.first + n * self._quota.interval) / quotas.SECOND
                self._slots.append(Slot(starts + place, ends + place))
        return False

    async def _run(self, work: Callable[..., Grant], *args: Any, **more: Any) -> Grant:
        now = self._by.ledger() if self._by.ledger is not None else None
        due = ticks(self._clock.now())
        return await self._ledger.run(work, self.name, self.shop, *args, **more, due=due, now=now)

    def _note(self, grant: Grant) -> None:
        now = self._by.now()
        self._fresh_until = now + FRESH
        if grant.wait:
            self._stop, self._stop_until = grant, now + grant.wait / quotas.SECOND
            self._stop_due = ticks(self._clock.now()) + grant.wait
            self._slots.clear()

    async def answered(self, probe: bool) -> None:
        """The platform is there: what it said is another matter."""
        self.failures = 0
        if probe:
            try:
                await self._ledger.run(quotas.close_breaker, self.name, self.shop)
            finally:  # all others wait for this probe's end
                self.gave_up(probe)

    async def failed(self, probe: bool) -> None:
        """No answer, or nobody there: after so many in a row, or where it was the probe, the breaker opens."""
        self.failures += 1
        if probe or (self.failures >= FAILURES and self._stop is None and self._hold is None):
            self.failures = 0
            await self._tell(quotas.open_breaker, probed=probe)

    async def throttled(self, error: Throttled) -> None:
        """All processes pause for as long as the platform says."""
        seconds = _UNASKED if error.retry_after is None else error.retry_after
        if seconds > 0 and (self._stop is None or self._stop_until < self._by.now() + seconds):
            await self._tell(quotas.pause, int(seconds * quotas.SECOND))

    async def _tell(self, work: Callable[..., Grant], *args: Any, **more: Any) -> None:
        """Write a stop into the ledger; nobody here calls meanwhile."""
        hold = self._hold = self._hold or asyncio.Event()
        try:
            self._note(await self._run(work, *args, **more))
        finally:
            hold.set()
            self._hold = None

    def gave_up(self, probe: bool) -> None:
        """The probe is over, whatever came of it: whoever waits for it goes on."""
        if probe and self._hold is not None:
            self._hold.set()
            self._hold = None
