"""Facts of every kind are written and read back unharmed, and the chain's own codec is what does it."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from pydantic import ValidationError
from tests.unit.cases.makers import bodies, order

from amends.cases import facts as f
from amends.cases.orders import Personal
from amends.ledger.chain import decode, encode


@settings(max_examples=600)
@given(bodies())
def test_every_kind_of_fact_reads_back_the_same(body: f.Body) -> None:
    kind = body.kind  # type: ignore[attr-defined]  # every kind has one
    text = encode(body)
    assert decode(kind, text) == body
    assert encode(decode(kind, text)) == text, "the hash of what is read is the hash of what was written"
    assert "\n" not in text.replace("\\n", "")
    json.loads(text)


def test_every_kind_is_in_the_union_under_its_own_name() -> None:
    union = {model.model_fields["kind"].default for model in get_args(get_args(f.AnyBody)[0])}
    assert union == {model.model_fields["kind"].default for model in f.Body.__subclasses__()}
    assert len(union) == len(f.Body.__subclasses__())


def test_facts_cannot_be_edited() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        f.Held(why="x", by="ana").why = "y"  # type: ignore[misc]


def test_what_only_looks_or_asks_does_not_age_an_approval() -> None:
    assert not any(
        f.is_material(kind)
        for kind in ("seen-again", "unseen", "looked", "approval-asked", "approved", "task-opened")
    )
    assert all(
        f.is_material(kind)
        for kind in ("observed", "proposed", "contacted", "replied", "settled", "filed", "ruled", "held")
    )


def test_a_snapshot_in_a_fact_holds_nothing_personal() -> None:
    who = Personal(name="Li Lei", phone="10000000017", email="li@example.org", address="1 Road")
    seen = order(personal=who)
    assert "Li Lei" not in repr(seen) and "10000000017" not in repr(who)
    assert seen.public().personal is None
    assert seen.public().same_as(seen)
