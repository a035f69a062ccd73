"""The steps on a Postgres ledger: what the unit tests show on SQLite, once through with everything that a case can need."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.demo.workshop import DAY, HOUR, NOW, WAYS, After, workshop

from amends.cases import facts as f
from amends.cases.orders import OrderStatus
from amends.errors import TimedOut
from amends.ledger import approvals, views
from amends.ledger.effects import EffectState
from amends.steps import people
from amends.steps.intake import take_orders
from amends.steps.sweep import sweep

pytestmark = pytest.mark.postgres
MANY = [f"A-{n}" for n in range(1, 31)]


async def test_from_late_to_closed(database: str) -> None:
    async with workshop(ledger=database, orders=MANY) as shop:
        found = await shop.sweep()
        assert (found.orders, found.opened, found.problems) == (30, 30, [])
        assert {shop.done("message", number) for number in MANY} == {1}
        for number in MANY[:20]:
            shop.platform.say(f.Answer.ACCEPT, number)
        for number in MANY[20:]:
            shop.platform.show(number, status=OrderStatus.SHIPPED, picked_up_at=NOW, shipped_at=NOW)
        await shop.sweep(HOUR)
        assert {shop.done("grant", number) for number in MANY[:20]} == {1}
        for number in MANY[:20]:
            shop.platform.show(number, status=OrderStatus.SHIPPED, picked_up_at=NOW, shipped_at=NOW)
        for _ in range(3):
            await shop.sweep(DAY)
        lines = shop.do(views.case_lines)
        assert [(line.number, line.stage) for line in lines if line.outcome is None] == []
        assert len(lines) == 30
        assert {shop.done("message", number) for number in MANY} == {1}
        shop.check()


async def test_an_order_is_taken_in_once_by_sweeps_at_once(database: str) -> None:
    async with workshop(ledger=database, orders=MANY) as shop:
        second = await shop.second()
        await asyncio.gather(*(take_orders(one) for one in (shop.shop, second) for _ in range(3)))
        assert len(shop.do(views.case_lines)) == 30
        assert len(shop.facts()) == 1
        shop.check()


async def test_two_sweeps_at_once_act_once(database: str) -> None:
    async with workshop(ledger=database, orders=MANY) as shop:
        second = await shop.second()
        states = [found.state for found in await asyncio.gather(sweep(shop.shop), sweep(second))]
        assert sorted(states) == ["already-running", "done"]
        assert {shop.done("message", number) for number in MANY} == {1}
        shop.check()


async def test_an_unknown_outcome_is_looked_for(database: str) -> None:
    async with workshop(ledger=database, operations={"message": WAYS["queryable"]}) as shop:
        shop.platform.script["message"] = [After(TimedOut("silence"))]
        await shop.sweep()
        assert shop.effect().state is EffectState.UNKNOWN
        await shop.sweep(HOUR)
        assert (shop.effect().state, shop.done()) == (EffectState.CONFIRMED, 1)
        shop.check()


async def test_a_cap_and_a_yes_count_once(database: str) -> None:
    approve = {"remedy_over": "5 CNY"}
    async with workshop(
        ledger=database, playbook={"approve": approve}, caps={"per_shop_day": "15 CNY"}, orders=MANY[:2]
    ) as shop:
        await shop.sweep()
        for listing in shop.do(approvals.listing, open_only=True):
            shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), approvers=("lin",))
        await shop.sweep(HOUR)
        over = [shop.last("proposed", number).over_cap for number in MANY[:2]]
        assert sorted(over) == ["", "per_shop_day"]
        for number in MANY[:2]:
            shop.platform.say(f.Answer.ACCEPT, number)
        await shop.sweep(HOUR)
        for listing in shop.do(approvals.listing, open_only=True):
            shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), approvers=("lin",))
        await shop.sweep(HOUR)
        assert sum(shop.done("grant", number) for number in MANY[:2]) == 1
        shop.check()
