"""Orders that cannot be read: the others go on, and these are asked for until they can be. None is lost."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, workshop

from amends.cases.orders import Personal
from amends.errors import AuthFailed, NotAllowed, NotFound, PlatformError, Unavailable
from amends.hooks.requests import OrderPage, Unreadable
from amends.hooks.specs import Operation
from amends.ledger import intake
from amends.steps.intake import AGAIN, take_orders

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


async def test_a_page_of_nothing_but_odd_ones_is_passed_too_and_none_of_it_is_lost() -> None:
    orders = [f"A-{n:02}" for n in range(AGAIN + 5)]
    async with workshop(orders=orders) as shop:
        shop.platform.odd = {number: f"order {number}: the field total is missing" for number in orders}
        assert (await take_orders(shop.shop)).problem == ""
        assert list(shop.do(intake.unread, "stall")) == orders
        shop.platform.odd = {}
        shop.platform.always["changed_orders"] = Unavailable("they come one by one")
        assert (await take_orders(shop.shop)).orders == len(orders)  # all in one go, once they can be read
        assert shop.do(intake.unread, "stall") == {}


async def test_odd_on_one_page_and_readable_on_the_next_it_is_read() -> None:
    async with workshop(orders=("A-1",), operations={"order": Operation.by_hand("the back office")}) as shop:
        whole = shop.platform.changed_orders

        async def pages(cursor: str) -> OrderPage:
            if not cursor:
                odd = (Unreadable(order="A-1", why=WHY),)
                return OrderPage(orders=(), unreadable=odd, cursor=(NOW - DAY).isoformat(), more=True)
            return await whole(cursor)

        shop.platform.changed_orders = pages  # type: ignore[method-assign]
        assert (await take_orders(shop.shop)).orders == 1
        assert shop.do(intake.unread, "stall") == {}


async def test_what_pydantic_says_of_it_is_told_without_its_values() -> None:
    async with workshop(orders=("A-1", "A-2", "A-3")) as shop:
        shop.platform.odd = {"A-2": WHY, "A-3": WHY}
        await take_orders(shop.shop)
        shop.platform.odd = {}
        with pytest.raises(ValidationError) as caught:
            Personal.model_validate({"name": ["Visible Name"]})
        shop.platform.always["order A-2"] = caught.value
        shop.platform.always["order A-3"] = ValueError("Visible Name")
        shop.platform.always["changed_orders"] = Unavailable("not now")
        await take_orders(shop.shop)
        said = shop.do(intake.unread, "stall")
        assert said["A-2"] == "the connector: what the platform says cannot be: name"
        assert said["A-3"].startswith("the connector failed: ValueError in ")
        assert "Visible" not in str(said) + str(shop.shop.problems)


async def test_the_first_runs_guard_holds_for_what_is_read_later() -> None:
    async with workshop(orders=("A-1",)) as shop:
        shop.platform.show("A-1", ship_by=NOW - 20 * DAY, placed_at=NOW - 25 * DAY, paid_at=NOW - 25 * DAY)
        shop.platform.odd = {"A-1": WHY}
        await shop.sweep()
        shop.platform.odd = {}
        await shop.sweep(HOUR)
        assert shop.done() == 0 and shop.last("held").cause == "backfill"


async def test_half_a_character_stops_nothing() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": "order A-2: the field \ud83d is missing"}
        page = shop.platform.changed_orders

        async def listed(cursor: str) -> OrderPage:
            shop.platform.odd, odd = {}, shop.platform.odd
            found = await page(cursor)
            shop.platform.odd = odd
            odd_ones = tuple(Unreadable.model_construct(order=n, why=why) for n, why in odd.items())
            rest = tuple(order for order in found.orders if order.number not in odd)
            return found.model_copy(update={"orders": rest, "unreadable": odd_ones})

        shop.platform.changed_orders = listed  # type: ignore[method-assign]
        await shop.sweep()
        await shop.sweep(HOUR)
        assert shop.done(number="A-1") == 1
        assert shop.do(intake.unread, "stall") == {"A-2": "order A-2: the field \ufffd is missing"}


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


async def test_one_order_that_we_may_not_see_holds_no_shop() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.odd = {"A-2": WHY}
        await shop.sweep()
        shop.platform.odd = {}
        shop.platform.always["order A-2"] = NotAllowed("another branch's order")
        del shop.platform.orders["A-2"]
        summary = await shop.sweep(HOUR)
        assert shop.do(intake.unread, "stall") == {"A-2": "another branch's order"}
        assert len(summary.problems) == 1 and summary.state == "done"
        assert (await take_orders(shop.shop)).problem == ""


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
