"""The stage table: every stage once, the first row that holds, and every row reachable by facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.cases.makers import DAY, HOUR, PICKUP_COUNTS, T0, order, snapshot, terms, yuan

from amends.cases import facts as f
from amends.cases.lateness import State, judge
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import OrderStatus
from amends.cases.snapshot import Snapshot
from amends.cases.stages import TABLE, Stage, look, stage

LATE = T0 + 3 * DAY
COUPON = Remedy(kind=RemedyKind.COUPON, amount=yuan("3"))
OFFER = Offer(why="first rung", remedy=COUPON, new_ship_by=T0 + 9 * DAY, reply_by=LATE + DAY)


def seen(**changes: Any) -> f.Observed:
    found = order(observed_at=LATE, **changes)
    return f.Observed(order=found, lateness=judge(found, now=LATE, rules=PICKUP_COUNTS))


PROPOSED = f.Proposed(round=1, offer=OFFER, policy="l1", state=State.OVERDUE)
TOLD = (seen(), PROPOSED, f.Contacted(round=1, via="platform", effect="m", reply_by=LATE + DAY))


def said(answer: f.Answer) -> f.Replied:
    return f.Replied(round=1, answer=answer, event="ev")


def filed(instance: f.Instance) -> f.Filed:
    return f.Filed(instance=instance, effect="c", ruling_by=LATE + DAY)


STORIES: dict[Stage, list[tuple[f.Body, ...]]] = {
    Stage.VERIFY: [(), (seen(ship_by=LATE + 9 * DAY),)],
    Stage.CONTACT: [(seen(),), (seen(), PROPOSED), (seen(ship_by=LATE + HOUR),)],
    Stage.AWAITING_REPLY: [TOLD],
    Stage.REFUSED: [(*TOLD, said(f.Answer.DECLINE)), (*TOLD, said(f.Answer.COUNTER)),
                    (*TOLD, f.Silent(round=1, means=f.Answer.DECLINE, rule="r")),
                    (*TOLD, said(f.Answer.ACCEPT), f.SettlementRejected(round=1, remedy=COUPON, effect="g", why="no"))],
    Stage.SETTLING: [(*TOLD, said(f.Answer.ACCEPT)), (*TOLD, said(f.Answer.CANCEL)),
                     (*TOLD, f.Silent(round=1, means=f.Answer.ACCEPT, rule="r"))],
    Stage.PROMISED: [(*TOLD, said(f.Answer.ACCEPT), f.Settled(round=1, remedy=COUPON, effect="g"))],
    Stage.COMPLAINT: [(*TOLD, said(f.Answer.DECLINE), filed("complaint")), (seen(after_sales="disputed"), filed("response"))],
    Stage.ARBITRATION: [(*TOLD, filed("complaint"), f.Ruled(instance="complaint", verdict="against-us"), filed("arbitration"))],
    Stage.LEGAL: [(*TOLD, filed("arbitration"), filed("legal"))],
    Stage.RULED: [(*TOLD, filed("complaint"), f.Ruled(instance="complaint", verdict="for-us"))],
    Stage.HELD: [(*TOLD, f.Held(why="wait", by="ana")), (seen(status=OrderStatus.UNKNOWN),),
                 (seen(), f.Uncertain(effect="e", act="message", why="no answer", quarantined=True)),
                 (seen().model_copy(update={"contradictions": ("shipped and not",)}),)],
    Stage.CLOSED: [(*TOLD, f.Held(why="wait", by="ana"), f.Closed(outcome=f.Outcome.SHIPPED, why="gone"))],
}  # fmt: skip


def staged(case: Snapshot, after: timedelta = timedelta()) -> Stage:
    return stage(look(case, LATE + after, terms(can={"grant": "api"})))


@pytest.mark.parametrize(
    ("expected", "story"), [(stage_, story) for stage_, stories in STORIES.items() for story in stories]
)
def test_the_stage_follows_from_the_facts(expected: Stage, story: tuple[f.Body, ...]) -> None:
    assert staged(snapshot(*story)) is expected


def test_every_stage_has_a_story_here_and_one_row_in_the_table() -> None:
    assert set(STORIES) == set(Stage)
    assert sorted(row.stage for row in TABLE) == sorted(Stage)
    assert all(row.when for row in TABLE)


def test_closed_comes_first_and_the_last_row_always_holds() -> None:
    assert TABLE[0].stage is Stage.CLOSED
    assert TABLE[-1].holds(look(snapshot(), T0, terms()))


def test_a_shops_hold_holds_its_cases() -> None:
    assert staged(snapshot(*TOLD, blocked="shop is held")) is Stage.HELD


def test_an_agreed_date_that_passes_breaks_the_promise() -> None:
    kept = snapshot(*TOLD, said(f.Answer.ACCEPT), f.Settled(round=1, remedy=COUPON, effect="g"))
    assert staged(kept, 6 * DAY) is Stage.PROMISED
    assert staged(kept, 6 * DAY + HOUR) is Stage.CONTACT


def test_an_agreed_date_is_settled_by_moving_the_platforms_deadline_while_it_can_be_moved() -> None:
    promised = LATE + HOUR
    told = (
        seen(ship_by=promised),
        *TOLD[1:],
        said(f.Answer.ACCEPT),
        f.Settled(round=1, remedy=COUPON, effect="g"),
    )
    able, unable = terms(), terms(can={})
    assert stage(look(snapshot(*told), LATE, able)) is Stage.SETTLING
    assert stage(look(snapshot(*told), LATE, unable)) is Stage.PROMISED
    assert stage(look(snapshot(*told), promised, able)) is Stage.PROMISED, "too late to be moved"
    moved = f.Extended(round=1, until=T0 + 9 * DAY, effect="x")
    assert stage(look(snapshot(*told, moved), LATE, able)) is Stage.PROMISED
