"""Signatures are Aliyun's own: both examples of its manual come out."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx
import pytest
from tests.plugins.aliyun_sms.conftest import message

from amends import Context
from amends.clock import SystemClock
from amends.http import new_client
from amends.transport import Transport
from amends_aliyun_sms import AliyunSmsConfig
from amends_aliyun_sms.channel import AliyunSms
from amends_aliyun_sms.fake import FakeAliyunSms
from amends_aliyun_sms.signing import EMPTY, authorization, encoded

QUERY = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}


@pytest.mark.parametrize(
    ("date", "nonce", "signature"),
    [
        (
            "2023-10-26T10:22:32Z",
            "3156853299f313e23d1673dc12e1703d",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        ),
        (
            "2023-10-26T09:01:01Z",
            "d410180a5abf7fe235dd9b74aca91fc0",
            "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804",
        ),
    ],
)
def test_the_examples_of_the_manual(date: str, nonce: str, signature: str) -> None:
    headers = {
        "x-acs-version": "2014-05-26",
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": EMPTY,
    }
    names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    made = authorization(
        method="POST",
        query=encoded(QUERY),
        headers=headers,
        key_id="YourAccessKeyId",
        secret="YourAccessKeySecret",
    )
    assert made == f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"


def test_everything_but_plain_characters_is_escaped() -> None:
    assert encoded({"b": "a b+*~/:", "a": "示例", "c": ""}) == "a=%E7%A4%BA%E4%BE%8B&b=a%20b%2B%2A~%2F%3A&c="


class ToLoopback(httpx.AsyncBaseTransport):
    """The plugin's own transport, led to a port on loopback."""

    def __init__(self, inner: httpx.AsyncBaseTransport, port: int) -> None:
        self.inner, self.port = inner, port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path
        request.url = httpx.URL(scheme="http", host="127.0.0.1", port=self.port, raw_path=path)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_the_query_goes_over_the_wire_as_it_was_signed() -> None:
    targets: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        targets.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        body = b'{"Code": "OK", "BizId": "1^2"}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    def client(**options: Any) -> httpx.AsyncClient:
        through = Transport(verify=ssl.create_default_context(), limit=1)
        return new_client(**options | {"transport": ToLoopback(through, port)})

    config = FakeAliyunSms.config | {
        "templates": {"default": {"code": "SMS_1", "parameters": {"what": "what"}}}
    }
    context = Context(shop="sample", time_zone="Asia/Shanghai", clock=SystemClock(), http=client)
    channel = AliyunSms(AliyunSmsConfig.model_validate(config), context)
    await channel.message(message(parameters={"what": "'(!*)' ~ 3/5, 示例: {\"a\"}"}))
    await channel.aclose()
    listening.close()
    query = targets[0].removeprefix("/?")
    assert query == encoded(dict(httpx.QueryParams(query)))
    assert httpx.QueryParams(query)["TemplateParam"] == '{"what":"\'(!*)\' ~ 3/5, 示例: {\\"a\\"}"}'
