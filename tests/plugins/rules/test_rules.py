"""The rule rows: what they say, which one counts for an order and a day, how sure they are."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

import amends_rules
from amends import Confidence, Money, Order, OrderStatus, RuleBook, RuleName, Tag
from amends.hooks.registry import Registry

ROWS = tuple(amends_rules.amends_rules())
PLACED = datetime(2026, 3, 2, 9, tzinfo=UTC)


def book(platform: str) -> RuleBook:
    return RuleBook(ROWS, platform=platform)


def order(amount: str, *tags: Tag, ship_by: datetime | None = None) -> Order:
    number, _, currency = amount.partition(" ")
    return Order(
        number="A-1",
        amount=Money.of(number, currency),
        placed_at=PLACED,
        paid_at=PLACED,
        observed_at=PLACED,
        status=OrderStatus.TO_SHIP,
        tags=tags,
        ship_by=ship_by,
    )


@pytest.mark.parametrize(
    ("amount", "cost"),
    [
        ("100 CNY", "3.00 CNY"),
        ("299.99 CNY", "3.00 CNY"),
        ("300 CNY", "3.00 CNY"),
        ("500 CNY", "5.00 CNY"),
        ("9000 CNY", "30.00 CNY"),
    ],
)
def test_what_a_late_pinduoduo_order_costs_in_2026(amount: str, cost: str) -> None:
    found = book("pdd").penalty(order(amount), datetime(2026, 3, 4, 9, tzinfo=UTC))
    assert found is not None
    money, rule = found
    assert (str(money), rule.confidence, rule.confidence.reliable) == (cost, Confidence.MEDIUM, True)


def test_contradicting_rows_stand_side_by_side_the_surer_first() -> None:
    rows = book("pdd").all(RuleName.LATE_COMPENSATION, on=date(2026, 3, 4), order=order("500 CNY"))
    assert [(row.kind, row.value, row.confidence) for row in rows] == [
        ("percent", Decimal(1), Confidence.MEDIUM),
        ("percent", Decimal(10), Confidence.LOW),
    ]


def test_a_row_counts_from_the_day_on_which_it_is_certain() -> None:
    before = book("pdd").best(RuleName.LATE_COMPENSATION, on=date(2022, 10, 25), order=order("500 CNY"))
    after = book("pdd").best(RuleName.LATE_COMPENSATION, on=date(2022, 10, 26), order=order("500 CNY"))
    assert before is not None and after is not None
    assert (before.kind, after.kind) == ("fixed", "percent")


def test_a_waiver_beats_every_penalty_on_its_day_only() -> None:
    waived = datetime(2022, 12, 9, 12, tzinfo=UTC)
    assert book("pdd").penalty(order("100 CNY"), waived) is None
    assert book("pdd").penalty(order("100 CNY"), waived + timedelta(days=1)) is not None


def test_a_regional_waiver_is_seen_as_a_tag() -> None:
    day = date(2026, 3, 4)
    assert book("pdd").best(RuleName.WAIVER, on=day, order=order("100 CNY")) is None
    assert book("pdd").best(RuleName.WAIVER, on=day, order=order("100 CNY", Tag.MAY_SHIP_LATE)) is not None


def test_a_row_that_is_not_sure_says_so() -> None:
    found = book("jd").penalty(order("100 CNY"), datetime(2026, 3, 4, tzinfo=UTC))
    assert found is not None
    assert (str(found[0]), found[1].confidence, found[1].confidence.reliable) == (
        "3.00 CNY",
        Confidence.LOW,
        False,
    )


@pytest.mark.parametrize(("hours", "cost"), [(48, "25.00 CNY"), (49, "50.00 CNY")])
def test_a_row_may_depend_on_the_promise(hours: int, cost: str) -> None:
    short = order("500 CNY", ship_by=PLACED + timedelta(hours=hours))
    rows = book("tmall").all(RuleName.LATE_COMPENSATION, on=date(2024, 3, 4), order=short)
    assert [str(row.money(short)) for row in rows] == [cost]
    stock = book("douyin").best(RuleName.OUT_OF_STOCK, on=date(2026, 3, 4), order=short)
    assert stock is not None and str(stock.money(short)) == cost


def test_up_to_three_yuan_douyin_asks_nothing() -> None:
    day = datetime(2026, 3, 4, tzinfo=UTC)
    assert book("douyin").penalty(order("3 CNY"), day) is None
    assert book("douyin").penalty(order("3.01 CNY"), day) is not None


@pytest.mark.parametrize(
    ("platform", "hours"), [("pdd", 48), ("wechat_shop", 48), ("us_ftc", 30 * 24)]
)  # fmt: skip
def test_the_promise_of_an_order_without_a_date(platform: str, hours: int) -> None:
    found = book(platform).promise(order("100 CNY", Tag.PRESALE))
    assert found is not None
    assert found[0] == PLACED + timedelta(hours=hours)


def test_special_rows_are_for_people() -> None:
    day = date(2026, 3, 4)
    promises = book("pdd").all(RuleName.SHIP_PROMISE, on=day, special=True)
    assert sorted(int(row.value or 0) for row in promises) == [24, 48, 120, 168]
    assert [row.value for row in book("pdd").all(RuleName.SHIP_PROMISE, on=day)] == [48]


@pytest.mark.parametrize(
    ("platform", "notice", "text", "confidence"),
    [
        ("us_ftc", "first-definite", "accepted", Confidence.HIGH),
        ("us_ftc", "first-indefinite", "cancel", Confidence.HIGH),
        ("us_ftc", "renewed", "cancel", Confidence.HIGH),
        ("wechat_shop", "first-definite", "refused", Confidence.OFFICIAL),
        ("pdd", "renewed", "refused", Confidence.LOW),
        ("eu", "renewed", "refused", Confidence.LOW),
        ("taobao", "", "undefined", Confidence.LOW),
    ],
)
def test_what_silence_means(platform: str, notice: str, text: str, confidence: Confidence) -> None:
    found = book(platform).silence(date(2026, 3, 4), notice)
    assert found is not None
    assert (found.text, found.confidence) == (text, confidence)


def test_extensions() -> None:
    day = date(2026, 3, 4)
    wechat = book("wechat_shop").best(RuleName.EXTENSION, on=day)
    assert wechat is not None
    assert (wechat.value, wechat.lead, wechat.confidence) == (3, timedelta(hours=4), Confidence.OFFICIAL)
    pdd = book("pdd").best(RuleName.EXTENSION, on=day)
    assert pdd is not None and (pdd.value, pdd.longest) == (1, None)
    local = book("douyin_local_life").best(RuleName.EXTENSION, on=day)
    assert local is not None and local.longest == timedelta(days=30)


def test_only_a_pick_up_counts_as_shipped() -> None:
    assert book("pdd").pickup_counts(date(2025, 5, 15))
    assert book("taobao").pickup_counts(date(2026, 1, 1))


def test_limits() -> None:
    day = date(2026, 3, 4)
    rates = {p: book(p).all(RuleName.LATE_RATE_LIMIT, on=day) for p in ("amazon", "ebay_au")}
    assert [(row.kind, row.value) for row in rates["amazon"]] == [("rate", 4)]
    assert [(row.kind, row.value) for row in rates["ebay_au"]] == [("rate", 10), ("count", 8)]
    evidence = book("wechat_miniprogram").best(RuleName.EVIDENCE_LIMIT, on=day)
    assert evidence is not None and evidence.value == 48


def test_no_number_of_the_facts_is_lost() -> None:
    """How many rows each platform has: a row that vanishes by accident shows here."""
    assert Counter(row.platform for row in ROWS) == {
        "pdd": 34, "tmall": 8, "taobao": 8, "jd": 7, "douyin": 10, "douyin_local_life": 1, "wechat_shop": 8,
        "wechat_miniprogram": 3, "wish": 1, "us_ftc": 9, "eu": 2, "uk": 2, "amazon": 6, "ebay_au": 6,
        "ebay": 3, "shopify": 2, "paypal": 1, "stripe": 1, "adyen": 1, "fedex": 1, "ups": 1,
    }  # fmt: skip
    assert sorted(amends_rules.platforms()) == sorted({row.platform for row in ROWS})
    assert [row.text for row in ROWS if row.confidence is Confidence.DISCARD] == ["5x"]


def test_every_row_has_a_source_and_sane_bounds() -> None:
    for row in ROWS:
        assert row.source.strip() == row.source
        assert row.since is None or row.until is None or row.since <= row.until, row
        assert row.low is None or row.high is None or row.low <= row.high, row
        assert not (row.kind in ("fixed", "hours", "rate", "count") and row.value is None), row


def test_the_plugin_comes_through_the_common_door() -> None:
    registry = Registry()
    provider = registry.add(amends_rules, name="rules")
    assert (provider.state, provider.offers) == ("loaded", (f"{len(ROWS)} rules",))


def test_loading_takes_less_than_50_ms() -> None:
    """Processor time, best of three, in a fresh interpreter that has already imported amends."""
    code = (
        "import time; import amends; amends.Rule; start = time.process_time(); import amends_rules;"
        "list(amends_rules.amends_rules()); print(time.process_time() - start)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(runs) < 0.05
