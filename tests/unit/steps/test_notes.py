"""Notes for the shop's own people: one per offer, remedy and end; never in the way of a case."""

import pytest
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, QUIET, WAYS, After, Workshop, workshop

from amends.cases import facts as f
from amends.cases.orders import OrderStatus, Parcel
from amends.errors import AuthFailed, BadAnswer, Rejected, RiskControl, Throttled, TimedOut, Unreachable
from amends.ledger import holds, notes
from amends.ledger.effects import EffectState
from amends.steps.write_notes import GIVEN_UP_AFTER

ON = {"notes": True}
RETRY = 15 * MINUTE
API = ("idempotent", "queryable", "blind")


def written(shop: Workshop) -> list[str]:
    return [d.request.text for d in shop.platform.done if d.op == "note"]


async def agreed(shop: Workshop) -> None:
    """Offered, accepted, given, shipped: closed."""
    await shop.sweep()
    shop.platform.say(f.Answer.ACCEPT)
    await shop.sweep(HOUR)
    now = shop.clock.now()
    picked = {"shipped_at": now, "picked_up_at": now, "parcel": Parcel.IN_TRANSIT}
    shop.platform.show(status=OrderStatus.SHIPPED, **picked)
    await shop.sweep(HOUR)


async def test_one_note_per_offer_remedy_and_end() -> None:
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        await agreed(shop)
        texts = [
            "offer 1: coupon 10.00 CNY, ships by 03-12",
            "given: coupon 10.00 CNY",
            "closed: settled, coupon 10.00 CNY",
        ]
        assert written(shop) == texts
        for _ in range(3):
            await shop.sweep(DAY)
        assert written(shop) == texts, "each once"
        assert [e.key for e in shop.effects("note")] == [
            "stall/A-1/g1/contact-customer/1/note:offer",
            "stall/A-1/g1/settle/1/note:settled",
            "stall/A-1/g1/verify-order/0/note:closed",
        ]
        assert {e.state for e in shop.effects("note")} == {EffectState.CONFIRMED}
        assert (shop.done("message"), shop.done("grant")) == (1, 1)
        shop.check()


@pytest.mark.parametrize(
    ("note", "message", "key", "on"),
    [
        ("idempotent", "queryable", {}, False),
        ("idempotent", "by-hand", {}, True),
        ("idempotent", "by-hand", {"notes": False}, False),
        ("by-hand", "by-hand", {"notes": True}, False),
        ("idempotent", "queryable", {"notes": True}, True),
    ],
)
async def test_where_notes_are_written(note: str, message: str, key: dict[str, bool], on: bool) -> None:
    operations = {"note": WAYS[note], "message": WAYS[message]}
    async with workshop(operations=operations, playbook=key) as shop:
        await shop.sweep()
        if message == "by-hand":
            assert written(shop) == [], "nobody was told yet"
            shop.finish("message", "done")
            await shop.sweep(HOUR)
        assert bool(written(shop)) is on
        assert bool(shop.effects("note")) is on


TROUBLE = (
    Rejected("no"), AuthFailed("no token"), RiskControl("blocked"), Throttled("slow", retry_after=3600.0),
    Unreachable("nobody"), TimedOut("silence"), BadAnswer("half"), RuntimeError("a plugin's bug"),
)  # fmt: skip


@pytest.mark.parametrize("way", API)
@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda e: type(e).__name__)
async def test_a_failing_note_is_never_in_the_way(way: str, trouble: Exception) -> None:
    """The case is where it would be without notes, at every moment; nothing is held; no sweep fails."""
    lines = []
    for playbook in ({}, ON):
        async with workshop(operations={"note": WAYS[way]}, playbook=playbook) as shop:
            shop.platform.always["note"] = trouble
            seen = []
            await shop.sweep()
            shop.platform.say(f.Answer.ACCEPT)
            for _ in range(4):
                await shop.sweep(HOUR)
                line = shop.case()
                seen.append((line.stage, line.due_at, line.why, shop.kinds(), shop.done("grant")))
            assert shop.holds() == [] and shop.tasks() == []
            lines.append(seen)
            shop.check()
    assert lines[0] == lines[1]


@pytest.mark.parametrize("way", API)
async def test_a_lost_answer(way: str) -> None:
    """Written, and the answer lost: the same key again, found, or left alone; never a second line."""
    async with workshop(operations={"note": WAYS[way]}, playbook=ON) as shop:
        shop.platform.script["note"] = [After(TimedOut("silence"))]
        await shop.sweep()
        (note,) = shop.effects("note")
        assert note.state is EffectState.UNKNOWN
        await shop.sweep(RETRY + QUIET)
        (note,) = shop.effects("note")
        done = [d for d in shop.platform.done if d.op == "note"]
        assert len(done) == 1
        assert len({c.key for c in shop.platform.calls if c.op == "note"}) == 1
        assert note.state is (EffectState.UNKNOWN if way == "blind" else EffectState.CONFIRMED)


@pytest.mark.parametrize("way", ("idempotent", "queryable"))
async def test_a_note_that_left_and_was_not_written_is_sent_again(way: str) -> None:
    async with workshop(operations={"note": WAYS[way]}, playbook=ON) as shop:
        shop.platform.script["note"] = [TimedOut("silence")]
        await shop.sweep()
        assert written(shop) == []
        await shop.sweep(RETRY + QUIET)
        assert len(written(shop)) == 1


async def test_the_next_note_of_a_case_waits_for_the_one_before() -> None:
    """A platform that keeps one line would else show the older one."""
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        shop.platform.script["note"] = [Unreachable("nobody")]
        await shop.sweep()
        shop.platform.say(f.Answer.ACCEPT)
        await shop.sweep(MINUTE)
        assert (written(shop), shop.done("grant")) == ([], 1)
        await shop.sweep(HOUR)
        assert [text.partition(":")[0] for text in written(shop)] == ["offer 1", "given"]


async def test_a_rejected_note_is_told_once_and_given_up() -> None:
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        shop.platform.always["note"] = Rejected("the order is locked")
        summary = await shop.sweep()
        assert summary.problems == ["stall: a note was not written, the case goes on: the order is locked"]
        for _ in range(3):
            assert (await shop.sweep(2 * HOUR)).problems == []
        assert sum(c.op == "note" for c in shop.platform.calls) == 1


async def test_a_note_is_not_tried_for_ever() -> None:
    async with workshop(operations={"note": WAYS["queryable"]}, playbook=ON) as shop:
        shop.platform.always["note"] = Unreachable("nobody")
        await shop.sweep()
        while shop.clock.now() < shop.effects("note")[0].planned_at + GIVEN_UP_AFTER + DAY:
            await shop.sweep(6 * HOUR)
        before = [c.about for c in shop.platform.calls if c.op == "note"]
        for _ in range(4):
            await shop.sweep(6 * HOUR)
        after = [c.about for c in shop.platform.calls if c.op == "note"]
        assert before.count("offer") == after.count("offer") > 5
        assert shop.effects("note")[0].state is EffectState.REJECTED


@pytest.mark.parametrize("step", ("", "contact-customer"))
async def test_what_is_held_writes_no_notes(step: str) -> None:
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        shop.platform.script["note"] = [Unreachable("nobody")]
        await shop.sweep()
        shop.do(holds.hold, shop="stall", step=step, by="wang", why="stop", at=shop.clock.now())
        await shop.sweep(HOUR)
        assert written(shop) == []
        shop.do(holds.release, shop="stall", step=step)
        await shop.sweep(HOUR)
        assert len(written(shop)) == 1


async def test_chinese_shops_get_chinese_notes() -> None:
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        given = shop.settings.shop("stall")
        shop.settings.shops["stall"] = given.model_copy(update={"language": "zh"})
        await agreed(shop)
        assert written(shop) == [
            "方案1：优惠券 10.00 CNY，03-12前发货",
            "已补偿：优惠券 10.00 CNY",
            "已结案：已补偿，优惠券 10.00 CNY",
        ]


async def test_a_note_in_one_workers_hands_is_left_alone_by_another() -> None:
    async with workshop(operations={"note": WAYS["idempotent"]}, playbook=ON) as shop:
        shop.platform.script["note"] = [Unreachable("nobody")]
        await shop.sweep()
        shop.clock.advance(HOUR)
        later = shop.clock.now()
        taken = [shop.do(notes.take, "stall", later, quiet=QUIET, limit=9) for _ in range(2)]
        assert [len(found) for found in taken] == [1, 0], "the other one may be sending it just now"
        await shop.sweep(QUIET)
        assert len(written(shop)) == 1, "the first one died: the same key again"
