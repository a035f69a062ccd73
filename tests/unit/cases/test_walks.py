"""Every walk through the facts that a case can have ends: closed, or waiting with a due time, or with a person."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.unit.cases.makers import DAY, EVERYTHING, HOUR, LABEL_COUNTS, PICKUP_COUNTS, book, rule, yuan
from tests.unit.cases.world import World

from amends.cases.playbook import Approvals, Playbook
from amends.cases.rules import RuleName
from amends.cases.stages import Terms

NOBODY = Approvals(complaint=False, arbitration=False, legal=False)
DEAR = Approvals(remedy_over=yuan("20"))
PLAYBOOKS = st.builds(
    Playbook,
    silence=st.sampled_from(["by-rule", "accepted", "refused", "cancel"]),
    rounds=st.integers(1, 3),
    shipped_late=st.sampled_from(["apologise", "close", "offer"]),
    at_risk=st.sampled_from(["contact", "watch"]),
    then=st.sampled_from([(), ("file-complaint",), ("escalate",), ("file-complaint", "escalate")]),
    legal=st.booleans(),
    legal_over=st.sampled_from([None, yuan("10"), yuan("900")]),
    approve=st.sampled_from([NOBODY, Approvals(), DEAR, DEAR.model_copy(update={"complaint": False})]),
    cap_reached=st.sampled_from(["apologise", "ask"]),
    at_risk_before=st.sampled_from([(24 * HOUR, 4 * HOUR), (48 * HOUR,), ()]),
    fresh_for=st.sampled_from([timedelta(0), timedelta(minutes=10), 8 * HOUR]),
    poll=st.sampled_from([6 * HOUR, timedelta(minutes=5)]),
    ruling_within=st.sampled_from([HOUR, 7 * DAY]),
)  # fmt: skip
CONSENT = book(rule(RuleName.SILENCE, text="accepted", confidence="official"))
BOOKS = st.sampled_from(
    [LABEL_COUNTS, PICKUP_COUNTS, CONSENT, book(rule(RuleName.SHIP_PROMISE, kind="hours", value=40))]
)
BY_HAND = dict.fromkeys(EVERYTHING, "by-hand")
CANS = st.sampled_from(
    [EVERYTHING, BY_HAND, {}, EVERYTHING | {"ruling": "by-hand"}, {"message": "api", "grant": "api"}]
)
TERMS = st.builds(Terms, PLAYBOOKS, BOOKS, CANS)

LAX = list(HealthCheck)


@contextmanager
def told(world: World) -> Iterator[None]:
    """A walk that breaks a rule is told from its beginning."""
    try:
        yield
    except BaseException:
        note("\n".join(world.trail[-60:]))
        raise


def walk(world: World, rests: int) -> None:
    """Wild: everything happens, and after each event the case comes to rest."""
    for _ in range(rests):
        world.settle_down()
        if world.case.outcome is not None:
            return
        world.rest()


@settings(max_examples=150, deadline=None, suppress_health_check=LAX)
@given(TERMS, st.data(), st.integers(1, 25))
def test_every_walk_rests(terms: Terms, data: st.DataObject, rests: int) -> None:
    def choose(options: Sequence[Any]) -> Any:
        return options[data.draw(st.integers(0, len(options) - 1))]

    world = World(terms, choose)
    with told(world):
        walk(world, rests)


@settings(max_examples=1200, deadline=None, suppress_health_check=LAX)
@given(TERMS, st.integers(0, 2**32), st.integers(1, 40))
def test_every_walk_ends_once_the_world_is_fair(terms: Terms, seed: int, rests: int) -> None:
    """However wild it was: when things work again, people answer and the goods have arrived, the case closes."""
    world = World(terms, random.Random(seed).choice)
    with told(world):
        walk(world, rests)
        world.make_fair()
        for _ in range(150):
            if world.case.outcome is not None:
                break
            world.settle_down()
            if world.case.outcome is None:
                world.rest_fairly()
        assert world.case.outcome is not None, "never closed"
        assert world.decide().do == "nothing"
