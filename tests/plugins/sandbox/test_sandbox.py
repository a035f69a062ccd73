"""The sandbox as a process, and its connector: what was answered survives kill -9; broken is not refused."""

import asyncio
import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from amends import (
    AuthFailed,
    BadAnswer,
    Context,
    Extension,
    File,
    Filing,
    Grant,
    Message,
    Money,
    Note,
    NotFound,
    PlatformError,
    Rejected,
    Remedy,
    RemedyKind,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
    Unsupported,
)
from amends.clock import FixedClock
from amends.errors import AmendsError
from amends.http import new_client
from amends.testing.control import SandboxProcess, launch
from amends.testing.marketplace import START, Marketplace
from amends.testing.webhooks import sign
from amends_sandbox.config import SandboxConfig
from amends_sandbox.connector import SandboxConnector

LATER = START + timedelta(days=3)


def connector(url: str, **options: Any) -> SandboxConnector:
    context = Context(shop="flagship", time_zone="UTC", clock=FixedClock(LATER), http=new_client)
    return SandboxConnector(SandboxConfig(url=url, **options), context)


def scripted(*answers: httpx.Response | Exception) -> SandboxConnector:
    """A connector whose platform answers so, one after the other."""
    queue = list(answers)

    def serve(request: httpx.Request) -> httpx.Response:
        answer = queue.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(**more: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(serve), **more)

    context = Context(shop="flagship", time_zone="UTC", clock=FixedClock(LATER), http=client)
    return SandboxConnector(SandboxConfig(url="http://shop.invalid"), context)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with launch(tmp_path_factory.mktemp("sandbox"), orders=120) as running:
        running.control.set_clock(LATER)
        yield running


def placed(running: SandboxProcess) -> str:
    """An order that is there from the first day on."""
    return next(number for number, fate in running.control.fates().items() if fate == "legal")


def message(order: str, key: str = "k", round: int = 1) -> Message:
    return Message(key=key, order=order, round=round, text="对不起", reply_by=LATER + timedelta(days=1))


async def test_a_connector_reads_and_writes(sandbox: SandboxProcess) -> None:
    shop = connector(sandbox.url)
    page = await shop.changed_orders("")
    assert len(page.orders) > 50
    assert (await shop.changed_orders(page.cursor)).orders == ()
    order = await shop.order(page.orders[0].number)
    assert order.personal is not None and order.observed_at == LATER
    parcel = await shop.tracking(order)
    assert parcel is None or parcel.number
    receipt = await shop.message(message(order.number))
    assert await shop.find(message(order.number)) == receipt
    assert await shop.find(message(order.number, key="other")) is None
    coupon = Grant(
        key="g", order=order.number, round=1, remedy=Remedy(kind=RemedyKind.COUPON, amount=Money.of(3, "CNY"))
    )
    assert await shop.grant(coupon) == await shop.grant(coupon)
    with pytest.raises(Rejected, match="HTTP 422"):
        await shop.grant(coupon.model_copy(update={"remedy": Remedy(kind=RemedyKind.POINTS, points=5)}))
    with pytest.raises(Unsupported):
        await shop.find(Extension(key="x", order=order.number, until=LATER))
    with pytest.raises(Unsupported):
        await shop.complain(Filing(op="complain", instance="complaint", text="", key="c", order=order.number))
    with pytest.raises(NotFound):
        await shop.order("nobody's")
    await shop.aclose()


async def test_a_wrong_secret_is_refused(sandbox: SandboxProcess) -> None:
    shop = connector(sandbox.url, secret="wrong")
    with pytest.raises(AuthFailed):
        await shop.changed_orders("")
    await shop.aclose()


async def test_a_person_looks_before_acting(sandbox: SandboxProcess) -> None:
    number = next(number for number, fate in sandbox.control.fates().items() if fate == "complaint")
    first = sandbox.control.act(number, "complain", key="t1")
    assert sandbox.control.act(number, "complain", key="t1") == first
    assert [entry.by for entry in sandbox.control.seen(number, "complain")] == ["hand"]
    shop = connector(sandbox.url)
    filing = Filing(op="complain", instance="complaint", text="", key="t1", order=number)
    assert await shop.find(filing) == first
    assert await shop.ruling(number, first.ref) is None
    await shop.aclose()


async def test_reset_after_commit_is_done_and_seen_as_timed_out(tmp_path: Path) -> None:
    with launch(tmp_path, orders=50, faults="p_reset_after_commit=1") as running:
        running.control.set_clock(LATER)
        shop = connector(running.url)
        number = (await shop.changed_orders("")).orders[0].number
        with pytest.raises(TimedOut) as raised:
            await shop.message(message(number))
        assert not raised.value.sure_not_done
        assert [entry.key for entry in running.control.journal()] == ["k"]
        assert await shop.find(message(number)) is not None
        await shop.aclose()
        assert "Traceback" not in (tmp_path / "sandbox.log").read_text()
    gone = connector(running.url)
    with pytest.raises(Unreachable):
        await gone.changed_orders("")
    await gone.aclose()


async def test_every_answered_effect_survives_kill_9(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    chance, confirmed, tried = random.Random(seed), dict[str, str](), set[str]()
    running = launch(tmp_path, orders=100, faults="p_429=0.1,p_5xx_after_commit=0.1,p_reset_after_commit=0.1")
    try:
        for life in range(4):
            running.control.set_clock(LATER + timedelta(hours=life))
            url, shop = running.url, connector(running.url)
            numbers = sorted(running.control.fates())[:40]

            async def write(worker: int, life: int, shop: SandboxConnector, numbers: list[str]) -> None:
                for n in range(400):
                    key = f"{life}-{worker}-{n}"
                    tried.add(key)
                    try:
                        receipt = await shop.message(message(numbers[n % 40], key, round=n))
                    except Unreachable:
                        return
                    except PlatformError:
                        continue
                    confirmed[key] = receipt.ref

            writers = asyncio.gather(*(write(worker, life, shop, numbers) for worker in range(8)))
            await asyncio.sleep(chance.uniform(0.02, 0.3))
            running.kill()
            await writers
            await shop.aclose()
            running = launch(tmp_path, orders=100)
            assert running.url == url
            entries = running.control.journal()
            again = f"random seed {seed}"
            assert [entry.n for entry in entries] == list(range(1, len(entries) + 1)), again
            told = {entry.key: entry.ref for entry in entries}
            assert confirmed.items() <= told.items(), again
            assert set(told) <= tried, again
            assert running.control.clock() == LATER + timedelta(hours=life), again
        fresh = Marketplace(orders=100)
        fresh.replay(running.control.journal())
        shop = connector(running.url)
        assert (await shop.replies("")).replies == fresh.replies("").replies
        assert confirmed
        await shop.aclose()
    finally:
        running.kill()


def test_a_line_cut_short_is_no_effect(tmp_path: Path) -> None:
    with launch(tmp_path, orders=50) as running:
        running.control.set_clock(LATER)
        number = placed(running)
        running.control.act(number, "legal", look_first=False)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"n":2,"at":"2026-')
    with launch(tmp_path, orders=50) as running:
        assert len(running.control.journal()) == 1
        running.control.act(number, "legal", look_first=False)
    with launch(tmp_path, orders=50) as running:
        assert [entry.n for entry in running.control.journal()] == [1, 2]


async def test_faults_go_on_after_a_restart_as_if_nothing_had_happened(tmp_path: Path) -> None:
    async def fates(folder: Path, restart: bool) -> list[str]:
        found: list[str] = []
        running = launch(folder, orders=50, faults="heavy")
        for half in range(2):
            if half and restart:
                running.kill()
                running = launch(folder, orders=50, faults="heavy")
            running.control.set_clock(LATER)
            shop, number = connector(running.url), placed(running)
            for n in range(25):
                try:
                    await shop.message(message(number, f"{half}-{n}"))
                    found.append("done")
                except PlatformError as error:
                    found.append(error.code)
            await shop.aclose()
        running.stop()
        return found

    through, restarted = await fates(tmp_path / "a", False), await fates(tmp_path / "b", True)
    assert through == restarted
    assert {"done", "timed-out", "throttled", "unavailable"} <= set(through)


async def test_webhooks_are_signed_repeated_and_reordered(tmp_path: Path) -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    inbox = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{inbox.sockets[0].getsockname()[1]}/hooks"
    with launch(tmp_path, orders=100, faults="duplicate_webhooks=0.5,reordered_webhooks=1") as running:
        running.control.set_clock(START + timedelta(days=1))
        shop = connector(running.url)
        for order in (await shop.changed_orders("")).orders:
            await shop.message(message(order.number))
        running.control.webhook(url)
        told = await asyncio.to_thread(running.control.set_clock, LATER)
        assert told["sent"] == len(got) > 10 and told["failed"] == 0
        events = [event for headers, body in got for event in shop.verify_webhook(headers, body)]
        replies = {event.reply.event: event.reply for event in events if event.reply}
        assert list(replies.values()) != sorted(replies.values(), key=lambda reply: reply.at)
        assert len(events) > len({event.event for event in events})
        assert sorted(replies.values(), key=lambda r: r.event) == sorted(
            (await shop.replies("")).replies, key=lambda r: r.event
        )
        with pytest.raises(Rejected):
            shop.verify_webhook(got[0][0], got[0][1] + b" ")
        await shop.aclose()
    inbox.close()


def test_another_world_is_not_mixed_into_a_state(tmp_path: Path) -> None:
    with launch(tmp_path, orders=50):
        with pytest.raises(AmendsError, match="another sandbox already serves"):
            launch(tmp_path, orders=50)
    with pytest.raises(AmendsError, match="orders=50"):
        launch(tmp_path, orders=60)
    with pytest.raises(AmendsError, match="p_429=9"):
        launch(tmp_path, orders=50, faults="p_429=9")


@pytest.mark.parametrize(
    ("answer", "error", "sure"),
    [
        (httpx.Response(429, headers={"retry-after": "7"}), Throttled, True),
        (httpx.Response(500), Unavailable, False),
        (httpx.Response(503), Unavailable, False),
        (httpx.Response(422, json={"error": "rejected"}), Rejected, True),
        (httpx.Response(404), NotFound, True),
        (httpx.Response(401), AuthFailed, True),
        (httpx.Response(200, text="<html>"), BadAnswer, False),
        (httpx.Response(200, text='{"state": "do'), BadAnswer, False),
        (httpx.Response(200, json={"state": "perhaps"}), BadAnswer, False),
        (httpx.Response(200, json=[]), BadAnswer, False),
        (httpx.ReadTimeout("slow"), TimedOut, False),
        (httpx.RemoteProtocolError("cut"), TimedOut, False),
        (httpx.ConnectError("refused"), Unreachable, True),
    ],
)
async def test_errors_are_mapped(
    answer: httpx.Response | Exception, error: type[PlatformError], sure: bool
) -> None:
    with pytest.raises(error) as raised:
        await scripted(answer).message(message("1"))
    assert type(raised.value) is error
    assert raised.value.sure_not_done is sure
    if error is Throttled:
        assert raised.value.retry_after == 7


async def test_find_proves_nothing_where_it_cannot_ask() -> None:
    broken = [
        httpx.Response(500),
        httpx.Response(200, json={}),
        httpx.Response(200, text=""),
        httpx.ReadTimeout("slow"),
    ]
    for answer in broken:
        with pytest.raises(PlatformError):
            await scripted(answer).find(message("1"))
    assert await scripted(httpx.Response(200, json={"receipt": None})).find(message("1")) is None


async def test_personal_values_do_not_leave() -> None:
    sent: list[bytes] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(200, json={"state": "done"})

    def client(**more: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(serve), **more)

    context = Context(shop="flagship", time_zone="UTC", clock=FixedClock(LATER), http=client)
    shop = SandboxConnector(SandboxConfig(url="http://shop.invalid"), context)
    person = {"name": "Sample Customer 1", "phone": "000-0000-0001"}
    await shop.message(
        Message(key="k", order="1", text="Sorry.", personal=person, reply_url="http://inbox.invalid/x")
    )
    assert b"Sample" not in sent[0] and b"inbox.invalid" not in sent[0]
    assert "sandbox" not in repr(shop.config.secret)


def test_a_webhook_with_a_strange_body_is_refused() -> None:
    with pytest.raises(Rejected, match="body"):
        scripted().verify_webhook(sign("sandbox", "e", LATER, b"[]"), b"[]")


def test_the_plugin_loads_no_server() -> None:
    code = (
        "import sys, json, amends_sandbox; list(amends_sandbox.amends_connectors());"
        "print(json.dumps([m for m in ('starlette', 'uvicorn', 'httpx', 'prefect') if m in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == []


async def test_a_note_is_one_line_however_often_it_is_sent(sandbox: SandboxProcess) -> None:
    shop, order = connector(sandbox.url), placed(sandbox)
    note = Note(key="n-1", order=order, round=1, about="offer", text="offer 1: coupon 3.00 CNY")
    first = await shop.note(note)
    assert await shop.note(note) == first == await shop.find(note)
    with pytest.raises(Rejected):
        await shop.note(note.model_copy(update={"text": "another under the same key"}))
    written = [entry for entry in sandbox.control.seen(order) if entry.op == "note"]
    assert [(entry.kind, entry.round, entry.data["text"]) for entry in written] == [
        ("note:offer", 1, note.text)
    ]
    await shop.aclose()


async def test_evidence_that_was_changed_on_the_way_is_refused(sandbox: SandboxProcess) -> None:
    shop, order = connector(sandbox.url), placed(sandbox)
    content = b"picked up on 3 March\n"
    whole = File(
        name="proof.txt", media_type="text/plain", content=content, sha256=hashlib.sha256(content).hexdigest()
    )
    filing = Filing(
        op="arbitrate", instance="arbitration", text="sent in time", key="a-1", order=order, files=(whole,)
    )
    changed = whole.model_copy(update={"content": content + b"!"})
    with pytest.raises(Rejected):
        await shop.arbitrate(filing.model_copy(update={"files": (changed,)}))
    assert await shop.find(filing) is None
    assert (await shop.arbitrate(filing)).ref
    await shop.aclose()
