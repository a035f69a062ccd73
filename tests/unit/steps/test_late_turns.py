"""What comes at the worst moment: an answer between a claim and its end, a way that refuses, a look that cannot tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, QUIET, Workshop, workshop

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.orders import Personal
from amends.errors import (
    AuthFailed,
    LedgerError,
    NotFound,
    PlatformError,
    Rejected,
    TimedOut,
    Unreachable,
)
from amends.hooks.specs import Operation
from amends.ledger import approvals, budgets, quotas
from amends.ledger.effects import EffectState
from amends.steps import people

ASK = {"approve": {"remedy_over": "5 CNY", "within": "12h"}}
FILES = {"rounds": 1, "then": ["file-complaint"], "ruling_within": "3d"}


def left(shop: Workshop, cap: str = "per_order") -> str:
    return str(shop.do(budgets.left, shop.shop.scopes("A-1", "c-A-1", "CNY"))[cap])


async def test_the_quiet_delay_counts_from_the_answer_that_did_not_come() -> None:
    async with workshop() as shop:
        slow = 6 * MINUTE  # longer than `quiet`: the batch was claimed that long before

        def wait(request: Any) -> None:
            shop.clock.advance(slow)

        shop.platform.meanwhile = wait
        shop.platform.script["message"] = [TimedOut("silence")]
        await shop.sweep()
        assert shop.platform.sought == [] and len(shop.platform.calls) == 1
        found = shop.effect()
        assert found.state is EffectState.UNKNOWN and found.look_at == NOW + slow + QUIET
        shop.platform.meanwhile = lambda request: None
        await shop.sweep(QUIET)
        assert len(shop.platform.sought) == 1


async def test_a_yes_whose_way_refused_serves_the_next_way() -> None:
    async with workshop(playbook=ASK | {"channels": ["platform", "sms"]}) as shop:
        await shop.sweep()
        (listing,) = shop.do(approvals.listing, open_only=True)
        shop.do(people.approve, listing.id, by="lin", now=shop.clock.now())
        shop.platform.script["message"] = [Rejected("no such chat")]
        await shop.sweep()
        await shop.sweep(MINUTE)
        assert [d.op for d in shop.sms.done] == ["message"] and shop.platform.done == []
        used = {"version": listing.items[0].version, "amount": None, "now": shop.clock.now()}
        assert not shop.do(approvals.use, shop.case().id, "contact-customer:1", **used), "used up by the sms"
        shop.check()


async def test_the_share_of_a_remedy_that_was_given_stays_taken() -> None:
    async with workshop(caps={"per_order": "15 CNY"}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(MINUTE)
        assert shop.done("grant") == 1 and left(shop) == "5.00 CNY"
        shop.platform.say(f.Answer.CANCEL)
        await shop.sweep(HOUR)
        assert left(shop) == "5.00 CNY"


async def test_a_word_against_what_was_accepted_gives_no_share_back() -> None:
    async with workshop(caps={"per_order": "15 CNY"}) as shop:
        await shop.sweep()
        shop.platform.say(None, text="hm, yes, or no?")
        await shop.sweep(MINUTE)
        shop.platform.always["grant"] = Unreachable("no route")
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(MINUTE)
        shop.finish("read-reply", "decline")
        assert left(shop) == "5.00 CNY", "it is owed"
        shop.platform.always.clear()
        await shop.sweep(7 * HOUR)
        assert shop.done("grant") == 1 and left(shop) == "5.00 CNY"


async def test_a_late_yes_takes_its_share_again_or_asks_a_person() -> None:
    for taken in (False, True):
        async with workshop(
            caps={"per_customer_month": "15 CNY"}, playbook=FILES, orders=("A-1", "A-2")
        ) as shop:
            shop.platform.operations["complain"] = Operation.queryable(quiet=QUIET)
            await shop.sweep()
            await shop.sweep(2 * DAY)  # silence, which is no
            assert left(shop, "per_customer_month") == "15.00 CNY"
            if taken:
                scopes = shop.shop.scopes("A-9", "c-A-1", "CNY")
                other = shop.case("A-2").id
                assert not shop.do(budgets.take, other, 9, Money.of("10.00", "CNY"), scopes, shop.clock.now())
            shop.platform.say(f.Answer.ACCEPT, round=1)
            await shop.sweep(HOUR)
            await shop.sweep(7 * HOUR)
            assert shop.done("grant") == (0 if taken else 1)
            if taken:
                assert "does not fit under per_customer_month" in shop.case().why
            assert left(shop, "per_customer_month") == "5.00 CNY"


async def test_what_comes_in_before_a_window_leaves_stops_it() -> None:
    async with workshop() as shop:
        mark_sent = sent = shop.ledger.run

        async def run(work: Any, *args: Any, **more: Any) -> Any:
            if getattr(work, "__name__", "") == "mark_sent" and not shop.platform.calls:
                shop.do(people.hold, by="wang", why="she rang", now=shop.clock.now(), case=shop.case().id)
            return await mark_sent(work, *args, **more)

        shop.ledger.run = run  # type: ignore[method-assign]
        await shop.sweep()
        shop.ledger.run = sent  # type: ignore[method-assign]
        assert shop.platform.calls == []
        await shop.sweep(HOUR)
        assert shop.platform.calls == [] and "she rang" in shop.case().why
        shop.check()


@pytest.mark.parametrize("files", [False, True])
async def test_an_answer_that_comes_while_silence_is_written_counts(files: bool) -> None:
    operations = {"complain": Operation.queryable(quiet=QUIET)} if files else {}
    async with workshop(playbook=FILES, operations=operations) as shop:
        await shop.sweep()
        read, before = shop.platform._read, len(shop.kinds())

        def answered(name: str) -> None:  # while the order is looked at
            if name == "order" and len(shop.kinds()) == before:
                now = shop.clock.now()
                shop.do(people.reply, shop.case().id, f.Answer.ACCEPT, by="wang", now=now)
            read(name)

        shop.platform._read = answered  # type: ignore[method-assign]
        await shop.sweep(2 * DAY)
        await shop.sweep(HOUR)
        assert shop.done("grant") == 1 and shop.done("complain") == 0
        shop.check()


async def test_a_look_that_cannot_tell_is_a_persons_matter() -> None:
    async with workshop() as shop:
        shop.platform.script["message"] = [TimedOut("silence")]
        shop.platform.script["find"] = [PlatformError("begun, and left no record: was it done?")]
        await shop.sweep()
        await shop.sweep(QUIET)
        assert shop.effect().state is EffectState.QUARANTINED
        assert [t.kind for t in shop.tasks()] == ["find-out:message"]


@pytest.mark.parametrize(
    ("error", "cause"), [(NotFound("no such dispute"), "poison"), (AuthFailed("revoked"), "")]
)
async def test_a_ruling_that_cannot_be_read_ends_with_a_person(error: PlatformError, cause: str) -> None:
    async with workshop(playbook=FILES, operations={"complain": Operation.queryable(quiet=QUIET)}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.DECLINE)
        await shop.sweep(HOUR)
        for listing in shop.do(approvals.listing, open_only=True):
            shop.do(people.approve, listing.id, by="lin", now=shop.clock.now())
        await shop.sweep(MINUTE)
        assert shop.done("complain") == 1
        shop.platform.always["ruling"] = error
        for _ in range(12):
            await shop.sweep(7 * HOUR)
        if cause:
            assert shop.last("held").cause == cause
        else:
            assert [(h.shop, h.step) for h in shop.holds()] == [("stall", "")]


async def test_a_half_character_in_an_order_or_an_answer_stops_nothing() -> None:
    async with workshop() as shop:
        shop.platform.show(carrier="swift \ud83d", tags=())
        await shop.sweep()
        assert shop.done() == 1
        shop.platform.say(None, text="thanks \ud83d")
        await shop.sweep(MINUTE)
        assert [t.kind for t in shop.tasks()] == ["read-reply"]
        shop.check()


async def test_a_customers_zone_that_is_none_is_the_shops() -> None:
    async with workshop(playbook={"quiet": {"start": "21:00", "end": "07:00"}}) as shop:
        shop.platform.show(time_zone="Mars/Olympus")
        await shop.sweep()
        assert shop.done() == 1


async def test_a_probe_that_cannot_be_written_down_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop() as shop:
        lane_of = shop.shop.pace

        def broken(*args: Any, **more: Any) -> Any:
            raise LedgerError("locked")

        await shop.sweep()
        monkeypatch.setattr(quotas, "close_breaker", broken)
        (lane, *_) = lane_of._lanes.values()
        lane._hold = asyncio.Event()
        with pytest.raises(LedgerError):
            await lane.answered(True)
        assert lane._hold is None


async def test_a_listener_hears_how_a_case_stood_before() -> None:
    from amends import hookimpl

    heard: list[tuple[Any, ...]] = []

    class Listener:
        @hookimpl
        def amends_case_changed(self, before: Any, after: Any, facts: Any) -> None:
            heard.append((before.count, after.count, [fact.body.kind for fact in facts]))

    async with workshop() as shop:
        shop.registry.add(Listener(), name="listener")
        await shop.sweep()
        assert heard[0][2][0] == "observed"
        assert heard[0][0] == 1, "it was opened before"
        assert [kind for _, _, kinds in heard for kind in kinds] == shop.kinds()[1:]


async def test_a_half_character_in_a_name_stops_nothing() -> None:
    async with workshop() as shop:
        shop.platform.show(personal=Personal(name="Li \ud83d"))
        await shop.sweep()
        assert shop.done() == 1
