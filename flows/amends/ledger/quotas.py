"""How many calls a platform allows, shared by all processes: blocks of time slots, pauses and the circuit breaker.

A quota of (rate, burst) means that no window of `w` seconds sees more than `burst + rate × w` calls. Slots lie an
interval apart on one line per connector and shop (the generic cell rate algorithm, GCRA). A process reserves a block
of them in one transaction and makes each call within `tolerance` after its slot; a slot that is not used in time is
lost. So whoever stalls or dies uses less than its share, and nobody ever uses more.

All this is in real time, measured by the ledger's own clock (Postgres' for several machines), because the platform
counts by it. A pause is over as soon as it has passed by that clock or by the shop's: in a demo the latter runs ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text, update

from amends.ledger import leases
from amends.ledger.database import Tx
from amends.ledger.schema import quotas

SECOND = 1_000_000
BLOCK = 0.25
"""Seconds of the rate that one process reserves at once."""
LATEST = 100_000
"""Microseconds that a call may at least come after its slot; a quota that leaves less is used more slowly."""
JITTER = 250_000
"""Microseconds by which the way to the platform may differ between two calls (at most a quarter of what is left)."""
FIRST_BREAK, LONGEST_BREAK = 15 * SECOND, 900 * SECOND
"""How long the breaker opens at first; each failed probe doubles it."""
PROBE = 60 * SECOND
"""How long one process may take to probe a shop before another does; longer than any request."""
LONGEST_PAUSE = 86_400 * SECOND
_NEVER_SO_FAR = 60 * SECOND
"""A slot beyond this (and a hundred intervals) was written by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota as slots: `interval` between two of them, `tolerance` after each; microseconds."""

    interval: float
    tolerance: int
    block: int

    @classmethod
    def of(cls, rate: float, burst: int) -> Quota | None:
        """From calls a second and a burst; None where the rate is without limit.

        Calls made in [slot, slot + tolerance], seen there up to a jitter later, keep the quota where
        burst × interval - 1/rate ≥ tolerance + jitter and interval ≥ 1/rate.
        """
        if math.isinf(rate):
            return None
        apart = SECOND / rate
        interval = max(apart, (apart + LATEST) / burst)
        slack = burst * interval - apart
        return cls(interval, int(slack - min(JITTER, slack / 4)), max(1, int(BLOCK * SECOND / interval)))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a process got: `count` slots from `first` on, or how long to wait and why. Ledger's time, microseconds."""

    now: int
    first: int = 0
    count: int = 0
    wait: int = 0
    broken: bool = (
        False  # the wait is the breaker's; with `count`: the one call that probes whether it is over
    )


def reserve(
    tx: Tx, connector: str, shop: str, quota: Quota | None, *, count: int, due: int, now: int | None = None
) -> Grant:
    """Reserve up to `count` slots (none without a quota); `due` is the shop's own time, `now` a simulator's clock."""
    row = _row(tx, connector, shop)
    at = _now(tx) if now is None else now
    stop = _stopped(row, at, due)
    if stop is not None:
        return stop
    changes: dict[str, int] = {}
    if row is not None and row.opened:
        count = 1
        changes |= {"open_until": at + PROBE, "open_until_due": due + PROBE}
    first = at
    if quota is not None:
        count = min(count, quota.block)
        ahead = row.next_slot if row is not None else 0
        if ahead > at + _NEVER_SO_FAR + 100 * quota.interval:
            ahead = 0
        first = max(ahead, at - quota.tolerance // 2)
        changes["next_slot"] = first + math.ceil(count * quota.interval)
    if changes:
        _write(tx, connector, shop, changes, there=row is not None)
    return Grant(at, first, count, broken=row is not None and row.opened > 0)


def look(tx: Tx, connector: str, shop: str, *, due: int, now: int | None = None) -> Grant:
    """Whether calls must pause just now; reserves nothing."""
    row = tx.execute(_query(connector, shop)).first()
    at = _now(tx) if now is None else now
    return _stopped(row, at, due) or Grant(at)


def pause(tx: Tx, connector: str, shop: str, micros: int, *, due: int, now: int | None = None) -> Grant:
    """No process calls that shop for so long: the platform asked for it. A shorter pause never cuts a longer one."""
    row = _row(tx, connector, shop)
    at = _now(tx) if now is None else now
    length = min(micros, LONGEST_PAUSE)
    if row is None or row.pause_until < at + length or row.pause_until_due < due + length:
        changes = {"pause_until": at + length, "pause_until_due": due + length}
        _write(tx, connector, shop, changes, there=row is not None)
    return look(tx, connector, shop, due=due, now=at)


def open_breaker(
    tx: Tx, connector: str, shop: str, *, due: int, probed: bool = False, now: int | None = None
) -> Grant:
    """Stop all calls to that shop for a while: longer each time that a probe has failed."""
    row = _row(tx, connector, shop)
    at = _now(tx) if now is None else now
    opened = row.opened if row is not None else 0
    if opened == 0 or probed:
        length = min(FIRST_BREAK * 2 ** min(opened, 20), LONGEST_BREAK)
        changes = {"opened": opened + 1, "open_until": at + length, "open_until_due": due + length}
        _write(tx, connector, shop, changes, there=row is not None)
    return look(tx, connector, shop, due=due, now=at)


def close_breaker(tx: Tx, connector: str, shop: str) -> None:
    """The platform answers again."""
    _write(tx, connector, shop, {"opened": 0, "open_until": 0, "open_until_due": 0}, there=True)


def _query(connector: str, shop: str) -> Any:
    return select(quotas).where(quotas.c.connector == connector, quotas.c.shop == shop)


def _row(tx: Tx, connector: str, shop: str) -> Any:
    """The row, locked until commit; on Postgres it is made first, so that there is one to lock."""
    query = tx.locked(_query(connector, shop))
    row = tx.execute(query).first()
    if row is None and tx.postgres:
        made = tx.upsert(quotas).values(connector=connector, shop=shop)
        tx.execute(made.on_conflict_do_nothing())
        row = tx.execute(query).first()
    return row


def _write(tx: Tx, connector: str, shop: str, changes: dict[str, int], *, there: bool) -> None:
    if there:
        which = (quotas.c.connector == connector) & (quotas.c.shop == shop)
        tx.execute(update(quotas).where(which).values(**changes))
    else:
        tx.execute(tx.upsert(quotas).values(connector=connector, shop=shop, **changes))


def _stopped(row: Any, now: int, due: int) -> Grant | None:
    if row is None:
        return None
    paused = 0 if due >= row.pause_until_due else row.pause_until - now
    broken = 0 if due >= row.open_until_due or not row.opened else row.open_until - now
    if max(paused, broken) <= 0:
        return None
    return Grant(now, wait=max(paused, broken), broken=broken >= paused)


def _now(tx: Tx) -> int:
    """The one clock that all processes of this ledger share."""
    if tx.postgres:
        return int(
            tx.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).scalar_one()
        )
    return leases.real_ticks()
