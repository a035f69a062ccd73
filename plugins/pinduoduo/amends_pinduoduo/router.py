"""Calls the Open Platform's router for one shop: signs, paces, unwraps the answer, maps every failure.

One POST address serves all methods; failures come as `error_response` with HTTP 200. There is no sandbox.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from amends import (
    AuthFailed,
    BadAnswer,
    Clock,
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
from amends_pinduoduo.faults import RELEASE, error_from
from amends_pinduoduo.fields import bad, when
from amends_pinduoduo.signing import as_text, sign
from amends_pinduoduo.tokens import Wallet

if TYPE_CHECKING:
    import httpx

    from amends_pinduoduo.config import PinduoduoConfig

WHO = "pinduoduo"

PER_SECOND: Mapping[str, float] = {
    # The platform's limits per shop, of which four fifths are used: other software of the merchant calls too.
    "pdd.order.number.list.increment.get": 40.0,  # 3000 in 60 s
    "pdd.order.list.get": 80.0,  # 6000 in 60 s
    "pdd.order.information.get": 400.0,  # 30000 in 60 s
    "pdd.refund.list.increment.get": 8.0,  # 100 in 10 s
    "pdd.refund.information.get": 8.0,  # no limit published; taken to be the list's
    "pdd.logistics.ordertrace.get": 190.0,  # 4800 in 20 s
}
_OTHERS = 20.0
_BURST = 8

_ASK_TIME_EVERY = timedelta(hours=1)
_TOLERANCE = timedelta(minutes=9)
"""The platform refuses a timestamp more than 10 minutes off; a minute is left for the way there."""
_CLOCK_CODES = frozenset({10000, 10001, 20004, 21001})


class Pace:
    """Spreads calls of one method over time, letting a short burst through."""

    def __init__(self, limits: Mapping[str, float] = PER_SECOND) -> None:
        self._limits = limits
        self._next: dict[str, float] = {}

    async def take(self, method: str) -> None:
        step = 1.0 / self._limits.get(method, _OTHERS)
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next.get(method, 0.0))
        self._next[method] = turn + step
        wait = turn - now - _BURST * step
        if wait > 0:
            await asyncio.sleep(wait)


class Router:
    """The platform's API for one shop. `call` answers with the body under the response's root key."""

    def __init__(
        self, config: PinduoduoConfig, http: Http, clock: Clock, wallet: Wallet | None = None
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._wallet = wallet
        self._pace = Pace()
        self._ahead = timedelta()
        self._asked: datetime | None = None

    @classmethod
    def of(cls, config: PinduoduoConfig, context: Context) -> Router:
        return cls(config, Http(context.client(), who=WHO), context.clock, Wallet(config))

    async def now(self) -> datetime:
        """The platform's time: lists are asked for by its clock, so that ours being fast loses no order."""
        ours = self._clock.now()
        if self._asked is None or ours - self._asked > _ASK_TIME_EVERY or ours < self._asked:
            answer = await self.call("pdd.time.get", "time_get_response", shop=False)
            theirs = when(answer, "time", "pdd.time.get")
            if theirs is None:
                raise bad("time", "is missing", "pdd.time.get")
            self._ahead, self._asked = theirs - ours, ours
        return ours + self._ahead

    async def call(self, method: str, root: str, *, shop: bool = True, **parameters: Any) -> dict[str, Any]:
        """The object under `root` (empty: the whole body) of one method's answer.

        `shop=False` for the few methods that need no authorisation of the shop.
        """
        secret = self._config.client_secret.get_secret_value()
        now = self._clock.now()
        token = self._wallet.secret(now) if shop and self._wallet is not None else ""
        texts = as_text(
            {
                **parameters,
                "type": method,
                "client_id": self._config.client_id,
                "timestamp": int((now + self._ahead).timestamp()),
                "data_type": "JSON",
                "version": "V1",
                "access_token": token,
            }
        )
        texts["sign"] = sign(texts, secret)
        await self._pace.take(method)
        response = await self._http.send("POST", self._config.router, data=texts)
        return self._answer(
            method, root, response, hide=tuple(s for s in (secret, token, texts["sign"]) if s)
        )

    def _answer(
        self, method: str, root: str, response: httpx.Response, *, hide: tuple[str, ...]
    ) -> dict[str, Any]:
        body = _body(response)
        if body is not None and isinstance(body.get("error_response"), dict):
            raise self._explain(error_from(body["error_response"], method=method, hide=hide), response)
        if not 200 <= response.status_code < 300:
            raise _by_status(method, response)
        if body is None:
            size = len(response.content)
            raise BadAnswer(f"{WHO}: the answer to {method} is not a JSON object ({size} bytes)")
        answer = _unwrap(body, root, method)
        # Some methods report a refusal inside their normal answer.
        success = answer.get("success")
        if success is False or (success is None and str(answer.get("error_code") or "0") != "0"):
            raise error_from(answer, method=method, hide=hide)
        return answer

    def _explain(self, error: PlatformError, response: httpx.Response) -> PlatformError:
        """A refused signature or parameter may really be a wrong clock: the answer's date tells."""
        if error.context.get("error_code") not in _CLOCK_CODES:
            return error
        off = clock_off(response.headers, self._clock.now() + self._ahead)
        if abs(off) < _TOLERANCE:
            return error
        minutes = round(off.total_seconds() / 60)
        wrong = AuthFailed(
            f"{WHO}: this machine's clock is {minutes:+d} minutes off, 10 are accepted ({error.message})",
            hint=f"Set the machine's clock (NTP), {RELEASE}.",
        )
        wrong.context = error.context
        return wrong

    async def aclose(self) -> None:
        await self._http.aclose()


def _body(response: httpx.Response) -> dict[str, Any] | None:
    try:
        # Amounts come as JSON numbers; a float would not be exact.
        body = json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _unwrap(body: dict[str, Any], root: str, method: str) -> dict[str, Any]:
    """The object under the root key, or under any such key: the platform misspells one and may mend it."""
    if isinstance(body.get(root), dict):
        return cast("dict[str, Any]", body[root])
    for key, value in body.items():
        if isinstance(value, dict) and (key == "response" or key.endswith(("_response", "_resposne"))):
            return value
    if root:
        raise bad(root, "is missing", method)
    return body


def _by_status(method: str, response: httpx.Response) -> PlatformError:
    """The gateway itself failed: no word of the platform's own in the body."""
    status = response.status_code
    say = f"{WHO}: HTTP {status} to {method}"
    if status == 429:
        return Throttled(say, retry_after=retry_after(response.headers))
    if status >= 500 or status in (408, 425):
        return Unavailable(say)
    if status == 401:
        return AuthFailed(say)
    if status == 403:
        return NotAllowed(
            say,
            hint=f"A proxy or the platform's gateway turns this machine away; check its address, {RELEASE}.",
        )
    wrong = "The router's address may be wrong: remove `router` from connector_config."
    return (NotFound if status == 404 else Rejected)(say, hint=wrong)
