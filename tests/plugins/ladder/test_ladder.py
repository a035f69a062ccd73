"""The ladder: which rung, which date, what is agreed to, what a config may say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from tests.plugins.ladder.cases import NOW, RUNGS, case, context, coupon, ladder, told

import amends_ladder
from amends import Remedy, State, Tag
from amends.hooks.registry import Registry
from amends_ladder.config import LadderConfig
from amends_ladder.dates import later
from amends_ladder.policy import Ladder

# Which rung --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "hours", "round", "remedy"),
    [
        ("100 CNY", 5, 1, "coupon 3.00 CNY"),
        ("299.99 CNY", 5, 1, "coupon 3.00 CNY"),
        ("500 CNY", 5, 1, "coupon 5.00 CNY"),
        ("5000 CNY", 5, 1, "coupon 30.00 CNY"),
        ("100 CNY", 5, 2, "coupon 5.00 CNY"),
        ("500 CNY", 71, 2, "coupon 25.00 CNY"),
        ("500 CNY", 72, 2, "refund 40.00 CNY"),
        ("2 CNY", 5, 1, "coupon 2.00 CNY"),
    ],
)
def test_a_rung_by_delay_amount_and_round(amount: str, hours: int, round: int, remedy: str) -> None:
    offer = ladder().propose(case(amount, hours=hours, round=round), context())
    assert str(offer.remedy) == remedy
    assert offer.new_ship_by == NOW + timedelta(hours=72)
    assert offer.reply_by == NOW + timedelta(hours=24)
    assert not offer.agreed and not offer.none


def test_the_reason_names_delay_amount_round_and_rung() -> None:
    offer = ladder().propose(case("500 CNY", hours=80, round=2), context())
    assert offer.why == "overdue by 3 days, order of 500.00 CNY, round 2: offer refund 40.00 CNY (rung 4)."


def test_the_first_written_of_equal_rungs_wins() -> None:
    twice = [{"remedy": {"kind": "coupon", "amount": f"{n} CNY"}} for n in (2, 4)]
    assert str(ladder(*twice).propose(case(), context()).remedy) == "coupon 2.00 CNY"


def test_a_rung_for_a_state_beats_one_for_all() -> None:
    rungs = [{"remedy": {"kind": "coupon", "amount": "2 CNY"}},
             {"state": "stalled", "remedy": {"kind": "points", "points": 50}}]  # fmt: skip
    offer = ladder(*rungs).propose(case(state=State.STALLED), context())
    assert (str(offer.remedy), offer.new_ship_by, offer.cause) == ("50 points", None, "carrier")


def test_an_order_at_risk_is_first_asked_for_a_date_alone() -> None:
    offer = ladder().propose(case(state=State.AT_RISK, hours=-5), context())
    assert (offer.remedy, offer.none) == (None, False)
    assert offer.new_ship_by == NOW + timedelta(hours=72)
    rungs = [{"state": "at-risk", "remedy": {"kind": "coupon", "amount": "1 CNY"}}]
    offer = ladder(*rungs).propose(case(state=State.AT_RISK, hours=-5), context())
    assert str(offer.remedy) == "coupon 1.00 CNY"


def test_an_order_at_risk_gets_more_when_a_date_alone_was_declined() -> None:
    view = case(state=State.AT_RISK, hours=-5, round=2, earlier=(told(None),))
    assert str(ladder().propose(view, context()).remedy) == "coupon 5.00 CNY"


def test_a_new_date_never_lies_before_the_deadline_that_is_left() -> None:
    view = case(state=State.AT_RISK, hours=-20)
    assert ladder(new_ship_in="1h").propose(view, context()).new_ship_by == NOW + timedelta(hours=21)


def test_shipped_late_without_a_rung_is_an_apology_that_awaits_nothing() -> None:
    offer = Ladder(LadderConfig()).propose(case(state=State.SHIPPED_LATE), context())
    assert (offer.remedy, offer.new_ship_by, offer.reply_by, offer.none) == (None, None, None, False)
    assert offer.why == (
        "shipped-late by 5 hours, order of 100.00 CNY, round 1: "
        "apologise without a remedy, because no rung fits."
    )


def test_without_rungs_there_is_one_apology_with_a_date() -> None:
    empty = Ladder(LadderConfig())
    first = empty.propose(case(), context())
    assert (first.remedy, first.none) == (None, False)
    second = empty.propose(case(round=2, earlier=(first,)), context())
    assert (second.none, second.why) == (True, "no rung fits round 2.")


def test_out_of_rungs_is_nothing() -> None:
    view = case(round=3, earlier=(told(coupon("3 CNY")), told(coupon("5 CNY"))))
    assert ladder().propose(view, context(3)).why == "no rung fits round 3."


def test_the_same_again_is_nothing_unless_the_date_was_broken() -> None:
    rungs = [{"remedy": {"kind": "coupon", "amount": "2 CNY"}}]
    view = case(round=2, earlier=(told(coupon("2 CNY")),))
    assert ladder(*rungs).propose(view, context()).why == "the ladder has no higher rung for round 2."
    broken = replace(view, earlier=(told(coupon("2 CNY"), days=-1),))
    assert str(ladder(*rungs).propose(broken, context()).remedy) == "coupon 2.00 CNY"


def test_a_later_round_never_offers_less() -> None:
    rungs = [
        {"round": 1, "remedy": {"kind": "coupon", "amount": "9 CNY"}},
        {"round": 2, "remedy": {"kind": "refund", "amount": "4 CNY"}},
    ]
    view = case(round=2, earlier=(told(coupon("9 CNY")),))
    offer = ladder(*rungs).propose(view, context())
    assert str(offer.remedy) == "refund 9.00 CNY"
    assert "never less than before" in offer.why


def test_another_currency_does_not_fit_and_is_told() -> None:
    offer = ladder().propose(case("100 USD"), context())
    assert offer.remedy is None
    assert offer.why.endswith("rungs in CNY do not fit an order in USD.")


def test_only_what_can_be_granted_is_offered() -> None:
    rungs = [
        {"remedy": {"kind": "coupon", "amount": "2 CNY"}},
        {"round": 1, "remedy": {"kind": "gift", "name": "a mug"}},
    ]
    offer = ladder(*rungs).propose(case(can=frozenset({"coupon"})), context())
    assert str(offer.remedy) == "coupon 2.00 CNY"
    assert "nobody can grant a gift here" in offer.why
    assert str(ladder(*rungs).propose(case(), context()).remedy) == "gift a mug"


@pytest.mark.parametrize(
    ("left", "remedy", "words"),
    [
        ("2 CNY", "coupon 2.00 CNY", "the caps leave 2.00 CNY of 3.00 CNY"),
        ("0 CNY", "None", "the caps leave nothing of 3.00 CNY"),
        ("50 USD", "None", "the caps leave nothing of 3.00 CNY"),
    ],
)
def test_it_stays_within_what_is_left_and_says_so(left: str, remedy: str, words: str) -> None:
    offer = ladder().propose(case(), context(per_shop_day="9 CNY", per_order=left))
    assert str(offer.remedy) == remedy
    assert words in offer.why and not offer.none


def test_caps_below_an_earlier_offer_leave_nothing_to_say() -> None:
    view = case(round=2, earlier=(told(coupon("3 CNY")),))
    offer = ladder().propose(view, context(per_order="1 CNY"))
    assert offer.none and offer.why.startswith("the caps leave less than was already offered")


@pytest.mark.parametrize(
    ("tags", "state", "cause"),
    [
        ((Tag.OUT_OF_STOCK,), State.OVERDUE, "stock"),
        ((), State.STALLED, "carrier"),
        ((), State.OVERDUE, "unknown"),
    ],
)
def test_the_cause_is_only_what_the_order_shows(tags: tuple[Tag, ...], state: State, cause: str) -> None:
    assert ladder().propose(case(tags=tags, state=state), context()).cause == cause


# Counters ----------------------------------------------------------------------------------------


def test_a_date_soon_enough_is_agreed_to_with_the_remedy_that_was_offered() -> None:
    date = NOW + timedelta(days=6)
    view = case(round=2, earlier=(told(coupon("3 CNY")),), counter_ship_by=date)
    offer = ladder().propose(view, context())
    assert (offer.agreed, offer.new_ship_by, str(offer.remedy)) == (True, date, "coupon 3.00 CNY")
    assert offer.why == "the customer asked for the date 2026-03-08, which the ladder can give."


def test_a_remedy_that_this_rung_would_give_is_agreed_to() -> None:
    view = case(round=2, earlier=(told(coupon("3 CNY")),), counter_remedy=coupon("4.50 CNY"))
    offer = ladder().propose(view, context())
    assert (offer.agreed, str(offer.remedy)) == (True, "coupon 4.50 CNY")
    assert offer.new_ship_by == NOW + timedelta(days=3)


def test_a_remedy_that_only_the_next_rung_gives_is_agreed_to_while_there_is_a_next() -> None:
    rungs = [{"round": n, "remedy": {"kind": "coupon", "amount": f"{n} CNY"}} for n in (1, 2, 3)]
    view = case(round=2, earlier=(told(coupon("1 CNY")),), counter_remedy=coupon("3 CNY"))
    assert ladder(*rungs).propose(view, context(3)).agreed
    offer = ladder(*rungs).propose(view, context(2))
    assert (offer.agreed, str(offer.remedy)) == (False, "coupon 2.00 CNY")
    assert "the customer's coupon 3.00 CNY is more than this or the next rung gives" in offer.why


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"counter_ship_by": NOW + timedelta(days=8)}, "date 2026-03-10 is not within 7 days from now"),
        ({"counter_ship_by": NOW - timedelta(days=1)}, "date 2026-03-01 is not within 7 days from now"),
        ({"counter_remedy": coupon("9 CNY")}, "more than this or the next rung gives"),
        ({"counter_remedy": Remedy.model_validate({"kind": "refund", "amount": "1 CNY"})}, "more than this"),
        ({"counter_remedy": coupon("1 USD")}, "more than the caps or the order allow"),
        ({"counter_remedy": coupon("5 CNY"), "can": frozenset({"refund"})}, "nobody can grant the coupon"),
    ],
)  # fmt: skip
def test_a_counter_that_asks_for_more_gets_the_rung_and_a_reason(wish: dict[str, Any], words: str) -> None:
    offer = ladder().propose(case(round=2, earlier=(told(None),), **wish), context(per_order="20 CNY"))
    assert not offer.agreed
    assert words in offer.why


# Dates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "span", "until"),
    [
        ("2026-03-06T09:00", "1d", "2026-03-09T09:00"),  # Friday: Monday
        ("2026-03-06T20:00", "12h", "2026-03-09T08:00"),  # into Saturday
        ("2026-09-30T10:00", "1d", "2026-10-08T10:00"),  # the National Day holiday
        (
            "2026-02-13T10:00",
            "1d",
            "2026-02-14T10:00",
        ),  # a Saturday that is worked before the Spring Festival
    ],
)
def test_working_days(now: str, span: str, until: str) -> None:
    config = LadderConfig.model_validate({"new_ship_in": span})
    start = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert later(start, config.new_ship_in, country="CN").isoformat()[:16] == until


def test_working_days_are_those_of_the_place() -> None:
    sunday_in_china = datetime(2026, 3, 7, 18, tzinfo=UTC)
    rungs = ladder(business_days="CN", new_ship_in="1h", time_zone="Asia/Shanghai")
    view = replace(case(), now=sunday_in_china)
    assert rungs.propose(view, context()).new_ship_by == datetime(2026, 3, 8, 19, tzinfo=UTC)
    nowhere = ladder(business_days="CN", new_ship_in="1h")
    assert nowhere.propose(case(time_zone="Nowhere/At_All"), context()).new_ship_by == NOW + timedelta(
        hours=1
    )


# Config ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"rungs": [{"remedy": {"kind": "coupon"}}]},
        {"rungs": [{"remedy": {"kind": "coupon", "amount": "1 CNY", "percent": 2}}]},
        {"rungs": [{"remedy": {"kind": "coupon", "amount": "0 CNY"}}]},
        {"rungs": [{"remedy": {"kind": "coupon", "amount": "1 CNY", "min": "1 CNY"}}]},
        {"rungs": [{"remedy": {"kind": "coupon", "percent": 1, "min": "2 CNY", "max": "1 CNY"}}]},
        {"rungs": [{"remedy": {"kind": "points", "amount": "1 CNY"}}]},
        {"rungs": [{"remedy": {"kind": "gift"}}]},
        {"rungs": [{"order_from": "2 CNY", "order_under": "1 CNY"}]},
        {"rungs": [{"order_from": "1 CNY", "order_under": "2 USD"}]},
        {"rungs": [{"state": "late"}]},
        {"rungs": [{"round": 0}]},
        {"rungs": [{"no_such_key": 1}]},
        {"business_days": "XX"},
        {"time_zone": "China"},
        {"new_ship_in": "0h"},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LadderConfig.model_validate(bad)


def test_a_config_survives_json() -> None:
    config = LadderConfig.model_validate({"rungs": RUNGS, "business_days": "CN", "counter_up_to": "36h"})
    assert LadderConfig.model_validate_json(config.model_dump_json()) == config


def test_the_plugin_comes_through_the_common_door() -> None:
    registry = Registry()
    assert registry.add(amends_ladder, name="ladder").offers == ("policy ladder",)
    assert registry.policy("ladder").config is LadderConfig
