"""httpx on aiohttp's connections, for the one HTTP client: several times as fast as httpx's own under concurrency.

Which error means what decides whether something is sent again: only a connection that was never made raises
`ConnectError` or `ConnectTimeout`. A server that hangs up, however early, may have done what it was asked.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any

import httpx

from amends.deadline import SEND_BEFORE, steady

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDict


_READS = ("GET", "HEAD", "OPTIONS")


class TooLate(httpx.ConnectError):
    """Nothing was sent: when the connection was there, another worker might have taken the case over."""


class Answer(httpx.Response):
    """A response that is read whole already, and knows its request once somebody asks."""

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        asked: Callable[[], httpx.Request],
    ) -> None:
        super().__init__(status, headers=headers, stream=httpx.ByteStream(body))
        self.headers.encoding = "iso-8859-1"  # else every look at them tries others first
        self._body, self._asked = body, asked
        if "content-encoding" in self.headers:
            self._body = httpx.Response(status, headers=headers, content=body).content
        self.is_closed = self.is_stream_consumed = True

    @property
    def request(self) -> httpx.Request:
        return self._asked()

    @request.setter
    def request(self, value: httpx.Request) -> None:
        self._asked = lambda: value

    @property
    def content(self) -> bytes:
        return self._body

    def read(self) -> bytes:
        return self._body

    async def aread(self) -> bytes:
        return self._body


class Transport(httpx.AsyncBaseTransport):
    """Sends each request over one aiohttp session, made with the first request because it belongs to a loop."""

    def __init__(self, *, verify: ssl.SSLContext, limit: int) -> None:
        self._verify, self._limit = verify, limit
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        from multidict import CIMultiDict

        content = await request.aread()
        headers = CIMultiDict((k.decode(), v.decode()) for k, v in request.headers.raw)
        patience = request.extensions.get("timeout", {})
        return await self.exchange(
            request.method, str(request.url), headers, content, patience, lambda: request
        )

    async def exchange(
        self,
        method: str,
        address: str,
        headers: CIMultiDict[str],
        content: bytes,
        patience: Mapping[str, Any],
        asked: Callable[[], httpx.Request],
    ) -> httpx.Response:
        """The answer, read whole. `asked` makes the request for whoever looks at it: few do, and it takes its time."""
        import aiohttp
        from yarl import URL

        session = self._session or self._opened()
        until = SEND_BEFORE.get()
        timely = None if until == inf or method in _READS else _timely()(content, until)
        try:
            async with session.request(
                method,
                URL(address, encoded=True),  # as it is: signatures cover the very letters
                headers=headers,
                data=timely or content or None,
                allow_redirects=False,
                timeout=_timeout(*patience.items()),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if timely is not None and timely.late:
                raise TooLate(
                    "the lease was running out before this could be sent", request=asked()
                ) from None
            raise _mapped(error)(str(error) or type(error).__name__, request=asked()) from error
        return Answer(answer.status, answer.raw_headers, body, asked)

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._verify),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does that, by the headers
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            trust_env=False,
        )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _mapped(error: Exception) -> type[httpx.TransportError]:
    import aiohttp

    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError
        case aiohttp.InvalidURL():
            return httpx.UnsupportedProtocol
        case TimeoutError():
            return httpx.ReadTimeout
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() | aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError
        case _:
            return httpx.ReadError


@lru_cache(maxsize=16)
def _timeout(*parts: tuple[str, Any]) -> aiohttp.ClientTimeout:
    import aiohttp

    by_name = dict(parts)
    return aiohttp.ClientTimeout(
        connect=by_name.get("pool"), sock_connect=by_name.get("connect"), sock_read=by_name.get("read")
    )


@lru_cache(maxsize=1)
def _timely() -> Any:
    import aiohttp

    class Timely(aiohttp.BytesPayload):
        """A body that looks at the clock when it is to be written: headers leave together with it, and not before."""

        def __init__(self, content: bytes, until: float) -> None:
            super().__init__(content)
            self.until, self.late = until, False

        async def write_with_length(self, writer: Any, content_length: int | None) -> None:
            if steady() > self.until:
                self.late = True
                raise TooLate("too late")
            await super().write_with_length(writer, content_length)

    return Timely
