"""A worker that slept between marking and sending: its lease may be another's by now, so it sends nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from tests.unit.demo.workshop import DAY, MINUTE, NOW, WAYS, workshop

from amends import deadline
from amends.errors import LedgerError
from amends.ledger import crash, leases, quotas
from amends.ledger.effects import EffectState
from amends.ledger.schema import cases
from amends.steps import pace

RETRY = 15 * MINUTE


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds that the machine sleeps at each `after-sent`; afterwards it stays awake."""
    slept: list[float] = []
    steady = itertools.accumulate(itertools.repeat(0.001))
    gone = 0.0

    def sleep(name: str) -> None:
        nonlocal gone
        if name == "after-sent" and slept:
            gone += slept.pop(0)

    for room in (leases, deadline):
        monkeypatch.setattr(room, "steady", lambda: next(steady) + gone)
    crash.on_crashpoint(sleep)
    yield slept
    crash.on_crashpoint(None)


@pytest.mark.parametrize("way", ["idempotent", "queryable", "blind"])
async def test_what_is_sent_too_late_is_not_sent(asleep: list[float], way: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        asleep.append(leases.LEASE.total_seconds() / 2 + 1)
        await shop.sweep()
        assert shop.platform.calls == []
        effect = shop.effect()
        assert (effect.state, effect.look_at) == (EffectState.PLANNED, NOW + RETRY), "certainly not done"
        assert "lease" in effect.error
        await shop.sweep(RETRY)
        assert shop.effect().state is EffectState.CONFIRMED
        await shop.sweep(DAY)
        assert [d.round for d in shop.platform.done if d.op == "message"].count(1) == 1
        shop.check()


async def test_a_nap_within_half_the_lease_does_no_harm(asleep: list[float]) -> None:
    async with workshop(operations={"message": WAYS["blind"]}) as shop:
        asleep.append(leases.LEASE.total_seconds() / 2 - 5)
        await shop.sweep()
        assert shop.effect().state is EffectState.CONFIRMED


async def test_a_ledger_that_cannot_say_whether_to_call_makes_no_act_uncertain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its quota could not be asked, so the request certainly did not leave: nobody has to find out."""
    reserve = quotas.reserve
    sent: list[str] = []

    def gone(*args: Any, **more: Any) -> Any:
        if sent:
            raise LedgerError("the ledger cannot be reached")
        return reserve(*args, **more)

    monkeypatch.setattr(pace, "FRESH", 0.0)
    monkeypatch.setattr(quotas, "reserve", gone)
    crash.on_crashpoint(lambda name: sent.append(name) if name == "after-sent" else None)
    try:
        async with workshop(operations={"message": WAYS["blind"]}) as shop:
            await shop.sweep()
            assert (shop.effect().state, shop.platform.calls) == (EffectState.PLANNED, [])
            monkeypatch.setattr(quotas, "reserve", reserve)
            await shop.sweep(RETRY)
            assert (shop.effect().state, shop.done()) == (EffectState.CONFIRMED, 1)
            shop.check()
    finally:
        crash.on_crashpoint(None)


async def test_a_window_begins_the_lease_anew() -> None:
    """So a batch whose earlier windows took long still has its time for the later ones."""
    async with workshop(operations={"message": WAYS["queryable"]}) as shop:
        ends: list[int] = []

        def note(name: str) -> None:
            if name in ("after-plan", "after-sent"):
                ends.append(shop.do(lambda tx: tx.execute(select(cases.c.lease_until)).scalar_one()))

        crash.on_crashpoint(note)
        try:
            await shop.sweep()
        finally:
            crash.on_crashpoint(None)
        assert ends[1] > ends[0]
