"""The inbox on a real port: a server, the dispatcher, a clean end; slow and long bodies over real sockets."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.unit.inbox.house import PUBLIC, House, house

from amends.errors import ConfigError
from amends.inbox.customer import Limits
from amends.inbox.resident import Resident, bind


@asynccontextmanager
async def resident(**more: Any) -> AsyncIterator[tuple[House, Resident, asyncio.Event]]:
    async with house(**more) as inbox:
        shop = inbox.shop
        found = await Resident.open(
            shop.settings,
            shop.registry,
            shop.ledger,
            clock=shop.clock,
            port=0,
            limits=Limits(form_seconds=0.5),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(found.run(stop))
        try:
            yield inbox, found, stop
        finally:
            stop.set()
            await asyncio.wait_for(running, 15)


async def test_a_customer_accepts_and_gets_it() -> None:
    async with resident() as (inbox, found, _):
        async with httpx.AsyncClient(base_url=found.url, trust_env=False) as browser:
            assert (await browser.get("/health")).json() == {
                "status": "ok",
                "ledger": "ok",
                "dispatcher": "ok",
            }
            path = inbox.url.removeprefix(PUBLIC)
            shown = await browser.get(path)
            assert shown.status_code == 200 and "server" not in shown.headers
            given = await browser.post(path, data={"answer": "accept"}, follow_redirects=True)
            assert given.status_code == 200 and "Thank you" in given.text
        await inbox.answered()
        inbox.shop.platform.closed = False
    assert inbox.shop.platform.closed


async def test_ten_megabytes_are_refused_while_they_come() -> None:
    async with resident() as (inbox, found, _):
        before = inbox.fingerprint()
        path = inbox.url.removeprefix(PUBLIC)
        status, sent = await _raw(found, path, [b"x" * 65536] * 160, length=160 * 65536)
        assert status == 413 and sent < 160 * 65536
        assert inbox.fingerprint() == before


@pytest.mark.parametrize("path", ["page"])
async def test_a_body_that_trickles_in(path: str) -> None:
    async with resident() as (inbox, found, _):
        before = inbox.fingerprint()
        began = time.monotonic()
        status, _ = await _raw(found, inbox.url.removeprefix(PUBLIC), [b"a"] * 20, length=20, pause=0.2)
        assert status == 408 and time.monotonic() - began < 3
        assert inbox.fingerprint() == before


async def test_a_body_that_never_ends_and_a_client_that_leaves() -> None:
    async with resident() as (inbox, found, _):
        host, port = found.sock.getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_head(inbox.url.removeprefix(PUBLIC), 100) + b"answer=acc")
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.2)
        assert "replied" not in inbox.shop.kinds()
        del reader


def _head(path: str, length: int) -> bytes:
    kind = "application/x-www-form-urlencoded"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


async def _raw(
    found: Resident, path: str, parts: list[bytes], *, length: int, pause: float = 0.0
) -> tuple[int, int]:
    """Send a body in parts until an answer comes; its status, and the bytes sent so far."""
    host, port = found.sock.getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(_head(path, length))
    answer = asyncio.ensure_future(reader.readline())
    sent = 0
    for part in parts:
        if answer.done():
            break
        try:
            writer.write(part)
            await writer.drain()
        except OSError:
            break
        sent += len(part)
        await asyncio.sleep(pause)
    line = await asyncio.wait_for(answer, 5)
    writer.close()
    matched = re.match(rb"HTTP/1.1 (\d+)", line)
    assert matched, line
    return int(matched[1]), sent


async def test_a_port_that_is_taken() -> None:
    async with house() as inbox:
        taken = bind("127.0.0.1", 0)
        shop = inbox.shop
        with pytest.raises(ConfigError, match="cannot listen on") as told:
            await Resident.open(shop.settings, shop.registry, shop.ledger, port=taken.getsockname()[1])
        assert "[inbox] port" in told.value.hint
        taken.close()


async def test_it_tells_when_its_dispatcher_ends() -> None:
    async with house() as inbox:
        shop = inbox.shop
        found = await Resident.open(shop.settings, shop.registry, shop.ledger, clock=shop.clock, port=0)
        running = asyncio.create_task(found.run(asyncio.Event()))
        await asyncio.sleep(0.1)
        found.dispatcher.stop()
        with pytest.raises(RuntimeError, match="ended by itself"):
            await asyncio.wait_for(running, 15)


async def test_no_link_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    caplog.set_level(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with resident() as (inbox, found, _):
        token = inbox.url.rpartition("/")[2]
        async with httpx.AsyncClient(base_url=found.url, trust_env=False) as browser:
            await browser.get(f"/r/{token}")
            await browser.post(f"/r/{token}", data={"answer": "accept"})
        await inbox.answered()
    assert "answered on the page" in caplog.text
    assert token not in caplog.text and "A-1" not in caplog.text
