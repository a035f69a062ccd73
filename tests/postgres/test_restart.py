"""Postgres restarted, gone, or lost in mid-transaction: the ledger waits, or says clearly what to do; nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.crash.killing import SEED, draws
from tests.postgres.flock import flock
from tests.postgres.world import fork, nothing_wrong
from tests.unit.ledger.makers import KEY, LATE, SHOP, verified

from amends.errors import LedgerError, LedgerLocked
from amends.ledger import Ledger, Tx, intake, leases, pool
from amends.testing.postgres import Cluster

pytestmark = pytest.mark.postgres
CLEAR = ("ended the connection in the middle of a transaction", "cannot be reached")
"""What a command may end with, one of them."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server of this module's own, which it may crash."""
    with Cluster() as found:
        yield found


@pytest.fixture
def address(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    if cluster.process is None:
        cluster.start()
    return cluster.create(f"t{abs(hash(request.node.name))}")


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    found = Ledger.open(address, KEY)
    yield found
    found.close()


def put(tx: Tx, value: str) -> None:
    intake.set_cursor(tx, SHOP, "orders", value, LATE)


async def test_a_restarted_server_is_not_noticed(cluster: Cluster, ledger: Ledger) -> None:
    for n in range(3):
        await ledger.run(put, str(n))
        cluster.crash()
        cluster.start()
        assert await ledger.run(intake.cursor, SHOP, "orders") == str(n), "committed is committed"


def test_a_server_that_is_away_for_a_while_is_waited_for(cluster: Cluster, ledger: Ledger) -> None:
    ledger.do(put, "1")
    cluster.crash()
    took: list[float] = []

    def write() -> None:
        began = time.monotonic()
        ledger.do(put, "2")
        took.append(time.monotonic() - began)

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(1.0)
    cluster.start()  # not by the thread: the server would end with it
    thread.join()
    assert took[0] >= 1.0
    assert ledger.do(intake.cursor, SHOP, "orders") == "2"


def test_a_server_that_stays_away_is_told(
    cluster: Cluster, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.do(put, "1")
    cluster.crash()
    monkeypatch.setattr(pool, "PATIENCE", 1.2)
    with pytest.raises(LedgerError, match=r"cannot be reached for [12] s") as caught:
        ledger.do(put, "2")
    assert "Run again once it is; nothing was lost" in caught.value.hint
    cluster.start()
    assert ledger.do(intake.cursor, SHOP, "orders") == "1"


def test_a_connection_cut_in_mid_transaction(cluster: Cluster, ledger: Ledger) -> None:
    ledger.do(put, "1")

    def cut(tx: Tx) -> None:
        put(tx, "2")
        cluster.crash()
        put(tx, "3")

    with pytest.raises(LedgerError, match=CLEAR[0]) as caught:
        ledger.do(cut)
    assert "Run again" in caught.value.hint
    cluster.start()
    assert ledger.do(intake.cursor, SHOP, "orders") == "1"
    assert verified(ledger).breaks == ()


def test_a_server_that_was_never_there_is_told_at_once(cluster: Cluster, address: str) -> None:
    cluster.crash()
    began = time.monotonic()
    with pytest.raises(LedgerError, match=r"cannot be reached: .*Connect call failed") as caught:
        Ledger.open(address, KEY)
    assert time.monotonic() - began < 5
    assert "Is the database running" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "told"), [("/t", "/no_such_t"), ("postgres@", "nobody_of_that_name@")], ids=["database", "user"]
)
def test_an_address_that_leads_nowhere_is_told(address: str, wrong: str, told: str) -> None:
    with pytest.raises(LedgerError, match="does not exist") as caught:
        Ledger.open(address.replace(wrong, told), KEY)
    assert "user, password and database" in caught.value.hint


def test_a_worker_asleep_in_a_transaction_does_not_keep_the_others_waiting(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pool.SETTINGS, "idle_in_transaction_session_timeout", "600")
    sleepy, other = Ledger.open(address, KEY), Ledger.open(address, KEY)
    sleepy.do(put, "1")
    inside = threading.Event()
    told: list[LedgerError] = []

    def sleep(tx: Tx) -> None:
        put(tx, "2")
        inside.set()
        time.sleep(2.5)
        put(tx, "3")

    def asleep() -> None:
        try:
            sleepy.do(sleep)
        except LedgerError as error:
            told.append(error)

    thread = threading.Thread(target=asleep)
    thread.start()
    assert inside.wait(10)
    began = time.monotonic()
    other.do(put, "9")
    assert time.monotonic() - began < 2.0, "it had to wait for the server only, not for the sleeper"
    thread.join()
    assert CLEAR[0] in str(told[0])
    assert sleepy.do(intake.cursor, SHOP, "orders") == "9"
    sleepy.close()
    other.close()


def test_a_worker_asleep_before_a_statement_does_not_keep_the_others_waiting(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver has prepared it and not run it: the server does not call that idle, so the next sweep ends it."""
    monkeypatch.setattr(pool, "STALLED", 1)
    sleepy, other = Ledger.open(address, KEY), Ledger.open(address, KEY)
    sleepy.do(put, "1")
    other.do(put, "1")

    def sleep(tx: Tx) -> None:
        put(tx, "2")
        session: Any = tx.conn.connection
        session.dbapi_connection.await_(session.driver_connection.prepare("SELECT 42"))
        time.sleep(1.5)
        began = time.monotonic()
        other.do(leases.take_shop, SHOP, leases.new_owner())
        other.do(put, "9")
        assert time.monotonic() - began < 2.0
        tx.execute(text("SELECT 43"))

    with pytest.raises(LedgerError, match=CLEAR[0]):
        sleepy.do(sleep)
    assert sleepy.do(intake.cursor, SHOP, "orders") == "9"
    sleepy.close()
    other.close()


def test_a_lock_is_waited_for_just_so_long(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pool.SETTINGS, "lock_timeout", "300")
    first, second = Ledger.open(address, KEY), Ledger.open(address, KEY)
    first.do(put, "1")
    inside, done = threading.Event(), threading.Event()

    def keep(tx: Tx) -> None:
        tx.execute(text("LOCK TABLE cursors"))
        inside.set()
        done.wait(10)

    thread = threading.Thread(target=lambda: first.do(keep))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(LedgerLocked, match="locked by another process"):
        second.do(put, "2")
    done.set()
    thread.join()
    second.do(put, "3")
    first.close()
    second.close()


@pytest.mark.crash
def test_restarted_in_mid_sweep_nothing_is_done_twice_or_lost(
    cluster: Cluster, address: str, folder: Path
) -> None:
    """The command either waits and goes on, or ends with one clear error; the next one goes on."""
    draw = draws(SEED, "restart")
    ends: list[int] = []
    with flock(folder, address, seed=SEED + 5, orders=50, days=3) as here:
        here.sweep_whole()
        here.people()
        for _ in range(12):
            here.go_on()
            output = folder / "sweep.out"
            process = fork(here.arguments, output)
            process.join(draw.uniform(0.1, 0.9) * here.took)
            at_work = process.is_alive()
            cluster.crash()
            process.join(draw.uniform(0.0, 0.3))
            cluster.start()
            process.join(60)
            said = output.read_text()
            assert "Traceback" not in said, said
            if process.exitcode:
                assert sum(words in said for words in CLEAR) == 1, said
            if at_work:
                ends.append(process.exitcode)
            here.sweep_whole()
            here.people()
        here.go_on()
        here.settle()
        here.people()
        verdict = here.verdict()
    assert nothing_wrong(verdict), verdict
    assert len(ends) >= 6, f"{ends}: the draw misses the work"
