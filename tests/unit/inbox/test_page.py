"""What customers see and may do on their page, and that looking alone changes nothing."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.unit.demo.workshop import COUPON, DAY, HOUR, MINUTE, NOW
from tests.unit.inbox.house import House, house

from amends.cases.facts import Answer
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import OrderStatus, Personal
from amends.hooks.requests import Reply
from amends.inbox import pages
from amends.inbox.words import TEXTS, language, masked
from amends.ledger import inbox as kept
from amends.ledger import persons

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}&lt;\u202e'
CREDIT = Remedy(kind=RemedyKind.STORE_CREDIT, amount=Money.of("10.00", "CNY"))


class Page(HTMLParser):
    """Tags and attributes of a page, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def reply(inbox: House, event: str = "page:1:1") -> Reply:
    """The answer that waits for its case."""
    (waiting,) = inbox.shop.do(kept.waiting, "stall", [1])[1]
    assert waiting.event == event
    return Reply.model_validate_json(waiting.body)


def agreeing(offer: Offer | None = None, *, days: int = 30) -> Any:
    """A policy that agrees to store credit for the coupon, and to dates up to that many days ahead."""

    def propose(view: Any, context: Any) -> Offer:
        wish = view.counter_ship_by
        if wish is not None and wish <= view.now + timedelta(days=days):
            return Offer(remedy=COUPON, new_ship_by=wish, why="asked", agreed=True)
        if view.counter_remedy is not None and view.counter_remedy.kind is RemedyKind.STORE_CREDIT:
            return Offer(remedy=view.counter_remedy, why="asked", agreed=True)
        return offer or Offer(remedy=COUPON, new_ship_by=view.now + 2 * DAY, cause="stock", why="late")

    return propose


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(method: str) -> None:
    async with house() as inbox:
        before = inbox.fingerprint()
        for query in ("", "?lang=zh", "?answer=accept", "?answer=cancel&sure=yes&lang=en"):
            answer = await inbox.browser.request(method, inbox.url + query)
            assert answer.status_code == 200
        assert (await inbox.browser.get("/health")).status_code in (200, 503)
        assert inbox.fingerprint() == before
        for method_ in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await inbox.browser.request(method_, inbox.url)).status_code == 405
        assert inbox.fingerprint() == before


@pytest.mark.parametrize("answer", ["accept", "decline", "cancel", "counter"])
async def test_each_answer(answer: str) -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        form = {"answer": answer, "sure": "yes", "date": "2026-03-20"}
        given = await inbox.browser.post(inbox.url, data=form)
        assert given.status_code == 303
        assert inbox.shop.case().due_at == NOW
        assert reply(inbox).answer is Answer(answer)
        thanks = await inbox.browser.get(
            given.headers["location"] if "://" in given.headers["location"] else inbox.url
        )
        assert "Thank you" in thanks.text and "What happens next" in thanks.text
        await inbox.shop.sweep(MINUTE)
        replied = inbox.shop.last("replied")
        assert (replied.answer, replied.event, replied.via) == (Answer(answer), "page:1:1", "page")
        if answer == "counter":
            assert replied.ship_by == datetime(2026, 3, 20, 23, 59, 59, tzinfo=UTC)
        if answer == "cancel":
            assert inbox.shop.effect("grant").kind == "grant:refund"
        inbox.shop.check()


async def test_a_date_is_the_end_of_that_day_where_the_customer_lives() -> None:
    async with house(playbook={"rounds": 2}, sweep=False) as inbox:
        inbox.shop.platform.show(time_zone="Asia/Shanghai", language="zh")
        await inbox.shop.sweep()
        shown = await inbox.browser.get(inbox.url)
        assert "2026年3月12日 16:00（北京时间）" in shown.text and 'min="2026-03-11"' in shown.text
        await inbox.browser.post(inbox.url, data={"answer": "counter", "date": "2026-03-20"})
        assert reply(inbox).ship_by == datetime(2026, 3, 20, 15, 59, 59, tzinfo=UTC)


async def test_the_range_and_the_remedies_are_what_the_policy_would_agree_to() -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        inbox.shop.policy.offer = agreeing(days=15)
        shown = await inbox.browser.get(inbox.url)
        dates, radios = (
            [i for i in Page(shown.text).named("input") if i["type"] == kind] for kind in ("date", "radio")
        )
        assert (dates[0]["min"], dates[0]["max"]) == ("2026-03-11", "2026-03-24")
        assert [radio["value"] for radio in radios] == ["", "store-credit"]
        await inbox.browser.post(inbox.url, data={"answer": "counter", "remedy": "store-credit"})
        assert reply(inbox).remedy == CREDIT
        await inbox.shop.sweep(MINUTE)
        assert inbox.shop.effect("grant").kind == "grant:store-credit"


async def test_a_policy_that_fails_takes_no_page_away() -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        inbox.shop.policy.offer = lambda view, context: 1 / 0
        shown = await inbox.browser.get(inbox.url)
        assert shown.status_code == 200 and 'max="2026-04-09"' in shown.text


@pytest.mark.parametrize("rounds", [1, 2])
async def test_own_words_go_to_a_person(rounds: int) -> None:
    words = "A larger coupon, please.\r\nTwenty\u202e\x00 yuan." if rounds == 2 else ""
    async with house(playbook={"rounds": rounds}) as inbox:
        form = {"answer": "counter", "date": "2026-03-14", "words": words}
        assert (await inbox.browser.post(inbox.url, data=form)).status_code == 303
        assert reply(inbox).answer is None
        await inbox.shop.sweep(MINUTE)
        (task,) = inbox.shop.tasks()
        assert (task.kind, task.effect) == ("read-reply", "reply:page:1:1")
        said = inbox.shop.do(persons.load, [1])[1]["reply:page:1:1"].decode()
        assert (
            said
            == ("[ship by 2026-03-14]\n" + "A larger coupon, please.\nTwenty yuan." * (rounds == 2)).strip()
        )
        shown = await inbox.browser.get(inbox.url)
        assert "a person reads them" in shown.text
        assert (await inbox.browser.post(inbox.url, data={"answer": "accept"})).status_code == 409
        inbox.shop.finish("read-reply", "accept")
        assert "accepted" in (await inbox.browser.get(inbox.url)).text


WRONG = {
    "no answer": ({"answer": ""}, "did not arrive"),
    "another answer": ({"answer": "refund-me"}, "did not arrive"),
    "empty wish": ({"answer": "counter", "words": " \n "}, "or write what you would like"),
    "a day too early": ({"answer": "counter", "date": "2026-03-10"}, "from 11 March 2026 to 9 April 2026"),
    "a day too late": ({"answer": "counter", "date": "2026-04-10"}, "from 11 March"),
    "no date": ({"answer": "counter", "date": "tomorrow"}, "from 11 March"),
    "no day": ({"answer": "counter", "date": "2026-02-30"}, "from 11 March"),
    "another remedy": ({"answer": "counter", "remedy": "refund"}, "cannot be chosen here"),
    "too long": ({"answer": "counter", "words": "x" * 1001}, "no more than 1000"),
    "cancel unticked": ({"answer": "cancel"}, "tick the box"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_form_that_makes_no_sense(name: str) -> None:
    form, words = WRONG[name]
    async with house(playbook={"rounds": 2}) as inbox:
        before = inbox.fingerprint()
        tried = await inbox.browser.post(inbox.url, data=form)
        assert tried.status_code == 422 and words in tried.text and 'role="alert"' in tried.text
        assert inbox.fingerprint() == before
        assert (await inbox.browser.post(inbox.url, data={"answer": "accept"})).status_code == 303


async def test_what_was_given_is_still_there_and_the_mistake_is_marked() -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        inbox.shop.policy.offer = agreeing()
        form = {"answer": "counter", "date": "2029-01-01", "remedy": "store-credit", "words": "<soon>"}
        tried = await inbox.browser.post(inbox.url, data=form)
        assert tried.status_code == 422
        assert "<title>That could not be sent: " in tried.text and "&lt;soon&gt;</textarea>" in tried.text
        fields = {one.get("id") or one.get("value"): one for one in Page(tried.text).named("input")}
        date, credit = fields["date"], fields["store-credit"]
        assert (date["value"], date["aria-invalid"], date["aria-describedby"]) == (
            "2029-01-01",
            "true",
            "error",
        )
        assert "checked" in credit and "aria-invalid" not in credit
        (alert,) = [one for one in Page(tried.text).named("section") if one.get("id") == "error"]
        assert "autofocus" in alert, "whoever does not see the page hears of it first"
        unticked = await inbox.browser.post(inbox.url, data={"answer": "cancel"})
        (box,) = [one for one in Page(unticked.text).named("input") if one["name"] == "sure"]
        assert box["aria-describedby"] == "error"
        fresh = Page((await inbox.browser.get(inbox.url)).text)
        assert not [one for _, one in fresh.tags if "aria-invalid" in one or "autofocus" in one]


BODIES = {
    "json": (b'{"answer": "accept"}', "application/json", 415),
    "no type": (b"answer=accept", "", 415),
    "multipart": (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    "twice": (b"answer=accept&answer=decline", "", 400),
    "not utf-8": (b"answer=%ff%fe", "", 400),
    "raw bytes": (b"answer=\xff", "", 400),
    "many fields": (b"&".join(b"a%d=1" % n for n in range(50)), "", 400),
    "long": (b"answer=accept&words=" + b"x" * 20_000, "", 413),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_form(name: str) -> None:
    body, kind, status = BODIES[name]
    if status != 415:
        kind = "application/x-www-form-urlencoded"
    async with house() as inbox:
        before = inbox.fingerprint()
        tried = await inbox.browser.post(inbox.url, content=body, headers={"content-type": kind})
        assert tried.status_code == status and "Nothing was changed" in tried.text
        assert inbox.fingerprint() == before


async def test_goods_that_have_left_are_not_cancelled_here() -> None:
    async with house() as inbox:
        stale = await inbox.browser.get(inbox.url)
        assert "Cancel the order" in stale.text
        inbox.shop.platform.show(status=OrderStatus.SHIPPED, shipped_at=NOW, picked_up_at=NOW)
        await inbox.shop.sweep(HOUR)
        shown = await inbox.browser.get(inbox.url)
        assert "Cancel the order" not in shown.text and "New ship date" not in shown.text
        tried = await inbox.browser.post(inbox.url, data={"answer": "cancel", "sure": "yes"})
        assert tried.status_code == 422 and "have left us" in tried.text
        assert (await inbox.browser.post(inbox.url, data={"answer": "accept"})).status_code == 303


@pytest.mark.parametrize(
    ("query", "header", "order", "expected"),
    [
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN"),
        ("", "en-GB,en;q=0.9,zh;q=0.1", "zh", "en"),
        ("", "fr-FR, de;q=0.9", "zh-Hans", "zh-CN"),
        ("", "", "zh", "zh-CN"),
        ("", "", "", "en"),
        ("?lang=zh", "en", "en", "zh-CN"),
        ("?lang=xx", "zh", "", "zh-CN"),
        ("?lang=%22onload=", ";;;q=,,zh;q=9;q", "", "en"),
        ("", "zh;q=0, en;q=0", "zh", "zh-CN"),
    ],
)
async def test_the_language(query: str, header: str, order: str, expected: str) -> None:
    async with house(sweep=False) as inbox:
        inbox.shop.platform.show(language=order)
        await inbox.shop.sweep()
        shown = await inbox.browser.get(inbox.url + query, headers={"accept-language": header})
        assert Page(shown.text).named("html") == [{"lang": expected}]
        assert shown.headers["content-language"] == expected
        other = "en" if expected == "zh-CN" else "zh"
        switched = await inbox.browser.get(f"{inbox.url}?lang={other}")
        assert f'href="?lang={other}"' in shown.text and f'href="?lang={other}"' not in switched.text


def test_both_languages_say_the_same_things() -> None:
    assert TEXTS["zh"].keys() == TEXTS["en"].keys()
    for name, text in TEXTS["en"].items():
        assert re.findall(r"{(\w+)}", text) == re.findall(r"{(\w+)}", TEXTS["zh"][name]), name
    assert language("", "x" * 100_000) == "en"


async def test_names_cannot_become_markup() -> None:
    async with house(sweep=False, orders=()) as inbox:
        number = EVIL
        person = Personal(
            name=f"Name{EVIL}", phone="10000000017", email="a@b.example", address=f"Street{EVIL}"
        )
        inbox.shop.platform.show(
            number, language=EVIL, time_zone=EVIL, customer=EVIL, personal=person, carrier=EVIL
        )
        gift = Remedy(kind=RemedyKind.GIFT, name=f"Gift{EVIL}")
        inbox.shop.policy.offer = lambda view, context: Offer(remedy=gift, cause=EVIL, why=EVIL)
        await inbox.shop.sweep()
        url = inbox.urls(number)[-1]
        tried = await inbox.browser.post(
            url, data={"answer": EVIL, "words": EVIL, "date": EVIL, "remedy": EVIL}
        )
        shown = await inbox.browser.get(
            url + "?lang=" + "%22%3E%3Cscript%3E", headers={"accept-language": EVIL.encode()}
        )
        await inbox.browser.post(url, data={"answer": "accept"})
        thanks = await inbox.browser.get(url)
        for answer in (tried, shown, thanks):
            page = Page(answer.text)
            assert page.named("script") == page.named("img") == []
            assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
            for canary in ("Name", "10000000017", "a@b.example", "Street", "49"):
                assert canary not in answer.text.partition("</style>")[2]
        assert "Gift&#34;&gt;&lt;script&gt;" in shown.text


async def test_it_is_small_fast_closed_and_accessible() -> None:
    async with house(playbook={"rounds": 2}) as inbox:
        inbox.shop.policy.offer = agreeing()
        for lang in ("en", "zh"):
            answer = await inbox.browser.get(f"{inbox.url}?lang={lang}")
            assert len(answer.content) < 20_000
            page = Page(answer.text)
            assert "A-1" not in answer.text
            assert not [t for t, _ in page.tags if t in ("script", "link", "iframe", "img", "object")]
            assert not [a for _, attrs in page.tags for a in attrs if a == "style" or a.startswith("on")]
            labels = {one.get("for") for one in page.named("label")}
            ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
            assert len(ids) == len(set(ids)) and {"date", "words"} <= labels <= {*ids, None}
            assert [one for one in page.named("meta") if one.get("name") == "viewport"]
            assert len(page.named("h1")) == len(page.named("main")) == len(page.named("title")) == 1
            style = re.search(r"<style>(.*)</style>", answer.text, re.DOTALL)
            assert style and style[1] == pages._style()
        headers = answer.headers
        assert "script" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff" and "set-cookie" not in headers
        for path in ("/r/x", "/nowhere", "/webhooks/none"):
            assert (await inbox.browser.get(path)).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("number", "shown"),
    [("ORD-2026-0017", "…0017"), ("123456", "…56"), ("7", "…7"), ("2604-1800123456789", "…6789")],
)
def test_an_order_number_is_masked(number: str, shown: str) -> None:
    assert masked(number) == shown


def _luminance(color: str) -> float:
    full = color if len(color) == 6 else "".join(c * 2 for c in color)
    parts = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_by_day_and_night() -> None:
    day, night = (
        dict(re.findall(r"--(\w+):#([0-9a-f]+)", part))
        for part in re.findall(r":root{([^}]*)}", pages._style())
    )
    for colors in (day, night):
        pairs = [("ink", "paper"), ("ink", "ground"), ("soft", "paper"), ("soft", "ground"), ("on", "main")]
        pairs += [("main", "paper"), ("main", "ground"), ("bad", "paper"), ("good", "ground")]
        for one, other in pairs:
            light, dark = sorted((_luminance(colors[one]), _luminance(colors[other])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (one, other)
        light, dark = sorted((_luminance(colors["line"]), _luminance(colors["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3  # borders of fields
