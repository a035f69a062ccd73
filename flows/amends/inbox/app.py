"""Takes signed webhooks in: verified, kept in the ledger's inbox, and only then answered.

Nothing is decided here. The case becomes due at once, and whoever advances it reads the platform before acting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amends.errors import LedgerError, PlatformError, Rejected
from amends.hooks.protocols import Clock
from amends.hooks.requests import Event
from amends.ledger import Ledger, inbox
from amends.steps.intake import arrival

LARGEST = 1024 * 1024
"""Bytes of a webhook's body; a longer one is refused unread."""

log = logging.getLogger("amends.inbox")

Verify = Callable[[Mapping[str, str], bytes], tuple[Event, ...]]


class TooLong(Exception):
    """The body is longer than allowed."""


def webhook_app(ledger: Ledger, shops: Mapping[str, Verify], clock: Clock) -> Starlette:
    """An app with `POST /webhooks/SHOP` for each shop whose connector can verify its platform's webhooks."""

    async def receive(request: Request) -> Response:
        shop = request.path_params["shop"]
        verify = shops.get(shop)
        if verify is None:
            return JSONResponse({"error": "no such shop takes webhooks"}, 404)
        try:
            body = await _body(request)
        except TooLong:
            return JSONResponse({"error": f"more than {LARGEST} bytes"}, 413)
        try:
            events = await asyncio.to_thread(verify, dict(request.headers), body)
        except Rejected as error:
            log.warning("webhook of %s refused: %s", shop, error)
            return JSONResponse({"error": "not verified"}, 401)
        except PlatformError as error:
            log.warning("webhook of %s could not be verified: %s", shop, error)
            return JSONResponse({"error": "cannot be verified now"}, 503)
        now = clock.now()
        try:
            await ledger.run(inbox.receive, shop, arrivals(events), now)
        except LedgerError as error:
            log.error("webhook of %s not kept: %s", shop, error)
            return JSONResponse({"error": "try again later"}, 503)
        return Response(status_code=204)

    return Starlette(routes=[Route("/webhooks/{shop}", receive, methods=["POST"])])


def arrivals(events: Sequence[Event]) -> list[inbox.Arrival]:
    """Events as the inbox keeps them. A reply has the same id here as where it is polled, so that both are one."""
    found = []
    for event in events:
        if event.reply is not None:
            found.append(arrival(event.reply))
        else:
            found.append(inbox.Arrival(event.event, event.order, b""))
    return found


async def _body(request: Request) -> bytes:
    """The raw body, read only as far as allowed."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise TooLong
        parts.append(part)
    return b"".join(parts)
