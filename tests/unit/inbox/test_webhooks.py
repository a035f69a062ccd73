"""Webhooks: only signed ones in time, once, committed before the answer; everything else changes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.unit.demo.workshop import DAY, HOUR, MINUTE, NOW, Workshop
from tests.unit.inbox.house import _fingerprint, house

from amends.cases.facts import Answer
from amends.cases.orders import OrderStatus
from amends.errors import LedgerLocked, TimedOut
from amends.hooks.requests import Event, Reply
from amends.inbox.app import webhook_app
from amends.inbox.limits import LARGEST
from amends.ledger import inbox as kept
from amends.ledger.schema import inbox as arrived
from amends.steps import people
from amends.testing.webhooks import sign, verify

SECRET = "made up"


@dataclass
class Hooks:
    """A shop whose platform signs as the sandbox does, and who was woken."""

    shop: Workshop
    client: httpx.AsyncClient
    woken: list[tuple[str, Any]]
    verify: Callable[[Mapping[str, str], bytes], tuple[Event, ...]] | None = None

    async def push(
        self, event: Event, *, at: timedelta = timedelta(), secret: str = SECRET, **more: Any
    ) -> int:
        body = event.model_dump_json().encode()
        headers = sign(secret, event.event, self.shop.clock.now() + at, body) | more.pop("headers", {})
        answer = await self.client.post("/webhooks/stall", content=more.pop("body", body), headers=headers)
        return answer.status_code

    def fingerprint(self) -> str:
        return str(self.shop.do(_fingerprint))


@asynccontextmanager
async def hooks() -> AsyncIterator[Hooks]:
    async with house() as inbox:
        found = Hooks(inbox.shop, inbox.browser, [])

        def check(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
            if found.verify is not None:
                return found.verify(headers, body)
            verify(SECRET, headers, body, now=inbox.shop.clock.now(), age=timedelta(minutes=5))
            return (Event.model_validate_json(body),)

        def wake(shop: str, *, ids: Any = (), numbers: Any = ()) -> None:
            found.woken.append((shop, tuple(numbers)))

        app = webhook_app(inbox.shop.ledger, {"stall": check}, inbox.shop.clock, wake=wake)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
            found.client = client
            yield found


def accepted(event: str = "w-1", reply: str = "r-1") -> Event:
    said = Reply(event=reply, order="A-1", at=NOW, answer=Answer.ACCEPT, round=1)
    return Event(event=event, order="A-1", reply=said)


async def test_a_reply_is_kept_and_its_case_due_at_once() -> None:
    async with hooks() as inbox:
        inbox.shop.clock.advance(HOUR)
        assert await inbox.push(accepted()) == 204
        assert inbox.shop.case().due_at == NOW + HOUR
        assert inbox.woken == [("stall", ("A-1",))]
        await inbox.shop.sweep(MINUTE)
        assert inbox.shop.done("grant") == 1


async def test_twice_is_once_and_so_is_the_poll_of_the_same() -> None:
    async with hooks() as inbox:
        assert await inbox.push(accepted()) == 204
        before = inbox.fingerprint()
        assert await inbox.push(accepted()) == 204
        assert await inbox.push(accepted(event="w-2")) == 204
        assert inbox.fingerprint() == before
        inbox.shop.platform.say(Answer.ACCEPT, round=1, event="r-1")
        await inbox.shop.sweep(MINUTE)
        assert inbox.shop.kinds().count("replied") == 1 and inbox.shop.done("grant") == 1


async def test_an_event_of_an_order_without_a_case() -> None:
    async with hooks() as inbox:
        assert await inbox.push(Event(event="w-9", order="unknown")) == 204


async def test_word_of_a_change_makes_the_order_be_looked_at_again_however_fresh() -> None:
    async with hooks() as inbox:
        shop = inbox.shop
        unlisted = {"updated_at": NOW - DAY, "status": OrderStatus.CANCELLED}  # only the webhook tells of it
        shop.platform.orders["A-1"] = shop.platform.orders["A-1"].model_copy(update=unlisted)
        shop.clock.advance(MINUTE)
        looks = len(shop.platform.looks)
        await shop.sweep()
        assert len(shop.platform.looks) == looks, "nothing to look for"
        assert await inbox.push(Event(event="w-3", order="A-1")) == 204
        await shop.sweep()
        assert len(shop.platform.looks) == looks + 1
        assert shop.case().outcome == "cancelled"
        shop.check()


async def test_word_of_a_change_counts_until_the_order_has_been_seen() -> None:
    async with hooks() as inbox:
        shop = inbox.shop
        shop.platform.orders["A-1"] = shop.platform.orders["A-1"].model_copy(update={"updated_at": NOW - DAY})
        shop.clock.advance(MINUTE)
        assert await inbox.push(Event(event="w-3", order="A-1")) == 204
        shop.platform.always["order"] = TimedOut("no answer")
        await shop.sweep()
        assert len(shop.do(kept.waiting, "stall", [1])[1]) == 1, "not yet"
        looks = len(shop.platform.looks)
        await shop.sweep(5 * MINUTE)
        assert len(shop.platform.looks) == looks, "rests meanwhile"
        shop.platform.always.clear()
        await shop.sweep(DAY / 24)
        assert shop.do(kept.waiting, "stall", [1]) == {}
        looks = len(shop.platform.looks)
        await shop.sweep(MINUTE)
        assert len(shop.platform.looks) == looks, "once seen is enough"
        shop.check()


async def test_a_reply_for_a_closed_case_is_taken_and_moves_nothing() -> None:
    async with hooks() as inbox:
        shop = inbox.shop
        shop.platform.show(status=OrderStatus.CANCELLED)
        await shop.sweep(HOUR)
        assert shop.case().outcome == "cancelled"
        before = shop.kinds(), shop.case()
        assert await inbox.push(accepted()) == 204
        await shop.sweep(MINUTE)
        assert (shop.kinds(), shop.case()) == before and shop.done("grant") == 0
        words = sql_bodies(shop)
        shop.do(people.erase, 1, by="lin", now=shop.clock.now())
        assert [len(body) for body in words] != [0] and [len(body) for body in sql_bodies(shop)] == [0]
        shop.check()


def sql_bodies(shop: Workshop) -> list[bytes]:
    return [row.body for row in shop.do(lambda tx: tx.execute(select(arrived.c.body)).all())]


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "another"},
        {"body": b""},
        {"at": -HOUR},
        {"at": HOUR},
        {"body": b"{}"},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-id": "w-2"}},
        {"headers": {"webhook-timestamp": "soon"}},
        {"headers": {"webhook-signature": "v1,é".encode()}},
    ],
    ids=str,
)
async def test_what_is_not_signed_or_stale(change: dict[str, Any]) -> None:
    async with hooks() as inbox:
        before = inbox.fingerprint()
        assert await inbox.push(accepted(), **change) == 401
        assert inbox.fingerprint() == before and inbox.woken == []


async def test_a_recording_played_again_much_later() -> None:
    async with hooks() as inbox:
        event = accepted()
        body = event.model_dump_json().encode()
        headers = sign(SECRET, event.event, NOW, body)
        assert (await inbox.client.post("/webhooks/stall", content=body, headers=headers)).status_code == 204
        inbox.shop.clock.advance(HOUR)
        before = inbox.fingerprint()
        assert (await inbox.client.post("/webhooks/stall", content=body, headers=headers)).status_code == 401
        assert inbox.fingerprint() == before


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
async def test_ten_megabytes_are_read_no_further_than_one(told: bool) -> None:
    async with hooks() as inbox:
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(160):
                sent += 65536
                yield bytes(65536)

        headers = {"content-length": str(160 * 65536)} if told else {}
        before = inbox.fingerprint()
        answer = await inbox.client.post("/webhooks/stall", content=body(), headers=headers)
        assert answer.status_code == 413
        assert sent <= (65536 if told else LARGEST + 2 * 65536)
        assert inbox.fingerprint() == before


async def test_just_one_megabyte_is_read() -> None:
    async with hooks() as inbox:
        answer = await inbox.client.post("/webhooks/stall", content=bytes(LARGEST))
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/nobody", 404), ("POST", "/webhooks/", 404), ("POST", "/webhooks/stall/desk", 404),
        ("GET", "/webhooks/stall", 405), ("PUT", "/webhooks/stall", 405), ("POST", "/webhooks/%00", 404), ("GET", "/", 404),
    ],
)  # fmt: skip
async def test_elsewhere(method: str, path: str, status: int) -> None:
    async with hooks() as inbox:
        before = inbox.fingerprint()
        assert (await inbox.client.request(method, path)).status_code == status
        assert inbox.fingerprint() == before


async def test_a_platform_that_cannot_be_asked_and_a_broken_plugin() -> None:
    async with hooks() as inbox:
        for error in (TimedOut("no certificate"), RuntimeError("bug")):

            def fails(headers: Mapping[str, str], body: bytes, error: Exception = error) -> tuple[Event, ...]:
                raise error

            inbox.verify = fails
            assert await inbox.push(accepted()) == 503
        assert inbox.woken == []


async def test_a_locked_ledger_is_no_answer() -> None:
    async with hooks() as inbox:
        run = inbox.shop.ledger.run

        async def locked(*args: Any, **more: Any) -> Any:
            raise LedgerLocked("locked")

        inbox.shop.ledger.run = locked  # type: ignore[method-assign]
        assert await inbox.push(accepted()) == 503
        assert inbox.woken == []
        inbox.shop.ledger.run = run  # type: ignore[method-assign]
        assert await inbox.push(accepted()) == 204


async def test_answered_only_after_the_commit() -> None:
    async with hooks() as inbox:
        run, committed = inbox.shop.ledger.run, asyncio.Event()

        async def slow(work: Any, *args: Any, **more: Any) -> Any:
            found = await run(work, *args, **more)
            await asyncio.sleep(0.2)
            assert inbox.woken == [] and len(inbox.shop.do(kept.waiting, "stall", [1])[1]) == 1
            committed.set()
            return found

        inbox.shop.ledger.run = slow  # type: ignore[method-assign, assignment]
        assert await inbox.push(accepted()) == 204
        assert committed.is_set() and inbox.woken != []


async def test_the_desk_has_a_door_of_its_own() -> None:
    from tests.unit.demo.workshop import Platform

    from amends.inbox.app import inbox_app

    async with house() as inbox:
        desk: Any = Platform(inbox.shop.clock, inbox.shop.platform.operations)
        desk.verify_webhook = lambda headers, body: (Event(**json.loads(body)),)
        inbox.shop.shop.desk = desk
        operations = {**inbox.shop.shop.desk_spec.operations}
        from dataclasses import replace

        from amends.hooks.specs import Operation

        inbox.shop.shop.desk_spec = replace(
            inbox.shop.shop.desk_spec, operations=operations | {"verify_webhook": Operation.read()}
        )
        shop = inbox.shop
        app = inbox_app(shop.settings, shop.registry, shop.ledger, shop.clock, {"stall": shop.shop})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
            body = {"event": "ruling-1", "order": "A-1"}
            assert (await client.post("/webhooks/stall/desk", json=body)).status_code == 204
            assert (await client.post("/webhooks/stall", json=body)).status_code == 404
        assert len(shop.do(kept.waiting, "stall", [1])[1]) == 1
