"""Each effect class in each trouble: what is written, when it is looked at again, and that it is done once."""

from datetime import timedelta

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, QUIET, WAYS, After, Workshop, workshop

from amends.cases import facts as f
from amends.errors import (
    AuthFailed,
    BadAnswer,
    NotAllowed,
    Rejected,
    RiskControl,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.ledger.effects import EffectState
from amends.steps import people

API = ("idempotent", "queryable", "blind")
RETRY = 15 * MINUTE  # the playbook's first pause
UNCLEAR = (
    Unavailable("5xx"),
    TimedOut("silence"),
    BadAnswer("half an answer"),
    RuntimeError("a plugin's bug"),
)


async def to_the_end(shop: Workshop, *, days: int = 2) -> None:
    """Sweep on, a person looking into the back office before each answer, and check that it was done just once."""
    for _ in range(days * 4):
        for task in shop.tasks():
            there = any(d.order == task.number and task.kind.endswith(d.op) for d in shop.platform.done)
            outcome = "done" if there else "not-done"
            shop.do(people.finish_task, task.id, outcome, by="wang", now=shop.clock.now())
        await shop.sweep(6 * HOUR)
    first = [d for d in shop.platform.done if (d.op, d.order, d.round) == ("message", "A-1", 1)]
    assert len(first) == 1
    assert [body.round for body in shop.facts() if body.kind == "contacted"].count(1) == 1
    assert next(e for e in shop.effects() if e.round == 1).state is EffectState.CONFIRMED
    shop.check()


@pytest.mark.parametrize("way", API)
async def test_no_trouble(way: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        await shop.sweep()
        effect = shop.effect()
        assert effect.state is EffectState.CONFIRMED
        assert effect.key == "stall/A-1/g1/contact-customer/1/message"
        assert (effect.attempt, effect.ref, effect.look_at) == (1, "message-A-1-1", None)
        assert shop.kinds()[-1] == "contacted"
        await to_the_end(shop)


@pytest.mark.parametrize("way", API)
async def test_no_connection_is_tried_again_as_it_is(way: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        shop.platform.script["message"] = [Unreachable("no route")] * 3
        await shop.sweep()
        effect = shop.effect()
        assert effect.state is EffectState.PLANNED
        assert effect.look_at == NOW + RETRY
        assert len(shop.platform.calls) == 3
        assert "uncertain" not in shop.kinds()
        assert shop.case().due_at == NOW + RETRY
        await shop.sweep(RETRY)
        assert shop.effect().state is EffectState.CONFIRMED
        assert len({call.key for call in shop.platform.calls}) == 1
        await to_the_end(shop)


@pytest.mark.parametrize("way", API)
async def test_a_short_pause_is_waited_for(way: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        shop.platform.script["message"] = [Throttled("slow down", retry_after=1.5)]
        await shop.sweep()
        assert shop.hasty.pauses == [1.5]
        assert shop.effect().state is EffectState.CONFIRMED
        await to_the_end(shop)


@pytest.mark.parametrize("way", API)
@pytest.mark.parametrize(("pause", "later"), [(600, RETRY), (7200, 2 * HOUR)])
async def test_a_long_pause_becomes_a_due_time(way: str, pause: float, later: timedelta) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        shop.platform.script["message"] = [Throttled("slow down", retry_after=pause)]
        await shop.sweep()
        assert (shop.hasty.pauses, len(shop.platform.calls)) == ([], 1)
        assert shop.effect().state is EffectState.PLANNED
        assert shop.case().due_at == shop.effect().look_at == NOW + later
        await shop.sweep(later - MINUTE)
        assert len(shop.platform.calls) == 1
        await shop.sweep(MINUTE)
        assert shop.effect().state is EffectState.CONFIRMED
        await to_the_end(shop)


@pytest.mark.parametrize("error", UNCLEAR, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
async def test_idempotent_the_same_key_again(error: Exception, done: bool) -> None:
    async with workshop(operations={"message": WAYS["idempotent"]}) as shop:
        shop.platform.script["message"] = [After(error) if done else error] * 3
        await shop.sweep()
        again = getattr(error, "retryable", False)
        assert len(shop.platform.calls) == (3 if again else 1)
        assert shop.effect().state is EffectState.UNKNOWN
        assert shop.effect().look_at == NOW + RETRY
        assert shop.kinds()[-1] == "uncertain" and not shop.last("uncertain").quarantined
        shop.platform.script.clear()
        await shop.sweep(RETRY)
        assert shop.effect().state is EffectState.CONFIRMED
        assert len({call.key for call in shop.platform.calls}) == 1
        assert shop.kinds().count("uncertain") == 1
        await to_the_end(shop)


@pytest.mark.parametrize("error", UNCLEAR, ids=lambda e: type(e).__name__)
async def test_idempotent_beyond_its_window_is_a_persons(error: Exception) -> None:
    async with workshop(operations={"message": WAYS["idempotent"]}) as shop:
        shop.platform.always["message"] = error
        await shop.sweep()
        while shop.clock.now() < NOW + DAY:
            await shop.sweep(HOUR)
        calls = len(shop.platform.calls)
        assert all(call.key == shop.platform.calls[0].key for call in shop.platform.calls)
        await shop.sweep(6 * HOUR)
        assert (
            len(shop.platform.calls) == calls
        )  # the platform has forgotten the key: sent again it would be a new one
        assert shop.effect().state is EffectState.QUARANTINED
        assert [task.kind for task in shop.tasks()] == ["find-out:message"]
        assert shop.case().stage == "held"
        shop.platform.always.clear()
        await to_the_end(shop)


@pytest.mark.parametrize(
    "sure", [Unreachable("no route"), AuthFailed("expired"), Throttled("no", retry_after=600)]
)
async def test_idempotent_a_later_try_that_never_left_says_nothing_of_the_first(sure: Exception) -> None:
    """The first may have been done: beyond the window only a person may say that it goes out again."""
    async with workshop(operations={"message": WAYS["idempotent"]}) as shop:
        shop.platform.script["message"] = [After(TimedOut("silence")), sure, sure]
        await shop.sweep()
        assert shop.done() == 1
        assert shop.effect().state is EffectState.UNKNOWN
        shop.platform.always["message"] = sure
        await shop.sweep(HOUR)
        assert shop.effect().state is EffectState.UNKNOWN
        shop.clock.advance(DAY)
        shop.platform.operations = {
            **shop.platform.operations,
            "message": WAYS["blind"],
        }  # it forgets the key
        shop.platform.always.clear()
        shop.do(people.release, by="wang", now=shop.clock.now(), shop="stall")
        await shop.sweep()
        assert (shop.effect().state, shop.done()) == (EffectState.QUARANTINED, 1)
        await to_the_end(shop)


@pytest.mark.parametrize("error", UNCLEAR, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
async def test_queryable_looks_before_it_sends_again(error: Exception, done: bool) -> None:
    async with workshop(operations={"message": WAYS["queryable"]}) as shop:
        shop.platform.script["message"] = [After(error) if done else error]
        await shop.sweep()
        assert len(shop.platform.calls) == 1
        assert shop.effect().state is EffectState.UNKNOWN
        assert shop.case().due_at == shop.effect().look_at == NOW + QUIET
        await shop.sweep(QUIET - MINUTE)  # the first may still land: not even a look before that
        assert shop.effect().state is EffectState.UNKNOWN
        await shop.sweep(MINUTE)
        assert shop.effect().state is EffectState.CONFIRMED
        assert len(shop.platform.calls) == (1 if done else 2)
        assert shop.effect().ref.startswith("found-" if done else "message-")
        await to_the_end(shop)


@pytest.mark.parametrize(
    "trouble",
    [Unavailable("5xx"), TimedOut("silence"), Rejected("no"), RuntimeError("bug")],
    ids=lambda e: type(e).__name__,
)
async def test_queryable_that_cannot_be_looked_up_waits(trouble: Exception) -> None:
    async with workshop() as shop:
        shop.platform.script["message"] = [TimedOut("silence")]
        shop.platform.always["find"] = trouble
        await shop.sweep()
        for _ in range(8):
            await shop.sweep(3 * HOUR)
            assert len(shop.platform.calls) == 1
            assert shop.effect().state is EffectState.UNKNOWN
            assert shop.effect().look_at is not None and shop.effect().look_at > shop.clock.now()
        shop.platform.always.clear()
        await shop.sweep(6 * HOUR)
        assert shop.effect().state is EffectState.CONFIRMED
        assert shop.kinds().count("uncertain") == 1
        await to_the_end(shop)


async def test_queryable_a_resend_that_is_unclear_is_looked_for_anew() -> None:
    async with workshop() as shop:
        shop.platform.script["message"] = [TimedOut("silence"), After(TimedOut("silence again"))]
        await shop.sweep()
        await shop.sweep(QUIET)
        assert shop.effect().state is EffectState.UNKNOWN
        assert shop.effect().look_at == NOW + 2 * QUIET
        await shop.sweep(QUIET)
        assert shop.effect().state is EffectState.CONFIRMED and shop.effect().attempt == 2
        await to_the_end(shop)


@pytest.mark.parametrize("error", UNCLEAR, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
async def test_blind_is_never_sent_again(error: Exception, done: bool) -> None:
    async with workshop(operations={"message": WAYS["blind"]}) as shop:
        shop.platform.script["message"] = [After(error) if done else error]
        await shop.sweep()
        assert shop.effect().state is EffectState.QUARANTINED
        assert shop.last("uncertain").quarantined
        for _ in range(6):
            await shop.sweep(6 * HOUR)
        assert len(shop.platform.calls) == 1
        assert shop.case().stage == "held" and shop.case().due_at > shop.clock.now()
        (task,) = shop.tasks(open_only=False)
        assert (task.kind, task.choices, task.done_at) == ("find-out:message", ("done", "not-done"), None)
        assert shop.done() == int(done)
        await to_the_end(shop)
        assert shop.last("cleared").done is done
        assert len(shop.platform.calls) == (
            1 if done else 2
        )  # a person saw that it was not done: sent as stored
        assert len(shop.tasks(open_only=False)) == 1


async def test_a_look_knows_when_it_was_first_sent() -> None:
    """So that a plugin need not look through all that ever was; what is sent never tells it."""
    async with workshop(operations={"message": WAYS["queryable"]}) as shop:
        shop.platform.always["message"] = TimedOut("silence")
        await shop.sweep()
        first = shop.clock.now()
        for _ in range(2):
            await shop.sweep(HOUR)
        assert [request.sent_at for request in shop.platform.sought] == [first, first]
        assert {call.sent_at for call in shop.platform.calls} == {None} and len(shop.platform.calls) == 3


@pytest.mark.parametrize("way", API)
@pytest.mark.parametrize(
    "error", [AuthFailed("expired"), NotAllowed("ip"), RiskControl("blocked")], ids=lambda e: e.code
)
async def test_credentials_hold_the_shop(way: str, error: Exception) -> None:
    async with workshop(operations={"message": WAYS[way]}, orders=("A-1", "A-2")) as shop:
        shop.platform.always["message"] = error
        summary = await shop.sweep()
        assert any("is held" in problem for problem in summary.problems)
        (hold,) = shop.holds()
        assert (hold.shop, hold.step, hold.by) == ("stall", "", "amends")
        assert error.code in hold.why and "release" in hold.why
        calls = len(shop.platform.calls)
        for _ in range(4):
            await shop.sweep(DAY / 2)
        assert len(shop.platform.calls) == calls
        for number in ("A-1", "A-2"):
            assert shop.effect(number=number).state is EffectState.PLANNED
            assert shop.case(number).stage == "held" and shop.case(number).due_at > shop.clock.now()
        shop.platform.always.clear()
        shop.do(people.release, by="wang", now=shop.clock.now(), shop="stall")
        await shop.sweep()
        assert shop.effect(number="A-2").state is EffectState.CONFIRMED
        await to_the_end(shop)


@pytest.mark.parametrize("way", API)
async def test_rejected_is_final(way: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        shop.platform.script["message"] = [Rejected("chat is closed")]
        await shop.sweep()
        assert (shop.effect().state, shop.effect().error) == (EffectState.REJECTED, "chat is closed")
        assert shop.last("unreached").why == "platform: chat is closed"
        assert (shop.case().stage, shop.last("held").cause) == ("held", "contact")
        await shop.sweep(DAY)
        assert len(shop.platform.calls) == 1
        shop.check()


@pytest.mark.parametrize("way", API)
async def test_a_grant_that_is_rejected_is_owed_no_more(way: str) -> None:
    async with workshop(operations={"grant": WAYS[way]}, playbook={"rounds": 2}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        shop.platform.script["grant"] = [Rejected("no coupons left")]
        await shop.sweep(HOUR)
        assert shop.effect("grant").state is EffectState.REJECTED
        assert shop.last("settlement-rejected").why == "no coupons left"
        shop.check()


async def test_after_a_rejected_grant_the_customer_gets_the_next_offer() -> None:
    async with workshop(playbook={"rounds": 2}) as shop:
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        shop.platform.script["grant"] = [Rejected("no coupons left")]
        await shop.sweep(HOUR)
        await shop.sweep(HOUR)  # today: a second generation that sends the first message again
        assert [d.round for d in shop.platform.done] == [1, 2]


async def test_a_crash_between_plan_and_mark_sends_what_was_planned() -> None:
    """The stored request goes out as it was planned, though the policy would say something else by now."""
    async with workshop() as shop:
        _crash_at(shop, "after-plan")
        with pytest.raises(KeyboardInterrupt):
            await shop.sweep()
        shop.policy.offer = lambda view, context: pytest.fail("asked again")
        await _taken_over(shop)
        assert shop.effect().state is EffectState.CONFIRMED
        assert shop.platform.calls[0].new_ship_by == NOW + 2 * DAY


@pytest.mark.parametrize("way", API)
@pytest.mark.parametrize(
    "point", ["before-plan", "after-plan", "after-sent", "after-send", "before-outcome", "after-outcome"]
)
async def test_a_crash_at_each_boundary(way: str, point: str) -> None:
    async with workshop(operations={"message": WAYS[way]}) as shop:
        _crash_at(shop, point)
        with pytest.raises(KeyboardInterrupt):
            await shop.sweep()
        await _taken_over(shop)
        await to_the_end(shop)


def _crash_at(shop: Workshop, point: str) -> None:
    from amends.ledger.crash import on_crashpoint

    def crash(name: str) -> None:
        if name == point:
            on_crashpoint(None)
            raise KeyboardInterrupt

    on_crashpoint(crash)


async def _taken_over(shop: Workshop) -> None:
    """The crashed worker's lease runs out, and another one sweeps."""
    shop.do(_free)
    await shop.sweep(QUIET)


def _free(tx) -> None:  # type: ignore[no-untyped-def]
    from sqlalchemy import update

    from amends.ledger.schema import cases

    tx.execute(update(cases).values(lease_owner=None, lease_until=None))
