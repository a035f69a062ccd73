"""Two shops of one platform, one of them in trouble: it is held or tried again, its cases wait, the other goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from tests.plugins.test_what_goes_wrong import HELD, REAL, TABLE, Row, answering
from tests.unit.demo.workshop import Hasty

from amends import CaseView, ConnectorSpec, Context, Offer, PolicyContext, PolicySpec, hookimpl
from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends.http import new_client
from amends.ledger import Ledger, Vault, chain, holds, views
from amends.settings import Settings
from amends.steps import people, reading
from amends.steps.shop import Shop
from amends.steps.sweep import Summary, sweep
from amends.testing.contracts import FakePlatform, samples
from amends.testing.contracts.wire import Wire

PLATFORMS = ("pinduoduo", "woocommerce", "shopify", "vendure")
ROWS = [row for row in TABLE if row.name in PLATFORMS and row.situation != "limit"]  # is throttling
HOUR = timedelta(hours=1)


class NoConfig(BaseModel):
    """The real settings are the fake's."""


class Apology:
    def propose(self, case: CaseView, context: PolicyContext) -> Offer:
        return Offer(why="late", new_ship_by=context.reply_by + timedelta(days=1))


@dataclass
class Town:
    """Two shops, each with its own account at the platform, on one ledger."""

    clock: FixedClock
    ledger: Ledger
    fakes: dict[str, FakePlatform]
    wires: dict[str, Wire]
    shops: dict[str, Shop]

    def order(self, shop: str, n: int) -> str:
        fake = self.fakes[shop]
        made = samples.late(fake.number(n), now=self.clock.now(), currency=fake.currency)
        fake.orders[made.number] = made
        return made.number

    async def sweep(self, shop: str) -> Summary:
        self.wires[shop].sent.clear()
        return await sweep(self.shops[shop])

    def facts(self, shop: str) -> dict[str, list[str]]:
        """The kinds of each case's facts, by order."""
        lines = self.ledger.do(views.case_lines, shop=shop)
        found = self.ledger.do(chain.load, [line.id for line in lines])
        return {line.number: [fact.body.kind for fact in found[line.id]] for line in lines}


@asynccontextmanager
async def town(row: Row, playbook: Mapping[str, Any] | None = None) -> AsyncIterator[Town]:
    clock = FixedClock(samples.START)
    installed = Registry.load(allow=REAL)
    (kind,) = installed.plugin(row.name).amends_contract()
    real = installed.connectors[row.name]
    fakes = {name: kind(clock) for name in ("troubled", "other")}
    wires = {name: Wire(fake) for name, fake in fakes.items()}

    def connect(config: object, context: Context) -> Any:
        def client(**options: Any) -> httpx.AsyncClient:
            options.pop("limit", None)
            return new_client(**(options | {"transport": wires[context.shop]}))

        own = real.config.model_validate({**kind.config, **dict(row.config)})
        assert real.factory is not None
        return real.factory(own, Context(context.shop, kind.time_zone, clock, client))

    class Plugin:
        @hookimpl
        def amends_connectors(self) -> Iterable[ConnectorSpec]:
            operations = {n: o for n, o in real.operations.items() if n != "replies"}
            yield ConnectorSpec(row.name, NoConfig, operations, factory=connect)

        @hookimpl
        def amends_policies(self) -> Iterable[PolicySpec]:
            yield PolicySpec("apology", NoConfig, lambda config: Apology())

    registry = Registry()
    assert registry.add(Plugin(), name=row.name).state == "loaded"
    one = {"connector": row.name, "policy": "apology", "time_zone": kind.time_zone}
    tables = {"shops": dict.fromkeys(fakes, one), "playbooks": {"standard": dict(playbook or {})}}
    settings = Settings.model_validate(tables)
    ledger = Ledger.open("sqlite:///:memory:", Vault(b"k" * 32))
    shops = {n: await Shop.open(settings, n, ledger=ledger, registry=registry, clock=clock) for n in fakes}
    try:
        yield Town(clock, ledger, fakes, wires, shops)
    finally:
        for shop in shops.values():
            await shop.aclose()
        ledger.close()


LATER = ("revoked token", "throttling")


@pytest.mark.parametrize(
    ("row", "later"),
    [(row, later) for row in ROWS for later in (False, True) if not later or row.situation in LATER],
    ids=str,
)
async def test_one_shop_in_trouble(row: Row, later: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "asyncio", Hasty())
    async with town(row) as place:
        if later:  # it went well for a while
            old = place.order("troubled", 1)
            assert (await place.sweep("troubled")).problems == []
            place.clock.advance(HOUR)
            before = place.facts("troubled")[old]
            assert "observed" in before
        new = place.order("troubled", 2)
        fine = place.order("other", 1)
        place.wires["troubled"].before = answering(row, place.clock.now() - row.off)

        summary = await place.sweep("troubled")
        assert len(summary.problems) == 1, "one message"
        (told,) = summary.problems
        held = place.ledger.do(holds.current)
        if row.kind in HELD:
            assert [(hold.shop, hold.step) for hold in held] == [("troubled", "")]
            assert told == f"troubled is held: {held[0].why}"
            assert told.count("amends release --shop troubled") == 1 and "NAME" not in told
            again = await place.sweep("troubled")
            assert again.problems == [told] and len(place.ledger.do(holds.current)) == 1
            assert place.wires["troubled"].sent == [], "each further call would make it worse"
        else:
            assert held == [] and told.startswith("troubled: ")
        assert [word for word in row.words if word not in told] == []

        assert (await place.sweep("other")).problems == []
        assert "observed" in place.facts("other")[fine], "the other shop goes on"
        if later:
            assert set(place.facts("troubled")) == {old}, "the new order waits at the platform"
            assert "closed" not in place.facts("troubled")[old]

        place.wires["troubled"].before = None
        # Pinduoduo's cases wait for a person and are looked at again; the others' wait for a reply.
        place.clock.advance((7 if row.name == "pinduoduo" else 30) * HOUR if later else HOUR)
        if row.kind in HELD:
            place.ledger.do(people.release, by="wang", now=place.clock.now(), shop="troubled")
        assert (await place.sweep("troubled")).problems == []
        found = place.facts("troubled")
        assert "observed" in found[new], "nothing is lost"
        if later and "held" not in before:  # by its own: Shopify sends no messages, and no channel is set up
            assert len(found[old]) > len(before), "and what had begun goes on"
        lines = place.ledger.do(views.case_lines, shop="troubled")
        assert not any("shop troubled is held" in line.why for line in lines)
        assert place.ledger.do(holds.current) == [] and place.ledger.do(views.forgotten) == []
