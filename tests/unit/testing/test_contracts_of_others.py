"""The contract suites pass honest plugins, and find desks, channels and policies that lie."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict
from tests.unit.testing.liars import Room, failed, report

from amends import (
    Message,
    Offer,
    Operation,
    PlatformError,
    Receipt,
    Rejected,
    Remedy,
    RemedyKind,
    Ruling,
    TimedOut,
    Unreachable,
)
from amends.testing.contracts import FakeChannel
from amends.testing.scaffold import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_honest_ones_pass(room: Room, kind: str) -> None:
    found = report(room, kind)
    assert found.ok, found.lines()
    assert found.count("passed") >= 10


def test_a_desk_that_invents_a_ruling_is_found(room: Room) -> None:
    module = room.part("desk")

    class Liar(module.RoomDesk):  # type: ignore[misc, name-defined]  # generated for this test
        async def ruling(self, order: str, ref: str) -> Ruling | None:
            return Ruling(verdict="for-us", at=datetime(2026, 3, 29, tzinfo=UTC), ref=ref)

    found = failed(report(room, "desk", liar=Liar))
    assert {"a ruling is seen when there is one", "a filing nobody made has no ruling"} <= found


def test_a_desk_that_leaves_out_the_files_is_found(room: Room) -> None:
    module = room.part("desk")

    class Liar(module.RoomDesk):  # type: ignore[misc, name-defined]  # generated for this test
        async def respond(self, request: Any) -> Receipt:
            return await super().respond(request.model_copy(update={"files": ()}))  # type: ignore[no-any-return]

    assert "files reach the desk" in failed(report(room, "desk", liar=Liar))


def test_a_channel_that_writes_to_somebody_else_is_found(room: Room) -> None:
    module = room.part("channel")

    class Liar(module.RoomChannel):  # type: ignore[misc, name-defined]  # generated for this test
        async def message(self, request: Message) -> Receipt:
            who = request.personal.model_copy(update={"phone": "+15550109999"}) if request.personal else None
            return await super().message(request.model_copy(update={"personal": who}))  # type: ignore[no-any-return]

    found = failed(report(room, "channel", liar=Liar))
    assert {"a message goes to the customer", "a customer without an address is rejected"} <= found


class Slot(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int


class SlotChannel:
    """Puts messages through a slot, without HTTP."""

    open: ClassVar[dict[int, FakeSlot]] = {}

    def __init__(self, config: Slot, context: Any) -> None:
        self.slot = self.open[config.number]

    async def message(self, request: Message) -> Receipt:
        if not (request.personal and request.personal.email.isprintable() and request.personal.email):
            raise Rejected("no address")
        return Receipt(ref=self.slot.put(request.key, request.personal.email))

    async def aclose(self) -> None:
        pass


class FakeSlot(FakeChannel):
    name = "slot"
    http = False
    trouble = ""

    async def start(self) -> None:
        SlotChannel.open[17] = self

    def settings(self) -> dict[str, Any]:
        return {"number": 17}

    def provoke(self, trouble: str) -> bool:
        self.trouble = trouble if trouble in ("no connection", "an answer that never comes") else ""
        return bool(self.trouble)

    def put(self, key: str, to: str) -> str:
        if self.trouble == "no connection":
            raise Unreachable("closed")
        ref = self.act("message", "", key=key, to=to)
        if self.trouble:
            raise self.lost
        return ref

    lost: ClassVar[PlatformError] = TimedOut("no word")


class Overconfident(FakeSlot):
    lost = Unreachable("no word, so nothing happened")


@pytest.mark.parametrize(("fake", "ok"), [(FakeSlot, True), (Overconfident, False)])
def test_a_channel_without_http_is_tried_as_far_as_its_fake_can(
    room: Room, fake: type[FakeSlot], ok: bool
) -> None:
    changed = {
        "name": "slot",
        "config": Slot,
        "factory": SlotChannel,
        "operations": {"message": Operation.blind()},
    }
    found = report(room, "channel", fake=fake, **changed)
    assert found.ok is ok, found.lines()
    wrong = {"every error is mapped", "a write that may have happened is never called undone"}
    assert wrong & failed(found) == (set() if ok else wrong)


class Bad:
    """A policy whose `propose` is one of the functions below."""

    def __init__(self, propose: Callable[[Any, Any], Offer]) -> None:
        self.propose = propose


def above_caps(case: Any, context: Any) -> Offer:
    return Offer(remedy=Remedy(kind=RemedyKind.COUPON, amount=case.order.amount), why="all of it")


def draws(case: Any, context: Any) -> Offer:
    return Offer(why=f"number {id(object())} {datetime.now(UTC).microsecond}")


def remembers() -> Callable[[Any, Any], Offer]:
    seen: list[Any] = []

    def propose(case: Any, context: Any) -> Offer:
        seen.append(case)
        return Offer(why=f"case number {len(seen)}")

    return propose


def changes(case: Any, context: Any) -> Offer:
    if isinstance(context.left, dict):
        context.left.clear()
    return Offer(why="nothing is left")


def past(case: Any, context: Any) -> Offer:
    return Offer(why="yesterday", new_ship_by=case.now - timedelta(days=1))


def stumbles(case: Any, context: Any) -> Offer:
    return Offer(
        why="within the cap", remedy=Remedy(kind=RemedyKind.REFUND, amount=context.left["per_order"])
    )


@pytest.mark.parametrize(
    ("propose", "caught_by"),
    [
        (lambda: above_caps, "no remedy is above any cap"),
        (lambda: above_caps, "only what can be granted is offered"),
        (lambda: draws, "it is deterministic and has no memory"),
        (remembers, "it is deterministic and has no memory"),
        (lambda: changes, "it changes nothing"),
        (lambda: past, "dates lie ahead"),
        (lambda: stumbles, "it answers every case with an offer that explains itself"),
        (lambda: lambda case, context: None, "it answers every case with an offer that explains itself"),
    ],
)
def test_a_policy_that_lies_is_found(room: Room, propose: Any, caught_by: str) -> None:
    found = report(room, "policy", factory=lambda config: Bad(propose()))
    assert caught_by in failed(found), found.lines()
