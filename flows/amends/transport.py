"""httpx on aiohttp's connections, for the one HTTP client: several times as fast as httpx's own under concurrency.

Which error means what decides whether something is sent again: only a connection that was never made raises
`ConnectError` or `ConnectTimeout`. A server that hangs up, however early, may have done what it was asked.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any

import httpx

from amends.deadline import SEND_BEFORE, steady

if TYPE_CHECKING:
    import aiohttp


_READS = ("GET", "HEAD", "OPTIONS")


class TooLate(httpx.ConnectError):
    """Nothing was sent: when the connection was there, another worker might have taken the case over."""


class Transport(httpx.AsyncBaseTransport):
    """Sends each request over one aiohttp session, made with the first request because it belongs to a loop."""

    def __init__(self, *, verify: ssl.SSLContext, limit: int) -> None:
        self._verify, self._limit = verify, limit
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import aiohttp
        from multidict import CIMultiDict
        from yarl import URL

        session = self._session or self._opened()
        content = await request.aread()
        until = SEND_BEFORE.get()
        timely = None if until == inf or request.method in _READS else _timely()(content, until)
        try:
            async with session.request(
                request.method,
                URL(str(request.url), encoded=True),  # as it is: signatures cover the very letters
                headers=CIMultiDict((k.decode(), v.decode()) for k, v in request.headers.raw),
                data=timely or content or None,
                allow_redirects=False,
                timeout=_timeout(*request.extensions.get("timeout", {}).items()),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if timely is not None and timely.late:
                raise TooLate(
                    "the lease was running out before this could be sent", request=request
                ) from None
            raise _mapped(error)(str(error) or type(error).__name__, request=request) from error
        response = httpx.Response(
            answer.status, headers=answer.raw_headers, stream=httpx.ByteStream(body), request=request
        )
        response.headers.encoding = "iso-8859-1"  # else every look at them tries others first
        return response

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
