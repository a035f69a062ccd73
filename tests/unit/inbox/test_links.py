"""The customer's link: only ours, only in time, only for its own round, and nothing personal in it."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW
from tests.unit.inbox.house import PUBLIC, house

from amends.cases.facts import Answer
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import OrderStatus
from amends.ledger import Vault
from amends.ledger import inbox as kept
from amends.steps.intake import arrival
from amends.steps.links import LONGEST, Links, Ticket

LINKS = Links(Vault(b"k" * 32))
TICKET = Ticket(case=17, generation=1, round=2)


@given(st.integers(1, 2**63 - 1), st.integers(1, 99), st.integers(1, 10))
def test_a_token_brings_its_ticket_back(case: int, generation: int, round_: int) -> None:
    ticket = Ticket(case, generation, round_)
    token = LINKS.token(ticket, NOW)
    assert LINKS.read(token, NOW + DAY) == ticket
    assert len(token) < 120 and set(token) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
    )


@given(st.text(max_size=300))
def test_no_text_is_a_token(text: str) -> None:
    assert LINKS.read(text, NOW) is None


@given(st.integers(0, 66), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_changed_character_breaks_it(place: int, character: str) -> None:
    token = LINKS.token(TICKET, NOW)
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    found = LINKS.read(changed, NOW)
    # The last character of base64 carries two bits of nothing: another one may stand for the same bytes.
    assert found is None or (found == TICKET and (changed == token or place == len(token) - 1))


@pytest.mark.parametrize(("ours", "theirs"), [("-", "+"), ("_", "/")])
def test_base64s_other_letters_do_not_stand_for_ours(ours: str, theirs: str) -> None:
    tokens = (LINKS.token(TICKET, NOW + n * timedelta(seconds=1)) for n in range(200))
    token = next(token for token in tokens if ours in token)
    assert LINKS.read(token, NOW + HOUR) == TICKET
    assert LINKS.read(token.replace(ours, theirs), NOW + HOUR) is None


def test_another_ledgers_key_and_another_purpose_do_not_fit() -> None:
    token = LINKS.token(TICKET, NOW)
    assert Links(Vault(b"x" * 32)).read(token, NOW) is None
    assert Vault(b"k" * 32).key_for("reply-links") != Vault(b"k" * 32).key_for("codes")


@pytest.mark.parametrize("moment", [-HOUR, LONGEST + DAY])
def test_a_token_from_the_future_or_from_long_ago(moment: timedelta) -> None:
    assert LINKS.read(LINKS.token(TICKET, NOW), NOW + moment) is None


async def test_the_message_carries_the_link_and_the_link_nothing_personal() -> None:
    async with house() as inbox:
        assert inbox.url in inbox.text()
        token = inbox.url.removeprefix(f"{PUBLIC}/r/")
        payload = token.partition(".")[0]
        assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) == [1, 1, 1]
        assert "reply_url" not in inbox.shop.effect().request and token not in inbox.shop.effect().request
        assert all(token not in body.model_dump_json() for body in inbox.shop.facts())


async def test_without_a_public_address_no_link() -> None:
    async with house(public_url="") as inbox:
        assert "reply_url" not in json.dumps(inbox.text()) and "/r/" not in inbox.text()
        assert "Just reply to this message" in inbox.text()


async def test_forged() -> None:
    async with house() as inbox:
        before = inbox.fingerprint()
        forged = [
            "x", "a.b.c", "..", inbox.url.split("/r/")[1][:-6], "%F0%9F%98%80", "A" * 5000, "%00", "..%2f..%2fetc",
            Links(Vault(b"x" * 32)).token(Ticket(1, 1, 1), NOW),
        ]  # fmt: skip
        for token in forged:
            for answer in (
                await inbox.browser.get(f"/r/{token}"), await inbox.browser.post(f"/r/{token}", data={"answer": "accept"})
            ):  # fmt: skip
                assert answer.status_code == 404
        assert "not valid" in (await inbox.browser.get("/r/x")).text
        assert inbox.fingerprint() == before


@pytest.mark.parametrize("ticket", [Ticket(2, 1, 1), Ticket(1, 2, 1), Ticket(1, 1, 2), Ticket(-1, 0, 0)])
async def test_signed_for_what_is_not_there(ticket: Ticket) -> None:
    async with house() as inbox:
        token = Links(inbox.shop.ledger.vault).token(ticket, NOW)
        before = inbox.fingerprint()
        assert (await inbox.browser.post(f"/r/{token}", data={"answer": "accept"})).status_code == 404
        assert inbox.fingerprint() == before


async def test_expired() -> None:
    async with house() as inbox:
        inbox.shop.clock.advance(DAY + 4 * MINUTE)
        assert (await inbox.browser.get(inbox.url)).status_code == 200
        inbox.shop.clock.advance(2 * MINUTE)
        before = inbox.fingerprint()
        shown = await inbox.browser.get(inbox.url)
        tried = await inbox.browser.post(inbox.url, data={"answer": "accept"})
        assert (shown.status_code, tried.status_code) == (410, 410)
        assert "This link has expired" in shown.text and "This link has expired" in tried.text
        assert inbox.fingerprint() == before


async def test_silence_that_has_spoken_ends_it_even_within_the_grace() -> None:
    async with house() as inbox:
        url = inbox.url
        await inbox.shop.sweep(DAY + MINUTE)
        assert "silent" in inbox.shop.kinds()
        tried = await inbox.browser.post(url, data={"answer": "accept"})
        assert tried.status_code == 410


async def test_a_newer_offer_takes_its_place() -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        first = inbox.url
        await inbox.browser.post(first, data={"answer": "decline"})
        inbox.shop.policy.offer = lambda view, context: _more(view)
        await inbox.shop.sweep(MINUTE)
        assert len(inbox.urls()) == 2
        again = await inbox.browser.get(first)
        assert again.status_code == 200 and "declined" in again.text
        assert (await inbox.browser.post(first, data={"answer": "accept"})).status_code == 409
        second = await inbox.browser.post(inbox.url, data={"answer": "accept"})
        assert second.status_code == 303


async def test_an_unanswered_offer_that_was_replaced() -> None:
    async with house(playbook={"reply_within": "1h", "rounds": 2}) as inbox:
        first = inbox.url
        await inbox.shop.sweep(HOUR + MINUTE)
        assert len(inbox.urls()) == 2
        tried = await inbox.browser.post(first, data={"answer": "accept"})
        assert tried.status_code == 410 and "newer offer" in tried.text


def _more(view: object) -> object:
    more = Remedy(kind=RemedyKind.COUPON, amount=Money.of("20.00", "CNY"))
    return Offer(remedy=more, new_ship_by=NOW + 3 * DAY, cause="stock", why="more")


@pytest.mark.parametrize("second", ["accept", "decline", "cancel", "counter"])
async def test_used_twice_is_once(second: str) -> None:
    async with house() as inbox:
        form = {"answer": second, "sure": "yes", "words": "more please"}
        assert (await inbox.browser.post(inbox.url, data={"answer": "accept"})).status_code == 303
        before = inbox.fingerprint()
        again = await inbox.browser.post(inbox.url, data=form)
        assert again.status_code == 409 and "already answered" in again.text and "accepted" in again.text
        assert inbox.fingerprint() == before
        await inbox.shop.sweep(MINUTE)
        assert (await inbox.browser.post(inbox.url, data=form)).status_code == 409
        assert inbox.shop.done("grant") == 1
        inbox.shop.check()


async def test_ten_at_once_are_one() -> None:
    async with house() as inbox:
        answers = ["accept", "decline"] * 5
        got = await asyncio.gather(*(inbox.browser.post(inbox.url, data={"answer": a}) for a in answers))
        assert sorted(one.status_code for one in got) == [303] + [409] * 9
        await inbox.shop.sweep(MINUTE)
        assert inbox.shop.kinds().count("replied") == 1


async def test_answered_on_the_platform_first() -> None:
    async with house() as inbox:
        reply = inbox.shop.platform.say(Answer.DECLINE, round=1)
        inbox.shop.do(kept.receive, "stall", [arrival(reply)], inbox.shop.clock.now())
        tried = await inbox.browser.post(inbox.url, data={"answer": "accept"})
        assert tried.status_code == 409 and "declined" in tried.text


async def test_a_closed_case() -> None:
    async with house() as inbox:
        inbox.shop.platform.show(status=OrderStatus.CANCELLED)
        await inbox.shop.sweep(HOUR)
        assert inbox.shop.case().outcome == "cancelled"
        tried = await inbox.browser.post(inbox.url, data={"answer": "accept"})
        assert tried.status_code == 410 and "closed" in tried.text
