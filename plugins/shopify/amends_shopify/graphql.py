"""Sends documents to one store's Admin API: signs in, keeps within the query points, maps every error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from amends import (
    AuthFailed,
    BadAnswer,
    Clock,
    Http,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    Unavailable,
    retry_after,
)
from amends_shopify.config import ShopifyConfig
from amends_shopify.documents import API_VERSION, DOCUMENTS

Sleep = Callable[[float], Awaitable[None]]

# What a status means, before the body is read. 402 and 423: frozen or locked store; 430: security rejection.
STATUS: dict[int, tuple[type[PlatformError], str]] = {
    301: (NotAllowed, "The store has moved: correct `store` in its connector_config."),
    302: (NotAllowed, "The store has moved: correct `store` in its connector_config."),
    401: (
        AuthFailed,
        "The token was revoked or is another store's: renew it, then `amends release --shop NAME`.",
    ),
    402: (
        NotAllowed,
        "The store is frozen: its owner must settle Shopify's bill, then `amends release --shop NAME`.",
    ),
    403: (
        NotAllowed,
        "Give the app the missing scope and install it again, then `amends release --shop NAME`.",
    ),
    404: (NotFound, "Check `store`, and that the app is installed on it."),
    423: (
        NotAllowed,
        "Shopify locked the store: its owner must ask Shopify, then `amends release --shop NAME`.",
    ),
    430: (RiskControl, "Shopify's security refused the request: look into the admin before going on."),
}

# Top-level errors, by `extensions.code`.
CODES: dict[str, tuple[type[PlatformError], str]] = {
    "ACCESS_DENIED": (
        NotAllowed,
        "Give the app the scope that the message names, or switch off `personal` or `disputes`.",
    ),
    "SHOP_INACTIVE": (
        NotAllowed,
        "The store is closed: its owner must reopen it, then `amends release --shop NAME`.",
    ),
    "MAX_COST_EXCEEDED": (Rejected, "Lower `page_size` in the shop's connector_config."),
    "INTERNAL_SERVER_ERROR": (Unavailable, ""),
    "TIMEOUT": (Unavailable, ""),
    # The first request with this key still runs, or ran with other numbers: either way it may have been done.
    "IDEMPOTENCY_CONCURRENT_REQUEST": (Unavailable, ""),
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": (Unavailable, ""),
}

# `userErrors[].code` of the mutations we send; every code that is not here means that the input was refused.
USER_ERRORS: dict[str, type[PlatformError]] = {
    "ACCOUNT_NOT_FOUND": NotFound,
    "CUSTOMER_NOT_FOUND": NotFound,
    "DISPUTE_EVIDENCE_NOT_FOUND": NotFound,
    "FULFILLMENT_ORDERS_NOT_FOUND": NotFound,
    "OWNER_NOT_FOUND": NotFound,
    "RECIPIENT_NOT_FOUND": NotFound,
    "IDEMPOTENCY_CONCURRENT_REQUEST": Unavailable,
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH": Unavailable,
    "INTERNAL_ERROR": Unavailable,
}


class Taken(Rejected):
    """The code that we made for an effect is in use: the effect took place before."""


class Bucket:
    """What is left of the app's query points in this store, as Shopify last told, for whoever sends next."""

    def __init__(self, clock: Clock, patience: timedelta, sleep: Sleep) -> None:
        self._clock, self._patience, self._sleep = clock, patience.total_seconds(), sleep
        self._costs: dict[str, float] = {}
        self._left = self._most = math.inf
        self._rate = 0.0
        self._at: datetime | None = None
        self._turn = asyncio.Lock()

    async def take(self, operation: str) -> None:
        """Set the operation's points aside, perhaps after a short wait; `Throttled` instead of a long one."""
        async with self._turn:
            cost = min(self._costs.get(operation, 0.0), self._most)
            self._refill()
            wait = (cost - self._left) / self._rate if self._rate and cost > self._left else 0.0
            if wait > self._patience:
                raise Throttled(
                    f"shopify: {operation} needs {cost:g} query points, {self._left:g} are left",
                    retry_after=wait,
                )
            if wait:
                await self._sleep(wait)
                self._left += wait * self._rate
            self._left -= cost

    def _refill(self) -> None:
        now = self._clock.now()
        if self._at is not None and now > self._at:
            self._left = min(self._most, self._left + (now - self._at).total_seconds() * self._rate)
        self._at = now

    def learn(self, operation: str, cost: Any) -> float | None:
        """Take in `extensions.cost`; the answer says after how many seconds the operation could run."""
        try:
            status = cost["throttleStatus"]
            self._costs[operation] = float(cost["requestedQueryCost"])
            self._most, self._left = float(status["maximumAvailable"]), float(status["currentlyAvailable"])
            self._rate = float(status["restoreRate"])
        except (KeyError, TypeError, ValueError):  # a courtesy of the platform: without it we just send
            return None
        self._at = self._clock.now()
        return max(0.0, self._costs[operation] - self._left) / self._rate if self._rate else None


class Admin:
    """One store's Admin API for the rest of the connector."""

    def __init__(
        self, http: Http, config: ShopifyConfig, clock: Clock, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._http, self._config, self._clock = http, config, clock
        self._bucket = Bucket(clock, config.patience, sleep)
        self._token, self._until = "", clock.now()
        self._signing_in = asyncio.Lock()

    @property
    def base(self) -> str:
        return f"https://{self._config.store}/admin/api/{API_VERSION}"

    async def run(self, operation: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of one document of `DOCUMENTS`."""
        await self._bucket.take(operation)
        body = {"query": DOCUMENTS[operation], "operationName": operation, "variables": dict(variables)}
        answer = _object(await self._send(f"{self.base}/graphql.json", body))
        extensions = answer.get("extensions")
        wait = self._bucket.learn(operation, extensions.get("cost") if isinstance(extensions, dict) else None)
        if answer.get("errors"):
            raise _error(operation, answer["errors"], answer.get("data"), wait)
        if not isinstance(answer.get("data"), dict):
            raise BadAnswer(f"shopify: {operation}: data is missing")
        data: dict[str, Any] = answer["data"]
        return data

    async def change(self, operation: str, field: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a mutation; its `userErrors` raise."""
        payload = (await self.run(operation, variables)).get(field)
        if not isinstance(payload, dict) or not isinstance(payload.get("userErrors"), list):
            raise BadAnswer(f"shopify: {operation}: {field}.userErrors is missing")
        if payload["userErrors"]:
            raise _user_error(operation, payload["userErrors"])
        return payload

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a REST call, for what GraphQL cannot do in this version: a dispute's files."""
        return _object(await self._send(f"{self.base}/{path}", body))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(self, url: str, body: Mapping[str, Any]) -> Any:
        response = await self._try(url, body)
        if response.status_code == 401 and self._config.access_token is None:
            # Nothing was done; a lent token may have been withdrawn before its day was over.
            self._token = ""
            response = await self._try(url, body)
        return _body(response)

    async def _try(self, url: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self._http.send(
            "POST", url, json=body, headers={"X-Shopify-Access-Token": await self._sign_in()}
        )

    async def _sign_in(self) -> str:
        fixed, secret = self._config.access_token, self._config.client_secret
        if fixed is not None or secret is None:
            return fixed.get_secret_value() if fixed else ""
        async with self._signing_in:
            if self._token and self._clock.now() < self._until:
                return self._token
            asked = {
                "grant_type": "client_credentials",
                "client_id": self._config.client_id,
                "client_secret": secret.get_secret_value(),
            }
            url = f"https://{self._config.store}/admin/oauth/access_token"
            response = await self._http.send("POST", url, data=asked)
            if response.status_code == 400:  # Shopify's answer to a wrong id or secret; its body is a page
                raise AuthFailed("shopify: client id or secret were refused (HTTP 400)")
            answer = _object(_body(response))
            try:
                self._token = str(answer["access_token"])
                lent = timedelta(seconds=int(answer["expires_in"]))
            except (KeyError, TypeError, ValueError):
                raise BadAnswer("shopify: signing in: access_token or expires_in is missing") from None
            # Renewed a little early, so that no request leaves with a token that dies on the way.
            self._until = self._clock.now() + lent - min(timedelta(minutes=5), lent / 10)
            return self._token


def _body(response: httpx.Response) -> Any:
    status = response.status_code
    if status in STATUS:
        kind, hint = STATUS[status]
        raise kind(f"shopify: HTTP {status}", hint=hint)
    if status == 429:
        raise Throttled("shopify: HTTP 429", retry_after=retry_after(response.headers))
    if status >= 500 or status == 408:
        raise Unavailable(f"shopify: HTTP {status}")
    if status >= 300:
        # Without the body, which may repeat what we sent.
        raise Rejected(f"shopify: HTTP {status}")
    try:
        return response.json()
    except ValueError:
        raise BadAnswer(
            f"shopify: the answer is not JSON ({len(response.content)} bytes, HTTP {status})"
        ) from None


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise BadAnswer("shopify: the answer is not a JSON object")
    return answer


def _error(operation: str, errors: Any, data: Any, wait: float | None) -> PlatformError:
    if not isinstance(errors, list) or not all(isinstance(error, dict) for error in errors):
        return BadAnswer(f"shopify: {operation}: errors is not a list of objects")
    codes = [str((error.get("extensions") or {}).get("code", "")) for error in errors]
    if "THROTTLED" in codes or any(error.get("message") == "Throttled" for error in errors):
        return Throttled(f"shopify: {operation}: throttled", retry_after=wait)
    for code, error in zip(codes, errors, strict=True):
        if code in CODES:
            kind, hint = CODES[code]
            return kind(
                f"shopify: {operation}: {code}: {str(error.get('message', ''))[:300]}", hint=hint or None
            )
    # Without the message: of an error that we do not know it may repeat what we sent.
    say = f"shopify: {operation}: refused ({', '.join(codes).strip(', ') or 'no code'})"
    # Refused before it ran (a field or argument is wrong), unless something of it did run.
    ran = bool(data) or any(error.get("path") for error in errors)
    return BadAnswer(say) if ran else Rejected(say)


def _user_error(operation: str, errors: list[Any]) -> PlatformError:
    told = [error if isinstance(error, dict) else {"message": str(error)} for error in errors]
    say = f"shopify: {operation}: " + "; ".join(
        (".".join(map(str, error.get("field") or [])) + " " + str(error.get("message", ""))).strip()
        for error in told
    )
    codes = [str(error.get("code") or "") for error in told]
    if codes == ["TAKEN"]:
        return Taken(say)
    return next((USER_ERRORS[code] for code in codes if code in USER_ERRORS), Rejected)(say)
