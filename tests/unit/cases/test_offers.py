"""Offers and remedies: what is complete, and that `nothing` is an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError
from tests.unit.cases.makers import OFFERS, remedies, yuan

from amends.cases.offers import Offer, Remedy, RemedyKind


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"kind": "coupon"}, "coupon needs an `amount` above zero"),
        ({"kind": "refund", "amount": "0 CNY"}, "refund needs an `amount` above zero"),
        ({"kind": "store-credit", "amount": "-1 CNY"}, "above zero"),
        ({"kind": "points"}, "needs `points`"),
        ({"kind": "points", "points": 0}, "greater than 0"),
        ({"kind": "gift"}, "gift needs a `name`"),
        ({"kind": "replacement"}, "replacement needs a `name`"),
        ({"kind": "cash", "amount": "1 CNY"}, "Input should be"),
        ({"kind": "coupon", "amount": "1 CNY", "amuont": 1}, "Extra inputs"),
    ],
)
def test_an_incomplete_remedy_is_refused(given_: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Remedy.model_validate(given_)


def test_an_offer_says_why() -> None:
    with pytest.raises(ValidationError, match="why"):
        Offer(why="")
    assert Offer.nothing("all rungs used") == Offer(none=True, why="all rungs used")
    assert not Offer(why="sorry").none, "an apology is an offer"


@pytest.mark.parametrize(
    ("remedy", "shown"),
    [
        (Remedy(kind=RemedyKind.COUPON, amount=yuan("3")), "coupon 3.00 CNY"),
        (Remedy(kind=RemedyKind.POINTS, points=50), "50 points"),
        (Remedy(kind=RemedyKind.GIFT, name="tea"), "gift tea"),
    ],
)
def test_a_remedy_is_shown_in_words(remedy: Remedy, shown: str) -> None:
    assert str(remedy) == shown


@given(OFFERS)
def test_offers_read_back_from_json(offer: Offer) -> None:
    assert Offer.model_validate_json(offer.model_dump_json(exclude_defaults=True)) == offer


@given(remedies())
def test_remedies_read_back_from_json(remedy: Remedy) -> None:
    assert Remedy.model_validate_json(remedy.model_dump_json(exclude_defaults=True)) == remedy
