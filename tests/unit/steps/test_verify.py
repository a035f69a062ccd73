"""verify-order: looks before it acts, waits where it cannot look, and holds what contradicts itself."""

from __future__ import annotations

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, WAYS, Workshop, workshop

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, OrderStatus, Parcel
from amends.errors import (
    AuthFailed,
    BadAnswer,
    NotFound,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.hooks.specs import Operation
from amends.ledger.effects import EffectState
from amends.steps import people
from amends.steps.intake import take_orders
from amends.steps.verify_order import TRIES

PASSING = (
    Unreachable("no route"),
    TimedOut("silence"),
    Unavailable("5xx"),
    BadAnswer("half"),
    Throttled("slow", retry_after=600),
)


@pytest.mark.parametrize("error", PASSING, ids=lambda e: type(e).__name__)
async def test_an_order_that_cannot_be_looked_at_waits(error: Exception) -> None:
    async with workshop() as shop:
        shop.platform.always["order"] = error
        await shop.sweep()
        assert (shop.last("unseen").code, shop.last("unseen").attempt) == (error.code, 1)  # type: ignore[attr-defined]
        assert shop.case().due_at == shop.last("unseen").retry_at == NOW + 15 * MINUTE
        pauses = []
        for _ in range(8):
            due = shop.case().due_at
            assert due is not None
            before, shop.clock._now = shop.clock.now(), due
            pauses.append(due - before)
            await shop.sweep()
        assert (
            pauses[:4] == [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR] and max(pauses) == 6 * HOUR
        )  # the poll
        assert shop.platform.calls == [] and "held" not in shop.kinds()
        shop.platform.always.clear()
        await shop.sweep(6 * HOUR)
        assert shop.done() == 1
        shop.check()


@pytest.mark.parametrize(
    "error",
    [NotFound("unknown"), Rejected("no"), RuntimeError("a plugin's bug")],
    ids=lambda e: type(e).__name__,
)
async def test_an_answer_that_stays_final_asks_a_person(error: Exception) -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        shop.platform.always["order A-1"] = error
        await shop.sweep()
        assert (shop.done(number="A-2"), shop.done(number="A-1")) == (1, 0)
        for _ in range(12):
            await shop.sweep(6 * HOUR)
        assert shop.case().stage == "held" and shop.last("held").cause == "platform"
        assert shop.last("unseen").attempt == TRIES
        shop.platform.always.clear()
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep(6 * HOUR)
        assert shop.done(number="A-1") == 1
        shop.check()


async def test_a_moments_trouble_is_waited_out() -> None:
    async with workshop() as shop:
        shop.platform.script["order"] = [Unavailable("5xx"), TimedOut("silence")]
        await shop.sweep()
        assert "unseen" not in shop.kinds() and shop.done() == 1


async def test_credentials_hold_the_shop() -> None:
    async with workshop() as shop:
        shop.platform.always["order"] = AuthFailed("expired")
        await shop.sweep()
        (hold,) = shop.holds()
        assert "auth-failed" in hold.why and shop.case().due_at > NOW  # type: ignore[operator]
        looks = len(shop.platform.looks)
        await shop.sweep(DAY)
        assert len(shop.platform.looks) == looks
        shop.platform.always.clear()
        shop.do(people.release, by="wang", now=shop.clock.now(), shop="stall")
        await shop.sweep()
        assert shop.done() == 1
        shop.check()


async def test_stale_data_is_no_look() -> None:
    async with workshop(playbook={"fresh_for": "10m"}) as shop:
        shop.platform.behind = HOUR
        await shop.sweep()
        assert "60 minutes old" in shop.last("unseen").why and shop.platform.calls == []
        shop.platform.behind = 0 * HOUR
        await shop.sweep(HOUR)
        assert shop.done() == 1
        shop.check()


async def test_a_label_is_no_shipment() -> None:
    async with workshop(orders=()) as shop:
        label = {"status": OrderStatus.SHIPPED, "shipped_at": NOW - 5 * HOUR, "parcel": Parcel.LABEL_CREATED}
        shop.platform.show(**label)
        await shop.sweep()
        assert shop.last("observed").lateness.state == "overdue"
        assert shop.done() == 1


async def test_what_contradicts_itself_is_held_until_it_does_not() -> None:
    async with workshop() as shop:
        await take_orders(shop.shop)
        shop.platform.show(status=OrderStatus.SHIPPED, picked_up_at=NOW - 9 * DAY)  # before it was placed
        await shop.sweep()
        assert shop.last("observed").contradictions != ()
        assert shop.case().stage == "held" and shop.case().due_at is not None and shop.platform.calls == []
        shop.platform.show(status=OrderStatus.TO_SHIP, picked_up_at=None)
        await shop.sweep(6 * HOUR)
        assert shop.done() == 1
        shop.check()


async def test_seen_again_says_so_once_per_look() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(HOUR)
        assert shop.kinds().count("observed") == 1 and shop.kinds().count("seen-again") == 1
        shop.platform.show(amount=Money.of("180.00", "CNY"))
        await shop.sweep(7 * HOUR)
        assert shop.kinds().count("observed") == 2


async def test_a_dispute_that_ended_before_anybody_answered() -> None:
    async with workshop(
        operations={"respond": WAYS["queryable"]}, playbook={"approve": {"complaint": False}}, orders=()
    ) as shop:
        shop.platform.show(after_sales=AfterSales.DISPUTED, dispute="D-1")
        await shop.sweep()
        assert shop.effect("respond").state is EffectState.CONFIRMED
        shop.platform.show(after_sales=AfterSales.REFUNDED, dispute="")
        for _ in range(3):
            await shop.sweep(7 * HOUR)
        assert shop.last("ruled").verdict == "against-us" and shop.case().outcome is not None
        assert shop.done() == 0
        shop.check()


@pytest.mark.parametrize(
    "error",
    [TimedOut("silence"), Rejected("no"), RuntimeError("a desk's bug")],
    ids=lambda e: type(e).__name__,
)
async def test_a_ruling_that_cannot_be_looked_up_is_no_ruling_that_is_missing(error: Exception) -> None:
    """The due time of a ruling passes while the desk is away: nothing is escalated unseen."""
    operations = {"complain": WAYS["queryable"], "arbitrate": WAYS["idempotent"]}
    playbook = {
        "then": ["file-complaint", "escalate"], "ruling_within": "12h",
        "approve": {"complaint": False, "arbitration": False, "legal": False},
    }  # fmt: skip
    async with workshop(operations=operations, playbook=playbook) as shop:
        await _complained(shop)
        shop.platform.always["ruling"] = error
        for _ in range(4):
            await shop.sweep(6 * HOUR)
        assert shop.effects("arbitrate") == [] and "looked" not in shop.kinds()
        assert shop.case().due_at is not None
        shop.check()


async def _complained(shop: Workshop) -> None:
    await shop.sweep()
    shop.platform.say(f.Answer.DECLINE)
    await shop.sweep(HOUR)
    assert shop.effect("complain").state is EffectState.CONFIRMED


PART = Money.of("40.00", "CNY")


async def test_a_refund_of_a_part_ends_no_case() -> None:
    """The platform's word is `refunded`, but the goods are still owed."""
    async with workshop() as shop:
        shop.platform.show(after_sales=AfterSales.REFUNDED, refunded=PART)
        await shop.sweep()
        assert shop.case().outcome is None and shop.done() == 1
        assert shop.last("observed").order.after_sales is AfterSales.NONE
        shop.platform.show(after_sales=AfterSales.REFUNDED, refunded=Money.of("200.00", "CNY"))
        await shop.sweep(DAY)
        assert shop.case().outcome == f.Outcome.REFUNDED


@pytest.mark.parametrize(("before", "settled"), [(None, True), (Money.of("40.00", "CNY"), False)])
async def test_a_partial_refund_is_seen_by_the_money_that_went_back(
    before: Money | None, settled: bool
) -> None:
    """A person gave it by hand; what had gone back before is not it."""
    by_hand = Operation.by_hand("back office", reviewed=True)
    async with workshop(operations={"grant:refund": by_hand}, orders=()) as shop:
        refund = Remedy(kind=RemedyKind.REFUND, amount=PART)
        shop.policy.offer = lambda view, context: Offer(remedy=refund, why="late")
        shop.platform.show(refunded=before)
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(HOUR)
        assert "settled" not in shop.kinds() and len(shop.tasks()) == 1
        shop.platform.show(refunded=PART)
        await shop.sweep(HOUR)
        assert ("settled" in shop.kinds()) is settled
        assert len(shop.tasks()) == (0 if settled else 1)
