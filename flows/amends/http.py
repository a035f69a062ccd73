"""The one HTTP client: httpx's API on the aiohttp transport, with every lower-level error mapped into our tree.

Connectors use `Http`; nothing else in the project opens a connection to a platform.
"""

from __future__ import annotations

import json
import logging
import re
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
from amends.transport import TooLate, Transport

# httpx tells every full address at INFO, and some platforms carry signatures and personal values in the query.
logging.getLogger("httpx").setLevel(logging.WARNING)

TIMEOUT = httpx.Timeout(10.0, connect=5.0)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """The authorities that we trust, read once: that takes longer than a whole request."""
    return httpx.create_ssl_context()


class Client(httpx.AsyncClient):
    """httpx's client with a short way for plain requests, for whoever makes thousands of them.

    A platform's API needs no cookies, redirects, authentication flows or hooks, which cost more than the request
    itself. A request that asks for one of them, or goes by a transport of a test, goes httpx's own way.
    """

    def __init__(self, *, transport: httpx.AsyncBaseTransport, **options: Any) -> None:
        super().__init__(transport=transport, **options)
        unusual = {"auth", "cookies", "params", "event_hooks", "mounts", "proxy", "follow_redirects"}
        self._direct = transport if isinstance(transport, Transport) else None
        if any(options.get(name) for name in unusual):
            self._direct = None
        self._patience = self.timeout.as_dict()
        self._base = str(self.base_url).rstrip("/")

    async def request(
        self, method: str, url: httpx.URL | str, *, params: Any = None, headers: Any = None, **more: Any
    ) -> httpx.Response:
        given = {name for name, value in more.items() if value not in (None, httpx.USE_CLIENT_DEFAULT)}
        if self._direct is None or not isinstance(url, str) or not given <= {"content", "json"}:
            return await super().request(method, url, params=params, headers=headers, **more)
        from multidict import CIMultiDict

        content, all_headers = more.get("content") or b"", CIMultiDict(self.headers.multi_items())
        if "json" in given:
            content = _JSON.encode(more["json"]).encode()
            all_headers["content-type"] = "application/json"
        if headers:
            all_headers.update(httpx.Headers(headers).multi_items())
        if isinstance(content, str):
            content = content.encode()
        address = self._address(url, params)

        def asked() -> httpx.Request:
            return httpx.Request(method, address, headers=list(all_headers.items()), content=content)

        return await self._direct.exchange(
            method.upper(), address, all_headers, content, self._patience, asked
        )

    def _address(self, url: str, params: Any) -> str:
        if not url.startswith(("https://", "http://")):
            url = f"{self._base}/{url.lstrip('/')}"
        if params:  # in place of the address' own, as httpx has it
            url = f"{url.partition('?')[0]}?{httpx.QueryParams(params)}"
        return url if _PLAIN.fullmatch(url) else str(httpx.URL(url))


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_PLAIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{3,5})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""Addresses that httpx would not change by a letter: to parse one takes as long as to make the request."""


def new_client(*, limit: int = 32, **options: Any) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` on the aiohttp transport (several times httpx's own under concurrency).

    Redirects are off: a platform's API does not redirect, and following one could carry a secret elsewhere.
    """
    options.setdefault("timeout", TIMEOUT)
    options.setdefault("follow_redirects", False)
    if "transport" not in options:
        options["transport"] = Transport(verify=_certificates(), limit=limit)
    return Client(**options)


class Http:
    """A thin wrapper: sends one request and answers with parsed JSON, or raises one of our `PlatformError`s."""

    def __init__(self, client: httpx.AsyncClient, *, who: str) -> None:
        self.client = client
        self.who = who

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """The raw response, whatever its status; transport errors are mapped, and never retried here."""
        try:
            return await self.client.request(method, url, **options)
        except TooLate as error:
            raise Unreachable(f"{self.who}: {error}") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
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


def _name(error: Exception) -> str:
    return type(error).__name__
