"""What the ledger refuses: a lost lease, a hold that came between, a cap that was reached, a yes that does not fit."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.demo.workshop import COUPON, DAY, HOUR, MINUTE, NOW, QUIET, WAYS, Workshop, workshop

from amends.cases import facts as f
from amends.cases.offers import Offer
from amends.errors import ApprovalError, TimedOut
from amends.ledger import approvals, budgets, leases
from amends.ledger.effects import EffectState
from amends.steps import people
from amends.steps.advance import advance

ASK = {"approve": {"remedy_over": "5 CNY", "within": "12h"}}


@pytest.fixture(autouse=True)
def _no_crashpoints():  # type: ignore[no-untyped-def]
    from amends.ledger.crash import on_crashpoint

    yield
    on_crashpoint(None)


def at(point: str, act):  # type: ignore[no-untyped-def]
    """Do that once, in the worker's way, at that point."""
    from amends.ledger.crash import on_crashpoint

    def now(name: str) -> None:
        if name == point:
            on_crashpoint(None)
            act()

    on_crashpoint(now)


def steal(shop: Workshop) -> None:
    """Let the lease run out and another worker take the case: its epoch is newer."""
    from sqlalchemy import update

    from amends.ledger.schema import cases

    def work(tx):  # type: ignore[no-untyped-def]
        tx.execute(
            update(cases).values(lease_owner="thief", lease_until=leases.lease_end(), epoch=cases.c.epoch + 1)
        )

    shop.do(work)


def give_up(shop: Workshop) -> None:
    from sqlalchemy import update

    from amends.ledger.schema import cases

    shop.do(lambda tx: tx.execute(update(cases).values(lease_owner=None, lease_until=None)))


@pytest.mark.parametrize("point", ["before-plan", "after-plan"])
async def test_a_lease_lost_before_sending_sends_nothing(point: str) -> None:
    async with workshop() as shop:
        at(point, lambda: steal(shop))
        await shop.sweep()
        assert shop.platform.calls == []
        assert "contacted" not in shop.kinds()
        give_up(shop)
        await shop.sweep(MINUTE)
        assert shop.effect().state is EffectState.CONFIRMED and shop.done() == 1
        shop.check()


@pytest.mark.parametrize("way", ["idempotent", "queryable", "blind"])
async def test_an_outcome_under_a_lost_lease_is_refused(way: str) -> None:
    """Whoever took the case over finds out by the effect's class; the message goes out once."""
    async with workshop(operations={"message": WAYS[way]}) as shop:
        at("after-send", lambda: steal(shop))
        await shop.sweep()
        assert shop.done() == 1
        assert shop.effect().state is EffectState.SENT
        assert "contacted" not in shop.kinds()
        give_up(shop)
        await shop.sweep(QUIET)
        if way == "blind":
            shop.finish("find-out:message", "done")
        assert shop.effect().state is EffectState.CONFIRMED
        assert shop.done() == 1 and shop.kinds().count("contacted") == 1
        shop.check()


async def test_two_workers_never_hold_the_same_case() -> None:
    numbers = [f"A-{n}" for n in range(40)]
    async with workshop(orders=numbers) as shop:
        from amends.steps.intake import take_orders

        other = await shop.second()
        await take_orders(shop.shop)
        await asyncio.gather(*(advance(one, limit=3) for one in (shop.shop, other)))
        assert sorted(d.order for d in shop.platform.done) == sorted(numbers)
        await other.aclose()
        shop.check()


async def test_the_kill_switch_between_plan_and_send() -> None:
    async with workshop() as shop:
        stop = {"by": "wang", "why": "wait", "now": NOW, "shop": "stall"}
        at("after-plan", lambda: shop.do(people.hold, **stop))
        await shop.sweep()
        assert (shop.platform.calls, shop.effect().state) == ([], EffectState.PLANNED)
        for _ in range(3):
            await shop.sweep(HOUR)
        assert shop.platform.calls == [] and shop.case().stage == "held"
        shop.do(people.release, by="wang", now=shop.clock.now(), shop="stall")
        await shop.sweep()
        assert (shop.effect().state, shop.done()) == (EffectState.CONFIRMED, 1)
        shop.check()


@pytest.mark.parametrize("shop_wide", [True, False])
async def test_a_held_step_does_not_act(shop_wide: bool) -> None:
    async with workshop() as shop:
        where = "stall" if shop_wide else ""
        shop.do(people.hold, by="wang", why="prices", now=NOW, shop=where, step="contact-customer")
        await shop.sweep()
        await shop.sweep(DAY)
        assert shop.platform.calls == [] and shop.effects() == []
        assert "prices" in shop.case().why and shop.case().due_at > shop.clock.now()
        shop.do(people.release, by="wang", now=shop.clock.now(), shop=where, step="contact-customer")
        await shop.sweep()
        assert shop.done() == 1
        shop.check()


async def test_a_case_held_while_its_message_is_under_way_keeps_the_outcome() -> None:
    async with workshop() as shop:
        case = {"by": "wang", "why": "I know this customer", "now": NOW}
        shop.platform.meanwhile = lambda request: shop.do(people.hold, case=shop.case().id, **case)
        await shop.sweep()
        assert (shop.effect().state, shop.case().stage) == (EffectState.CONFIRMED, "held")
        await shop.sweep(2 * DAY)
        assert shop.done() == 1 and shop.case().stage == "held"
        shop.check()


async def test_a_cap_that_another_case_used_up_leaves_the_explanation() -> None:
    """Both policies saw the cap free; the second plan does not fit any more."""
    async with workshop(orders=("A-1", "A-2"), caps={"per_shop_day": "15 CNY"}) as shop:
        await shop.sweep()
        remedies = {d.order: d.request.remedy for d in shop.platform.done}  # type: ignore[union-attr]
        assert sorted(remedies) == ["A-1", "A-2"]
        assert sorted(remedies.values(), key=str) == [None, COUPON]
        poor = next(number for number, remedy in remedies.items() if remedy is None)
        assert shop.last("proposed", poor).over_cap == "per_shop_day"
        assert shop.kinds(poor).count("contacted") == 1
        shop.check()


async def test_a_cap_may_ask_a_person() -> None:
    caps = {"per_shop_day": "15 CNY"}
    async with workshop(orders=("A-1", "A-2"), caps=caps, playbook={"cap_reached": "ask"}) as shop:
        await shop.sweep()
        held = [n for n in ("A-1", "A-2") if shop.case(n).stage == "held"]
        assert len(held) == 1 and len(shop.platform.done) == 1
        assert "per_shop_day" in shop.last("held", held[0]).why
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case(held[0]).id)
        await shop.sweep(DAY)  # a new day, a new cap
        assert shop.done(number=held[0]) == 1
        assert shop.platform.done[-1].request.remedy == COUPON  # type: ignore[union-attr]
        shop.check()


async def test_a_share_is_taken_once_and_given_back_when_the_offer_comes_to_nothing() -> None:
    async with workshop(caps={"per_order": "15 CNY"}) as shop:
        shop.platform.script["message"] = [TimedOut("silence")]
        await shop.sweep()
        await shop.sweep(QUIET)
        scopes = shop.shop.scopes("A-1", "c-A-1", "CNY")
        assert str(shop.do(budgets.left, scopes)["per_order"]) == "5.00 CNY"
        shop.platform.say(f.Answer.DECLINE)
        await shop.sweep(HOUR)
        assert str(shop.do(budgets.left, scopes)["per_order"]) == "15.00 CNY"
        shop.check()


async def test_nothing_goes_out_without_the_yes_it_needs() -> None:
    async with workshop(playbook=ASK) as shop:
        await shop.sweep()
        assert shop.platform.calls == []
        (listing,) = shop.do(approvals.listing, open_only=True)
        assert (listing.kind, listing.items[0].what) == ("contact-customer", "contact-customer:1")
        await shop.sweep(HOUR)
        assert len(shop.do(approvals.listing)) == 1  # asked once
        with pytest.raises(ApprovalError, match="not an approver"):
            shop.do(people.approve, listing.id, by="eve", now=shop.clock.now(), approvers=["lin"])
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), approvers=["lin"])
        await shop.sweep()
        assert shop.done() == 1 and shop.platform.done[0].request.remedy == COUPON  # type: ignore[union-attr]
        shop.check()


async def test_a_yes_is_used_once() -> None:
    async with workshop(playbook=ASK) as shop:
        await shop.sweep()
        (listing,) = shop.do(approvals.listing, open_only=True)
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now())
        shop.platform.script["message"] = [TimedOut("silence")]
        await shop.sweep()
        case = shop.case().id
        version = listing.items[0].version
        amount = COUPON.amount
        used = {"version": version, "amount": amount, "now": shop.clock.now()}
        assert not shop.do(approvals.use, case, "contact-customer:1", **used)
        await shop.sweep(QUIET)  # a resend needs no second yes
        assert shop.done() == 1
        shop.check()


async def test_a_yes_to_another_state_of_the_case_is_asked_for_anew() -> None:
    async with workshop(playbook=ASK) as shop:
        await shop.sweep()
        (old,) = shop.do(approvals.listing, open_only=True)
        shop.do(people.hold, by="wang", why="a look", now=NOW, case=shop.case().id)
        shop.do(people.release, by="wang", now=NOW, case=shop.case().id)
        decision = shop.do(people.approve, old.id, by="lin", now=NOW)
        assert (decision.approved, decision.stale) == (0, 1)
        await shop.sweep()
        assert shop.platform.calls == []
        (new,) = shop.do(approvals.listing, open_only=True)
        assert new.id != old.id and new.items[0].version > old.items[0].version
        shop.do(people.approve, new.id, by="lin", now=shop.clock.now())
        await shop.sweep()
        assert shop.done() == 1
        shop.check()


async def test_a_list_that_expired_is_asked_for_anew() -> None:
    async with workshop(playbook=ASK) as shop:
        await shop.sweep()
        (old,) = shop.do(approvals.listing, open_only=True)
        await shop.sweep(13 * HOUR)
        with pytest.raises(ApprovalError, match="expired"):
            shop.do(people.approve, old.id, by="lin", now=shop.clock.now())
        (new,) = shop.do(approvals.listing, open_only=True)
        assert new.id != old.id
        shop.check()


async def test_a_no_sends_the_offer_without_its_remedy() -> None:
    async with workshop(playbook=ASK) as shop:
        await shop.sweep()
        (listing,) = shop.do(approvals.listing, open_only=True)
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), yes=False, why="too dear")
        await shop.sweep()
        (sent,) = shop.platform.done
        assert sent.request.remedy is None and sent.request.new_ship_by == NOW + 2 * DAY  # type: ignore[union-attr]
        assert "refused by lin" in shop.last("proposed").offer.why
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(HOUR)
        assert shop.effects("grant") == []
        shop.check()


async def test_two_people_where_it_is_much() -> None:
    playbook = {"approve": {"remedy_over": "5 CNY", "two_people_over": "8 CNY"}}
    async with workshop(playbook=playbook) as shop:
        await shop.sweep()
        (listing,) = shop.do(approvals.listing, open_only=True)
        shop.do(people.approve, listing.id, by="lin", now=NOW)
        await shop.sweep()
        assert shop.platform.calls == []
        with pytest.raises(ApprovalError, match="already approved"):
            shop.do(people.approve, listing.id, by="lin", now=NOW)
        shop.do(people.approve, listing.id, by="chen", now=NOW)
        await shop.sweep()
        assert shop.done() == 1
        shop.check()


async def test_an_excepted_case_is_refused_the_others_go() -> None:
    async with workshop(orders=("A-1", "A-2", "A-3"), playbook=ASK) as shop:
        await shop.sweep()
        (listing,) = shop.do(approvals.listing, open_only=True)
        assert len(listing.waiting) == 3
        shop.do(people.approve, listing.id, by="lin", now=NOW, exceptions=[shop.case("A-2").id])
        await shop.sweep()
        remedies = {d.order: d.request.remedy for d in shop.platform.done}  # type: ignore[union-attr]
        assert remedies == {"A-1": COUPON, "A-2": None, "A-3": COUPON}
        shop.check()


@pytest.mark.parametrize("yes", [True, False])
async def test_a_large_refund_asks(yes: bool) -> None:
    async with workshop(playbook={"approve": {"remedy_over": "50 CNY"}}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(HOUR)
        assert shop.effects("grant") == []
        (listing,) = shop.do(approvals.listing, open_only=True)
        assert listing.items[0].amount is not None and str(listing.items[0].amount) == "200.00 CNY"
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now(), yes=yes)
        await shop.sweep(MINUTE)
        await shop.sweep(HOUR)
        assert len(shop.effects("grant")) == int(yes)
        assert ("settlement-rejected" in shop.kinds()) is not yes
        shop.check()


async def test_an_offer_that_is_planned_again_keeps_its_request() -> None:
    """Planning twice is harmless: the effect is there, so its stored request stands."""
    async with workshop() as shop:
        at("after-plan", lambda: give_up(shop))
        await shop.sweep()
        shop.policy.offer = lambda view, context: Offer(why="another", new_ship_by=NOW + 9 * DAY)
        await shop.sweep(MINUTE)
        (sent,) = shop.platform.done
        assert sent.request.new_ship_by == NOW + 2 * DAY  # type: ignore[union-attr]
        shop.check()
