"""A worker on a slow platform keeps the cases that it works on, however long that takes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.demo.workshop import workshop

from amends.ledger import leases, work


async def test_a_slow_platform_does_not_cost_a_worker_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.6))
    async with workshop() as shop:
        look = shop.platform.order
        taken: list[Any] = []

        async def slowly(number: str) -> Any:
            for _ in range(4):
                await asyncio.sleep(0.4)
                taken.extend(shop.do(work.claim, "stall", "another", now=shop.clock.now(), limit=9))
            return await look(number)

        monkeypatch.setattr(shop.platform, "order", slowly)
        found = await shop.sweep()
        assert (taken, found.problems) == ([], [])
        assert shop.done() == 1
        shop.check()
        assert [task for task in asyncio.all_tasks() if "prolong" in repr(task) and not task.done()] == []
