"""Orders that cannot be read: the others go on, and these are asked for until they can be. None is lost."""

from __future__ import annotations

import pytest
from tests.unit.demo.workshop import HOUR, MINUTE, workshop

from amends.errors import AuthFailed, NotFound, PlatformError, Unavailable
from amends.hooks.specs import Operation
from amends.ledger import intake
from amends.steps.intake import A_FEW, AGAIN, take_orders

WHY = "order A-2: the field total is missing"


async def test_one_of_a_page_does_not_hold_up_the_others_and_is_asked_for_until_it_can_be_read() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": WHY}
        summary = await shop.sweep()
        assert shop.done(number="A-1") == 1 and summary.orders == 1
        assert [WHY in line and "1 order(s) cannot be read" in line for line in summary.problems] == [True]
        shop.platform.odd, shop.platform.orders = {}, {"A-2": shop.platform.orders["A-2"]}
        shop.platform.always["changed_orders"] = Unavailable("the list rests: it must come by itself")
        summary = await shop.sweep(HOUR)
        assert shop.done(number="A-2") == 1 and summary.orders == 1
        assert shop.do(intake.unread, "stall") == {}


async def test_it_is_told_with_each_sweep_and_asked_for_once_in_each() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": WHY}
        for turn in range(3):
            summary = await shop.sweep(HOUR)
            assert any(WHY in line for line in summary.problems)
            assert shop.platform.looks.count("A-2") == turn


async def test_read_with_a_later_page_it_is_forgotten() -> None:
    async with workshop(
        orders=("A-1", "A-2"), operations={"order": Operation.by_hand("the back office")}
    ) as shop:
        shop.platform.odd = {"A-2": WHY}
        await take_orders(shop.shop)
        shop.platform.odd = {}
        shop.platform.show("A-2", updated_at=shop.clock.now())
        assert (await take_orders(shop.shop)).changed == 1
        assert shop.do(intake.unread, "stall") == {} and shop.platform.looks == []


async def test_a_page_of_nothing_but_odd_ones_is_a_bad_answer_and_the_cursor_stays() -> None:
    orders = [f"A-{n}" for n in range(1, A_FEW + 2)]
    async with workshop(orders=orders) as shop:
        shop.platform.odd = {number: f"order {number}: the field total is missing" for number in orders}
        found = await take_orders(shop.shop)
        assert "none of the 4 orders of a page can be read; the first: order A-1" in found.problem
        assert shop.do(intake.cursor, "stall", "orders") == "" and shop.do(intake.unread, "stall") == {}
        shop.platform.odd = {}
        assert (await take_orders(shop.shop)).orders == len(orders)


async def test_an_order_that_the_platform_no_longer_knows_is_dropped_when_it_says_so_twice() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": WHY}
        await shop.sweep()
        shop.platform.odd = {}
        del shop.platform.orders["A-2"]
        shop.platform.always["order A-2"] = NotFound("no such order")
        await shop.sweep(HOUR)
        assert shop.do(intake.unread, "stall") == {"A-2": "no such order"}
        await shop.sweep(HOUR)
        assert shop.do(intake.unread, "stall") == {}


@pytest.mark.parametrize("error", [Unavailable("later"), PlatformError("odd"), KeyError("a bug")])
async def test_trouble_with_one_does_not_keep_the_pages_from_being_read(error: Exception) -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-1": WHY}
        await take_orders(shop.shop)
        shop.platform.odd = {}
        shop.platform.always["order A-1"] = error
        shop.platform.show("A-2", updated_at=shop.clock.now())
        shop.platform.orders.pop("A-1")
        shop.clock.advance(MINUTE)
        assert (await take_orders(shop.shop)).problem == ""
        assert list(shop.do(intake.unread, "stall")) == ["A-1"]


async def test_a_refused_account_holds_the_shop_here_too() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": WHY}
        await take_orders(shop.shop)
        shop.platform.odd = {}
        shop.platform.always["order A-2"] = AuthFailed("the token was revoked")
        assert "revoked" in (await take_orders(shop.shop)).problem
        assert "revoked" in (await take_orders(shop.shop)).problem  # held: the platform is left in peace
        assert shop.platform.looks.count("A-2") == 1


async def test_many_take_turns() -> None:
    numbers = [f"A-{n:03}" for n in range(AGAIN + 5)]
    async with workshop(orders=[*numbers, "B-1"]) as shop:
        shop.platform.odd = {number: f"{number}: odd" for number in numbers}
        await take_orders(shop.shop)
        for _ in range(2):
            shop.platform.looks.clear()
            shop.clock.advance(MINUTE)
            shop.platform.always["changed_orders"] = Unavailable("not now")
            await take_orders(shop.shop)
            assert len(shop.platform.looks) == AGAIN
        assert set(numbers[AGAIN:]) <= set(shop.platform.looks)
