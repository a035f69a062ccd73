"""Hosts the inbox for `amends up`: the HTTP server on its port, and the dispatcher beside it, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Self

import uvicorn
from starlette.applications import Starlette

from amends.clock import SystemClock
from amends.errors import ConfigError
from amends.hooks.protocols import Clock
from amends.hooks.registry import Registry
from amends.inbox.app import inbox_app
from amends.inbox.customer import Limits
from amends.inbox.dispatcher import Dispatcher
from amends.ledger import Ledger
from amends.settings import Settings
from amends.steps.shop import Shop

MOST_AT_ONCE = 200
"""Connections that are answered at once; further ones are told to come back (503)."""

log = logging.getLogger("amends.inbox")


class Resident:
    """The inbox and its dispatcher in this process. Make it with `Resident.open`; `run` it; it closes its own shops.

        resident = await Resident.open(settings, registry, ledger)
        print(resident.url)                      # bound already: a taken port was a ConfigError
        await resident.run(stop)                 # until the asyncio.Event `stop` is set

    The ledger stays the caller's. Signals are the caller's too.
    """

    def __init__(
        self, app: Starlette, dispatcher: Dispatcher, shops: dict[str, Shop], sock: socket.socket
    ) -> None:
        self.app, self.dispatcher, self.shops, self.sock = app, dispatcher, shops, sock

    @classmethod
    async def open(
        cls, settings: Settings, registry: Registry, ledger: Ledger, *, clock: Clock | None = None,
        limits: Limits | None = None, host: str = "", port: int | None = None,
    ) -> Self:  # fmt: skip
        """Bind the port and open every shop; raises `ConfigError` or `PluginError` and leaves nothing open."""
        clock = clock or SystemClock()
        sock = bind(host or settings.inbox.host, settings.inbox.port if port is None else port)
        shops: dict[str, Shop] = {}

        async def opened(name: str) -> Shop:
            return await Shop.open(settings, name, ledger=ledger, registry=registry, clock=clock)

        try:
            for name in settings.shops:
                shops[name] = await opened(name)
            dispatcher = Dispatcher(ledger, shops, reopen=opened)
            app = inbox_app(
                settings, registry, ledger, clock, shops, wake=dispatcher.wake, alive=lambda: dispatcher.alive,
                limits=limits,
            )  # fmt: skip
        except BaseException:
            sock.close()
            for shop in shops.values():
                await shop.aclose()
            raise
        return cls(app, dispatcher, shops, sock)

    @property
    def url(self) -> str:
        """Where it listens on this machine; customers reach it by `[inbox] public_url`."""
        host, port = self.sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve and advance until `stop` is set; returns once what was under way is answered and written.

        Raises where server or dispatcher end by themselves: whoever hosts us should then end, or start us anew.
        """
        server = _Server(
            uvicorn.Config(
                self.app,
                log_config=None,
                log_level="warning",
                lifespan="off",
                server_header=False,
                access_log=False,  # an access log would hold the customers' links
                proxy_headers=True,
                forwarded_allow_ips="127.0.0.1,::1",
                timeout_keep_alive=5,
                timeout_graceful_shutdown=10,
                limit_concurrency=MOST_AT_ONCE,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[self.sock]))
        advancing = asyncio.create_task(self.dispatcher.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([serving, advancing, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            early = not stopping.done()
            stopping.cancel()
            server.should_exit = True
            self.dispatcher.stop()
            ended = await asyncio.gather(serving, advancing, return_exceptions=True)
            await self.aclose()
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        if early:
            raise RuntimeError("the inbox ended by itself")

    async def aclose(self) -> None:
        """Close port and shops; harmless to repeat."""
        self.sock.close()
        shops, self.dispatcher.retired = [*self.dispatcher.retired, *self.shops.values()], []
        self.shops.clear()
        for shop in shops:
            await shop.aclose()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, port 0 for any free one; raises `ConfigError` where it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"the inbox cannot listen on {host}:{port}: {error}",
            hint="Set another `[inbox] port`, or end what uses this one.",
        ) from error


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever hosts it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
