"""Acts that a person does: one task, ended by that person or by what the platform shows."""

from __future__ import annotations

import pytest
from tests.unit.demo.workshop import COUPON, DAY, HOUR, NOW, QUIET, WAYS, Workshop, workshop

from amends.cases import facts as f
from amends.cases.orders import AfterSales
from amends.errors import CaseError
from amends.hooks.specs import Operation
from amends.ledger.effects import EffectState
from amends.steps import people

BY_HAND = WAYS["by-hand"]
REFUND = Operation.by_hand("back office › Refunds", reviewed=True)


async def accepted(shop: Workshop, answer: f.Answer = f.Answer.ACCEPT) -> None:
    """Let the customer answer the offer, and settle."""
    await shop.sweep()
    shop.platform.say(answer)
    await shop.sweep(HOUR)


async def test_one_task_with_everything_ready() -> None:
    async with workshop(operations={"message": BY_HAND}) as shop:
        await shop.sweep()
        (task,) = shop.tasks()
        assert (task.kind, task.place, task.limits) == ("message", "back office › Messages", "one a day")
        assert task.effect == shop.effect().key and task.due_at == NOW + DAY
        assert (shop.effect().state, shop.effect().look_at) == (EffectState.SENT, NOW + DAY)
        for _ in range(12):  # also past the due time: it stays one task, and the case is looked at
            await shop.sweep(6 * HOUR)
            shop.check()
        assert len(shop.tasks(open_only=False)) == 1
        assert shop.kinds().count("task-opened") == 1
        assert shop.platform.calls == []
        shop.finish("message", "done", note="chat 17")
        assert (shop.effect().state, shop.effect().ref) == (EffectState.CONFIRMED, "chat 17")
        assert shop.last("contacted").round == 1
        await shop.sweep()
        shop.check()


async def test_a_person_who_could_not() -> None:
    async with workshop(operations={"grant": BY_HAND}) as shop:
        await accepted(shop)
        shop.finish("grant:coupon", "not-done", note="the account has no coupons")
        assert shop.effect("grant").state is EffectState.REJECTED
        assert shop.last("settlement-rejected").why == "the account has no coupons"
        await shop.sweep(HOUR)
        assert shop.tasks() == []
        shop.check()


async def test_a_task_is_done_once() -> None:
    async with workshop(operations={"message": BY_HAND}) as shop:
        await shop.sweep()
        (task,) = shop.tasks()
        shop.finish("message", "done")
        with pytest.raises(CaseError, match="already done by wang"):
            shop.do(people.finish_task, task.id, "not-done", by="li", now=shop.clock.now())
        assert shop.kinds().count("task-done") == 1


async def test_a_word_that_is_no_outcome() -> None:
    async with workshop(operations={"message": BY_HAND}) as shop:
        await shop.sweep()
        with pytest.raises(CaseError, match="done, not-done"):
            shop.finish("message", "perhaps")
        assert shop.effect().state is EffectState.SENT and len(shop.tasks()) == 1


async def test_files_of_a_task_are_kept_encrypted_and_named_by_hash() -> None:
    async with workshop(operations={"message": BY_HAND}) as shop:
        await shop.sweep()
        shop.finish("message", "done", files={"screen.png": b"pixels"})
        (digest,) = shop.last("task-done").files
        from amends.ledger import persons

        kept = shop.do(persons.load, [shop.case().id])[shop.case().id]
        assert kept[f"file:{digest[:8]}-screen.png"] == b"pixels"


async def test_the_platform_shows_the_deadline_moved() -> None:
    async with workshop(operations={"extend": BY_HAND}, orders=()) as shop:
        shop.platform.show(ship_by=NOW + 3 * HOUR)
        await accepted(shop)
        assert [task.kind for task in shop.tasks()] == ["extend"]
        shop.platform.show(agreed_ship_by=NOW + 2 * DAY)
        await shop.sweep(HOUR)
        assert shop.effect("extend").state is EffectState.CONFIRMED
        assert shop.last("extended").seen
        assert shop.tasks() == [] and shop.last("task-done").outcome == "seen"
        shop.check()


async def test_the_platform_shows_the_refund_paid() -> None:
    async with workshop(operations={"grant:refund": REFUND}) as shop:
        await accepted(shop, f.Answer.CANCEL)
        assert [task.kind for task in shop.tasks()] == ["grant:refund"]
        shop.platform.show(after_sales=AfterSales.REFUNDED)
        await shop.sweep(HOUR)
        assert shop.effect("grant").state is EffectState.CONFIRMED
        assert shop.last("settled").seen and shop.tasks() == []
        assert shop.last("closed").outcome is f.Outcome.CANCELLED
        shop.check()


async def test_a_refund_by_hand_waits_for_the_review() -> None:
    async with workshop(operations={"grant:refund": REFUND}) as shop:
        await accepted(shop, f.Answer.CANCEL)
        shop.finish("grant:refund", "done", note="R-1")
        assert "settlement-requested" in shop.kinds() and "settled" not in shop.kinds()
        shop.platform.show(after_sales=AfterSales.REVIEW)
        await shop.sweep(HOUR)
        assert shop.case().outcome is None and shop.case().stage == "settling"
        shop.platform.show(after_sales=AfterSales.REFUNDED)
        await shop.sweep(HOUR)
        assert shop.last("closed").outcome is f.Outcome.CANCELLED
        shop.check()


@pytest.mark.parametrize("seen", [AfterSales.REJECTED, AfterSales.CLOSED])
async def test_a_refund_that_the_review_refuses(seen: AfterSales) -> None:
    async with workshop(operations={"grant:refund": Operation.queryable(quiet=QUIET, reviewed=True)}) as shop:
        await accepted(shop, f.Answer.CANCEL)
        assert shop.kinds()[-1] == "settlement-requested"
        shop.platform.show(after_sales=AfterSales.REVIEW)
        await shop.sweep(7 * HOUR)
        shop.platform.show(after_sales=seen)
        await shop.sweep(7 * HOUR)
        assert shop.last("settlement-rejected").why == f"the platform's review: {seen.value}"
        assert "settled" not in shop.kinds()
        shop.check()


async def test_what_a_person_settled_is_not_unsettled_by_a_worker_that_began_before() -> None:
    """The worker resumes the case for another effect, while the person finishes the task."""
    async with workshop(operations={"grant": BY_HAND, "extend": WAYS["queryable"]}, orders=()) as shop:
        shop.platform.show(ship_by=NOW + 20 * HOUR)
        shop.platform.always["extend"] = TimeoutError("a plugin's bug")
        await accepted(shop)
        assert shop.effect("extend").state is EffectState.UNKNOWN
        shop.platform.always.clear()
        shop.platform.meanwhile = lambda request: (
            shop.finish("grant:coupon", "done") and None
        )  # once: it is resent once
        for _ in range(4):
            await shop.sweep(2 * HOUR)
        assert shop.effect("extend").state is EffectState.CONFIRMED
        assert shop.effect("grant").state is EffectState.CONFIRMED
        await shop.sweep(HOUR)
        assert shop.case().stage == "promised"
        shop.check()


async def test_a_remedy_that_the_platform_cannot_give_is_given_by_a_person() -> None:
    reads_only = {"grant": Operation()}
    async with workshop(operations=reads_only) as shop:
        await accepted(shop)
        (task,) = shop.tasks()
        assert (task.kind, shop.effect("grant").effect_class) == ("grant:coupon", "by-hand")
        shop.finish("grant:coupon", "done")
        await shop.sweep()
        assert shop.last("settled").remedy == COUPON
        assert shop.platform.done[-1].op == "message"
        shop.check()


async def test_a_task_left_undone_does_not_keep_another_act_unknown() -> None:
    async with workshop(operations={"extend": BY_HAND, "grant": WAYS["queryable"]}, orders=()) as shop:
        shop.platform.show(ship_by=NOW + 20 * HOUR)
        shop.platform.script["grant"] = [TimeoutError("a plugin's bug")]
        await accepted(shop)
        assert shop.effect("grant").state is EffectState.UNKNOWN
        for _ in range(8):
            await shop.sweep(2 * HOUR)
        assert shop.effect("grant").state is EffectState.CONFIRMED
