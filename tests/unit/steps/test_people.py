"""What people do: answers, tasks, approvals, holds, releases, erasures; each a fact with a name on it."""

from __future__ import annotations

import pytest
from tests.unit.demo.workshop import DAY, HOUR, NOW, WAYS, Workshop, workshop

from amends.cases import facts as f
from amends.cases.offers import Remedy, RemedyKind
from amends.errors import CaseError
from amends.hooks.specs import Operation
from amends.ledger import budgets, persons
from amends.ledger.effects import EffectState
from amends.steps import people

BY_HAND = {
    "complain": Operation.by_hand("back office › Complaints"),
    "arbitrate": WAYS["idempotent"],
    "respond": WAYS["queryable"],
}
FIGHT = {
    "then": ["file-complaint", "escalate"],
    "approve": {"complaint": False, "arbitration": False, "legal": False},
}


def reply(shop: Workshop, answer: f.Answer, **more: object) -> None:
    shop.do(people.reply, shop.case().id, answer, by="wang", now=shop.clock.now(), **more)


async def test_an_answer_that_came_by_telephone() -> None:
    async with workshop() as shop:
        await shop.sweep()
        reply(shop, f.Answer.ACCEPT, note="she rang at ten")
        assert shop.last("replied").via == "by-hand"
        await shop.sweep()
        assert shop.effect("grant").state is EffectState.CONFIRMED
        kept = shop.do(persons.load, [shop.case().id])[shop.case().id]
        assert b"she rang at ten" in kept.values()
        assert "rang" not in "".join(map(str, shop.facts()))
        shop.check()


async def test_no_answer_without_an_offer() -> None:
    async with workshop(operations={"message": WAYS["by-hand"]}) as shop:
        await shop.sweep()
        with pytest.raises(CaseError, match="no offer"):
            reply(shop, f.Answer.ACCEPT)


async def test_no_second_answer_but_a_cancellation() -> None:
    async with workshop() as shop:
        await shop.sweep()
        reply(shop, f.Answer.ACCEPT)
        with pytest.raises(CaseError, match="already answered: accept"):
            reply(shop, f.Answer.DECLINE)
        reply(shop, f.Answer.CANCEL)
        await shop.sweep()
        (refund,) = [e for e in shop.effects("grant") if e.kind == "grant:refund"]
        assert str(refund.amount) == "200.00 CNY"
        shop.check()


async def test_no_answer_to_a_closed_case() -> None:
    async with workshop() as shop:
        await shop.sweep()
        reply(shop, f.Answer.DECLINE)
        await shop.sweep()
        assert shop.case().outcome == "written-off"
        for act in (
            lambda: reply(shop, f.Answer.ACCEPT),
            lambda: shop.do(people.hold, case=1, by="w", why="x", now=NOW),
        ):
            with pytest.raises(CaseError, match="closed"):
                act()


async def test_a_decline_gives_the_share_of_the_cap_back() -> None:
    async with workshop(caps={"per_order": "10 CNY"}) as shop:
        await shop.sweep()
        scopes = shop.shop.scopes("A-1", "c-A-1", "CNY")
        assert str(shop.do(budgets.left, scopes)["per_order"]) == "0.00 CNY"
        reply(shop, f.Answer.DECLINE)
        assert str(shop.do(budgets.left, scopes)["per_order"]) == "10.00 CNY"


async def test_words_that_a_person_must_read() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(None, text="fine, but hurry")
        await shop.sweep(HOUR)
        (task,) = shop.tasks()
        assert (task.kind, task.choices) == (
            "read-reply",
            ("accept", "decline", "counter", "cancel", "nothing"),
        )
        kept = shop.do(persons.load, [shop.case().id])[shop.case().id]
        assert kept["reply:e-1"] == b"fine, but hurry"
        assert "replied" not in shop.kinds()
        shop.finish("read-reply", "accept")
        assert (shop.last("replied").answer, shop.last("replied").event) == (f.Answer.ACCEPT, "e-1")
        await shop.sweep()
        assert shop.effect("grant").state is EffectState.CONFIRMED
        await shop.sweep(HOUR)
        assert len(shop.tasks(open_only=False)) == 1
        shop.check()


async def test_words_that_mean_nothing() -> None:
    async with workshop() as shop:
        await shop.sweep()
        shop.platform.say(None, text="thanks")
        await shop.sweep(HOUR)
        shop.finish("read-reply", "nothing")
        await shop.sweep(HOUR)
        assert "replied" not in shop.kinds() and shop.case().stage == "awaiting-reply"
        shop.check()


async def test_a_fight_to_the_end() -> None:
    """Declined, complained of by hand, lost; arbitration, lost; the law, written off by a person."""
    operations = BY_HAND | {"ruling": Operation.by_hand("back office › Rulings")}
    async with workshop(operations=operations, playbook=FIGHT) as shop:
        await shop.sweep()
        reply(shop, f.Answer.DECLINE)
        await shop.sweep()
        shop.finish("complain", "done", note="C-1")
        await shop.sweep()
        assert shop.case().stage == "complaint"
        await shop.sweep(25 * HOUR)
        shop.finish("ruling", "none-yet")
        await shop.sweep(25 * HOUR)
        assert sum(t.kind.startswith("ruling") for t in shop.tasks(open_only=False)) == 2
        shop.finish("ruling", "against-us", note="C-1 lost")
        await shop.sweep()
        assert shop.effect("arbitrate").state is EffectState.CONFIRMED and shop.case().stage == "arbitration"
        await shop.sweep(25 * HOUR)
        shop.finish("ruling", "against-us")
        await shop.sweep()
        (task,) = shop.tasks()
        assert (task.kind, task.choices) == ("legal", ("for-us", "against-us", "withdrawn", "written-off"))
        assert shop.case().stage == "legal"
        await shop.sweep(3 * DAY)
        assert shop.case().outcome is None and len(shop.tasks()) == 1
        shop.finish("legal", "written-off")
        await shop.sweep()
        assert shop.last("closed").outcome is f.Outcome.WRITTEN_OFF
        assert [act.instance for act in shop.facts() if act.kind == "filed"] == [
            "complaint",
            "arbitration",
            "legal",
        ]
        shop.check()


async def test_a_complaint_that_a_person_could_not_file() -> None:
    async with workshop(operations=BY_HAND | {"arbitrate": Operation()}, playbook=FIGHT) as shop:
        await shop.sweep()
        reply(shop, f.Answer.DECLINE)
        await shop.sweep()
        shop.finish("complain", "not-done", note="too late for one")
        await shop.sweep()
        assert shop.last("filing-rejected").why == "too late for one"
        assert shop.case().outcome == "written-off"
        shop.check()


async def test_hold_and_release_of_a_case() -> None:
    async with workshop() as shop:
        from amends.steps.intake import take_orders

        await take_orders(shop.shop)
        case = shop.case().id
        shop.do(people.hold, by="wang", why="a friend", now=NOW, case=case)
        await shop.sweep()
        await shop.sweep(2 * DAY)
        assert shop.platform.calls == [] and "a friend" in shop.case().why
        shop.do(people.release, by="li", now=shop.clock.now(), case=case)
        with pytest.raises(CaseError, match="not held"):
            shop.do(people.release, by="li", now=shop.clock.now(), case=case)
        await shop.sweep()
        assert shop.done() == 1
        assert [(b.kind, b.by) for b in shop.facts() if b.kind in ("held", "released")] == [
            ("held", "wang"),
            ("released", "li"),
        ]
        shop.check()


async def test_a_release_of_the_shop_lets_storms_go_but_not_what_a_person_holds() -> None:
    async with workshop(
        orders=[f"A-{n}" for n in range(4)], playbook={"storm": {"orders": 3, "within": "1h"}}
    ) as shop:
        await shop.sweep()
        assert {shop.case(f"A-{n}").stage for n in range(4)} == {"held"}
        assert shop.platform.calls == []
        shop.do(people.release, by="wang", now=NOW, case=shop.case("A-0").id)
        shop.do(people.hold, by="wang", why="mine", now=NOW, case=shop.case("A-0").id)
        shop.do(people.release, by="wang", now=NOW, shop="stall", why="it is a holiday sale")
        await shop.sweep()
        assert sorted(d.order for d in shop.platform.done) == ["A-1", "A-2", "A-3"]
        assert shop.case("A-0").stage == "held"
        shop.check()


async def test_erasing_needs_an_end_and_leaves_the_chain_whole() -> None:
    async with workshop() as shop:
        await shop.sweep()
        with pytest.raises(CaseError, match="still open"):
            shop.do(people.erase, shop.case().id, by="dpo", now=NOW)
        reply(shop, f.Answer.DECLINE, note="no thanks")
        await shop.sweep()
        shop.do(people.erase, shop.case().id, by="dpo", now=NOW)
        assert shop.do(persons.load, [shop.case().id]) == {shop.case().id: {}}
        assert shop.last("erased").by == "dpo"
        shop.check()


async def test_an_unknown_case() -> None:
    async with workshop() as shop:
        for act in (people.erase, people.hold):
            with pytest.raises(CaseError, match="no case 77"):
                shop.do(
                    act,
                    **({"case": 77, "by": "w", "now": NOW} | ({"why": "x"} if act is people.hold else {})),
                )


async def test_a_person_who_found_out_that_a_refund_was_asked_for() -> None:
    """The platform reviews refunds: known to be asked for is not known to be paid."""
    reviewed = {"grant:refund": Operation.blind(reviewed=True)}
    async with workshop(operations=reviewed) as shop:
        await shop.sweep()
        shop.platform.script["grant"] = [TimeoutError("a plugin's bug")]
        reply(shop, f.Answer.CANCEL)
        await shop.sweep()
        shop.finish("find-out:grant:refund", "done")
        assert shop.kinds()[-1] == "settlement-requested"
        await shop.sweep()
        assert shop.case().outcome is None
        shop.check()


async def test_the_remedy_of_a_counter_goes_to_the_policy() -> None:
    more = Remedy(kind=RemedyKind.POINTS, points=500)
    async with workshop(playbook={"rounds": 2}) as shop:
        await shop.sweep()
        reply(shop, f.Answer.COUNTER, remedy=more)
        await shop.sweep()
        assert shop.policy.views[-1].counter_remedy == more
        assert [d.round for d in shop.platform.done] == [1, 2]
        shop.check()
