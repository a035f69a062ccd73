"""The shop's authorisation: made once by the shop's main account, kept in a file, renewed by the same person.

The platform's current list of methods has no refresh (`pdd.pop.auth.token.refresh` exists in old SDKs only),
so an expired token always means that a person must authorise again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from amends import AuthFailed
from amends_pinduoduo.faults import REAUTHORISE
from amends_pinduoduo.fields import need, number, when

if TYPE_CHECKING:
    from amends_pinduoduo.config import PinduoduoConfig
    from amends_pinduoduo.router import Router

AUTHORISE = "https://fuwu.pinduoduo.com/service-market/auth"


class Token(BaseModel):
    """What an authorisation yields; `owner_id` is the shop's mall id."""

    model_config = ConfigDict(frozen=True)

    access_token: SecretStr
    expires_at: AwareDatetime | None = None
    owner_id: str = ""
    owner_name: str = ""


def authorise_address(client_id: str, redirect_uri: str, state: str) -> str:
    """The page on which the shop's main account gives its authorisation; it comes back with a `code`."""
    query = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "state": state}
    return f"{AUTHORISE}?{urlencode(query)}"


async def create_token(router: Router, code: str) -> Token:
    """Exchange the code of an authorisation (valid once, for minutes) for the shop's token."""
    answer = await router.call(
        "pdd.pop.auth.token.create", "pop_auth_token_create_response", shop=False, code=code
    )
    return read_token(answer, await router.now())


def read_token(answer: Mapping[str, Any], now: datetime) -> Token:
    of = "the authorisation"
    expires_at = when(answer, "expires_at", of)
    if expires_at is None:
        seconds = number(answer, "expires_in", of)
        if seconds is not None:
            expires_at = now + timedelta(seconds=seconds)
    return Token(
        access_token=SecretStr(str(need(answer, "access_token", of))),
        expires_at=expires_at,
        owner_id=str(answer.get("owner_id") or ""),
        owner_name=str(answer.get("owner_name") or ""),
    )


def save(token: Token, path: Path) -> None:
    """Write the token for its owner's eyes only; the old file stays whole until the new one is complete."""
    shown = {**token.model_dump(mode="json"), "access_token": token.access_token.get_secret_value()}
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(shown, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Wallet:
    """Holds the token of one shop for the router, and says when a person must renew it."""

    def __init__(self, config: PinduoduoConfig) -> None:
        self._path = config.token_file
        self._stamp: tuple[int, int] | None = None
        self._token: Token | None = None
        if config.access_token is not None:
            self._token = Token(access_token=config.access_token, expires_at=config.access_token_expires_at)

    def secret(self, now: datetime) -> str:
        """The access token; raises `AuthFailed` where there is none or it has run out."""
        if self._path is not None:
            self._reload(self._path)
        token = self._token
        if token is None:
            raise AuthFailed("pinduoduo: the shop has no authorisation", hint=REAUTHORISE)
        if token.expires_at is not None and now >= token.expires_at:
            at = token.expires_at.isoformat(timespec="minutes")
            raise AuthFailed(f"pinduoduo: the shop's authorisation expired at {at}", hint=REAUTHORISE)
        return token.access_token.get_secret_value()

    def _reload(self, path: Path) -> None:
        try:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if stamp == self._stamp:
                return
            self._token = Token.model_validate_json(path.read_bytes())
        except OSError as error:
            raise AuthFailed(
                f"pinduoduo: cannot read token_file {path} ({error.strerror})", hint=REAUTHORISE
            ) from None
        except ValidationError:
            # The validation error would quote the file, and so the token.
            raise AuthFailed(f"pinduoduo: token_file {path} holds no token", hint=REAUTHORISE) from None
        self._stamp = stamp
