"""What becomes of each order of the marketplace model: fates by quota, so that small worlds have them all.

Fifty orders hold every fate at least once, in an order that the seed shuffles. A fate fixes the story; hours,
amounts and the answers that it leaves open are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from amends.testing.draws import unit


class Fate(StrEnum):
    ON_TIME = "on-time"
    LAST_MINUTE = "last-minute"  # leaves inside the last hours before the deadline
    SHIPS_LATE = "ships-late"  # whatever the customer says is drawn
    ACCEPTS = "accepts"
    SILENT = "silent"
    NEVER_SHIPS = "never-ships"  # not for days, unless a date is agreed
    LABEL_ONLY = "label-only"  # marked as shipped in time, picked up late
    STALLED = "stalled"  # picked up in time, the promised arrival passes
    SHIPPED_MEANWHILE = (
        "shipped-meanwhile"  # the list still shows it unshipped when its warning window begins
    )
    REFUNDED = "refunded"  # the list still shows it open when its warning window begins
    REFUND_UNDER_WAY = "refund-under-way"
    CANCELLED = "cancelled"
    EXTENDED = "extended"  # at risk; agrees to a later date, which is kept
    BROKEN_ONCE = "broken-once"  # the first agreed date is broken, the second kept
    BROKEN_TWICE = "broken-twice"
    OUT_OF_STOCK = "out-of-stock"
    PRESALE = "presale"
    DO_NOT_TOUCH = "do-not-touch"
    URGED = "urged"
    CONTRADICTORY = "contradictory"  # for some hours the data cannot be true
    DISPUTED = "disputed"  # the platform steps in after the deadline
    COMPLAINT = "complaint"  # declines; the complaint is ruled for us
    ARBITRATION = "arbitration"  # declines; the complaint is lost, the arbitration won
    LEGAL = "legal"  # declines; both are lost
    UNRULED = "unruled"  # declines; nobody ever rules on the complaint
    COUNTERS_DATE = "counters-date"
    COUNTERS_REMEDY = "counters-remedy"
    ASKS_TO_CANCEL = "asks-to-cancel"
    FREE_TEXT = "free-text"  # answers in words that a person must read


class Wish(StrEnum):
    """How a customer takes an offer."""

    ACCEPT = "accept"
    DECLINE = "decline"
    LATER = "later"  # counters with a later date
    MORE = "more"  # counters with a larger remedy
    CANCEL = "cancel"
    SILENT = "silent"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Story:
    """One fate's script. `placed` is the part of the days in which they are placed; long stories begin early.

    `answers` by round, the last one repeated if `stubborn`, else drawn; `keeps` tells whether the n-th agreed
    date is kept; `verdicts` by operation, `""` for a ruling that never comes.
    """

    quota: int = 1
    placed: tuple[float, float] = (0.0, 0.45)
    promise: Mapping[int, int] = field(default_factory=lambda: {48: 1})
    answers: tuple[Wish, ...] = ()
    stubborn: bool = False
    keeps: tuple[bool, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)


_EARLY = (0.0, 0.08)


def _declines(placed: tuple[float, float] = _EARLY, promise: int = 48, **verdicts: str) -> Story:
    return Story(
        placed=placed, promise={promise: 1}, answers=(Wish.DECLINE,), stubborn=True, verdicts=verdicts
    )


STORIES: Mapping[Fate, Story] = {
    Fate.ON_TIME: Story(quota=15, placed=(0.0, 0.9), promise={48: 4, 24: 1}),
    Fate.LAST_MINUTE: Story(quota=2),
    Fate.SHIPS_LATE: Story(quota=4, promise={48: 2, 24: 1}),
    Fate.ACCEPTS: Story(answers=(Wish.ACCEPT, Wish.ACCEPT), keeps=(True, True)),
    Fate.SILENT: Story(answers=(Wish.SILENT,), stubborn=True),
    Fate.NEVER_SHIPS: Story(placed=(0.0, 0.3)),
    Fate.LABEL_ONLY: Story(quota=2),
    Fate.STALLED: Story(quota=2, placed=(0.0, 0.4)),
    Fate.SHIPPED_MEANWHILE: Story(),
    Fate.REFUNDED: Story(),
    Fate.REFUND_UNDER_WAY: Story(),
    Fate.CANCELLED: Story(),
    Fate.EXTENDED: Story(quota=2, answers=(Wish.ACCEPT, Wish.ACCEPT), keeps=(True, True)),
    Fate.BROKEN_ONCE: Story(placed=(0.0, 0.2), answers=(Wish.ACCEPT, Wish.ACCEPT), keeps=(False, True)),
    Fate.BROKEN_TWICE: Story(
        placed=_EARLY, answers=(Wish.ACCEPT, Wish.ACCEPT, Wish.DECLINE), stubborn=True, keeps=(False, False)
    ),
    Fate.OUT_OF_STOCK: Story(),
    Fate.PRESALE: Story(placed=(0.0, 0.9), promise={120: 1}),
    Fate.DO_NOT_TOUCH: Story(),
    Fate.URGED: Story(),
    Fate.CONTRADICTORY: Story(),
    Fate.DISPUTED: Story(placed=(0.0, 0.35), answers=(Wish.SILENT,), stubborn=True),
    Fate.COMPLAINT: _declines((0.0, 0.2), complain="for-us"),
    Fate.ARBITRATION: _declines(complain="against-us", arbitrate="for-us"),
    Fate.LEGAL: _declines(promise=24, complain="against-us", arbitrate="against-us"),
    Fate.UNRULED: _declines(complain="", arbitrate="for-us"),
    Fate.COUNTERS_DATE: Story(answers=(Wish.LATER, Wish.ACCEPT), keeps=(True, True)),
    Fate.COUNTERS_REMEDY: Story(answers=(Wish.MORE, Wish.ACCEPT), keeps=(True, True)),
    Fate.ASKS_TO_CANCEL: Story(answers=(Wish.CANCEL,), stubborn=True),
    Fate.FREE_TEXT: Story(answers=(Wish.TEXT,)),
}
SLOTS: tuple[Fate, ...] = tuple(fate for fate, story in STORIES.items() for _ in range(story.quota))

if set(STORIES) != set(Fate) or len(SLOTS) != 50:
    raise RuntimeError(f"every fate needs a story, and the quotas must sum to 50, not {len(SLOTS)}")


@lru_cache(maxsize=4096)
def _block(seed: int, block: int) -> tuple[Fate, ...]:
    order = sorted(range(len(SLOTS)), key=lambda slot: unit(seed, "fates", block, slot))
    return tuple(SLOTS[slot] for slot in order)


def fate_of(seed: int, index: int) -> Fate:
    """The fate of the order with that index: each run of fifty holds every fate by its quota."""
    block, slot = divmod(index, len(SLOTS))
    return _block(seed, block)[slot]
