"""Faults on purpose, for the sandbox, for in-process tests and for plugin authors' own tests.

What goes wrong is drawn by seed, identity of the request and its n-th attempt, so it does not depend on
what else is under way at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amends.cases.durations import Duration
from amends.errors import InputError
from amends.testing.draws import unit

Probability = Annotated[float, Field(ge=0, le=1)]


class Fault(StrEnum):
    NONE = "none"
    THROTTLED = "throttled"  # 429, nothing was done
    FAILED = "failed"  # 5xx, nothing was done
    FAILED_AFTER = "failed-after"  # 5xx, yet it was done
    RESET_AFTER = "reset-after"  # it was done, then the connection broke without an answer


class Faults(BaseModel):
    """The knobs. Probabilities are per request; `visibility_lag` is virtual time, the others are real.

    Every call takes `delay`, and up to `latency` more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay: Duration = timedelta()
    latency: Duration = timedelta()
    p_429: Probability = 0.0
    retry_after: int = Field(default=2, ge=0)
    p_5xx: Probability = 0.0
    p_5xx_after_commit: Probability = 0.0
    p_reset_after_commit: Probability = 0.0
    duplicate_webhooks: Probability = 0.0
    reordered_webhooks: Probability = 0.0
    visibility_lag: Duration = timedelta()

    @classmethod
    def parse(cls, text: str) -> Faults:
        """From a preset (`none`, `demo`, `heavy`), `p_429=0.1,latency=1s` or JSON; raises `InputError`."""
        text = text.strip() or "none"
        if text in PRESETS:
            return PRESETS[text]
        try:
            if text.startswith("{"):
                return cls.model_validate_json(text)
            pairs: dict[str, Any] = dict(pair.split("=", 1) for pair in text.replace(" ", "").split(","))
            return cls.model_validate(pairs)
        except ValidationError as error:
            first = error.errors()[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except ValueError:
            why = "it is neither a preset nor key=value"
        hint = f"Choose from {', '.join([*PRESETS, *(f'{name}=…' for name in cls.model_fields)])}."
        raise InputError(f"--faults {text!r} is not understood: {why}", hint=hint)

    @property
    def any(self) -> bool:
        """Whether a request can fail at all."""
        return bool(self.p_429 or self.p_5xx or self.p_5xx_after_commit or self.p_reset_after_commit)


PRESETS: Mapping[str, Faults] = {
    "none": Faults(),
    "demo": Faults(
        p_429=0.03,
        retry_after=0,
        p_5xx=0.03,
        p_5xx_after_commit=0.03,
        p_reset_after_commit=0.07,
        duplicate_webhooks=0.3,
        reordered_webhooks=0.5,
        visibility_lag=timedelta(seconds=90),
    ),
    "heavy": Faults(
        p_429=0.1,
        p_5xx=0.1,
        p_5xx_after_commit=0.1,
        p_reset_after_commit=0.2,
        duplicate_webhooks=0.6,
        reordered_webhooks=0.9,
        visibility_lag=timedelta(minutes=3),
    ),
}


class Dice:
    """Decides what goes wrong with each attempt. `attempts` may be kept elsewhere; `note` hears each one."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        attempts: dict[str, int] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.seed, self.faults, self._note = seed, faults, note
        self.attempts = {} if attempts is None else attempts

    def roll(self, identity: str, *, write: bool) -> Fault:
        """The fate of the next attempt at that request."""
        faults = self.faults
        if not faults.any:
            return Fault.NONE
        attempt = self.attempts[identity] = self.attempts.get(identity, 0) + 1
        if self._note is not None:
            self._note(identity)
        point = unit(self.seed, "fault", identity, attempt)
        risks = [(faults.p_429, Fault.THROTTLED), (faults.p_5xx, Fault.FAILED)]
        if write:
            risks += [
                (faults.p_5xx_after_commit, Fault.FAILED_AFTER),
                (faults.p_reset_after_commit, Fault.RESET_AFTER),
            ]
        for share, fault in risks:
            point -= share
            if point < 0:
                return fault
        return Fault.NONE


class Trouble(StrEnum):
    """What `FaultTransport` can do to one request."""

    NONE = "none"
    CONNECT = "connect"  # no connection
    RESET_BEFORE = "reset-before"  # broken before the request arrived
    RESET_AFTER = "reset-after"  # it arrived, the answer was lost
    TIMEOUT_BEFORE = "timeout-before"
    TIMEOUT_AFTER = "timeout-after"
    THROTTLED = "429"
    FAILED = "500"
    FAILED_AFTER = "500-after"
    TRUNCATED = "truncated"  # done, half an answer
    NOT_JSON = "not-json"  # done, a page of HTML for an answer


class FaultTransport(httpx.AsyncBaseTransport):
    """Wraps an httpx transport and makes requests go wrong, for plugin authors' tests.

    `script` says what happens to the first requests, one after the other; then each request is drawn from
    `share` (a probability per trouble) by seed, method, path and attempt. `log` keeps what was done.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        script: Iterable[Trouble | str] = (),
        *,
        share: Mapping[Trouble, float] | None = None,
        seed: int = 0,
        retry_after: int = 2,
    ) -> None:
        self.inner = inner
        self._script = [Trouble(item) for item in script]
        self._share = dict(share or {})
        self._seed = seed
        self._retry_after = retry_after
        self._attempts: dict[str, int] = {}
        self.log: list[tuple[str, str, Trouble]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trouble = self._next(request)
        self.log.append((request.method, request.url.path, trouble))
        match trouble:
            case Trouble.CONNECT:
                raise httpx.ConnectError("refused on purpose", request=request)
            case Trouble.RESET_BEFORE:
                raise httpx.ReadError("reset on purpose, before", request=request)
            case Trouble.TIMEOUT_BEFORE:
                raise httpx.ReadTimeout("timed out on purpose, before", request=request)
            case Trouble.THROTTLED:
                return httpx.Response(429, headers={"retry-after": str(self._retry_after)}, request=request)
            case Trouble.FAILED:
                return httpx.Response(500, text="on purpose", request=request)
        response = await self.inner.handle_async_request(request)
        if trouble is Trouble.NONE:
            return response
        body = await response.aread()
        match trouble:
            case Trouble.RESET_AFTER:
                raise httpx.RemoteProtocolError("reset on purpose, after", request=request)
            case Trouble.TIMEOUT_AFTER:
                raise httpx.ReadTimeout("timed out on purpose, after", request=request)
            case Trouble.TRUNCATED:
                return httpx.Response(response.status_code, content=body[: len(body) // 2], request=request)
            case Trouble.NOT_JSON:
                return httpx.Response(200, text="<html>maintenance</html>", request=request)
        return httpx.Response(500, text="on purpose, after", request=request)

    def _next(self, request: httpx.Request) -> Trouble:
        if self._script:
            return self._script.pop(0)
        identity = f"{request.method} {request.url.path}"
        attempt = self._attempts[identity] = self._attempts.get(identity, 0) + 1
        point = unit(self._seed, identity, attempt)
        for trouble, share in self._share.items():
            point -= share
            if point < 0:
                return trouble
        return Trouble.NONE

    async def aclose(self) -> None:
        await self.inner.aclose()
