"""One call to Vendure's Admin API, signed in as needed, and what its refusals mean in amends' errors.

Vendure refuses in three ways: by HTTP status, by `errors` beside the data, and by an ErrorResult that comes
with HTTP 200 in the place of the data.
"""

from __future__ import annotations

import asyncio
import json
import re
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
    retry_after,
)
from amends_vendure.config import VendureConfig
from amends_vendure.documents import LOGIN

if TYPE_CHECKING:
    import httpx

RIGHTS = (
    "Give the administrator's role ReadOrder, UpdateOrder, ReadPromotion and CreatePromotion in this "
    "channel, then `amends release --shop NAME`."
)
ADDRESS = (
    "Set `url` to the Admin API's own address, ending in /admin-api unless the server names it otherwise."
)
BEARER = "Let the server's authOptions.tokenMethod include 'bearer', or use an `api_key`."

# `extensions.code` of a GraphQL error. What is not listed may have happened: an exception in the server.
ERRORS: dict[str, type[PlatformError]] = {
    "FORBIDDEN": NotAllowed,
    "UNAUTHORIZED": AuthFailed,
    "CHANNEL_NOT_FOUND": NotAllowed,
    "ENTITY_NOT_FOUND": NotFound,
    "USER_INPUT_ERROR": Rejected,
    "BAD_USER_INPUT": Rejected,
    "ILLEGAL_OPERATION": Rejected,
    "GRAPHQL_PARSE_FAILED": Rejected,
    "GRAPHQL_VALIDATION_FAILED": Rejected,
}
# `errorCode` of an ErrorResult. What is not listed was refused for good: that is what such a result means.
RESULTS: dict[str, type[PlatformError]] = {
    "INVALID_CREDENTIALS_ERROR": AuthFailed,
    "NATIVE_AUTH_STRATEGY_ERROR": AuthFailed,
    "UNKNOWN_ERROR": Unavailable,
    # The refund was saved, and perhaps paid, before its state could not be changed.
    "REFUND_STATE_TRANSITION_ERROR": Unavailable,
}


class Api:
    """Calls to one Admin API. The session's token is renewed when the server has forgotten it."""

    def __init__(self, config: VendureConfig, context: Context) -> None:
        self.config = config
        self.who = f"vendure {context.shop}"
        self.clock = context.clock
        self.http = Http(context.client(), who=self.who)
        self._token = ""
        self._door = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Api {self.who}>"

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data; raises for every kind of refusal but an ErrorResult, which `result` reads."""
        token = await self._sign_in(stale="") if not self._token else self._token
        try:
            return await self._send(document, variables)
        except NotAllowed as error:
            # A forgotten session is refused in the words of a missing right; either way nothing was done.
            if self.config.api_key is not None or error.context.get("platform_code") != "FORBIDDEN":
                raise
        await self._sign_in(stale=token)
        return await self._send(document, variables)

    async def result(self, field: str, document: str, **variables: Any) -> dict[str, Any]:
        """The object that a mutation answers with; an ErrorResult in its place is raised."""
        found = (await self.ask(document, **variables)).get(field)
        return self._checked(field, found)

    def _checked(self, field: str, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise BadAnswer(f"{self.who}: the answer lacks the field {field}")
        code = str(found.get("errorCode") or "")
        if code:
            say = f"{self.who}: {field}: {code}"
            raise RESULTS.get(code, Rejected)(say, platform_code=code)
        return found

    async def _sign_in(self, *, stale: str) -> str:
        config = self.config
        if config.api_key is not None or config.password is None:
            return ""
        async with self._door:
            if self._token != stale:
                return self._token  # another call has just signed in
            self._token = ""
            variables = {"username": config.username, "password": config.password.get_secret_value()}
            self._checked("login", (await self._send(LOGIN, variables)).get("login"))
            if not self._token:
                raise NotAllowed(f"{self.who}: signed in, but no token came back", hint=BEARER)
            return self._token

    async def _send(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        config = self.config
        headers = {"accept": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if config.api_key is not None:
            headers["vendure-api-key"] = config.api_key.get_secret_value()
        if config.channel_token is not None:
            headers["vendure-token"] = config.channel_token.get_secret_value()
        body = {"query": document, "variables": variables}
        response = await self.http.send("POST", config.url, headers=headers, json=body)
        answer = _json(response)
        if isinstance(answer, dict) and answer.get("errors"):
            raise self._refusal(answer["errors"])
        if response.status_code >= 300:
            raise self._status(response)
        if answer is None:
            size = len(response.content)
            raise BadAnswer(f"{self.who}: the answer is not JSON ({size} bytes, HTTP {response.status_code})")
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
            raise BadAnswer(f"{self.who}: the answer lacks the field data")
        self._token = response.headers.get("vendure-auth-token") or self._token
        data: dict[str, Any] = answer["data"]
        return data

    def _refusal(self, errors: Any) -> PlatformError:
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        extensions = first.get("extensions")
        code = str(extensions.get("code") or "") if isinstance(extensions, dict) else ""
        # The code alone: messages repeat what was sent, and that may be personal.
        code = code if re.fullmatch(r"[A-Z0-9_]{1,80}", code) else ""
        say = f"{self.who}: {code or 'an error in the server'}"
        kind = ERRORS.get(code, Unavailable)
        hint = RIGHTS if kind is NotAllowed else None
        return kind(say, hint=hint, platform_code=code)

    def _status(self, response: httpx.Response) -> PlatformError:
        status = response.status_code
        say = f"{self.who}: HTTP {status}"
        if status == 429:
            return Throttled(say, retry_after=retry_after(response.headers))
        if status < 400:
            return NotAllowed(f"{say}: the server redirects instead of answering", hint=ADDRESS)
        if status == 401:
            return AuthFailed(say)
        if status == 403:
            return NotAllowed(f"{say}: a proxy or firewall refuses this machine", hint=ADDRESS)
        answer = _json(response)
        # Vendure's own 404 has a statusCode and means a wrong path: an unknown order is no HTTP error there.
        if status == 404 and isinstance(answer, dict) and "statusCode" not in answer:
            return NotFound(say)
        if status in (404, 405):
            return NotAllowed(f"{say}: no Admin API here", hint=ADDRESS)
        if status in (408, 425) or status >= 500:
            return Unavailable(say)
        return Rejected(say)

    async def aclose(self) -> None:
        await self.http.aclose()


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
