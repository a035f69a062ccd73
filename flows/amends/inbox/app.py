"""Takes signed webhooks in, each verified and committed before it is answered, and holds the customer's page.

Nothing is decided here. The case becomes due at once, and whoever advances it reads the platform before acting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amends.errors import ConfigError, LedgerError, PlatformError, Rejected
from amends.hooks.protocols import Clock
from amends.hooks.registry import Registry
from amends.hooks.requests import Event
from amends.inbox.customer import CustomerPage, Limits, Wake
from amends.inbox.limits import Refused, read_body
from amends.inbox.together import Together
from amends.ledger import Ledger, Tx, inbox
from amends.ledger.schema import meta
from amends.settings import Settings
from amends.steps.intake import arrival
from amends.steps.shop import Shop

PATIENCE = 10.0
"""Seconds after which a platform is told to send its webhook again, while the ledger is busy."""

log = logging.getLogger("amends.inbox")

Verify = Callable[[Mapping[str, str], bytes], tuple[Event, ...]]
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def inbox_app(
    settings: Settings, registry: Registry, ledger: Ledger, clock: Clock, shops: Mapping[str, Shop], *,
    wake: Wake | None = None, alive: Callable[[], bool] | None = None, limits: Limits | None = None,
) -> Starlette:  # fmt: skip
    """The whole inbox for `amends up`: `/webhooks/SHOP`, `/webhooks/SHOP/desk`, `/r/TOKEN` and `/health`.

    `shops` are open shops; a mapping that changes is followed. `wake` is told after commit which cases are due;
    `alive` says for `/health` whether somebody advances them. Raises `ConfigError` for a shop that config does not have.
    """
    unknown = sorted(set(shops) - set(settings.shops))
    if unknown:
        raise ConfigError(f"the inbox was given a shop that config does not have: {unknown[0]}")
    del registry  # the shops have all that comes from plugins
    together = Together(ledger)
    page = CustomerPage(ledger, together, shops, clock, wake, limits)
    hooks = _Webhooks(together, lambda name: _verifiers(shops).get(name), clock, wake)
    return _app(
        [
            Route("/r/{token}", page.handle, methods=["GET", "POST"]),
            Route("/webhooks/{shop}", hooks.handle, methods=["POST"]),
            Route("/webhooks/{shop}/{door}", hooks.handle, methods=["POST"]),
            Route("/health", _health(ledger, alive), methods=["GET"]),
        ]
    )


def webhook_app(
    ledger: Ledger, shops: Mapping[str, Verify], clock: Clock, *, wake: Wake | None = None
) -> Starlette:
    """An app with `POST /webhooks/SHOP` alone, for each shop whose connector can verify its platform's webhooks."""
    hooks = _Webhooks(Together(ledger), shops.get, clock, wake)
    return _app([Route("/webhooks/{shop}", hooks.handle, methods=["POST"])])


def arrivals(events: Sequence[Event]) -> list[inbox.Arrival]:
    """Events as the inbox keeps them. A reply has the same id here as where it is polled, so that both are one."""
    found = []
    for event in events:
        if event.reply is not None:
            found.append(arrival(event.reply))
        else:
            found.append(inbox.Arrival(event.event, event.order, b""))
    return found


class _Webhooks:
    """The handler of `/webhooks/…`. Content types differ between platforms, so none is asked for."""

    def __init__(
        self, together: Together, verifier: Callable[[str], Verify | None], clock: Clock, wake: Wake | None
    ) -> None:
        self.together, self.verifier, self.clock, self.wake = together, verifier, clock, wake

    async def handle(self, request: Request) -> Response:
        shop, door = request.path_params["shop"], request.path_params.get("door")
        verify = self.verifier(f"{shop}/{door}" if door else shop)
        if verify is None:
            return _no(404, "no such shop takes webhooks")
        try:
            body = await read_body(request)
        except Refused as refused:
            return _no(refused.status, str(refused))
        try:
            events = await asyncio.to_thread(verify, dict(request.headers), body)
        except Rejected as error:
            log.warning("webhook of %s refused: %s", shop, error)
            return _no(401, "not verified")
        except PlatformError as error:
            log.warning("webhook of %s could not be verified: %s", shop, error.code)
            return _no(503, "cannot be verified now")
        except (
            Exception
        ) as error:  # a plugin's own fault: the platform sends it again, and nobody else is harmed
            log.error("webhook of %s could not be verified: %s in the plugin", shop, type(error).__name__)
            return _no(503, "cannot be verified now")
        try:
            new, now = arrivals(events), self.clock.now()
            await asyncio.wait_for(self.together.run(lambda tx: inbox.receive(tx, shop, new, now)), PATIENCE)
        except (LedgerError, TimeoutError) as error:
            log.error("webhook of %s not kept: %s", shop, type(error).__name__)
            return _no(503, "try again later")
        if self.wake is not None and events:
            self.wake(shop, numbers=sorted({event.order for event in events}))
        return Response(status_code=204)


def _verifiers(shops: Mapping[str, Shop]) -> dict[str, Verify]:
    """Who verifies what: `SHOP` its connector, `SHOP/desk` the desk where that is another one."""
    found: dict[str, Verify] = {}
    for name, shop in shops.items():
        if shop.connector_spec.operation("verify_webhook").how != "unsupported":
            found[name] = shop.connector.verify_webhook
        desk: object = shop.desk
        if desk is not shop.connector and shop.desk_spec.operation("verify_webhook").how != "unsupported":
            found[f"{name}/desk"] = desk.verify_webhook  # type: ignore[attr-defined]  # its spec declares it
    return found


def _health(ledger: Ledger, alive: Callable[[], bool] | None) -> Callable[[Request], object]:
    async def health(request: Request) -> Response:
        del request
        told = {"ledger": "ok", "dispatcher": "ok" if alive is None or alive() else "stopped"}
        try:
            await asyncio.wait_for(ledger.run(_ping), 3)
        except (LedgerError, TimeoutError):
            told["ledger"] = "busy"
        good = set(told.values()) == {"ok"}
        return JSONResponse({"status": "ok" if good else "unhealthy", **told}, 200 if good else 503)

    return health


def _ping(tx: Tx) -> None:
    tx.execute(select(meta.c.key).limit(1)).all()


def _no(status: int, why: str) -> JSONResponse:
    headers = {"Retry-After": "30"} if status == 503 else None
    return JSONResponse({"error": why}, status, headers=headers)


def _app(routes: list[Route]) -> Starlette:
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Guarded)],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    """404 and 405 of the routes."""
    del request
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail.lower()}, error.status_code, headers=dict(error.headers or {}))


async def _fault(request: Request, error: Exception) -> Response:
    """Our own fault: its kind is logged by the server, never a word of the request."""
    del request
    log.error("a request failed: %s", type(error).__name__)
    return _no(500, "something went wrong here; nothing was changed")


class _Guarded:
    """Adds the headers that keep pages out of caches, frames, search engines and other sites' sight."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)
