"""The dispatcher: acts at once, beside sweeps, through trouble, and ends cleanly."""

import asyncio
import time
from typing import Any

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW
from tests.unit.inbox.house import House, house

from amends.cases.facts import Answer
from amends.errors import LedgerLocked
from amends.hooks.requests import Reply
from amends.ledger import Tx, inbox, intake, leases, work
from amends.ledger.schema import cases
from amends.steps.intake import arrival
from amends.steps.sweep import sweep


def accept(number: str = "A-1", event: str = "e") -> inbox.Arrival:
    return arrival(Reply(event=f"{event}-{number}", order=number, at=NOW, answer=Answer.ACCEPT, round=1))


def receive(inbox_: House, *numbers: str) -> None:
    inbox_.shop.do(inbox.receive, "stall", [accept(number) for number in numbers], inbox_.shop.clock.now())


async def test_a_reply_on_the_page_is_settled_within_a_second() -> None:
    async with house(dispatching=True) as inbox:
        inbox.dispatcher.poll = 1000  # it must not need the poll
        began = time.monotonic()
        await inbox.browser.post(inbox.url, data={"answer": "accept"})
        await inbox.answered()
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.1)
        assert inbox.shop.done("grant") == 1


async def test_woken_by_order_numbers_as_webhooks_do() -> None:
    async with house(dispatching=True, orders=("A-1", "A-2")) as inbox:
        receive(inbox, "A-1", "A-2")
        inbox.dispatcher.wake("stall", numbers=["A-2", "unknown"])
        inbox.dispatcher.wake("elsewhere", numbers=["A-1"])
        for _ in range(200):
            await asyncio.sleep(0.01)
            if inbox.shop.done("grant", "A-2"):
                break
        assert inbox.shop.done("grant", "A-2") == 1


async def test_what_nobody_told_of_is_found_by_looking() -> None:
    async with house(dispatching=True) as inbox:
        receive(inbox, "A-1")
        await inbox.answered()


async def test_silence_is_heard_when_it_is_due() -> None:
    async with house(dispatching=True) as inbox:
        inbox.shop.clock.advance(DAY + MINUTE)
        for _ in range(300):
            await asyncio.sleep(0.01)
            if "silent" in inbox.shop.kinds():
                break
        assert "silent" in inbox.shop.kinds()


async def test_cases_that_are_not_due_are_left_alone() -> None:
    async with house(dispatching=True) as inbox:
        before = inbox.fingerprint()
        await asyncio.sleep(0.3)
        assert inbox.fingerprint() == before and inbox.dispatcher.advanced == 0


async def test_due_cases_are_left_to_a_sweep_that_holds_the_shop_but_replies_are_not() -> None:
    async with house(orders=("A-1", "A-2"), dispatching=True) as inbox:
        assert inbox.shop.do(leases.take_shop, "stall", leases.new_owner()) is not None
        receive(inbox, "A-1", "A-2")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await inbox.answered()
        await asyncio.sleep(0.3)
        assert (inbox.shop.done("grant", "A-1"), inbox.shop.done("grant", "A-2")) == (1, 0)


async def test_a_case_in_somebody_elses_hands_is_taken_when_it_is_let_go() -> None:
    async with house(dispatching=True) as inbox:
        inbox.dispatcher.poll = 1000
        receive(inbox, "A-1")
        (claim,) = inbox.shop.do(work.claim, "stall", "another worker", now=inbox.shop.clock.now(), limit=1)
        inbox.dispatcher.wake("stall", ids=[claim.id])
        await asyncio.sleep(0.3)
        assert inbox.shop.done("grant") == 0
        inbox.shop.do(_let_go)
        await inbox.answered()


def _let_go(tx: Tx) -> None:
    tx.execute(cases.update().values(lease_owner=None, lease_until=None))


async def test_beside_sweeps_everything_is_done_once() -> None:
    numbers = tuple(f"A-{n}" for n in range(1, 31))
    async with house(dispatching=True, orders=numbers) as inbox:
        second = await inbox.shop.second()
        for start in range(0, 30, 5):
            receive(inbox, *numbers[start : start + 5])
            inbox.dispatcher.wake("stall", numbers=numbers[start : start + 5])
            await sweep(second)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if all(inbox.shop.done("grant", number) for number in numbers):
                break
        assert [inbox.shop.done("grant", number) for number in numbers] == [1] * 30
        assert [inbox.shop.kinds(number).count("replied") for number in numbers] == [1] * 30
        inbox.shop.check()


async def test_a_locked_ledger_is_waited_out() -> None:
    async with house(dispatching=True) as inbox:
        run, refused = inbox.shop.ledger.run, 0

        async def locked(work_: Any, *args: Any, **more: Any) -> Any:
            nonlocal refused
            if refused < 7:
                refused += 1
                raise LedgerLocked("locked")
            return await run(work_, *args, **more)

        inbox.shop.ledger.run = locked  # type: ignore[method-assign, assignment]
        receive(inbox, "A-1")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await inbox.answered()
        assert refused == 7 and inbox.dispatcher.alive


async def test_a_fault_of_the_platform_rests_the_case_and_spins_nothing() -> None:
    async with house(dispatching=True) as inbox:
        inbox.shop.platform.always["grant"] = RuntimeError("a plugin's bug")
        receive(inbox, "A-1")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await asyncio.sleep(0.6)
        assert len([c for c in inbox.shop.platform.calls if c.op == "grant"]) == 1
        assert inbox.dispatcher.alive


async def test_a_fault_of_ours_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from amends.inbox import dispatcher

    async with house(dispatching=True) as inbox:
        advance, failed = dispatcher.advance, 0

        async def fails(*args: Any, **more: Any) -> Any:
            nonlocal failed
            failed += 1
            if failed <= 2:
                raise RuntimeError("a bug of ours")
            return await advance(*args, **more)

        monkeypatch.setattr(dispatcher, "advance", fails)
        receive(inbox, "A-1")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await inbox.answered()


async def test_stopping_waits_for_what_is_under_way() -> None:
    async with house() as inbox:
        grant = inbox.shop.platform.grant
        started = asyncio.Event()

        async def slow(request: Any) -> Any:
            started.set()
            await asyncio.sleep(0.3)
            return await grant(request)

        inbox.shop.platform.grant = slow  # type: ignore[method-assign]
        running = asyncio.create_task(inbox.dispatcher.run())
        receive(inbox, "A-1")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await asyncio.wait_for(started.wait(), 5)
        inbox.dispatcher.stop()
        await asyncio.wait_for(running, 5)
        assert not inbox.dispatcher.alive
        assert inbox.shop.done("grant") == 1 and inbox.shop.kinds()[-1] in ("settled", "extended")
        inbox.shop.check()


async def test_stopping_at_once_when_idle() -> None:
    async with house() as inbox:
        inbox.dispatcher.poll = 1000
        running = asyncio.create_task(inbox.dispatcher.run())
        await asyncio.sleep(0.05)
        assert inbox.dispatcher.alive
        inbox.dispatcher.stop()
        await asyncio.wait_for(running, 2)
        inbox.dispatcher.wake("stall", ids=[1])  # harmless afterwards


async def test_a_slow_answer_does_not_keep_the_next_reply() -> None:
    async with house(dispatching=True, orders=("A-1", "A-2")) as inbox:
        grant = inbox.shop.platform.grant

        async def slow(request: Any) -> Any:
            if request.order == "A-1":
                await asyncio.sleep(1)
            return await grant(request)

        inbox.shop.platform.grant = slow  # type: ignore[method-assign]
        receive(inbox, "A-1", "A-2")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await asyncio.sleep(0.1)
        inbox.dispatcher.wake("stall", numbers=["A-2"])
        began = time.monotonic()
        while not inbox.shop.done("grant", "A-2"):
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 0.8
        assert not inbox.shop.done("grant", "A-1")


async def test_a_case_under_a_playbook_that_came_later_gets_its_own_terms() -> None:
    """A sweep with a changed config runs while the resident is up."""
    async with house(dispatching=True) as inbox:
        reopened = []

        async def reopen(name: str) -> Any:
            reopened.append(name)
            return await inbox.shop.second()

        inbox.dispatcher.reopen = reopen
        receive(inbox, "A-1")
        inbox.dispatcher.wake("stall", numbers=["A-1"])
        await inbox.answered()
        assert reopened == []
        inbox.shop.do(intake.pin, "playbook", "newer", inbox.shop.shop.playbook.model_dump_json())
        inbox.shop.clock.advance(HOUR * 6)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if inbox.dispatcher.retired:
                break
        assert reopened == ["stall"] and len(inbox.dispatcher.retired) == 1
        await inbox.dispatcher.shops["stall"].aclose()
