"""What always holds of the ladder: the contract of policies, never too much, never less; and its starter."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.plugins.ladder.cases import NOW, RUNGS, case, coupon

import amends_ladder
from amends import Money, Offer, PolicyContext, Remedy, State
from amends.testing.contracts import PolicyContract, PolicySamples
from amends_ladder.config import LadderConfig, Rung, RungRemedy
from amends_ladder.policy import Ladder

CONFIG = Path(__file__).resolve().parents[3] / "config"

# The contract of policies ------------------------------------------------------------------------


class LadderSamples(PolicySamples):
    name = "ladder"
    configs = ({}, {"rungs": RUNGS}, {"rungs": [{"remedy": {"kind": "points", "points": 100}}]})


class TestLadder(PolicyContract):
    spec = next(amends_ladder.amends_policies())
    samples = LadderSamples


# What always holds -------------------------------------------------------------------------------

cny = st.integers(1, 100_000).map(lambda minor: Money(minor=minor, currency="CNY"))
states = st.sampled_from([State.AT_RISK, State.OVERDUE, State.STALLED, State.SHIPPED_LATE])
remedies = st.one_of(
    cny.map(lambda amount: {"kind": "coupon", "amount": str(amount)}),
    cny.map(lambda amount: {"kind": "refund", "amount": str(amount)}),
    st.integers(1, 100).map(lambda percent: {"kind": "discount", "percent": percent}),
    st.just({"kind": "coupon", "amount": "1 USD"}),
    st.just({"kind": "points", "points": 100}),
)
rungs = st.fixed_dictionaries(
    {},
    optional={
        "late_over": st.sampled_from(["0h", "24h", "72h"]),
        "order_from": cny.map(str),
        "round": st.integers(1, 3),
        "state": st.sampled_from(["at-risk", "overdue", "stalled", "shipped-late"]),
        "remedy": remedies,
    },
)
ladders = st.lists(rungs, max_size=5).map(lambda rungs: Ladder(LadderConfig.model_validate({"rungs": rungs})))
lefts = st.dictionaries(st.sampled_from(["per_order", "per_shop_day"]), st.integers(0, 50_000).map(
    lambda minor: Money(minor=minor, currency="CNY")))  # fmt: skip


def worth(remedy: Remedy | None) -> int:
    return remedy.amount.minor if remedy is not None and remedy.amount is not None else 0


@given(
    policy=ladders,
    amount=cny,
    state=states,
    hours=st.integers(-30, 300),
    left=lefts,
    asked=st.none() | cny,
    days=st.none() | st.integers(-2, 12),
)
def test_no_round_is_above_order_or_caps_or_below_the_one_before(
    policy: Ladder,
    amount: Money,
    state: State,
    hours: int,
    left: dict[str, Money],
    asked: Money | None,
    days: int | None,
) -> None:
    earlier: tuple[Offer, ...] = ()
    for round in (1, 2, 3):
        wish: dict[str, Any] = {}
        if round > 1 and asked is not None:
            wish["counter_remedy"] = coupon(str(asked))
        if round > 1 and days is not None:
            wish["counter_ship_by"] = NOW + timedelta(days=days)
        view = case(str(amount), state=state, hours=hours, round=round, earlier=earlier, **wish)
        given_left = PolicyContext(left=left, reply_by=NOW + timedelta(hours=24), last_round=3)
        offer = policy.propose(view, given_left)
        assert offer == policy.propose(view, given_left)
        assert offer.why.endswith(".") and "\n" not in offer.why
        assert offer.new_ship_by is None or offer.new_ship_by > NOW
        if offer.none:
            assert offer.remedy is None
            return
        if offer.remedy is not None and offer.remedy.amount is not None:
            assert offer.remedy.amount <= amount
            assert all(offer.remedy.amount <= free for free in left.values())
        if earlier and not offer.agreed and offer.remedy is not None and offer.remedy.amount is not None:
            assert worth(offer.remedy) >= max(worth(before.remedy) for before in earlier)
        earlier = (*earlier, offer)


# The starter -------------------------------------------------------------------------------------


def test_the_starters_ladder_is_one() -> None:
    tables = tomllib.loads((CONFIG / "base" / "policies.toml").read_text(encoding="utf-8"))
    assert len(LadderConfig.model_validate(tables["policies"]["ladder"]).rungs) == 4


@pytest.mark.parametrize("model", [LadderConfig, Rung, RungRemedy])
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert [name for name in model.model_fields if name not in text] == []
