"""The one HTTP client: httpx's API on the aiohttp transport, with every lower-level error mapped into our tree.

Connectors use `Http`; nothing else in the project opens a connection to a platform.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx

from amends.errors import (
    AuthFailed,
    BadAnswer,
    NotFound,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)

# httpx tells every full address at INFO, and some platforms carry signatures and personal values in the query.
logging.getLogger("httpx").setLevel(logging.WARNING)

TIMEOUT = httpx.Timeout(10.0, connect=5.0)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """The authorities that we trust, read once: that takes longer than a whole request."""
    return httpx.create_ssl_context()


def new_client(*, limit: int = 32, **options: Any) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` on the aiohttp transport (several times httpx's own under concurrency).

    Redirects are off: a platform's API does not redirect, and following one could carry a secret elsewhere.
    """
    options.setdefault("timeout", TIMEOUT)
    options.setdefault("follow_redirects", False)
    if "transport" not in options:
        from httpx_aiohttp import AiohttpTransport

        options["transport"] = AiohttpTransport(
            verify=_certificates(),
            limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
        )
    return httpx.AsyncClient(**options)


class Http:
    """A thin wrapper: sends one request and answers with parsed JSON, or raises one of our `PlatformError`s."""

    def __init__(self, client: httpx.AsyncClient, *, who: str) -> None:
        self.client = client
        self.who = who

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """The raw response, whatever its status; transport errors are mapped, and never retried here."""
        try:
            return await self.client.request(method, url, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if _had_left(error):
                raise TimedOut(
                    f"{self.who}: the connection broke before an answer came ({_name(error)})"
                ) from error
            raise Unreachable(f"{self.who}: cannot connect ({_name(error)})") from error
        except httpx.TimeoutException as error:
            raise TimedOut(f"{self.who}: no answer in time ({_name(error)})") from error
        except (httpx.DecodingError, httpx.TooManyRedirects) as error:
            raise BadAnswer(f"{self.who}: unreadable answer ({_name(error)})") from error
        except httpx.TransportError as error:
            raise TimedOut(
                f"{self.who}: the connection broke before an answer came ({_name(error)})"
            ) from error

    async def json(self, method: str, url: str, **options: Any) -> Any:
        """The parsed body of a 2xx answer; any other status raises by `raise_for`."""
        response = await self.send(method, url, **options)
        raise_for(response, who=self.who)
        return parse(response, who=self.who)

    async def aclose(self) -> None:
        await self.client.aclose()


def raise_for(response: httpx.Response, *, who: str) -> None:
    """Map a status to our errors by HTTP's own meaning; a platform with other habits maps its body first."""
    status = response.status_code
    if status < 300:
        return
    say = f"{who}: HTTP {status}"
    if status == 429:
        raise Throttled(say, retry_after=retry_after(response.headers))
    if status in (401, 403):
        raise AuthFailed(say)
    if status == 404:
        raise NotFound(say)
    if status in (408, 425) or status >= 500:
        raise Unavailable(say)
    raise Rejected(say)  # never the body: platforms echo what was sent, personal values included


def parse(response: httpx.Response, *, who: str) -> Any:
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise BadAnswer(
            f"{who}: the answer is not JSON ({len(response.content)} bytes, HTTP {response.status_code})"
        ) from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a `Retry-After` header, given as seconds or as a date."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _had_left(error: Exception) -> bool:
    """Whether the request may have left all the same: the aiohttp transport reports a server that hangs up after
    the request as a failure to connect. Only aiohttp's own connecting errors prove that nothing was sent."""
    cause = error.__cause__
    if cause is None or not type(cause).__module__.startswith("aiohttp"):
        return False
    import aiohttp

    return not isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))


def _name(error: Exception) -> str:
    return type(error).__name__
