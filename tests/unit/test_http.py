"""The HTTP client: what a server's behaviour is called, that nothing is sent again or rewritten, both ways alike."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import pytest

from amends.deadline import SEND_BEFORE, steady
from amends.errors import BadAnswer, PlatformError, TimedOut, Unreachable
from amends.http import Http, new_client
from amends.transport import Transport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"


@dataclass
class Raw:
    """A server that says exactly the given bytes, and keeps what it was told."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def saying(*answers: bytes, wait: float = 0.0) -> AsyncIterator[Raw]:
    """Each connection gets the next answer, then is closed; an empty one means to hang up after the request."""
    raw, left = Raw(), list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(length[0].partition(b":")[2])) if length else b""
        raw.heard.append(head + body)
        await asyncio.sleep(wait)
        with contextlib.suppress(ConnectionError):
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()


async def asked(url: str, *, patience: float = 5.0) -> Exception | object:
    async with new_client(timeout=patience) as client:
        try:
            found: object = await Http(client, who="shop").json("POST", url, json={"a": 1})
            return found
        except PlatformError as error:
            return error


@pytest.mark.parametrize(
    ("answer", "kind", "sure"),
    [
        (b"", TimedOut, False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{}", TimedOut, False),
        (b"HTTP/1.1 200 OK\r\ncontent-le", TimedOut, False),
        (b"\x16\x03\x01 no HTTP at all\r\n\r\n", TimedOut, False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ok>", BadAnswer, False),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz",
            BadAnswer,
            False,
        ),
    ],
    ids=["hangs-up", "cut-body", "cut-head", "no-http", "no-json", "bad-gzip"],
)
async def test_whatever_comes_after_the_request_left_is_not_sure_not_done(
    answer: bytes, kind: type[PlatformError], sure: bool
) -> None:
    async with saying(answer) as raw:
        found = await asked(raw.url)
    assert isinstance(found, kind) and found.sure_not_done is sure
    assert len(raw.heard) == 1, "a write is never sent again by the client"


async def test_only_a_connection_that_was_never_made_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, and not listening
        bound.bind(("127.0.0.1", 0))
        found = await asked(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert isinstance(found, Unreachable) and found.sure_not_done
    found = await asked("http://nowhere.invalid/")
    assert isinstance(found, Unreachable) and found.sure_not_done


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("body", [None, {"a": 1}])
@pytest.mark.parametrize("late", [True, False])
async def test_a_worker_that_was_stopped_while_it_connected_sends_no_byte(
    monkeypatch: pytest.MonkeyPatch, method: str, body: object, late: bool
) -> None:
    connect = aiohttp.TCPConnector.connect

    async def stopped(*args: Any, **more: Any) -> Any:
        connection = await connect(*args, **more)
        time.sleep(0.1)  # noqa: ASYNC251  # everything stands still, as by SIGSTOP
        return connection

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", stopped)
    token = SEND_BEFORE.set(steady() + (0.05 if late else 60))
    try:
        async with saying(OK) as raw, new_client(timeout=5.0) as client:
            http, more = Http(client, who="shop"), {"json": body} if body else {}
            if not late:
                assert await http.json(method, raw.url, **more) == {}
                return
            with pytest.raises(Unreachable, match="lease was running out") as caught:
                await http.json(method, raw.url, **more)
            assert caught.value.sure_not_done
            assert await http.json("GET", raw.url) == {}  # reads harm nobody
            assert len(raw.heard) == 1
    finally:
        SEND_BEFORE.reset(token)


async def test_a_silent_server_is_a_time_out() -> None:
    async with saying(OK, wait=3.0) as raw:
        found = await asked(raw.url, patience=0.2)
    assert isinstance(found, TimedOut) and not found.sure_not_done


async def test_a_server_without_the_certificate_is_unreachable() -> None:
    async with saying(OK) as raw:
        found = await asked(raw.url.replace("http:", "https:"))
    assert isinstance(found, Unreachable)


async def test_the_query_is_sent_letter_by_letter() -> None:
    address = "/x?name=a%27b%2Fc%7E~&sig=%2B%3D+"
    async with saying(OK) as raw, new_client() as client:
        await client.get(raw.url + address)
    assert raw.heard[0].startswith(f"GET {address} HTTP/1.1".encode())


async def test_a_redirect_is_an_answer() -> None:
    away = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with saying(away) as raw, new_client() as client:
        assert (await client.post(raw.url, content=b"x")).status_code == 302


async def test_a_compressed_answer_is_read_and_a_cookie_is_not_kept() -> None:
    body = gzip.compress(b'{"a": 1}')
    answer = (
        b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )
    async with saying(answer + body) as raw, new_client() as client:
        http = Http(client, who="shop")
        assert await http.json("GET", raw.url) == {"a": 1}
        await http.json("GET", raw.url)
    assert b"cookie" not in raw.heard[1].lower()


Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]
ASKED: dict[str, Ask] = {
    "json": lambda c, at: c.post(at + "/a?b=1", json={"text": "你好", "n": 1}, headers={"X-Key": "k"}),
    "params": lambda c, at: c.get(at + "/a?b=1", params={"c": "ä b", "d": 2}),
    "text": lambda c, at: c.put(at, content="ä", headers={"content-type": "text/plain"}),
    "empty": lambda c, at: c.post(at),
    "form": lambda c, at: c.post(at, data={"a": "ä b"}),
    "file": lambda c, at: c.post(
        at,
        files={"f": ("a.txt", b"x")},
        headers={"content-type": "multipart/form-data; boundary=cut"},
    ),
    "base": lambda c, at: c.get("/orders/1", params={"x": "1"}),
    "signed-in": lambda c, at: c.get(at, auth=("u", "p")),
}


def parts(heard: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = heard.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    headers.pop(b"connection", None)
    headers.pop(b"host", None)
    return first, headers, body


@pytest.mark.parametrize("name", ASKED)
async def test_the_short_way_sends_what_httpx_would(name: str) -> None:
    heard = []
    for short in (True, False):
        async with saying(OK) as raw:
            base = raw.url + "/v1/"
            client = new_client(base_url=base) if short else httpx.AsyncClient(base_url=base, trust_env=False)
            response = await ASKED[name](client, raw.url)
            assert (response.status_code, response.json()) == (200, {})
            assert response.request.method == raw.heard[0].split()[0].decode()
            assert response.headers["content-type"] == "application/json"
            await client.aclose()
        heard.append(parts(raw.heard[0]))
    ours, theirs = heard
    assert ours == theirs


async def test_the_short_way_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison above says nothing."""
    monkeypatch.setattr(httpx.AsyncClient, "send", None)
    async with saying(OK) as raw, new_client() as client:
        assert (await client.post(raw.url, json={"a": 1})).status_code == 200


async def test_many_at_once_over_few_connections() -> None:
    peak = now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal peak, now
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                now += 1
                peak = max(peak, now)
                await asyncio.sleep(0.005)
                now -= 1
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with new_client(limit=4) as client:
        answers = await asyncio.gather(*(client.get(url) for _ in range(40)))
    server.close()
    assert {answer.status_code for answer in answers} == {200} and peak == 4


async def test_a_transport_may_be_closed_unused() -> None:
    await Transport(verify=ssl.create_default_context(), limit=1).aclose()
