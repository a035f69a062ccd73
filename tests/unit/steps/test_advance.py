"""Advancing: storms and backfills are held, poison rests alone, replies count once, and nothing goes in circles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, Workshop, workshop

from amends.cases import facts as f
from amends.cases.orders import OrderStatus
from amends.errors import ApprovalError, AuthFailed, LedgerFull, PlatformError, Unreachable
from amends.ledger import inbox, leases
from amends.ledger.effects import EffectState
from amends.steps import advance as module
from amends.steps import people, turns
from amends.steps.advance import MOVES, advance
from amends.steps.intake import take_orders
from amends.steps.turns import POISON


async def sweep_until_held(shop: Workshop, number: str = "A-1") -> list[float]:
    """Sweep at each due time; the pauses between, in minutes."""
    pauses = []
    while shop.case(number).stage != "held":
        due = shop.case(number).due_at
        assert due is not None and len(pauses) < 20
        pauses.append((due - shop.clock.now()).total_seconds() / 60)
        await shop.sweep(due - shop.clock.now())
    return pauses


async def test_a_poisoned_case_rests_longer_each_time_then_waits_for_a_person() -> None:
    async with workshop(orders=("A-1", "A-2")) as shop:
        fine = shop.policy.offer

        def offer(view: Any, context: Any) -> Any:
            if view.order.number == "A-1":
                raise ZeroDivisionError("by zero")
            return fine(view, context)

        shop.policy.offer = offer
        summary = await shop.sweep()
        assert any("case 1: ZeroDivisionError: by zero" in problem for problem in summary.problems)
        assert shop.done(number="A-2") == 1
        assert await sweep_until_held(shop) == [15, 30, 60, 120]
        assert len([v for v in shop.policy.views if v.order.number == "A-1"]) == POISON
        assert shop.last("held").cause == "poison" and "by zero" in shop.last("held").why
        await shop.sweep(5 * DAY)
        assert len([v for v in shop.policy.views if v.order.number == "A-1"]) == POISON
        shop.policy.offer = lambda view, context: fine(view, context)
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep()
        assert shop.done(number="A-1") == 1
        shop.check()


async def test_a_case_that_cannot_even_be_decided_rests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = turns.decide

    def decide(case: Any, at: Any, terms: Any) -> Any:
        if case.number == "A-1":
            raise OverflowError("date value out of range")
        return real(case, at, terms)

    async with workshop(orders=("A-1", "A-2")) as shop:
        monkeypatch.setattr(turns, "decide", decide)
        for _ in range(10):
            await shop.sweep(6 * HOUR)
        assert shop.done(number="A-2") == 1 and shop.done(number="A-1") == 0
        assert shop.last("held").cause == "poison"
        assert shop.case().due_at > shop.clock.now()  # type: ignore[operator]
        monkeypatch.undo()
        shop.do(people.release, by="wang", now=shop.clock.now(), case=shop.case().id)
        await shop.sweep()
        assert shop.done(number="A-1") == 1
        shop.check()


async def test_a_step_with_a_bug_makes_its_cases_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(shop: Any, turns: Sequence[Any]) -> list[Any]:
        raise KeyError("a bug of ours")

    async with workshop() as shop:
        monkeypatch.setitem(module.STEPS, f.Step.CONTACT, broken)
        summary = await shop.sweep()
        assert any("KeyError" in problem for problem in summary.problems)
        assert shop.case().due_at == NOW + 15 * MINUTE
        monkeypatch.undo()
        await shop.sweep(15 * MINUTE)
        assert shop.done() == 1
        shop.check()


async def test_the_ledgers_own_errors_stop_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(shop: Any, turns: Sequence[Any]) -> list[Any]:
        raise LedgerFull("no room")

    async with workshop() as shop:
        monkeypatch.setitem(module.STEPS, f.Step.VERIFY, full)
        with pytest.raises(LedgerFull):
            await shop.sweep()
        assert shop.do(leases.take_shop, "stall", "another") is not None  # the shop's lease was given back


async def test_a_case_in_circles_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = 0

    async def nothing(shop: Any, turns: Sequence[Any]) -> list[Any]:
        nonlocal moves
        moves += 1
        return list(turns)

    async with workshop() as shop:
        monkeypatch.setitem(module.STEPS, f.Step.CONTACT, nothing)
        summary = await shop.sweep()
        assert moves <= MOVES + 1
        assert any("moves in one sweep" in problem for problem in summary.problems)
        assert shop.case().due_at > NOW  # type: ignore[operator]
        shop.check()


async def test_a_connectors_bug_in_the_list_does_not_stop_due_cases() -> None:
    async with workshop() as shop:
        await take_orders(shop.shop)
        shop.platform.always["changed_orders"] = KeyError("orders")
        summary = await shop.sweep()
        assert any("KeyError" in problem for problem in summary.problems)
        assert shop.done() == 1
        shop.check()


@pytest.mark.parametrize("read", ["changed_orders", "replies"])
async def test_a_list_that_cannot_be_had_does_not_stop_due_cases(read: str) -> None:
    async with workshop() as shop:
        await take_orders(shop.shop)
        shop.platform.always[read] = Unreachable("no route")
        summary = await shop.sweep()
        assert any("no route" in problem for problem in summary.problems)
        assert shop.done() == 1
        shop.check()


@pytest.mark.parametrize("read", ["changed_orders", "replies"])
async def test_credentials_refused_by_a_list_hold_the_shop(read: str) -> None:
    async with workshop() as shop:
        await take_orders(shop.shop)
        shop.platform.always[read] = AuthFailed("expired")
        await shop.sweep()
        assert len(shop.holds()) == 1 and shop.platform.calls == []
        shop.check()


async def test_a_storm_is_held_for_a_person() -> None:
    numbers = [f"A-{n}" for n in range(6)]
    async with workshop(orders=numbers, playbook={"storm": {"orders": 5, "within": "1h"}}) as shop:
        await shop.sweep()
        assert shop.platform.calls == []
        assert {shop.last("held", n).cause for n in numbers} == {"storm"}
        assert shop.last("held").why.startswith("6 cases within 1h")
        await shop.sweep(DAY)
        assert shop.platform.calls == []
        with pytest.raises(ApprovalError, match="mo is none, config names: wang"):
            shop.do(people.release, by="mo", now=shop.clock.now(), shop="stall", approvers=["wang"])
        assert shop.case("A-1").stage == "held"
        shop.do(people.release, by="wang", now=shop.clock.now(), shop="stall", approvers=["wang"])
        await shop.sweep()
        assert len(shop.platform.done) == 6
        shop.check()


async def test_the_first_runs_old_orders_only_open_held_cases() -> None:
    async with workshop(orders=(), playbook={"backfill": "7d"}) as shop:
        shop.platform.show("old", ship_by=NOW - 8 * DAY, placed_at=NOW - 10 * DAY, paid_at=NOW - 10 * DAY)
        shop.platform.show("new", ship_by=NOW - 6 * DAY, placed_at=NOW - 10 * DAY, paid_at=NOW - 10 * DAY)
        await shop.sweep()
        assert (shop.done(number="old"), shop.done(number="new")) == (0, 1)
        assert shop.last("held", "old").cause == "backfill"
        for number, days in {"seen later": 8, "simply late": 6}.items():
            due, paid = NOW - days * DAY, NOW - 10 * DAY
            shop.platform.show(number, ship_by=due, placed_at=paid, paid_at=paid)
        await shop.sweep(
            30 * DAY
        )  # as old when the shop began as the first one: it went unseen only by chance
        assert (shop.done(number="seen later"), shop.done(number="simply late")) == (0, 1)
        assert shop.last("held", "seen later").cause == "backfill"
        shop.check()


async def test_a_reply_counts_once_however_often_it_is_told() -> None:
    async with workshop() as shop:
        await shop.sweep()
        reply = shop.platform.say(f.Answer.ACCEPT)
        for _ in range(3):  # the webhook comes thrice, and the poll reads it too
            arrival = inbox.Arrival(reply.event, reply.order, reply.model_dump_json().encode())
            shop.do(inbox.receive, "stall", [arrival], shop.clock.now())
            await shop.sweep(HOUR)
        assert shop.kinds().count("replied") == 1
        assert shop.done("grant") == 1
        shop.check()


async def test_an_answer_to_an_earlier_offer_changes_nothing() -> None:
    async with workshop(playbook={"rounds": 2}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.DECLINE)
        await shop.sweep(HOUR)
        assert shop.case().stage == "awaiting-reply"
        shop.platform.say(f.Answer.ACCEPT, round=1)
        await shop.sweep(HOUR)
        assert shop.case().stage == "awaiting-reply" and shop.effects("grant") == []
        shop.platform.say(f.Answer.ACCEPT, round=2)
        await shop.sweep(HOUR)
        assert shop.effect("grant").round == 2
        shop.check()


async def test_a_late_answer_after_silence_counts() -> None:
    async with workshop(playbook={"rounds": 2, "reply_within": "2h"}) as shop:
        await shop.sweep()
        await shop.sweep(2 * HOUR)
        assert shop.last("silent").means is f.Answer.DECLINE
        shop.check()


async def test_words_from_before_the_case_are_not_its_answer() -> None:
    async with workshop(orders=()) as shop:
        shop.platform.show(ship_by=NOW + 60 * HOUR)
        shop.platform.say(None, text="hello?")
        await shop.sweep()
        await shop.sweep(3 * DAY)
        assert shop.done() == 1
        assert "replied" not in shop.kinds() and shop.tasks() == []
        shop.check()


async def test_one_sweep_of_a_shop_at_a_time() -> None:
    async with workshop() as shop:
        other = await shop.second()
        assert shop.do(leases.take_shop, "stall", other.owner) is not None
        summary = await shop.sweep()
        assert summary.state == "already-running" and shop.platform.looks == []
        shop.do(leases.free_shop, "stall", other.owner)
        assert (await shop.sweep()).state == "done"
        await other.aclose()


async def test_only_the_named_cases() -> None:
    async with workshop(orders=("A-1", "A-2", "A-3")) as shop:
        await take_orders(shop.shop)
        await advance(shop.shop, only=[shop.case("A-2").id])
        assert [d.order for d in shop.platform.done] == ["A-2"]


async def test_more_cases_than_a_batch_or_a_window() -> None:
    numbers = [f"A-{n:03}" for n in range(150)]
    async with workshop(orders=numbers) as shop:
        shop.platform.script["message"] = [PlatformError("?")] * 3
        await take_orders(shop.shop)
        moved = await advance(shop.shop, limit=70)
        assert (moved.cases, len(shop.platform.done)) == (150, 147)
        await shop.sweep(HOUR)
        assert sorted(d.order for d in shop.platform.done) == numbers
        shop.check()


async def test_a_listener_that_fails_stops_nothing() -> None:
    from amends import hookimpl

    class Listener:
        @hookimpl
        def amends_case_changed(self, after: Any) -> None:
            raise RuntimeError("the chat is down")

    async with workshop() as shop:
        shop.registry.add(Listener(), name="listener")
        summary = await shop.sweep()
        assert any("the chat is down" in problem for problem in summary.problems)
        assert shop.effect().state is EffectState.CONFIRMED
        shop.check()


async def test_goods_that_ship_while_a_remedy_is_owed_do_not_end_the_case() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        shop.platform.always["grant"] = Unreachable("no route")
        shop.platform.show(status=OrderStatus.SHIPPED, picked_up_at=NOW, shipped_at=NOW)
        await shop.sweep(HOUR)
        await shop.sweep(7 * HOUR)
        assert shop.case().outcome is None
        shop.platform.always.clear()
        await shop.sweep(7 * HOUR)
        assert shop.done("grant") == 1 and shop.last("closed").outcome is f.Outcome.SETTLED
        shop.check()


async def test_a_step_held_in_config_waits() -> None:
    async with workshop(holds=["contact-customer"]) as shop:
        await shop.sweep()
        assert shop.platform.calls == [] and "held by the shop's config" in shop.case().why
        tables = {"stall": shop.settings.shops["stall"].model_copy(update={"holds": ()})}
        shop.settings = shop.settings.model_copy(update={"shops": tables})
        await shop.sweep(DAY, shop=await shop.second())
        assert shop.done() == 1
