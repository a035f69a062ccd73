"""Acts on what came in at once: advances woken and due cases of all shops, in one process, without Prefect.

Cases are leased one by one, so sweeps may run at the same time. What customers and webhooks woke goes first and never
waits behind a crowd of merely due cases; those are left to a sweep while one holds the shop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import func, select

from amends.errors import LedgerError
from amends.ledger import Ledger, Tx
from amends.ledger.leases import real_ticks
from amends.ledger.schema import cases, shop_leases, ticks, versions
from amends.steps.advance import advance
from amends.steps.shop import Shop

POLL = 1.0
"""Seconds between looks for due cases that nobody told us of."""
DUE_BATCH = 20
"""Due cases taken at once: few, so that a reply never waits long for the ledger."""
PATIENCE = 1.0
"""Seconds for which due cases let replies go first, batch by batch; then it is their turn."""
AT_ONCE = 4
"""Batches of woken cases of one shop under way together, so that one slow answer does not keep the next reply."""
STUCK = 0.3
"""Seconds after which the next batch no longer waits for the one under way: in few large batches the disk is asked less."""
LATER = 0.1
"""Seconds until a woken case that somebody else holds is tried again."""
LONGEST_PAUSE = 30.0

log = logging.getLogger("amends.inbox")


@dataclass
class _Woken:
    """What of one shop was woken and is not yet in anybody's hands."""

    ids: set[int] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    running: int = 0
    began: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.ids or self.numbers)


class Dispatcher:
    """The one resident worker beside the inbox. `wake` may be called from any thread; `run` until `stop`.

    `shops` are open shops of its own, on one ledger; `reopen` makes one anew when a sweep with a changed config has
    brought playbooks or policies that the open one does not know. The shops stay the caller's to close.
    """

    def __init__(
        self, ledger: Ledger, shops: MutableMapping[str, Shop], *, reopen: Callable[[str], Awaitable[Shop]] | None = None,
        poll: float = POLL,
    ) -> None:  # fmt: skip
        self.ledger, self.shops, self.poll = ledger, shops, poll
        self.reopen = reopen
        self.retired: list[Shop] = []
        self.advanced = 0
        self._woken: dict[str, _Woken] = {}
        self._tries: dict[int, int] = {}
        self._stir = asyncio.Event()
        self._ended = asyncio.Event()
        self._reopening = asyncio.Lock()
        self._stopping = False
        self._running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pinned = -1

    @property
    def alive(self) -> bool:
        """Whether it runs: for `/health`."""
        return self._running and not self._stopping

    def wake(self, shop: str, *, ids: Sequence[int] = (), numbers: Sequence[str] = ()) -> None:
        """These cases, or the open cases of these orders, are due at once: call it after their events are committed."""
        if self._loop is None:
            self._note(shop, ids, numbers)
        else:
            with suppress(RuntimeError):  # the loop has ended: the cases are due in the ledger all the same
                self._loop.call_soon_threadsafe(self._note, shop, tuple(ids), tuple(numbers))

    def stop(self) -> None:
        """End `run` once the batches under way are written; from any thread."""
        self._stopping = True
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)

    async def run(self) -> None:
        """Advance until stopped. Trouble with the ledger is waited out; nothing that happens to a case ends this."""
        self._loop = asyncio.get_running_loop()
        self._running = True
        self._start(self._look_for_due())
        try:
            while not self._stopping:
                await self._either(self._stir)
                self._stir.clear()
                for name, woken in self._woken.items():
                    if woken and name in self.shops and not self._stopping:
                        self._begin(name, woken)
        finally:
            self._stopping = True
            self._ended.set()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._running = False

    def _begin(self, name: str, woken: _Woken) -> None:
        """Start a batch of what is woken, unless one is under way that should end first."""
        now = time.monotonic()
        if woken.running and (woken.running >= AT_ONCE or now - woken.began < STUCK):
            asyncio.get_running_loop().call_later(STUCK / 4, self._stir.set)
            return
        ids, numbers, woken.ids, woken.numbers = woken.ids, woken.numbers, set(), set()
        woken.running, woken.began = woken.running + 1, now
        self._start(self._advance_woken(name, woken, ids, numbers))

    def _note(self, shop: str, ids: Iterable[int], numbers: Iterable[str]) -> None:
        woken = self._woken.setdefault(shop, _Woken())
        woken.ids.update(ids)
        woken.numbers.update(numbers)
        self._stir.set()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _busy(self) -> bool:
        return any(woken or woken.running for woken in self._woken.values())

    async def _either(self, event: asyncio.Event) -> None:
        """Wait for the event, or the end."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._ended.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _rest(self, seconds: float) -> None:
        """Wait that long, or until the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def _advance_woken(self, name: str, woken: _Woken, ids: set[int], numbers: set[str]) -> None:
        """Advance these cases; what somebody else holds, and what the ledger would not give, is tried again soon."""
        pause = 0.0
        try:
            ids |= set(await self.ledger.run(_of_orders, name, sorted(numbers)))
            numbers = set()
            await self._advance(name, sorted(ids))
            left = set(await self.ledger.run(_still_due, sorted(ids), ticks(self.shops[name].clock.now())))
            self._tries = {id_: n for id_, n in self._tries.items() if id_ not in ids - left}
            ids = left
            if ids:
                tries = max(self._tries.get(id_, 0) for id_ in ids)
                self._tries |= {id_: self._tries.get(id_, 0) + 1 for id_ in ids}
                pause = LATER * 2 ** min(tries, 6)
        except LedgerError as error:
            log.warning("%s: the ledger cannot be used (%s); tried again", name, error.code)
            pause = self.poll
        except Exception as error:  # whatever it is, the cases are due in the ledger and are looked at again
            log.error("%s: advancing failed: %s", name, type(error).__name__, exc_info=True)
            pause = self.poll
        finally:
            woken.running -= 1
            self._stir.set()
        if ids or numbers:
            await self._rest(pause)
            self._note(name, ids, numbers)

    async def _look_for_due(self) -> None:
        """Every `poll` seconds advance what is due in each shop that no sweep is working on."""
        pause = self.poll
        while not self._stopping:
            await self._rest(pause)
            pause = self.poll
            for name in list(self.shops):
                try:
                    await self._advance_due(name)
                except LedgerError as error:
                    pause = min(LONGEST_PAUSE, pause * 2)
                    log.warning(
                        "%s: the ledger cannot be used (%s); next try in %.0f s", name, error.code, pause
                    )
                except Exception as error:  # as above
                    pause = LONGEST_PAUSE
                    log.error("%s: advancing failed: %s", name, type(error).__name__, exc_info=True)

    async def _advance_due(self, name: str) -> None:
        """Advance due cases batch by batch, each case once a look."""
        done: set[int] = set()
        while not self._stopping:
            ids = await self.ledger.run(_due, name, ticks(self.shops[name].clock.now()))
            if done.issuperset(ids):
                return
            done.update(ids)
            until = time.monotonic() + PATIENCE
            while self._busy and time.monotonic() < until and not self._stopping:
                await self._rest(STUCK / 4)
            await self._advance(name, ids)

    async def _advance(self, name: str, ids: Sequence[int]) -> None:
        if not ids:
            return
        shop = await self._current(name)
        moved = await advance(shop, only=ids)
        self.advanced += moved.cases
        problems, shop.problems[:] = list(shop.problems), []
        for problem in problems:
            log.warning("%s: %s", name, problem)

    async def _current(self, name: str) -> Shop:
        """The shop with every playbook and policy that a case may have begun with."""
        async with self._reopening:
            pinned = await self.ledger.run(_pinned)
            if pinned != self._pinned:
                if self._pinned >= 0 and self.reopen is not None:
                    for each in list(self.shops):
                        fresh = await self.reopen(each)
                        self.retired.append(self.shops[each])  # a batch may still be working with it
                        self.shops[each] = fresh
                self._pinned = await self.ledger.run(_pinned)
        return self.shops[name]


def _of_orders(tx: Tx, shop: str, numbers: Sequence[str]) -> list[int]:
    found: list[int] = []
    for start in range(0, len(numbers), 400):
        query = select(cases.c.id).where(
            cases.c.shop == shop, cases.c.number.in_(numbers[start : start + 400]), cases.c.outcome.is_(None)
        )
        found += [row.id for row in tx.execute(query)]
    return found


def _still_due(tx: Tx, ids: Sequence[int], now: int) -> list[int]:
    """Those of these cases that are due still."""
    found: list[int] = []
    for start in range(0, len(ids), 400):
        part = cases.c.id.in_(ids[start : start + 400])
        query = select(cases.c.id).where(part, cases.c.due_at <= now, cases.c.outcome.is_(None))
        found += [row.id for row in tx.execute(query)]
    return found


def _due(tx: Tx, shop: str, now: int) -> list[int]:
    """A few due cases that nobody holds, soonest first; none while a sweep holds the shop: it takes them itself."""
    swept = select(shop_leases.c.until).where(shop_leases.c.shop == shop, shop_leases.c.until > real_ticks())
    if tx.execute(swept).first() is not None:
        return []
    free = cases.c.lease_until.is_(None) | (cases.c.lease_until < real_ticks())
    due = [cases.c.shop == shop, cases.c.due_at.is_not(None), cases.c.due_at <= now, free]
    query = select(cases.c.id).where(*due).order_by(cases.c.due_at, cases.c.id).limit(DUE_BATCH)
    return [row.id for row in tx.execute(query)]


def _pinned(tx: Tx) -> int:
    return int(tx.execute(select(func.count()).select_from(versions)).scalar() or 0)
