"""What goes wrong between a plugin and its service, and which of our errors must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import httpx

from amends.errors import (
    AuthFailed,
    BadAnswer,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.testing.contracts.bench import Bench
from amends.testing.contracts.fakes import RETRY_AFTER, STATUS, Fake, Refusal
from amends.testing.contracts.wire import with_content

_HTML = b"<!doctype html><title>Please wait</title>"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong, before the service acts or after, and the errors that may come of it."""

    name: str
    expected: tuple[type[PlatformError], ...]
    when: Literal["before", "after"]
    refusal: Refusal | None = None
    raises: type[httpx.TransportError] | None = None
    changes: Callable[[httpx.Response], httpx.Response] | None = None

    @classmethod
    def lost_answer(cls) -> Trouble:
        """The service did it, and the answer never arrived."""
        return AFTER[0]

    def fits(self, error: PlatformError) -> bool:
        return isinstance(error, self.expected)


def _refused(name: str, why: Refusal, *expected: type[PlatformError]) -> Trouble:
    return Trouble(name, expected, "before", refusal=why)


def _half(response: httpx.Response) -> httpx.Response:
    if not response.content:
        raise httpx.ReadError("made to fail: nothing of the answer arrived")
    return with_content(response, response.content[: len(response.content) // 2])


def _page(response: httpx.Response) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/html"}, content=_HTML)


def _error(response: httpx.Response) -> httpx.Response:
    return httpx.Response(502, headers={"content-type": "text/html"}, content=_HTML)


BEFORE: tuple[Trouble, ...] = (
    Trouble("no connection", (Unreachable,), "before", raises=httpx.ConnectError),
    Trouble("a connection that does not open in time", (Unreachable,), "before", raises=httpx.ConnectTimeout),
    _refused("wrong credentials", "unauthorized", AuthFailed),
    _refused("a forbidden request", "forbidden", AuthFailed, NotAllowed),
    _refused("an address or permission that is not allowed", "not-allowed", NotAllowed),
    _refused("a risk-control block", "risk-control", RiskControl),
    _refused("an unknown object", "not-found", NotFound),
    _refused("throttling", "throttled", Throttled),
    _refused("a rejected request", "rejected", Rejected),
)
"""Nothing was done: writes are certain of it."""

AFTER: tuple[Trouble, ...] = (
    Trouble("an answer that never comes", (TimedOut,), "after", raises=httpx.ReadTimeout),
    Trouble("a connection reset before the answer", (TimedOut,), "after", raises=httpx.ReadError),
    Trouble("a server that hangs up", (TimedOut,), "after", raises=httpx.RemoteProtocolError),
    Trouble("a bad gateway", (Unavailable,), "after", changes=_error),
    Trouble("a truncated answer", (BadAnswer, TimedOut), "after", changes=_half),
    Trouble("an answer that is a web page", (BadAnswer,), "after", changes=_page),
)
"""It may have been done: nobody can say."""

APART: tuple[Trouble, ...] = (_refused("a service that cannot serve now", "unavailable", Unavailable),)
"""Nothing was done, but the service's answer does not prove it."""


def play(bench: Bench, trouble: Trouble, *, acted_only: bool = False) -> bool:
    """Make every request from now on (or only those that act) go wrong so; False: cannot be played."""
    fake, wire = bench.fake, bench.wire
    wire.before = wire.after = None
    if not fake.http:
        return fake.provoke(trouble.name)
    if trouble.refusal is not None:
        if fake.refuse(trouble.refusal, httpx.Request("GET", "https://sample.example.invalid/")) is None:
            return False
        wire.before = lambda request: fake.refuse(trouble.refusal, request)  # type: ignore[arg-type]  # not None here
        return True
    if trouble.when == "before" and trouble.raises is not None:
        kind = trouble.raises

        def refuse(request: httpx.Request) -> httpx.Response | None:
            raise kind("made to fail", request=request)

        wire.before = refuse
        return True

    def spoil(request: httpx.Request, response: httpx.Response, acted: bool) -> httpx.Response:
        if acted_only and not acted:
            return response
        if trouble.raises is not None:
            raise trouble.raises("made to fail", request=request)
        return trouble.changes(response) if trouble.changes else response

    wire.after = spoil
    return True


def own_ways(fake: Fake) -> list[Trouble]:
    """Plain HTTP refusals for a service whose own look otherwise: gateways before it answer so, too."""
    if type(fake).refuse is Fake.refuse:
        return []
    return [trouble for trouble in (*BEFORE, *APART) if trouble.refusal in STATUS]


def plain(trouble: Trouble, fake: Fake) -> Callable[[httpx.Request], httpx.Response | None]:
    """That refusal as plain HTTP."""
    return lambda request: Fake.refuse(fake, trouble.refusal, request)  # type: ignore[arg-type]  # only with a refusal


__all__ = ["AFTER", "APART", "BEFORE", "RETRY_AFTER", "Trouble", "own_ways", "plain", "play"]
