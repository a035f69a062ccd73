"""Who is told of a list, and when: at once, after a while again, the next person, then a hold; each thing once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.demo.workshop import HOUR, MINUTE, Workshop, workshop

from amends.cases import facts as f
from amends.errors import ApprovalError, Rejected, TimedOut, Unreachable
from amends.ledger import approvals, notices
from amends.ledger.crash import on_crashpoint
from amends.settings.models import Approvals, Approver
from amends.steps import people
from amends.steps.approval_letters import letter
from amends.steps.ask_approvers import Asking, ask_approvers, plan, send_code
from amends.steps.decide_list import Word, WrongCode, check, decide_list

PEOPLE = {
    "lin": Approver(channel="sms", to="lin's number"),
    "wang": Approver(channel="sms", to="wang's number"),
    "zhao": Approver(channel="sms", to="zhao's number"),
}
RULES = {"then": ("wang", "zhao"), "remind_after": "2h", "next_after": "3h", "hold_after": "10h"}


@dataclass
class Office:
    """A shop with one list that waits, and its approvers."""

    shop: Workshop

    @property
    def asking(self) -> Asking:
        shop = self.shop
        return Asking(shop.shop.settings, shop.ledger, shop.clock, lambda: shop.registry)

    async def sweep(self, after: Any = 0 * HOUR) -> list[str]:
        """Sweep as `amends sweep --local` does; who was told what meanwhile, such as `lin: Approval wanted`."""
        before = len(self.shop.sms.calls)
        await self.shop.sweep(after)
        self.problems = await ask_approvers(self.asking, "stall")
        return [self.told(call) for call in self.shop.sms.calls[before:]]

    @staticmethod
    def told(call: Any) -> str:
        return f"{call.personal.address.partition(chr(39))[0]}: {call.subject.partition(':')[0]}"

    @property
    def listing(self) -> approvals.Listing:
        found: list[approvals.Listing] = self.shop.do(approvals.listing)
        return found[-1]

    def code(self, person: str = "lin") -> str:
        """The newest code that reached that person."""
        texts = [call.text for call in self.shop.sms.calls if call.personal.name == person]
        return re.findall(r"--code (\d{8})", texts[-1])[0]  # type: ignore[no-any-return]

    async def say(self, by: str, code: str, *, yes: bool = True, **more: Any) -> approvals.Decision:
        word = Word(by, yes, code, **more)
        return await decide_list(
            self.shop.shop.settings, self.shop.ledger, self.listing.id, word, self.shop.clock.now()
        )

    def log(self) -> list[str]:
        found = self.shop.do(notices.log, [self.listing.id]).get(self.listing.id, [])
        return [f"{one.person} {one.kind} {one.state}" for one in found]


@asynccontextmanager
async def office(
    *, two: bool = False, orders: tuple[str, ...] = ("A-1",), people_: dict[str, Approver] | None = None, **rules: Any
) -> AsyncIterator[Office]:  # fmt: skip
    approve = {"remedy_over": "5 CNY", "within": "24h"} | ({"two_people_over": "8 CNY"} if two else {})
    async with workshop(playbook={"approve": approve}, orders=orders) as shop:
        given = {"approvers": people_ or PEOPLE, "approvals": Approvals(**rules)}
        shop.shop.settings = shop.settings.model_copy(update=given)
        yield Office(shop)
        on_crashpoint(None)
        shop.check()


async def test_the_ladder_each_step_once() -> None:
    async with office(**RULES) as its:
        assert await its.sweep() == ["lin: Approval wanted"]
        assert await its.sweep(HOUR) == []
        assert await its.sweep(HOUR) == ["lin: Still waiting for approval"]
        assert await its.sweep() == []
        assert await its.sweep(HOUR) == ["wang: Approval wanted"]
        assert await its.sweep(2 * HOUR) == ["wang: Still waiting for approval"]
        assert await its.sweep(HOUR) == ["zhao: Approval wanted"]
        assert await its.sweep(2 * HOUR) == ["zhao: Still waiting for approval"]
        assert await its.sweep(HOUR) == []
        held = "Nobody decided in time, held"
        assert await its.sweep(HOUR) == [f"lin: {held}", f"wang: {held}", f"zhao: {held}"]
        assert (its.listing.state, its.shop.case().stage) == ("held", "held")
        assert "nobody has decided list" in its.shop.last("held").why
        assert await its.sweep(30 * HOUR) == []
        its.shop.do(people.release, by="lin", now=its.shop.clock.now(), shop="stall")
        assert await its.sweep() == ["lin: Approval wanted"], "asked anew, from the start"


async def test_who_decides_ends_the_ladder() -> None:
    async with office(**RULES) as its:
        await its.sweep()
        assert await its.say("lin", its.code()) == approvals.Decision(approved=1)
        assert await its.sweep(3 * HOUR) == []
        assert its.shop.case().stage != "held" and its.shop.done() == 1


async def test_after_a_long_pause_everything_due_is_done_once() -> None:
    async with office(**RULES) as its:
        await its.sweep()
        assert await its.sweep(5 * HOUR) == ["lin: Still waiting for approval", "wang: Approval wanted"]
        its.shop.clock.advance(30 * HOUR)  # the list has expired meanwhile
        assert await its.sweep() == [
            "lin: Nobody decided in time, held",
            "wang: Nobody decided in time, held",
        ]


async def test_without_rules_all_are_asked_at_once_and_nobody_reminded() -> None:
    async with office() as its:
        assert len(await its.sweep()) == 3
        for _ in range(4):
            assert await its.sweep(5 * HOUR) == []
        assert (its.listing.state, its.shop.case().stage) == ("open", "contact")
        assert len(await its.sweep(5 * HOUR)) == 3, "asked anew once the list has expired"


async def test_two_people_are_asked_at_once_where_two_are_needed() -> None:
    async with office(two=True, **RULES) as its:
        assert await its.sweep() == ["lin: Approval wanted", "wang: Approval wanted"]
        lin, wang = its.code("lin"), its.code("wang")
        assert lin != wang
        assert await its.say("lin", lin) == approvals.Decision(half=1)
        with pytest.raises(ApprovalError, match="lin has already approved; another person must too"):
            await its.say("lin", lin)
        with pytest.raises(WrongCode, match="that is not wang's code"):
            await its.say("wang", lin)
        assert await its.sweep(2 * HOUR) == ["wang: Still waiting for approval"], "lin has done their part"
        with pytest.raises(WrongCode, match="that is not wang's code"):
            await its.say("wang", wang)
        assert await its.say("wang", its.code("wang")) == approvals.Decision(approved=1)
        await its.sweep()
        assert its.shop.done() == 1
        said = [fact for fact in its.shop.facts() if isinstance(fact, f.Approved)]
        assert [(fact.by, fact.second, str(fact.amount)) for fact in said] == [
            ("lin", True, "10.00 CNY"), ("wang", False, "10.00 CNY"),
        ]  # fmt: skip


async def test_who_has_a_code_of_their_own_is_not_written_to() -> None:
    async with office(
        people_={"lin": PEOPLE["lin"], "mo": Approver.model_validate({"code": {"env": "MO"}})}
    ) as its:
        assert await its.sweep() == ["lin: Approval wanted"]
        assert its.log() == ["lin asked sent", "mo asked none"]
        rules = its.shop.shop.settings.approvals.model_copy(update={"remind_after": HOUR})
        its.shop.shop.settings = its.shop.shop.settings.model_copy(update={"approvals": rules})
        assert await its.sweep(HOUR) == ["lin: Still waiting for approval"]
        assert len(its.log()) == 3


@pytest.mark.parametrize(
    ("error", "state", "again"),
    [
        (Unreachable("no line"), "failed", True),
        (Rejected("no such number"), "failed", True),
        (TimedOut("no answer"), "unknown", False),
        (ValueError("a broken plugin"), "unknown", False),
    ],
    ids=["unreachable", "rejected", "timed-out", "broken"],
)
async def test_only_what_certainly_did_not_leave_is_sent_again(
    error: Exception, state: str, again: bool
) -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        its.shop.sms.script["message"] = [error]
        await its.sweep()
        assert its.log() == [f"lin asked {state}"]
        (problem,) = its.problems
        assert problem.startswith(f"lin was not told of list {its.listing.id}: {type(error).__name__}")
        assert await its.sweep(MINUTE) == (["lin: Approval wanted"] if again else [])
        await its.sweep(MINUTE)
        assert its.shop.done(number="") == (1 if again else 0)


async def test_a_channel_that_never_works_is_given_up() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        its.shop.sms.always["message"] = Unreachable("no line")
        for _ in range(2 * notices.TRIES):
            await its.sweep(MINUTE)
        assert len(its.shop.sms.calls) == notices.TRIES
        its.shop.sms.always.clear()
        assert await send_code(its.asking, its.listing.id, "lin") == "sms"
        assert await its.say("lin", its.code()) == approvals.Decision(approved=1)


async def test_a_wrong_config_is_told_each_time_until_it_is_mended() -> None:
    async with office(people_={"lin": Approver(channel="pigeon", to="lin's roof")}) as its:
        for _ in range(2 * notices.TRIES):
            assert await its.sweep(MINUTE) == []
            assert "no plugin offers the channel 'pigeon'" in its.problems[0]
        mended = its.shop.shop.settings.model_copy(update={"approvers": {"lin": PEOPLE["lin"]}})
        its.shop.shop.settings = mended
        assert await its.sweep(MINUTE) == ["lin: Approval wanted"]
        assert await its.say("lin", its.code()) == approvals.Decision(approved=1)


async def test_what_a_crash_leaves_under_way_is_not_sent_twice() -> None:
    class Killed(BaseException):
        """As a `kill -9` would: nothing after it runs."""

    async with office(people_={"lin": PEOPLE["lin"]}, remind_after="2h") as its:

        def die(request: Any) -> None:
            its.shop.sms.meanwhile = lambda request: None
            raise Killed

        its.shop.sms.meanwhile = die
        with pytest.raises(Killed):
            await its.sweep()
        assert its.log() == ["lin asked sending"]
        assert await its.sweep(MINUTE) == []
        assert await its.sweep(2 * HOUR) == ["lin: Still waiting for approval"], "with a new code"
        assert await its.say("lin", its.code()) == approvals.Decision(approved=1)


async def test_two_who_tell_at_once_are_one() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.shop.sweep()
        its.shop.do(plan, its.shop.shop.settings, "stall", its.shop.clock.now())
        (seen_by_both,) = its.shop.do(notices.waiting, "stall")
        found = [its.shop.do(notices.begin, seen_by_both, its.shop.clock.now()) for _ in range(2)]
        assert found == ["open", ""]


async def test_what_was_planned_before_a_crash_is_sent_after_it() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.shop.sweep()
        its.shop.do(plan, its.shop.shop.settings, "stall", its.shop.clock.now())
        assert its.log() == ["lin asked planned"]
        assert await its.sweep(MINUTE) == ["lin: Approval wanted"]


async def test_the_letter_holds_what_is_needed_and_nothing_personal() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.shop.sweep()
        asking = its.asking
        asking.links = {its.listing.id: "https://prefect.example/runs/1"}  # type: ignore[misc]
        await ask_approvers(asking, "stall")
        (call,) = its.shop.sms.calls
        code = its.code()
        assert call.text == (
            "Shop stall: 1 · 10.00 CNY to approve or reject, until 2026-03-11 08:00 (UTC).\n"
            f"Your code, good once: {code[:4]} {code[4:]}\n"
            "https://prefect.example/runs/1\n"
            f"Or on the command line: amends approve {its.listing.id} --as lin --code {code}"
        )
        assert (call.template, call.parameters, call.order) == ("approval-code", {"code": code}, "")
        await send_code(asking, its.listing.id, "lin")
        assert "came before count no more" in its.shop.sms.calls[-1].text


@pytest.mark.parametrize("language", ["en", "zh-CN", "fr"])
@pytest.mark.parametrize("kind", ["asked", "reminded", "code", "held"])
async def test_every_letter_in_every_language(language: str, kind: notices.Kind) -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.shop.sweep()
        settings = its.shop.shop.settings
        stall = settings.shop("stall").model_copy(update={"language": language})
        settings = settings.model_copy(update={"shops": {"stall": stall}})
        notice = notices.Notice(its.listing.id, "lin", kind, 1, "planned", its.shop.clock.now())
        code = "" if kind == "held" else "01234567"
        found = letter(settings, its.listing, notice, code, None, "")
        said = f"{found.subject}\n{found.text}"
        assert its.listing.id in found.subject and "stall" in said and "10.00 CNY" in said
        assert ("0123 4567" in said) == ("--code 01234567" in said) == (kind != "held")
        assert ("amends release --shop stall" in said) == (kind == "held")
        assert ("验证码" in said or "已暂停" in said) == (found.language == "zh") == (language == "zh-CN")
        assert "{" not in said


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a stranger": ({"by": "mallory"}, "mallory is not an approver; config names: lin, wang, zhao, mo"),
    "a name alone": ({"by": "mo"}, "mo has neither a channel nor a code in config"),
    "no code": ({"code": " - "}, "lin must give a code"),
    "a wrong code": ({"code": "1234567"}, "that is not lin's code"),
    "another's code": ({"by": "wang"}, "that is not wang's code"),
    "an unknown case": ({"exceptions": ["4711"]}, "there is no case '4711'"),
    "a case of another list": ({"exceptions": ["B-2"]}, "has no waiting act of case 2"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_word_that_does_not_count_changes_nothing(name: str) -> None:
    more, message = REFUSED[name]
    async with office(orders=("A-1", "B-2"), people_=PEOPLE | {"mo": Approver()}) as its:
        await its.shop.sweep()
        first = its.listing
        only = [item for item in first.items if item.number == "A-1"]
        now = its.shop.clock.now()
        id_ = its.shop.do(
            approvals.freeze, "stall", "other", only, now=now, expires_at=first.expires_at - MINUTE
        )
        await ask_approvers(its.asking, "stall")
        mine = [c for c in its.shop.sms.calls if c.personal.name == "lin" and id_ in c.subject]
        code = re.findall(r"--code (\d{8})", mine[-1].text)[0]
        word = Word(**({"by": "lin", "yes": True, "code": code} | more))
        before = its.shop.facts("A-1"), its.shop.do(approvals.get, id_)
        with pytest.raises(Exception, match=re.escape(message)):
            await decide_list(its.shop.shop.settings, its.shop.ledger, id_, word, now)
        assert (its.shop.facts("A-1"), its.shop.do(approvals.get, id_)) == before
        right = Word("lin", True, code)
        assert await decide_list(
            its.shop.shop.settings, its.shop.ledger, id_, right, now
        ) == approvals.Decision(approved=1), "the code is good still"


async def test_a_used_and_an_expired_code() -> None:
    async with office(two=True, people_={"lin": PEOPLE["lin"], "wang": PEOPLE["wang"]}, code_for="1h") as its:
        await its.sweep()
        await its.say("lin", its.code("lin"))
        with pytest.raises(WrongCode, match="was used already"):
            await its.say("lin", its.code("lin"), yes=False)
        its.shop.clock.advance(HOUR)
        with pytest.raises(WrongCode, match=r"wang's code for list .* expired at 2026-03-10 09:00 UTC"):
            await its.say("wang", its.code("wang"))
        await send_code(its.asking, its.listing.id, "wang")
        assert await its.say("wang", its.code("wang")) == approvals.Decision(approved=1)


async def test_a_list_that_can_no_longer_be_decided() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.sweep()
        settings, now, id_ = its.shop.shop.settings, its.shop.clock.now(), its.listing.id
        with pytest.raises(ApprovalError, match=f"list {id_} expired at 2026-03-11 08:00 UTC"):
            its.shop.do(check, settings, id_, Word("lin", True), now + 24 * HOUR)
        await its.say("lin", its.code(), yes=False, why="too dear")
        with pytest.raises(ApprovalError, match=f"list {id_} is already decided"):
            its.shop.do(check, settings, id_, Word("lin", True), now)
        with pytest.raises(ApprovalError, match="no approval list 'nix'"):
            its.shop.do(check, settings, "nix", Word("lin", True), now)


async def test_what_changed_meanwhile_is_asked_anew_and_not_approved() -> None:
    async with office(people_={"lin": PEOPLE["lin"]}) as its:
        await its.sweep()
        asked, code = its.listing, its.code()
        its.shop.do(people.hold, by="lin", why="look", now=its.shop.clock.now(), case=1)
        its.shop.do(people.release, by="lin", now=its.shop.clock.now(), case=1)
        word, now = Word("lin", True, code), its.shop.clock.now()
        found = await decide_list(its.shop.shop.settings, its.shop.ledger, asked.id, word, now)
        assert found == approvals.Decision(stale=1)
        assert await its.sweep(MINUTE) == ["lin: Approval wanted"], "of a new list"
        assert its.listing.id != asked.id and its.shop.done() == 0


async def test_no_code_for_who_has_no_channel_and_not_without_end() -> None:
    people_ = {"lin": PEOPLE["lin"], "mo": Approver.model_validate({"code": {"env": "MO"}})}
    async with office(people_=people_) as its:
        await its.sweep()
        with pytest.raises(ApprovalError, match="mo has no channel"):
            await send_code(its.asking, its.listing.id, "mo")
        for _ in range(5):
            await send_code(its.asking, its.listing.id, "lin")
        with pytest.raises(ApprovalError, match="lin has had 6 codes"):
            await send_code(its.asking, its.listing.id, "lin")
        assert len(its.shop.sms.calls) == 6
        assert await its.say("lin", its.code()) == approvals.Decision(approved=1)
