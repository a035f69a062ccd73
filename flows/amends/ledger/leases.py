"""Leases on shops and cases: held by an owner until a time, with an epoch that outdates whoever lost one.

An owner names its machine and process. Leases of a process of this machine that is gone are freed at once, so that a
restart after `kill -9` need not wait for them to run out.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path

from sqlalchemy import bindparam, delete, or_, select, text, update

from amends.deadline import steady
from amends.ledger import pool
from amends.ledger.database import Tx
from amends.ledger.schema import cases, shop_leases

LEASE = timedelta(seconds=60)
"""How long a lease lasts. Longer than the longest request; a worker that stalls longer loses its cases."""

FREE = or_(cases.c.lease_until.is_(None), cases.c.lease_until < bindparam("real_now"))
"""The condition under which a case may be claimed."""
_serial = count(1)


def new_owner() -> str:
    """A name for one worker: machine, boot, process, its start time, and a serial number within it."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}:{next(_serial)}"


def real_ticks() -> int:
    """The machine's own time: leases are about processes, whatever time the cases live in."""
    return time.time_ns() // 1000


def last_send() -> float:
    """Until when a worker that prolongs its leases now may begin to send for these cases, by `steady`.

    Half a lease is left then for requests under way and for clocks that differ. Whoever was stopped for longer does
    not send any more: another worker may have looked, found nothing, and sent.
    """
    return steady() + LEASE.total_seconds() / 2


def take_shop(tx: Tx, shop: str, owner: str) -> int | None:
    """The epoch of a new lease on the shop; None where another living owner has it."""
    free_dead(tx)
    now = real_ticks()
    values = {"owner": owner, "until": now + _length()}
    statement = tx.upsert(shop_leases).values(shop=shop, **values, epoch=1)
    statement = statement.on_conflict_do_update(
        index_elements=["shop"],
        set_={**values, "epoch": shop_leases.c.epoch + 1},
        where=(shop_leases.c.owner == owner) | (shop_leases.c.until <= now),
    )
    epoch: int | None = tx.execute(statement.returning(shop_leases.c.epoch)).scalar()
    return epoch


def keep_shop(tx: Tx, shop: str, owner: str) -> bool:
    """Prolong the shop's lease; False where it was lost."""
    found = tx.execute(
        update(shop_leases)
        .where(shop_leases.c.shop == shop, shop_leases.c.owner == owner)
        .values(until=real_ticks() + _length())
    )
    return found.rowcount == 1


def free_shop(tx: Tx, shop: str, owner: str) -> None:
    tx.execute(
        update(shop_leases)
        .where(shop_leases.c.shop == shop, shop_leases.c.owner == owner)
        .values(until=0, owner="")
    )


def keep_cases(tx: Tx, owner: str, ids: Iterable[int]) -> None:
    """Prolong the leases on these cases, where they are still ours."""
    ours = cases.c.id.in_(list(ids)) & (cases.c.lease_owner == owner)
    if tx.postgres:  # in the order in which workers lock them
        tx.execute(tx.locked(select(cases.c.id).where(ours).order_by(cases.c.id)))
    tx.execute(update(cases).where(ours).values(lease_until=lease_end()))


def free_dead(tx: Tx) -> int:
    """Free every lease of a process of this machine that no longer runs; answers with how many cases were freed."""
    if tx.postgres:
        end_stalled(tx)
    shops = [row.owner for row in tx.execute(select(shop_leases.c.owner).distinct()) if dead(row.owner)]
    if shops:
        tx.execute(update(shop_leases).where(shop_leases.c.owner.in_(shops)).values(until=0, owner=""))
    owners = tx.execute(select(cases.c.lease_owner).where(cases.c.lease_owner.is_not(None)).distinct())
    gone = [row.lease_owner for row in owners if dead(row.lease_owner)]
    if not gone:
        return 0
    theirs = cases.c.lease_owner.in_(gone)
    if tx.postgres:  # in the order in which workers lock them
        tx.execute(tx.locked(select(cases.c.id).where(theirs).order_by(cases.c.id)))
    found = tx.execute(update(cases).where(theirs).values(lease_owner=None, lease_until=None))
    return found.rowcount


def end_stalled(tx: Tx) -> None:
    """End sessions of workers that were stopped in a transaction, whose locks would keep all others waiting.

    The server does so by itself where it calls a session idle, which one is not that has prepared a statement and not
    run it yet.
    """
    tx.execute(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = current_user AND application_name = :name AND pid <> pg_backend_pid()"
            " AND state <> 'idle' AND wait_event = 'ClientRead'"
            " AND state_change < clock_timestamp() - make_interval(secs => :stalled)"
        ),
        {"name": pool.SETTINGS["application_name"], "stalled": pool.STALLED},
    )


def dead(owner: str) -> bool:
    """Whether the owner certainly no longer runs: a process of this machine's that is gone or was replaced."""
    machine, _, rest = owner.partition(":")
    if machine != _machine() or rest.count(":") != 2:
        return False
    pid, started, _ = rest.split(":")
    return _started(int(pid)) != started


def forget(tx: Tx, shop: str) -> None:
    """Drop a shop's lease altogether."""
    tx.execute(delete(shop_leases).where(shop_leases.c.shop == shop))


def lease_end() -> int:
    return real_ticks() + _length()


def _length() -> int:
    return int(LEASE.total_seconds() * 1_000_000)


@cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    suffix = boot.read_text().strip()[:8] if boot.exists() else "0"
    return f"{socket.gethostname()}/{suffix}"


def _started(pid: int) -> str:
    """When a process began, as the kernel tells it; empty where there is no such process (or a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        try:
            os.kill(pid, 0)
        except OSError:
            return ""
        return "?"
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
