"""A process that gives a coupon and is killed on the way: `dies.py URL KEY ORDER REQUEST WHEN`.

It sends itself SIGKILL at its n-th request to the server, from 0: `before` the bytes leave, `midway`, when
they have left and no answer has come, or `after` the answer came and before anything could be made of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx

from amends import Context, Grant, Money, Remedy, RemedyKind
from amends.clock import SystemClock
from amends_vendure.config import VendureConfig
from amends_vendure.connector import Vendure


class Deadly(httpx.AsyncHTTPTransport):
    def __init__(self, at: int, when: str) -> None:
        super().__init__()
        self.at, self.when, self.seen = at, when, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        here, self.seen = self.seen == self.at, self.seen + 1
        if not here:
            return await super().handle_async_request(request)
        if self.when != "before":
            sending = asyncio.ensure_future(super().handle_async_request(request))
            await (sending if self.when == "after" else asyncio.sleep(0.004))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


async def main(url: str, key: str, order: str, at: str, when: str) -> None:
    client = httpx.AsyncClient(transport=Deadly(int(at), when))
    values = {"url": url, "username": "superadmin", "password": "superadmin"}
    context = Context(
        shop="corner", time_zone="Europe/London", clock=SystemClock(), http=lambda **options: client
    )
    remedy = Remedy(kind=RemedyKind.COUPON, amount=Money.of("5.00", "USD"))
    await Vendure(VendureConfig.model_validate(values), context).grant(
        Grant(key=key, order=order, remedy=remedy)
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
