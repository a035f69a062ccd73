"""One signed call to WooCommerce's REST API, and what its refusals mean in amends' errors."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from amends import (
    AuthFailed,
    BadAnswer,
    Context,
    Http,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    Throttled,
    Unavailable,
    clock_off,
    retry_after,
)
from amends_woocommerce.config import WooCommerceConfig
from amends_woocommerce.oauth import signed

if TYPE_CHECKING:
    import httpx

SKEW = 15 * 60  # seconds; WooCommerce refuses OAuth timestamps further from its own clock

RIGHTS = "Give the API key Read/Write and a user who may manage the shop, then `amends release --shop NAME`."
ADDRESS = "Set `url` to the shop's own address, and WordPress permalinks to anything but Plain."
FIREWALL = "A firewall or security plugin answers: let this machine's address through to /wp-json/wc/v3."
CLOCK = "Set this machine's clock: WooCommerce refuses signatures more than 15 minutes off."

# WooCommerce's `code` in an error body, whatever the HTTP status. Patterns match whole; the first one wins.
CODES: tuple[tuple[str, type[PlatformError]], ...] = (
    (r"woocommerce_rest_authentication_(error|missing_parameter)", AuthFailed),
    (
        r"woocommerce_rest_(shop_order|shop_coupon|order)_invalid_id|woocommerce_rest_invalid_(order|id).*",
        NotFound,
    ),
    (r"rest_no_route|rest_disabled", NotAllowed),
    (r"woocommerce_rest_coupon_code_already_exists|rest_invalid_param|rest_missing_callback_param", Rejected),
)


class Api:
    """Calls below `/wp-json/wc/v3`. Secrets live in the headers and signatures of single requests only."""

    def __init__(self, config: WooCommerceConfig, context: Context) -> None:
        self.config = config
        self.who = f"woocommerce {context.shop}"
        self.clock = context.clock
        self.http = Http(context.client(), who=self.who)

    def __repr__(self) -> str:
        return f"<Api {self.who}>"

    async def get(self, path: str, **query: str) -> Any:
        return read(await self.call("GET", path, query=query), self.who)

    async def list(self, path: str, **query: str) -> tuple[list[Any], int]:
        """One page and how many pages there are."""
        response = await self.call("GET", path, query=query)
        rows = read(response, self.who)
        if not isinstance(rows, list):
            raise BadAnswer(f"{self.who}: {path} is not a list")
        pages = response.headers.get("x-wp-totalpages", "")
        if not pages.isdigit():
            raise BadAnswer(f"{self.who}: {path} lacks the header X-WP-TotalPages")
        return rows, int(pages)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return read(await self.call("POST", path, body=body), self.who)

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return read(await self.call("PUT", path, body=body), self.who)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        url = f"{self.config.url}/wp-json/wc/v3/{path}"
        key, secret = (
            self.config.consumer_key.get_secret_value(),
            self.config.consumer_secret.get_secret_value(),
        )
        params, headers = dict(query or {}), {"accept": "application/json"}
        now = self.clock.now()
        if self.config.oauth1:
            stamp, nonce = int(now.timestamp()), secrets.token_hex(16)
            params = signed(method, url, params, key=key, secret=secret, timestamp=stamp, nonce=nonce)
        else:
            headers["authorization"] = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
        options: dict[str, Any] = {"params": params, "headers": headers}
        if body is not None:
            options["json"] = body
        response = await self.http.send(method, url, **options)
        if response.status_code >= 300:
            skew = clock_off(response.headers, now).total_seconds() if self.config.oauth1 else 0.0
            raise refusal(response, self.who, skew=skew)
        return response

    async def aclose(self) -> None:
        await self.http.aclose()


def read(response: httpx.Response, who: str) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        size = len(response.content)
        raise BadAnswer(
            f"{who}: the answer is not JSON ({size} bytes, HTTP {response.status_code})"
        ) from None


def refusal(response: httpx.Response, who: str, *, skew: float = 0.0) -> PlatformError:
    """The error for an answer of 300 or more: by WooCommerce's code, else by HTTP's meaning."""
    status = response.status_code
    code, words, is_json = _told(response)
    say = f"{who}: HTTP {status}" + (f", {code}" if code else "")
    context = {"platform_code": code}
    if status == 429:
        return Throttled(say, retry_after=retry_after(response.headers), **context)
    if status < 400:
        return NotAllowed(f"{say}: the shop redirects instead of answering", hint=ADDRESS, **context)
    kind = next((kind for pattern, kind in CODES if re.fullmatch(pattern, code)), None)
    if kind is AuthFailed:
        say += f": {words}"  # WooCommerce's own sentences; other messages may repeat what was sent
    if kind is AuthFailed and "permission" in words:
        return NotAllowed(say, hint=RIGHTS, **context)
    if kind is AuthFailed and abs(skew) > SKEW:
        return AuthFailed(
            f"{say} (this clock is {skew / 60:+.0f} minutes off the shop's)", hint=CLOCK, **context
        )
    if kind is NotAllowed:
        return NotAllowed(say, hint=ADDRESS, **context)
    if kind is not None:
        return kind(say, **context)
    if status == 401:
        # A key that WooCommerce does not know makes us a stranger: "cannot view", with 401 rather than 403.
        return AuthFailed(say, **context)
    if status == 403:
        return NotAllowed(say, hint=RIGHTS if code else FIREWALL, **context)
    if status == 404 and is_json:
        return NotFound(say, **context)
    if status == 404:
        # A web page: not "no such order", but no API at this address.
        return NotAllowed(f"{say}: no WooCommerce REST API v3 here", hint=ADDRESS, **context)
    if status in (408, 425) or status >= 500:
        error = Unavailable(say, **context)
        error.retry_after = retry_after(response.headers)
        return error
    return Rejected(say, **context)


def _told(response: httpx.Response) -> tuple[str, str, bool]:
    """WooCommerce's code and message, and whether a program answered at all rather than a web page."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return "", "", False
    if not isinstance(body, dict):
        return "", "", False
    code = str(body.get("code") or "")
    return code if re.fullmatch(r"[a-z0-9_]{1,80}", code) else "", str(body.get("message") or "")[:120], True
