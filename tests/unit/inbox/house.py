"""An open inbox in a test's hands: one shop with an offer out, its app in this process, its dispatcher on request."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import select
from tests.unit.demo.workshop import Workshop, workshop

from amends.inbox.app import inbox_app
from amends.inbox.customer import Limits
from amends.inbox.dispatcher import Dispatcher
from amends.inbox.limits import RateLimit
from amends.ledger import Tx, persons
from amends.ledger.schema import metadata
from amends.settings import Inbox

PUBLIC = "https://late.example"


@dataclass
class House:
    """The shop's workshop, the app, and a browser without scripts."""

    shop: Workshop
    dispatcher: Dispatcher
    app: Any
    browser: httpx.AsyncClient

    @property
    def url(self) -> str:
        """The link in the newest message that went out."""
        return self.urls()[-1]

    def urls(self, number: str = "A-1") -> list[str]:
        id_ = self.shop.case(number).id
        kept = self.shop.do(persons.load, [id_])[id_]
        sent = [json.loads(kept[f"request:{e.key}"]) for e in self.shop.effects(number=number)]
        return [one["reply_url"] for one in sent]

    def text(self, number: str = "A-1") -> str:
        id_ = self.shop.case(number).id
        kept = self.shop.do(persons.load, [id_])[id_]
        return str(json.loads(kept[f"request:{self.shop.effects(number=number)[-1].key}"])["text"])

    def fingerprint(self) -> str:
        """A hash of every table: equal where nothing at all has changed."""
        return str(self.shop.do(_fingerprint))

    async def answered(self, op: str = "grant") -> None:
        """Wait until the dispatcher has done it."""
        for _ in range(300):
            if self.shop.done(op):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {op} after 3 s; facts: {self.shop.kinds()}")


def _fingerprint(tx: Tx) -> str:
    found = hashlib.sha256()
    for table in metadata.sorted_tables:
        for row in sorted(map(repr, tx.execute(select(table)).all())):
            found.update(f"{table.name} {row}\n".encode())
    return found.hexdigest()


@asynccontextmanager
async def house(
    *,
    public_url: str = PUBLIC,
    dispatching: bool = False,
    limits: Limits | None = None,
    sweep: bool = True,
    **more: Any,
) -> AsyncIterator[House]:
    """A shop `stall` whose overdue orders have an offer out."""
    async with workshop(**more) as shop:
        inbox: Mapping[str, Any] = {"inbox": Inbox(public_url=public_url)}
        shop.settings = shop.shop.settings = shop.settings.model_copy(update=inbox)
        if sweep:
            await shop.sweep()
        shops = {"stall": shop.shop}
        dispatcher = Dispatcher(shop.ledger, shops, poll=0.05)
        limits = limits or Limits(RateLimit(10_000), RateLimit(10_000))
        app = inbox_app(
            shop.settings, shop.registry, shop.ledger, shop.clock, shops, wake=dispatcher.wake,
            alive=lambda: dispatcher.alive, limits=limits,
        )  # fmt: skip
        running = asyncio.create_task(dispatcher.run()) if dispatching else None
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as browser:
            yield House(shop, dispatcher, app, browser)
        if running is not None:
            dispatcher.stop()
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(running, 10)
