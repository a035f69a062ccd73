"""Quotas in the ledger: slots that lie apart, lost when late; pauses and the breaker hold for every process."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ledger.makers import LATE, sql

from amends.ledger import Ledger, leases, quotas
from amends.ledger.quotas import SECOND, Grant, Quota
from amends.ledger.schema import ticks

DUE = ticks(LATE)
TEN = Quota.of(10.0, 10)


def reserve(
    ledger: Ledger, count: int = 1, *, quota: Quota | None = TEN, now: int | None = SECOND * 1000
) -> Grant:
    return ledger.do(quotas.reserve, "shopify", "flagship", quota, count=count, due=DUE, now=now)


def stopped(ledger: Ledger, after: int, *, due: int = DUE) -> Grant:
    return ledger.do(quotas.look, "shopify", "flagship", due=due, now=SECOND * 1000 + after)


@given(st.floats(0.01, 2000), st.integers(1, 1000), st.data())
def test_whatever_is_late_within_its_tolerance_no_window_sees_too_many(
    rate: float, burst: int, data: st.DataObject
) -> None:
    """The worst that can happen: the first slots are used as late as they may be, the last at once."""
    quota = Quota.of(rate, burst)
    assert quota is not None
    jitter = (burst * quota.interval - SECOND / rate) - quota.tolerance
    assert quota.tolerance > 0 and jitter > 0 and quota.interval >= SECOND / rate * (1 - 1e-9)
    calls = data.draw(st.integers(1, 5000))
    window = max(0.0, (calls - 1) * quota.interval - quota.tolerance - jitter)
    assert calls <= burst + rate * window / SECOND + 1e-6


def test_a_fair_burst_leaves_the_whole_rate() -> None:
    for rate, burst in ((500, 500), (50, 50), (40, 250), (10, 20), (5, 10), (5, 30)):
        quota = Quota.of(rate, burst)
        assert quota is not None and quota.interval == SECOND / rate


def test_no_slot_is_given_twice(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    first = reserve(ledger, 2)
    second = reserve(reopen(), 2)
    assert (first.count, second.count) == (2, 2)
    assert second.first - first.first == 2 * SECOND // 10


def test_a_block_is_a_quarter_of_a_second_and_one_slot_at_least(ledger: Ledger) -> None:
    assert reserve(ledger, 400, quota=Quota.of(500.0, 500)).count == 125
    assert reserve(ledger, 400, quota=Quota.of(0.5, 2)).count == 1


def test_after_idle_time_slots_lie_in_the_past_as_far_as_they_can_still_be_used(ledger: Ledger) -> None:
    assert TEN is not None
    grant = reserve(ledger, 1)
    assert grant.now - grant.first == TEN.tolerance // 2


def test_a_clock_that_was_set_back_does_not_stop_the_shop(ledger: Ledger) -> None:
    reserve(ledger, now=SECOND * 100_000)
    grant = reserve(ledger, now=SECOND * 1000)
    assert grant.first <= SECOND * 1000


def test_without_a_quota_nothing_is_written(ledger: Ledger) -> None:
    assert Quota.of(math.inf, 1) is None
    assert reserve(ledger, 8, quota=None).count == 8
    assert ledger.sqlite is False or sql(ledger, "SELECT count(*) FROM quotas") == [(0,)]


def test_a_pause_holds_for_every_process_and_shop_by_shop(
    ledger: Ledger, reopen: Callable[[], Ledger]
) -> None:
    ledger.do(quotas.pause, "shopify", "flagship", 5 * SECOND, due=DUE, now=SECOND * 1000)
    grant = reserve(reopen())
    assert (grant.count, grant.wait, grant.broken) == (0, 5 * SECOND, False)
    other = ledger.do(quotas.reserve, "shopify", "outlet", TEN, count=1, due=DUE, now=SECOND * 1000)
    assert other.count == 1
    assert stopped(ledger, 4 * SECOND).wait == SECOND
    assert stopped(ledger, 5 * SECOND).wait == 0


def test_a_shorter_pause_does_not_cut_a_longer_one(ledger: Ledger) -> None:
    for seconds in (60, 2):
        ledger.do(quotas.pause, "shopify", "flagship", seconds * SECOND, due=DUE, now=SECOND * 1000)
    assert stopped(ledger, 0).wait == 60 * SECOND


def test_a_pause_is_over_when_the_shops_own_clock_has_passed_it(ledger: Ledger) -> None:
    """A demo's clock moves six hours in a moment."""
    ledger.do(quotas.pause, "shopify", "flagship", 60 * SECOND, due=DUE, now=SECOND * 1000)
    assert stopped(ledger, 1, due=DUE + 59 * SECOND).wait
    assert not stopped(ledger, 1, due=DUE + 60 * SECOND).wait


def test_the_breaker_opens_longer_each_time_and_lets_one_call_probe(ledger: Ledger) -> None:
    now, waits = SECOND * 1000, list[int]()
    for _ in range(8):
        grant = ledger.do(quotas.open_breaker, "shopify", "flagship", due=DUE, probed=bool(waits), now=now)
        assert grant.broken
        waits.append(grant.wait // SECOND)
        now += grant.wait
        probe = reserve(ledger, 20, now=now)
        assert (probe.count, probe.broken) == (1, True), "one call, whatever was asked"
        assert reserve(ledger, 20, now=now).count == 0, "nobody else meanwhile"
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]
    ledger.do(quotas.close_breaker, "shopify", "flagship")
    grant = reserve(ledger, 2, now=now)
    assert (grant.count, grant.broken) == (2, False)
    again = ledger.do(quotas.open_breaker, "shopify", "flagship", due=DUE, now=now)
    assert again.wait == 15 * SECOND, "from the beginning"


def test_processes_that_find_the_same_outage_open_the_breaker_once(ledger: Ledger) -> None:
    waits = {
        ledger.do(quotas.open_breaker, "shopify", "flagship", due=DUE, now=SECOND * 1000).wait
        for _ in range(4)
    }
    assert waits == {15 * SECOND}


def test_a_process_that_dies_while_it_probes_is_not_waited_for_long(ledger: Ledger) -> None:
    opened = ledger.do(quotas.open_breaker, "shopify", "flagship", due=DUE, now=SECOND * 1000)
    now = SECOND * 1000 + opened.wait
    assert reserve(ledger, now=now).count == 1
    assert reserve(ledger, now=now + quotas.PROBE).count == 1


def test_the_ledgers_own_clock_is_the_machines_or_the_servers(ledger: Ledger) -> None:
    assert abs(reserve(ledger, now=None).now - leases.real_ticks()) < 5 * SECOND


@pytest.mark.parametrize("burst", [1, 2])
def test_a_quota_without_room_for_delay_is_used_more_slowly(burst: int) -> None:
    quota = Quota.of(50.0, burst)
    assert quota is not None
    assert quota.interval > SECOND / 50
    assert quota.tolerance >= 0.75 * quotas.LATEST
