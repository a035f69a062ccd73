"""A cancel: after a yes, after the goods left, before and after what was agreed ends. What is left goes back once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.demo.workshop import COUPON, DAY, HOUR, MINUTE, NOW, QUIET, After, Workshop, workshop

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, OrderStatus, Parcel
from amends.errors import (
    Rejected,
    Throttled,
    TimedOut,
    Unreachable,
)
from amends.hooks.specs import Operation
from amends.ledger import approvals
from amends.steps import people

REFUND = Remedy(kind=RemedyKind.REFUND, amount=Money.of("16.00", "CNY"))


def paid_back(shop: Workshop) -> list[str]:
    return [str(d.request.remedy) for d in shop.platform.done if d.op == "grant"]


async def accepted_refund(shop: Workshop) -> None:
    shop.policy.offer = lambda view, context: Offer(remedy=REFUND, new_ship_by=NOW + 9 * DAY, why="late")
    await shop.sweep()
    shop.platform.say(f.Answer.ACCEPT)
    await shop.sweep(MINUTE)
    assert paid_back(shop) == ["refund 16.00 CNY"]


@pytest.mark.parametrize("seen", [False, True])
async def test_a_cancel_after_an_accepted_refund_pays_the_rest_once(seen: bool) -> None:
    async with workshop() as shop:
        await accepted_refund(shop)
        if seen:
            shop.platform.show(refunded=REFUND.amount)
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(HOUR)
        await shop.sweep(7 * HOUR)
        assert paid_back(shop) == ["refund 16.00 CNY", "refund 184.00 CNY"]
        assert shop.case().outcome is not None
        shop.check()


async def test_a_merchants_own_refund_is_taken_off_what_a_cancel_pays_back() -> None:
    async with workshop() as shop:
        shop.platform.show(refunded=Money.of("50.00", "CNY"))
        await shop.sweep()
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(MINUTE)
        assert paid_back(shop) == ["refund 150.00 CNY"]


async def test_a_cancel_whose_refund_is_refused_is_a_persons_matter_never_another_offer() -> None:
    async with workshop(playbook={"rounds": 3}) as shop:
        await shop.sweep()
        shop.platform.script["grant"] = [Rejected("paid by transfer: refund by hand")]
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(MINUTE)
        assert shop.last("held").cause == "refund" and "refund by hand" in shop.case().why
        await shop.sweep(2 * DAY)
        assert shop.done() == 1, "no second offer"
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        shop.platform.show(after_sales=AfterSales.REFUNDED, refunded=Money.of("200.00", "CNY"))
        await shop.sweep(MINUTE)
        assert paid_back(shop) == [] and shop.last("closed").outcome is f.Outcome.REFUNDED
        shop.check()


async def test_after_a_release_the_refund_is_tried_again() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.script["grant"] = [Rejected("the gateway is down for good")]
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(MINUTE)
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep(MINUTE)
        assert paid_back(shop) == ["refund 200.00 CNY"]
        shop.check()


@pytest.mark.parametrize("yes", [True, False])
async def test_the_money_of_goods_that_had_left_is_a_persons_to_give(yes: bool) -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.show(status=OrderStatus.SHIPPED, shipped_at=NOW + MINUTE, picked_up_at=NOW + MINUTE)
        shop.platform.say(f.Answer.CANCEL, at=NOW + HOUR)
        await shop.sweep(HOUR)
        assert paid_back(shop) == [] and "cancelled after the goods had left" in shop.case().why
        (listing,) = shop.do(approvals.listing, open_only=True)
        assert str(listing.items[0].amount) == "200.00 CNY"
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), yes=yes)
        await shop.sweep(MINUTE)
        await shop.sweep(HOUR)
        assert paid_back(shop) == (["refund 200.00 CNY"] if yes else [])
        assert shop.case().outcome is not None
        shop.check()


@pytest.mark.parametrize("said_no", [False, True])
async def test_where_nobody_says_when_the_goods_left_a_moving_parcel_answers_nothing(said_no: bool) -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.clock.advance(MINUTE)
        shop.platform.show(status=OrderStatus.SHIPPED, parcel=Parcel.IN_TRANSIT)
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(HOUR)
        (listing,) = shop.do(approvals.listing, open_only=True)
        if said_no:
            shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), yes=False)
        shop.clock.advance(MINUTE)
        shop.platform.show(parcel=Parcel.OUT_FOR_DELIVERY)
        await shop.sweep(MINUTE)
        await shop.sweep(DAY)
        assert paid_back(shop) == []
        assert (shop.case().outcome is not None) is said_no
        shop.check()


async def test_what_the_customer_has_already_received_is_a_persons_matter_too() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.show(status=OrderStatus.RECEIVED, delivered_at=NOW + MINUTE)
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(HOUR)
        assert paid_back(shop) == [] and len(shop.do(approvals.listing, open_only=True)) == 1


async def test_goods_that_leave_after_the_cancel_change_nothing() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.CANCEL)
        shop.platform.script["grant"] = [Throttled("later", retry_after=600)]
        await shop.sweep(MINUTE)
        assert paid_back(shop) == []
        gone = NOW + HOUR
        shop.platform.show(status=OrderStatus.SHIPPED, shipped_at=gone, picked_up_at=gone)
        await shop.sweep(2 * HOUR)
        assert paid_back(shop) == ["refund 200.00 CNY"]
        shop.check()


# What was agreed before a cancel, and ends after it -------------------------------------------------


async def agreed_to(shop: Workshop, remedy: Remedy) -> None:
    shop.policy.offer = lambda view, context: Offer(remedy=remedy, new_ship_by=NOW + 9 * DAY, why="late")
    await shop.sweep()
    shop.platform.say(f.Answer.ACCEPT)
    await shop.sweep(MINUTE)


async def cancelled(shop: Workshop) -> None:
    shop.platform.say(f.Answer.CANCEL)
    await shop.sweep(HOUR)
    await shop.sweep(7 * HOUR)


async def test_a_remedy_that_never_left_is_withdrawn_by_a_cancel() -> None:
    async with workshop() as shop:
        shop.platform.always["grant"] = Unreachable("no route")
        await agreed_to(shop, COUPON)
        shop.platform.always.clear()
        await cancelled(shop)
        assert paid_back(shop) == ["refund 200.00 CNY"] and shop.case().outcome == "cancelled"
        shop.check()


async def test_a_cancel_between_plan_and_window_withdraws_the_remedy() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        real, did = shop.ledger.run, []

        async def run(work: Any, *args: Any, **more: Any) -> Any:
            if getattr(work, "__name__", "") == "mark_sent" and not did:
                did.append(1)
                now = shop.clock.now()
                shop.do(people.reply, shop.case().id, f.Answer.CANCEL, by="wang", now=now)
            return await real(work, *args, **more)

        shop.ledger.run = run  # type: ignore[method-assign]
        await shop.sweep(MINUTE)
        shop.ledger.run = real  # type: ignore[method-assign]
        await shop.sweep(HOUR)
        assert paid_back(shop) == ["refund 200.00 CNY"]
        shop.check()


async def test_a_refund_of_unknown_outcome_is_taken_off_what_the_cancel_pays() -> None:
    async with workshop(operations={"grant": Operation.queryable(quiet=QUIET)}) as shop:
        shop.platform.script["grant"] = [After(TimedOut("silence"))]
        await agreed_to(shop, REFUND)
        await cancelled(shop)
        assert paid_back(shop) == ["refund 16.00 CNY", "refund 184.00 CNY"]
        assert shop.case().outcome == "cancelled"
        shop.check()


async def test_a_refund_that_is_under_review_is_taken_off_what_the_cancel_pays() -> None:
    reviewed = Operation.idempotent(window=DAY, reviewed=True)
    async with workshop(operations={"grant": reviewed}) as shop:
        await agreed_to(shop, REFUND)
        await cancelled(shop)
        assert paid_back(shop) == ["refund 16.00 CNY", "refund 184.00 CNY"]


async def test_a_refund_by_hand_that_is_done_after_the_cancel_is_not_the_cancels() -> None:
    async with workshop(operations={"grant": Operation.by_hand("back office")}) as shop:
        await agreed_to(shop, REFUND)
        await cancelled(shop)
        shop.finish("grant", "done")
        shop.platform.show(refunded=REFUND.amount)
        await shop.sweep(7 * HOUR)
        (task,) = shop.tasks()
        amount = next(e.amount for e in shop.effects("grant") if e.key == task.effect)
        assert str(amount) == "184.00 CNY"


async def test_silence_that_cancels_pays_what_is_left() -> None:
    async with workshop(playbook={"silence": "cancel", "rounds": 3}) as shop:
        shop.policy.offer = lambda view, context: Offer(
            remedy=REFUND if view.round == 1 else None, new_ship_by=(view.now or NOW) + DAY, why="late"
        )
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(MINUTE)
        for _ in range(8):
            await shop.sweep(DAY)
        assert paid_back(shop) == ["refund 16.00 CNY", "refund 184.00 CNY"]


async def test_a_merchants_refund_that_is_seen_with_the_cancel_is_taken_off() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.clock.advance(HOUR)
        shop.platform.show(refunded=Money.of("50.00", "CNY"))
        await cancelled(shop)
        assert paid_back(shop) == ["refund 150.00 CNY"]


async def test_after_a_review_refused_a_release_asks_the_platform_again() -> None:
    reviewed = Operation.idempotent(window=DAY, reviewed=True)
    async with workshop(operations={"grant": reviewed}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(MINUTE)
        shop.platform.show(after_sales=AfterSales.REJECTED)
        await shop.sweep(7 * HOUR)
        assert shop.last("held").cause == "refund"
        shop.platform.show(after_sales=AfterSales.NONE)
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep(MINUTE)
        assert len({e.key for e in shop.effects("grant")}) == 2
        shop.platform.show(after_sales=AfterSales.REFUNDED)
        await shop.sweep(7 * HOUR)
        assert shop.case().outcome is not None
        shop.check()


async def test_a_cancel_that_lands_on_an_unsent_offer_never_sends_it() -> None:
    async with workshop(playbook={"rounds": 3}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.DECLINE)
        shop.platform.always["message"] = Unreachable("no route")
        await shop.sweep(MINUTE)
        shop.platform.always.clear()
        shop.platform.script["grant"] = [Rejected("paid by transfer")]
        shop.platform.say(f.Answer.CANCEL, round=1)
        await shop.sweep(HOUR)
        await shop.sweep(DAY)
        assert shop.done() == 1 and shop.last("held").cause == "refund"
