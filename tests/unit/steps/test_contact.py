"""contact-customer: one way after the other, the next only after a refusal; what a policy may not do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.demo.workshop import COUPON, DAY, HOUR, MINUTE, NOW, QUIET, WAYS, After, Workshop, workshop

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, OrderStatus, Parcel
from amends.errors import AuthFailed, Rejected, TimedOut, Unreachable
from amends.hooks.specs import Operation
from amends.ledger.effects import EffectState
from amends.steps import people

TWO_WAYS = {"channels": ["platform", "sms"]}


async def test_the_next_way_after_a_refusal() -> None:
    async with workshop(playbook=TWO_WAYS) as shop:
        shop.platform.script["message"] = [Rejected("chat is closed")]
        await shop.sweep()
        first, second = shop.effects()
        assert (first.via, first.state) == ("platform", EffectState.REJECTED)
        assert (second.via, second.state) == ("sms", EffectState.CONFIRMED)
        assert second.key == "stall/A-1/g1/contact-customer/1/message/sms"
        assert shop.last("contacted").via == "sms" and shop.kinds().count("contacted") == 1
        assert shop.done() == 1
        shop.check()


@pytest.mark.parametrize("way", ["idempotent", "queryable", "blind"])
@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
async def test_never_another_way_while_the_first_is_not_known(way: str, done: bool) -> None:
    async with workshop(operations={"message": WAYS[way]}, playbook=TWO_WAYS) as shop:
        error = TimedOut("silence")
        shop.platform.script["message"] = [After(error) if done else error] * 3
        shop.platform.always["find"] = TimedOut("silence")
        await shop.sweep()
        for _ in range(3):
            await shop.sweep(3 * HOUR)
            assert shop.sms.calls == []
        shop.platform.always.clear()
        shop.platform.script.clear()
        if way == "blind":
            shop.finish("find-out:message", "done" if done else "not-done")
        await shop.sweep(6 * HOUR)
        await shop.sweep(6 * HOUR)
        assert (shop.done(), shop.sms.calls) == (1, [])
        shop.check()


@pytest.mark.parametrize("error", [Unreachable("no route"), AuthFailed("expired")], ids=lambda e: e.code)
async def test_never_another_way_while_the_first_only_waits(error: Exception) -> None:
    async with workshop(playbook=TWO_WAYS) as shop:
        shop.platform.always["message"] = error
        await shop.sweep()
        await shop.sweep(HOUR)
        assert shop.sms.calls == [] and shop.effect().state is EffectState.PLANNED
        shop.check()


async def test_a_way_that_cannot_send_is_passed_over() -> None:
    async with workshop(operations={"message": Operation()}, playbook=TWO_WAYS) as shop:
        await shop.sweep()
        assert [e.via for e in shop.effects()] == ["sms"] and len(shop.sms.done) == 1
        shop.check()


async def test_whoever_releases_the_case_gets_another_try() -> None:
    """The customer opened the chat again: the same message goes out, under the same key."""
    async with workshop(playbook=TWO_WAYS) as shop:
        shop.platform.script["message"] = [Rejected("chat is closed")]
        shop.sms.script["message"] = [Rejected("no number")]
        await shop.sweep()
        assert shop.last("unreached").why == "platform: chat is closed; sms: no number"
        assert shop.case().stage == "held"
        await shop.sweep(DAY)
        assert (len(shop.platform.calls), len(shop.sms.calls)) == (1, 1)
        shop.do(
            people.release, by="wang", now=shop.clock.now(), case=shop.case().id, why="the chat is open again"
        )
        await shop.sweep()
        assert shop.done() == 1 and shop.last("contacted").via == "platform"
        assert len({call.key for call in shop.platform.calls}) == 1
        shop.check()


async def test_after_a_release_a_second_refusal_holds_again() -> None:
    async with workshop(playbook=TWO_WAYS) as shop:
        shop.platform.always["message"] = Rejected("chat is closed")
        shop.sms.always["message"] = Rejected("no number")
        await shop.sweep()
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep(HOUR)
        assert shop.case().stage == "held" and shop.kinds().count("unreached") == 2
        assert (len(shop.platform.calls), len(shop.sms.calls)) == (2, 2)
        shop.check()


WRONG: dict[str, tuple[Any, str]] = {
    "another currency": (
        Offer(remedy=Remedy(kind=RemedyKind.COUPON, amount=Money.of("5", "EUR")), why="x"),
        "offers 5.00 EUR",
    ),
    "more than the order": (
        Offer(remedy=Remedy(kind=RemedyKind.REFUND, amount=Money.of("201", "CNY")), why="x"),
        "more than",
    ),
    "a date that has passed": (Offer(new_ship_by=NOW - HOUR, why="x"), "has passed"),
    "no offer at all": ({"remedy": None}, "not an Offer"),
    "nothing": (None, "NoneType"),
    "raises": (ZeroDivisionError("by zero"), "ZeroDivisionError"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_policy_that_is_wrong_concerns_its_case_alone(name: str) -> None:
    wrong, said = WRONG[name]
    good = Offer(remedy=COUPON, new_ship_by=NOW + 9 * DAY, why="late")

    def offer(view: Any, context: Any) -> Any:
        if view.order.number != "A-1":
            return good
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.policy.offer = offer
        summary = await shop.sweep()
        assert any(said in problem for problem in summary.problems)
        assert "proposed" not in shop.kinds()
        assert shop.done(number="A-1") == 0 and shop.done(number="A-2") == 1
        for _ in range(12):
            await shop.sweep(6 * HOUR)
        assert (shop.case().stage, shop.last("held").cause) == ("held", "poison")
        assert said in shop.last("held").why
        shop.check()


async def test_a_policy_with_nothing_to_give_says_why() -> None:
    async with workshop() as shop:
        shop.policy.offer = lambda view, context: Offer.nothing("worth less than a stamp")
        await shop.sweep()
        assert shop.platform.calls == []
        assert shop.last("proposed").offer.why == "worth less than a stamp"
        assert "worth less than a stamp" in shop.last("closed").why
        assert len(shop.policy.views) == 1
        shop.check()


async def test_what_the_customer_asked_for_needs_no_further_answer() -> None:
    async with workshop(playbook={"rounds": 2}) as shop:
        await shop.sweep()
        later = NOW + 5 * DAY
        shop.policy.offer = lambda view, context: Offer(
            new_ship_by=view.counter_ship_by, agreed=True, why="as asked"
        )
        shop.platform.say(f.Answer.COUNTER, ship_by=later)
        await shop.sweep(HOUR)
        assert shop.policy.views[-1].counter_ship_by == later
        assert shop.platform.done[-1].request.reply_by is None  # type: ignore[union-attr]
        assert shop.case().stage == "promised"
        shop.check()


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        (
            {"status": OrderStatus.SHIPPED, "picked_up_at": NOW - 2 * HOUR, "parcel": Parcel.IN_TRANSIT},
            f.Outcome.NOT_LATE,
        ),
        ({"after_sales": AfterSales.REFUNDED}, f.Outcome.REFUNDED),
        ({"status": OrderStatus.CANCELLED}, f.Outcome.CANCELLED),
    ],
    ids=["shipped", "refunded", "cancelled"],
)
async def test_no_message_where_the_order_is_put_right_meanwhile(
    changes: dict[str, Any], outcome: f.Outcome
) -> None:
    """The list still shows it open; the order's own page, read before acting, does not."""
    async with workshop() as shop:
        from amends.steps.intake import take_orders

        await take_orders(shop.shop)
        shop.platform.show(**changes)
        await shop.sweep()
        assert shop.platform.calls == []
        assert shop.last("closed").outcome in (outcome, f.Outcome.SHIPPED)
        shop.check()


async def test_after_sales_under_way_stop_offers() -> None:
    async with workshop(orders=()) as shop:
        shop.platform.show(after_sales=AfterSales.REQUESTED)
        await shop.sweep()
        await shop.sweep(DAY)
        assert shop.platform.calls == [] and shop.case().outcome is None
        shop.platform.show(after_sales=AfterSales.CLOSED)
        await shop.sweep(HOUR)
        assert shop.done() == 1
        shop.check()


async def _planned_then(shop: Workshop, **changes: Any) -> None:
    """The message is planned, the platform cannot be reached, and meanwhile the order changes."""
    shop.platform.always["message"] = Unreachable("no route")
    await shop.sweep()
    assert shop.effect().state is EffectState.PLANNED
    shop.platform.always.clear()
    shop.platform.show(**changes)


@pytest.mark.parametrize(
    "changes", [{"after_sales": AfterSales.REFUNDED}, {"status": OrderStatus.CANCELLED}], ids=str
)
async def test_a_message_that_waited_is_not_sent_to_whom_nothing_is_owed(changes: dict[str, Any]) -> None:
    async with workshop() as shop:
        await _planned_then(shop, **changes)
        await shop.sweep(2 * HOUR)
        assert shop.done() == 0 and shop.case().outcome is not None


async def test_a_message_that_waited_does_not_name_dates_that_have_passed() -> None:
    async with workshop() as shop:
        await _planned_then(shop)
        await shop.sweep(3 * DAY)
        (sent,) = shop.platform.done
        assert sent.request.reply_by > shop.clock.now()  # type: ignore[union-attr]
        assert sent.request.new_ship_by > shop.clock.now()  # type: ignore[union-attr]


async def test_the_text_of_a_resend_is_the_stored_one() -> None:
    async with workshop() as shop:
        shop.platform.script["message"] = [TimedOut("silence")]
        await shop.sweep()
        shop.platform.show(amount=Money.of("150.00", "CNY"))
        await shop.sweep(QUIET + MINUTE)
        first, second = shop.platform.calls
        assert first == second and first.text  # type: ignore[union-attr]
        assert shop.last("contacted").digest
        shop.check()


async def test_the_reply_by_of_an_offer_counts_from_its_making() -> None:
    async with workshop(playbook={"reply_within": "18h"}) as shop:
        await shop.sweep()
        assert shop.platform.done[0].request.reply_by == NOW + timedelta(hours=18)  # type: ignore[union-attr]
        assert shop.case().due_at == NOW + timedelta(hours=18)
