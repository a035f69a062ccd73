"""Rules: the best row wins, overrides first, waivers beat penalties, each row in its own time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.cases.makers import DAY, HOUR, T0, book, order, rule, yuan

from amends.cases.money import Money
from amends.cases.orders import Tag
from amends.cases.rules import Confidence, Rule, RuleBook, RuleName

LATE = RuleName.LATE_COMPENSATION
DAY0 = T0.date()
DUE = T0 + 2 * DAY


def late(value: str, **more: Any) -> Rule:
    return rule(LATE, kind="fixed", value=Decimal(value), currency="CNY", **more)


def cost(rules: RuleBook, **changes: Any) -> str:
    found = rules.penalty(order(**changes), DUE)
    return "" if found is None else str(found[0])


def test_the_most_trusted_row_wins_then_the_newest() -> None:
    low, old, new = late("1", confidence="low"), late("2", since=DAY0 - DAY), late("3", since=DAY0)
    assert cost(book(low, old, new)) == "3.00 CNY"
    assert cost(book(new, low)) == "3.00 CNY"
    assert cost(book(low)) == "1.00 CNY"
    assert cost(book(late("9", confidence="discard"))) == ""


def test_a_row_for_the_orders_own_tag_comes_first() -> None:
    tagged = late("5", tag=Tag.PRESALE, confidence="medium")
    assert cost(book(late("1", confidence="official"), tagged), tags=(Tag.PRESALE,)) == "5.00 CNY"
    assert cost(book(late("1"), tagged)) == "1.00 CNY"


def test_an_override_beats_every_platform_row_of_its_name() -> None:
    rules = book(late("3", confidence="official"), overrides=[late("1", confidence="low")])
    assert cost(rules) == "1.00 CNY"
    outside = book(late("3"), overrides=[late("1", until=DAY0 - DAY)])
    assert cost(outside) == "3.00 CNY", "an override outside its time does not count"


def test_rows_of_other_platforms_do_not_count_but_overrides_do() -> None:
    assert cost(book(late("3", platform="tmall"))) == ""
    assert cost(book(overrides=[late("3", platform="mine")])) == "3.00 CNY"


@pytest.mark.parametrize(
    ("since", "until", "valid"),
    [(2, 2, True), (3, None, False), (None, 1, False), (None, None, True), (2, None, True)],
)
def test_a_row_is_valid_on_the_deadlines_day_its_ends_included(
    since: int | None, until: int | None, valid: bool
) -> None:
    def day(n: int | None) -> date | None:
        return None if n is None else DAY0 + n * DAY

    assert (cost(book(late("3", since=day(since), until=day(until)))) != "") is valid


def test_a_waiver_pauses_penalties_in_its_time_only() -> None:
    waiver = rule(RuleName.WAIVER, kind="flag", since=DUE.date(), until=DUE.date())
    assert cost(book(late("3"), waiver)) == ""
    assert book(late("3"), waiver).penalty(order(), DUE + DAY) is not None
    assert cost(book(late("3"), rule(RuleName.WAIVER, kind="flag", tag=Tag.URGED))) == "3.00 CNY"
    assert cost(book(late("3")), tags=(Tag.MAY_SHIP_LATE,)) == ""


def test_special_rows_are_for_people_only() -> None:
    rules = book(late("9", special=True), late("3"))
    assert cost(rules) == "3.00 CNY"
    assert len(rules.all(LATE, on=DAY0, special=True)) == 2


@pytest.mark.parametrize(
    ("paid", "found"),
    [("299.99", "3.00 CNY"), ("300.00", "3.00 CNY"), ("5000.00", "30.00 CNY"), ("450.50", "4.51 CNY")],
)
def test_amounts_in_bands_by_per_cent_and_bounds(paid: str, found: str) -> None:
    rules = book(
        late("3", paid_under=300), rule(LATE, kind="percent", value=1, high=30, currency="CNY", paid_from=300)
    )
    assert cost(rules, amount=yuan(paid)) == found


def test_a_low_bound_lifts_a_small_per_cent() -> None:
    assert cost(book(rule(LATE, kind="percent", value=1, low=5, high=50)), amount=yuan("100")) == "5.00 CNY"


def test_rows_in_another_currency_do_not_apply() -> None:
    assert cost(book(late("3")), amount=Money.of("10", "USD")) == ""


def test_rows_that_name_no_money_are_passed_over() -> None:
    assert (
        cost(book(rule(LATE, kind="flag", confidence="official"), late("3", confidence="low"))) == "3.00 CNY"
    )


@pytest.mark.parametrize(("hours", "found"), [(48, "1.00 CNY"), (49, "2.00 CNY")])
def test_rows_by_the_length_of_the_promise(hours: int, found: str) -> None:
    rules = book(late("1", promise_up_to="48h"), late("2", promise_over="48h"))
    assert cost(rules, ship_by=T0 + hours * HOUR) == found


def test_the_promise_is_the_platforms_own_else_the_rules_from_payment_else_unknown() -> None:
    rules = book(rule(RuleName.SHIP_PROMISE, kind="days", value=2))
    assert rules.promise(order(ship_by=DUE)) == (DUE, "platform")
    assert rules.promise(order(ship_by=None, paid_at=T0 + HOUR)) == (
        T0 + HOUR + 2 * DAY,
        "rule pdd/ship-promise (high)",
    )
    found = rules.promise(order(ship_by=None, paid_at=None))
    assert found is not None and found[0] == T0 + 2 * DAY
    assert book().promise(order(ship_by=None)) is None


def test_silence_by_notice_falls_back_to_the_row_for_any_notice() -> None:
    consent, refusal = (
        rule(RuleName.SILENCE, text=t, notice=n) for t, n in (("accepted", "first-definite"), ("refused", ""))
    )
    rules = book(consent, refusal)
    assert rules.silence(DAY0, "first-definite") == consent
    assert rules.silence(DAY0, "renewed") == refusal
    assert book(consent).silence(DAY0, "renewed") is None


@pytest.mark.parametrize(
    ("confidence", "reliable"),
    [("discard", False), ("low", False), ("medium", True), ("high", True), ("official", True)],
)
def test_only_medium_and_better_move_money_unasked(confidence: str, reliable: bool) -> None:
    assert Confidence(confidence).reliable is reliable


def test_a_row_needs_a_source_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="source"):
        late("3", source="")
    with pytest.raises(ValidationError, match="extra"):
        late("3", valeu="4")


DATES = st.dates(date(2026, 11, 18), date(2026, 11, 26))
ROWS = st.builds(
    late, st.integers(0, 9).map(str), confidence=st.sampled_from(Confidence), since=st.none() | DATES,
    until=st.none() | DATES, paid_from=st.none() | st.integers(0, 400),
    paid_under=st.none() | st.integers(0, 400), tag=st.none() | st.sampled_from([Tag.PRESALE, Tag.URGED]), special=st.booleans(),
)  # fmt: skip


@given(st.lists(ROWS, max_size=6), st.lists(ROWS, max_size=3), st.randoms(use_true_random=False))
def test_the_choice_is_among_the_rows_that_apply_and_hardly_depends_on_their_order(
    rows: list[Rule], own: list[Rule], rnd: Any
) -> None:
    seen, day = order(tags=(Tag.PRESALE,)), DUE.date()
    best = book(*rows, overrides=own).best(LATE, on=day, order=seen)

    def fits(row: Rule) -> bool:
        return (
            row.valid_on(day)
            and row.applies_to(seen)
            and row.confidence is not Confidence.DISCARD
            and not row.special
        )

    fit = [[row for row in some if fits(row)] for some in (own, rows)]
    pool = fit[0] or fit[1]
    assert (best is None) == (not pool)
    if best is None:
        return
    assert best in pool
    if best.tag is None:
        assert all(r.tag is None and r.confidence.rank <= best.confidence.rank for r in pool)
    rnd.shuffle(rows)
    again = book(*rows, overrides=own).best(LATE, on=day, order=seen)
    assert again is not None
    assert (again.confidence, again.since, again.tag) == (best.confidence, best.since, best.tag)


@given(
    st.decimals(0, 100, places=1),
    st.integers(1, 10**7),
    st.none() | st.integers(0, 50),
    st.none() | st.integers(50, 99),
)
def test_a_cost_stays_within_its_bounds(
    percent: Decimal, minor: int, low: int | None, high: int | None
) -> None:
    row = rule(LATE, kind="percent", value=percent, low=low, high=high)
    money = row.money(order(amount=Money(minor=minor, currency="CNY")))
    assert money is not None
    assert low is None or money >= yuan(str(low))
    assert high is None or money <= yuan(str(high))


def test_durations_of_rows_are_read_as_text() -> None:
    assert rule(RuleName.EXTENSION, kind="count", value=1, lead="24h", longest="15d").longest == timedelta(
        days=15
    )


def test_rows_are_valid_by_the_days_of_the_shops_zone() -> None:
    """02:00 in China is still the day before in UTC."""
    holiday = {"kind": "flag", "since": date(2026, 11, 30), "until": date(2026, 12, 2)}
    rules = [late("3"), rule(RuleName.WAIVER, **holiday)]
    china = RuleBook(rules, platform="pdd", zone=ZoneInfo("Asia/Shanghai"))
    first, after = datetime(2026, 11, 29, 18, tzinfo=UTC), datetime(2026, 12, 2, 18, tzinfo=UTC)
    assert china.penalty(order(), first) is None
    assert china.penalty(order(), after) is not None
    assert book(*rules).penalty(order(), first) is not None
