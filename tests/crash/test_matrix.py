"""Each point around each act, times each fault, times each effect class: killed there, started again, judged.

The judge is the marketplace's own journal: nothing done twice, nothing lost; of what must never be sent twice, the
unknowns are quarantined and settled by a person who looks.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from tests.crash.arena import Arena, Place, Verdict, new_market
from tests.crash.served import Kill, scripted

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("watchable")]

FAULTS = (
    "none", "timeout", "timeout-after", "reset-after", "429", "500", "500-after", "duplicate",
    "clock-forward", "clock-back",
)  # fmt: skip
"""What goes wrong with each request's first attempt; or webhooks come twice, and once more by polling; or the time
jumps at the restart: beyond every window, or back for one sweep."""
BEFORE = (
    "before-intake:1", "commit/intake/torn", "commit/intake/committed", "commit/inbox/torn",
    "commit/inbox/committed", "commit/claim/torn", "commit/claim/committed", "after-claim:1",
)  # fmt: skip
AROUND = (
    "before-plan:1", "commit/plan/torn", "commit/plan/committed", "after-plan:1", "commit/sent/torn",
    "commit/sent/committed", "after-sent:1", "after-send:1", "before-outcome:1", "commit/outcome/torn",
    "commit/outcome/committed", "after-outcome:1",
)  # fmt: skip
UNDER_WAY = ("done", "lost", "late")
"""What becomes of the request that was under way: the marketplace does it, never gets it, or does it minutes later."""
WEBHOOK = ("webhook/commit/inbox/torn", "webhook/commit/inbox/committed", "webhook/after-receive:1")
LONG = timedelta(days=31)
"""Beyond every window in which a platform knows a key again."""


@dataclass(frozen=True)
class Class:
    """What is under way: from which start, which acts, and whether the connector declares messages to be blind."""

    name: str
    start: str
    ops: tuple[str, ...]
    blind: bool = False


CLASSES = (
    Class("queryable", "contact", ("message",)),
    Class("blind", "contact", ("message",), blind=True),
    Class("idempotent+blind", "settle", ("grant", "extend")),
)
_total: Counter[str] = Counter()


def points(one: Class) -> list[str]:
    found = [*AROUND, *(f"mid-send/{op}/{then}" for op in one.ops for then in UNDER_WAY)]
    return found + ([*BEFORE, *WEBHOOK] if one.start == "settle" else [])


CELLS = [pytest.param(one, point, id=f"{one.name}-{point}") for one in CLASSES for point in points(one)]


@pytest.mark.parametrize(("one", "point"), CELLS)
def test_killed_and_started_again(arena: Arena, one: Class, point: str) -> None:
    wrong = []
    for fault in FAULTS:
        start = arena.start(one.start)
        with arena.world(scripted(new_market(), fault), start) as place:
            place.blind = one.blind
            wrong += [f"{fault}: {what}" for what in _cell(place, one, point, fault, start.now)]
    assert not wrong, "\n".join(wrong)


def _cell(place: Place, one: Class, point: str, fault: str, now: datetime) -> list[str]:
    if fault == "duplicate" and not point.startswith("webhook/"):  # which else would find nothing to write
        place.deliver(2 * place.pushed(), now)
    _kill(place, point, now)
    verdict = _live_on(place, one, fault, now)
    _total.update({"cells": 1, "quarantined": verdict.quarantined, "duplicates": verdict.duplicates})
    wrong = list(verdict.wrong)
    for effect in verdict.effects:
        if effect.op in one.ops and not effect.state.settled:
            wrong.append(f"{effect.kind} is {effect.state.value} at the end")
    done = Counter(entry.op for entry in place.world.journal)
    if one.start == "contact" and done["message"] != 1 and not (one.blind and verdict.quarantined):
        wrong.append(f"the customer got {done['message']} messages")
    if one.start == "settle" and done["grant"] != 1 and not (fault == "clock-forward"):
        wrong.append(f"the customer got {done['grant']} remedies")
    return wrong


def _kill(place: Place, point: str, now: datetime) -> None:
    if point.startswith("webhook/"):
        ended = place.deliver(place.pushed(), now, crash=point.removeprefix("webhook/"))
        assert ended.killed, f"{point} was not met"
        place.deliver(place.pushed(), now)  # whoever got no answer sends it again
    elif point.startswith("mid-send/"):
        _, op, then = point.split("/")
        assert place.sweep([now], platform=False, kill=Kill(op, then=then)).killed, f"{point} was not met"
    else:
        assert place.sweep([now], platform=False, crash=point).killed, f"{point} was not met"


def _live_on(place: Place, one: Class, fault: str, now: datetime) -> Verdict:
    """Start again at once and minutes later, where needed hours later too; a person does their tasks meanwhile."""
    if fault == "clock-forward":
        now += LONG
    back = [now - timedelta(hours=3)] if fault == "clock-back" else []
    rests = [[*back, now, now + timedelta(minutes=6)], [now + timedelta(hours=6 * n) for n in (1, 2, 3)]]
    for rest in rests:
        place.sweep(rest, people=True)
        verdict = place.verdict(rest[-1])
        if _settled(verdict, one) or verdict.wrong:
            break
    return verdict


def _settled(verdict: Verdict, one: Class) -> bool:
    found = [effect.state.settled for effect in verdict.effects if effect.op in one.ops]
    return bool(found) and all(found)


def test_zz_the_whole_matrix_was_gone_through(capsys: pytest.CaptureFixture[str]) -> None:
    """Last in this file: says what was counted, and that nothing was left out."""
    if _total["cells"] < len(FAULTS):
        pytest.skip("only a part of the matrix was run")
    with capsys.disabled():
        sys.stdout.write(
            f"\ncrash matrix: {_total['cells']} kills ({len(CELLS)} points and classes, {len(FAULTS)} faults), "
            f"{_total['duplicates']} duplicates, {_total['quarantined']} unknowns quarantined\n"
        )
    assert _total["duplicates"] == 0
    if _total["cells"] == len(CELLS) * len(FAULTS):
        assert _total["quarantined"] > 0
