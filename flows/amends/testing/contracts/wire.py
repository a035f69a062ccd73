"""The wire between a plugin and its fake: records every request, and makes things go wrong on the way.

For faults by script or by seed, in an author's own tests, there is `amends.testing.faults.FaultTransport`;
here a trouble has to know whether the request took effect.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx

from amends.testing.contracts.fakes import Fake

Before = Callable[[httpx.Request], httpx.Response | None]
After = Callable[[httpx.Request, httpx.Response, bool], httpx.Response]

# Differ between machines and moments, and say nothing about what is asked.
_PASSING = {
    "authorization",
    "date",
    "user-agent",
    "host",
    "connection",
    "accept",
    "accept-encoding",
    "content-length",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it left; `acted` says that it took effect at the fake."""

    request: httpx.Request
    acted: bool

    def stable(self, volatile: tuple[str, ...]) -> tuple[Any, ...]:
        """What must be the same whenever this request is sent again: all of it but the named fields."""
        aside = {name.lower() for name in volatile}
        request = self.request
        headers = {n: v for n, v in request.headers.items() if n not in _PASSING and n not in aside}
        query = [(n, v) for n, v in request.url.params.multi_items() if n.lower() not in aside]
        return request.method, request.url.host, request.url.path, query, headers, _content(request, aside)


class Wire(httpx.AsyncBaseTransport):
    """An httpx transport that hands requests to a fake; `before` may answer instead, `after` change it."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.sent: list[Sent] = []
        self.before: Before | None = None
        self.after: After | None = None

    def clear(self) -> None:
        """Go well again, and forget what was sent."""
        self.before = self.after = None
        self.sent.clear()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        place = len(self.sent)
        self.sent.append(Sent(request, acted=False))
        if self.before is not None:
            answer = self.before(request)
            if answer is not None:
                return answer
        done = len(self.fake.effects)
        made = self.fake.handle(request)
        response = await made if inspect.isawaitable(made) else made
        acted = len(self.fake.effects) > done
        self.sent[place] = Sent(request, acted=acted)
        return response if self.after is None else self.after(request, response, acted)


def change_json(response: httpx.Response, change: Callable[[Any], Any]) -> httpx.Response:
    """The same answer with its JSON changed; other bodies and errors pass as they are."""
    if response.status_code >= 300:
        return response
    try:
        body = json.loads(response.content)
    except ValueError:
        return response
    return with_content(response, json.dumps(change(body), ensure_ascii=False).encode())


def with_content(response: httpx.Response, content: bytes) -> httpx.Response:
    """The same answer with another body."""
    aside = {"content-length", "content-encoding", "transfer-encoding"}
    headers = [(n, v) for n, v in response.headers.multi_items() if n.lower() not in aside]
    return httpx.Response(response.status_code, headers=headers, content=content)


def _content(request: httpx.Request, aside: set[str]) -> Any:
    kind = request.headers.get("content-type", "")
    try:
        if "json" in kind:
            return _without(json.loads(request.content), aside)
        if "x-www-form-urlencoded" in kind:
            pairs = parse_qsl(request.content.decode(), keep_blank_values=True)
            return [(n, v) for n, v in pairs if n.lower() not in aside]
    except ValueError:
        pass
    return request.content


def _without(value: Any, aside: set[str]) -> Any:
    if isinstance(value, dict):
        return {n: _without(v, aside) for n, v in value.items() if n.lower() not in aside}
    return [_without(one, aside) for one in value] if isinstance(value, list) else value
