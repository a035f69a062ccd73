"""The report's numbers, counted by hand on a small ledger, and the page that shows them."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.cases.makers import DAY, HOUR, T0, book, order, rule, yuan
from tests.unit.ledger.makers import KEY, SHOP, claim, close, conclude, opened, seen_order

from amends.cases import facts as f
from amends.cases.lateness import State, judge
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import AfterSales, Item, Order, OrderStatus, Parcel
from amends.cases.rules import Confidence, RuleName
from amends.ledger import Ledger, intake, tasks
from amends.steps.report import FUNNEL, Report, report
from amends.steps.report_html import render
from amends.steps.report_words import WORDS

ZONE = ZoneInfo("Asia/Shanghai")
RULES = book(
    rule(RuleName.LATE_DEFINITION, text="pickup"),
    rule(
        RuleName.LATE_RATE_LIMIT,
        "rate",
        value=Decimal(4),
        when="rolling 30 days",
        confidence=Confidence.MEDIUM,
    ),
    rule(RuleName.LATE_RATE_LIMIT, "count", value=Decimal(8), confidence=Confidence.OFFICIAL),
)
NOW = T0 + 6 * DAY  # 2026-11-26 16:00 in Shanghai; orders are due on 2026-11-22 unless they say otherwise
COUPON = Remedy(kind=RemedyKind.COUPON, amount=yuan("5.00"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", KEY)
    yield ledger
    ledger.close()


def take(ledger: Ledger, *orders: Order, shop: str = SHOP) -> None:
    ledger.do(intake.take, shop, [seen_order(one, NOW) for one in orders], now=NOW)


def shipped(number: str, after: timedelta, **more: Any) -> Order:
    at = T0 + after
    return order(
        number=number,
        status=OrderStatus.SHIPPED,
        shipped_at=at,
        picked_up_at=at,
        parcel=Parcel.IN_TRANSIT,
        **more,
    )


def count(ledger: Ledger, **more: Any) -> Report:
    given: dict[str, Any] = {
        "zone": ZONE,
        "rules": RULES,
        "now": NOW,
        "since": date(2026, 11, 20),
        "until": date(2026, 11, 26),
    }
    return ledger.do(report, SHOP, **(given | more))


def observed(one: Order, *, penalty: str | None = None) -> f.Observed:
    cost = yuan(penalty) if penalty else None
    return f.Observed(order=one, lateness=judge(one, now=one.observed_at, rules=RULES), penalty=cost)


def test_the_late_rate_is_by_deadline_in_the_shops_days(ledger: Ledger) -> None:
    take(
        ledger,
        shipped("in-time", DAY),
        shipped("late", 3 * DAY),
        order(number="never"),
        order(number="not-yet", ship_by=NOW + HOUR),
        order(number="label", status=OrderStatus.SHIPPED, shipped_at=T0, parcel=Parcel.LABEL_CREATED),
        order(number="cancelled", status=OrderStatus.CANCELLED),
        order(number="unknown", ship_by=None),
        shipped("before", DAY, ship_by=T0 - DAY),
        shipped("stalled", DAY, deliver_by=T0 + 2 * DAY),
        order(
            number="night", ship_by=T0 + 8 * HOUR
        ),  # midnight in Shanghai: the next day there, the same in UTC
    )
    found = count(ledger)
    assert (found.share.due, found.share.late, found.share.rate) == (6, 4, 66.67)
    by_day = {str(day.day): (day.share.due, day.share.late) for day in found.days if day.share.due}
    assert by_day == {"2026-11-21": (1, 1), "2026-11-22": (5, 3)}
    assert found.unknown == 1
    assert found.limit is not None
    assert (found.limit.percent, found.limit.confidence, found.over_limit) == (4, "medium", True)


def test_an_order_refunded_after_it_was_late_stays_late(ledger: Ledger) -> None:
    gone = order(number="A-1", after_sales=AfterSales.REFUNDED)
    take(ledger, gone, order(number="A-2", after_sales=AfterSales.REFUNDED))
    opened(ledger, "A-1", at=T0 + 3 * DAY)
    late = order(number="A-1", observed_at=T0 + 3 * DAY)
    conclude(ledger, claim(ledger, at=NOW)[0], observed(late), at=NOW)
    found = count(ledger)
    assert (found.share.due, found.share.late) == (1, 1)


def test_an_extension_that_the_platform_made_counts_and_a_bare_promise_does_not(ledger: Ledger) -> None:
    agreed = T0 + 4 * DAY
    take(ledger, *(shipped(number, 3 * DAY) for number in ("moved", "promised")))
    opened(ledger, "moved", "promised", at=T0 + DAY)
    offer = Offer(remedy=COUPON, new_ship_by=agreed, why="test")
    for one in claim(ledger, at=NOW):
        first = order(number=one.number, observed_at=T0 + DAY)
        bodies: list[f.Body] = [
            observed(first, penalty="3.00" if one.number == "moved" else "7.00"),
            f.Proposed(round=1, offer=offer, policy="l1", state=State.AT_RISK),
            f.Contacted(round=1, via="platform", effect="m"),
            f.Replied(round=1, answer=f.Answer.ACCEPT, event="e"),
            f.Settled(round=1, remedy=COUPON, effect="g"),
        ]
        if one.number == "moved":
            bodies.append(f.Extended(round=1, until=agreed, effect="x"))
        close_with(ledger, one, *bodies)
    found = count(ledger)
    assert (found.share.due, found.share.late) == (2, 1)
    assert found.penalty.avoided == {"CNY": yuan("3.00")}
    assert found.penalty.missed == {"CNY": yuan("7.00")}
    assert found.cost_total == {"CNY": yuan("10.00")}
    assert found.remedies == {"coupon": 2}
    assert [found.funnel[name] for name in FUNNEL] == [2, 1, 2, 2, 2, 0, 0, 0]


def close_with(ledger: Ledger, one: Any, *bodies: f.Body) -> None:
    conclude(ledger, one, *bodies, at=NOW, due_at=NOW)
    close(ledger, claim(ledger, at=NOW + HOUR, limit=1)[0], f.Outcome.SHIPPED, at=NOW)


def test_the_funnel_the_answers_and_the_refunds(ledger: Ledger) -> None:
    take(ledger, order(number="A-1"))
    opened(ledger, "A-1", at=T0 + 3 * DAY)
    money = Remedy(kind=RemedyKind.REFUND, amount=yuan("199.00"))
    conclude(
        ledger,
        claim(ledger, at=NOW)[0],
        observed(order(number="A-1", observed_at=T0 + 3 * DAY), penalty="3.00"),
        f.Proposed(
            round=1, offer=Offer(remedy=COUPON, cause="stock", why="x"), policy="l1", state=State.OVERDUE
        ),
        f.Contacted(round=1, via="platform", effect="m"),
        f.Silent(round=1, means=f.Answer.DECLINE, rule="playbook"),
        f.Replied(round=1, answer=f.Answer.CANCEL, event="e"),
        f.Settled(round=1, remedy=money, effect="g"),
        f.Filed(instance="response", effect="r"),
        f.Filed(instance="arbitration", effect="a"),
        at=NOW,
    )  # fmt: skip
    found = count(ledger)
    assert found.funnel == dict(zip(FUNNEL, [1, 1, 1, 0, 1, 1, 1, 0], strict=True))
    assert found.answers == {"silence": 1, "cancel": 1}
    assert found.explained == {"stock": 1}
    assert (found.cost_total, found.refunds) == ({}, {"CNY": yuan("199.00")})
    assert found.penalty.at_stake == {"CNY": yuan("3.00")}
    assert (found.open, found.hours_median) == (1, None)


def test_hours_to_resolve_are_median_and_nine_of_ten(ledger: Ledger) -> None:
    for number in range(1, 11):
        opened(ledger, f"A-{number}", at=NOW - number * HOUR)
    for one in claim(ledger, at=NOW):
        close(ledger, one, at=NOW)
    found = count(ledger)
    assert (found.hours_median, found.hours_p90) == (5.5, 9.0)
    assert found.outcomes == {"shipped": 10}
    assert count(ledger, until=date(2026, 11, 25)).outcomes == {}


def test_causes_and_customers_say_what_happened_again(ledger: Ledger) -> None:
    tea, cup = Item(sku="TEA"), Item(sku="CUP", quantity=3)
    take(
        ledger,
        order(number="A-1", items=(tea, tea, cup), warehouse="east", customer="customer-0017"),
        order(number="A-2", items=(tea,), warehouse="east", customer="customer-0017", ship_by=T0 + DAY),
        shipped("A-3", DAY, items=(cup,), warehouse="west", customer="customer-0018", carrier="Post"),
    )
    found = count(ledger)
    assert [(row.name, row.share.late, row.share.due, row.days) for row in found.causes["sku"]] == [
        ("TEA", 2, 2, 2),
        ("CUP", 1, 2, 1),
    ]
    assert [row.name for row in found.causes["warehouse"]] == ["east"]
    assert [row.name for row in found.causes["carrier"]] == [""]  # nobody has taken the late ones
    assert [(one.mask, one.late, one.orders) for one in found.customers] == [("…0017", 2, ["A-1", "A-2"])]


def test_tasks_and_other_shops(ledger: Ledger) -> None:
    ids = opened(ledger, "A-1", at=NOW - DAY)
    opened(ledger, "A-1", shop="other", at=NOW - DAY)
    take(ledger, order(number="A-1"), shop="other")
    for kind, due in (("complain", NOW - HOUR), ("legal", NOW + HOUR)):
        opening = tasks.Opening(ids["A-1"], SHOP, "A-1", kind, due)
        ledger.do(tasks.open_task, opening, NOW - DAY)
    found = count(ledger)
    assert (found.tasks_open, found.tasks_overdue) == (2, 1)
    assert found.tasks_by_kind == {"complain": 1, "legal": 1}
    assert (found.share.due, found.funnel["opened"]) == (0, 1)


def test_an_empty_ledger_and_one_day(ledger: Ledger) -> None:
    found = count(ledger, since=date(2026, 11, 26))
    assert (found.share.rate, found.over_limit, len(found.days)) == (None, False, 1)
    plain = found.to_json()
    assert (plain["since"], plain["share"]) == ("2026-11-26", {"due": 0, "late": 0, "rate": None})
    assert len(count(ledger, since=None, until=None).days) == 30
    assert "–" in render([found], "en")


@pytest.mark.parametrize("language", ["en", "zh", "zh-CN", "xx"])
def test_the_page_is_whole_safe_and_needs_nothing_from_elsewhere(ledger: Ledger, language: str) -> None:
    evil = '<script>alert("x")</script>&'
    take(
        ledger,
        *(order(number=f"A-{n}", items=(Item(sku=evil),), warehouse="仓库甲", customer=evil) for n in (1, 2)),
    )
    page = render([count(ledger)], language)
    assert evil not in page
    assert evil in unescape(page)
    assert not re.search(r"<script|https?://|\bsrc=|@import", page)
    assert f'lang="{"zh" if language.startswith("zh") else "en"}"' in page
    charts = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(charts) == 5
    for chart in charts:
        tree = ET.fromstring(chart)  # noqa: S314  # our own page
        assert tree.get("role") == "img"
        title, described = tree.find("title"), tree.find("desc")
        assert title is not None and title.text
        assert described is not None and described.text
        assert tree.get("aria-labelledby") == f"{title.get('id')} {described.get('id')}"
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_both_languages_have_every_word_with_the_same_places() -> None:
    english, chinese = WORDS["en"], WORDS["zh"]
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", chinese[name])), name
    for name in FUNNEL:
        assert f"funnel_{name}" in english
    for outcome in f.Outcome:
        assert f"outcome_{outcome.value}" in english
    for kind in RemedyKind:
        assert f"remedy_{kind.value}" in english
