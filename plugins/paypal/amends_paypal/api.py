"""Sends requests to PayPal: signs in with the app's credentials, keeps the token, maps every error."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from amends import (
    AuthFailed,
    BadAnswer,
    Clock,
    File,
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
from amends_paypal.config import PayPalConfig
from amends_paypal.wire import Dispute, Listed, read

DISPUTES = "/v1/customer/disputes"
VERIFY = "/v1/notifications/verify-webhook-signature"
PAGE = 20
PARTS = {
    "provide-evidence": "evidence-file",
    "appeal": "evidence-file",
    "provide-supporting-info": "supporting document",
    "send-message": "message_document",
}
"""What PayPal's description calls the files of each action."""
_ID = re.compile(r"[A-Za-z0-9-]{1,255}")

# The issue of an error, where it says more than the status.
ISSUES: dict[str, tuple[type[PlatformError], str]] = {
    "ACCOUNT_RESTRICTED": (RiskControl, "PayPal restricted the account: see its Resolution Centre."),
    "PAYEE_ACCOUNT_RESTRICTED": (RiskControl, "PayPal restricted the account: see its Resolution Centre."),
    "PAYEE_ACCOUNT_LOCKED_OR_CLOSED": (RiskControl, "PayPal locked or closed the account."),
    "PERMISSION_DENIED": (
        NotAllowed,
        "Switch on Customer Disputes in the app's features at developer.paypal.com.",
    ),
}

STATUS: dict[int, tuple[type[PlatformError], str]] = {
    401: (AuthFailed, "Check client_id, client_secret and sandbox, then `amends release --shop NAME`."),
    403: (
        NotAllowed,
        "Switch on Customer Disputes in the app's features, then `amends release --shop NAME`.",
    ),
    404: (NotFound, ""),
    408: (Unavailable, ""),
    # Another request changes the same dispute: ours may have been the one that got through.
    409: (Unavailable, ""),
}


@dataclass
class Token:
    """The access token that PayPal lent last."""

    value: str = ""
    until: datetime | None = None

    def good(self, now: datetime) -> bool:
        return bool(self.value) and self.until is not None and now < self.until

    def __repr__(self) -> str:
        return f"Token(until={self.until})"


class Api:
    """PayPal's REST API for one app."""

    def __init__(self, http: Http, config: PayPalConfig, clock: Clock, token: Token) -> None:
        self._http, self._config, self._clock, self._token = http, config, clock, token
        self._signing_in = asyncio.Lock()

    async def dispute(self, number: str) -> Dispute:
        return read(Dispute, await self._json("GET", path(number)), what="dispute")

    async def page(self, *, since: datetime, token: str = "") -> tuple[Listed, str]:
        """A page of disputes changed since then, newest first, and the token of the next page."""
        asked = {"update_time_after": text(since), "page_size": str(PAGE)}
        if token:
            asked["next_page_token"] = token
        found = read(Listed, await self._json("GET", DISPUTES, params=asked), what="disputes")
        following = next((link.href for link in found.links if link.rel == "next"), "")
        return found, parse_qs(urlsplit(following).query).get("next_page_token", [""])[0]

    async def post(self, number: str, action: str, body: Mapping[str, Any]) -> None:
        await self._json("POST", path(number, action), json=dict(body))

    async def post_files(
        self, number: str, action: str, body: Mapping[str, Any], files: Sequence[File], *, key: str
    ) -> None:
        """The JSON as the part `input`, each file as a part of the name that the action wants."""
        form: list[tuple[str, Any]] = [("input", (None, json.dumps(dict(body)), "application/json"))]
        form += [(PARTS[action], (file.name, file.content, file.media_type)) for file in files]
        # Drawn from the key, so that a resend is the same to the byte.
        headers = {"Content-Type": f"multipart/form-data; boundary=amends-{key}"}
        await self._json("POST", path(number, action), files=form, headers=headers)

    async def genuine(self, headers: Mapping[str, str], body: bytes, webhook_id: str) -> bool:
        """Whether PayPal says that it sent this webhook."""
        about = {
            "auth_algo": headers.get("paypal-auth-algo", ""),
            "cert_url": headers.get("paypal-cert-url", ""),
            "transmission_id": headers.get("paypal-transmission-id", ""),
            "transmission_sig": headers.get("paypal-transmission-sig", ""),
            "transmission_time": headers.get("paypal-transmission-time", ""),
            "webhook_id": webhook_id,
        }
        # The event goes in as it came: written anew, its bytes and so its check sum could differ.
        asked = json.dumps(about).encode()[:-1] + b', "webhook_event": ' + body + b"}"
        answer = await self._json("POST", VERIFY, content=asked, headers={"Content-Type": "application/json"})
        if "verification_status" not in answer:
            raise BadAnswer("paypal: verification_status is missing")
        return bool(answer["verification_status"] == "SUCCESS")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        response = await self._try(method, url, options)
        if response.status_code == 401:
            # Nothing was done. A token can be withdrawn early, so one more try with a fresh one.
            self._token.value = ""
            response = await self._try(method, url, options)
        return parsed(response)

    async def _try(self, method: str, url: str, options: Mapping[str, Any]) -> httpx.Response:
        headers = {**options.get("headers", {}), "Authorization": f"Bearer {await self._sign_in()}"}
        return await self._http.send(method, self._config.base + url, **{**options, "headers": headers})

    async def _sign_in(self) -> str:
        async with self._signing_in:
            now = self._clock.now()
            if self._token.good(now):
                return self._token.value
            who = httpx.BasicAuth(self._config.client_id, self._config.client_secret.get_secret_value())
            url = f"{self._config.base}/v1/oauth2/token"
            response = await self._http.send("POST", url, data={"grant_type": "client_credentials"}, auth=who)
            answer = parsed(response)
            try:
                value, lent = str(answer["access_token"]), timedelta(seconds=int(answer["expires_in"]))
            except (KeyError, TypeError, ValueError):
                raise BadAnswer("paypal: signing in: access_token or expires_in is missing") from None
            # Renewed a little early, so that no request leaves with a token that dies on the way.
            self._token.value, self._token.until = value, now + lent - min(timedelta(minutes=5), lent / 10)
            return value


def path(number: str, action: str = "") -> str:
    """The address of a dispute or of an act on it. The host is ours, whatever the links of an answer say."""
    if not _ID.fullmatch(number):
        raise Rejected(f"paypal: {number[:40]!r} is not a dispute's id")
    return f"{DISPUTES}/{number}" + (f"/{action}" if action else "")


def text(at: datetime) -> str:
    return at.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def parsed(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a 2xx answer; every other one raises."""
    if response.status_code >= 300:
        raise _error(response)
    try:
        answer = json.loads(response.content)
    except ValueError:
        size = len(response.content)
        raise BadAnswer(
            f"paypal: the answer is not JSON ({size} bytes, HTTP {response.status_code})"
        ) from None
    if not isinstance(answer, dict):
        raise BadAnswer("paypal: the answer is not a JSON object")
    return answer


def _error(response: httpx.Response) -> PlatformError:
    status, names, debug = response.status_code, list[str](), ""
    try:
        told = json.loads(response.content)
        names = [str(told.get("name") or told.get("error") or "")]
        names += [str(detail.get("issue", "")) for detail in told.get("details") or []]
        debug = str(told.get("debug_id") or "")
    except (ValueError, AttributeError, TypeError):
        pass  # a page of some gateway: the status is all there is
    # Names and issues only: messages and values may repeat what we sent.
    known = [name for name in names if re.fullmatch(r"[A-Za-z_]{1,60}", name)]
    say = " ".join(
        [f"paypal: HTTP {status}", *known, *([f"(debug id {debug[:40]})"] if debug.isalnum() else [])]
    )
    for name in known:
        if name in ISSUES:
            kind, hint = ISSUES[name]
            return kind(say, hint=hint)
    if status == 429:
        return Throttled(say, retry_after=retry_after(response.headers))
    kind, hint = STATUS.get(status, (Unavailable if status >= 500 else Rejected, ""))
    return kind(say, hint=hint or None)
