"""Prefect shows the work: where showing it fails, the work is neither left out nor done twice."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect import flow

from amends.steps.intake import Found
from amends.steps.shop import Shop
from amends.workflows import taskruns
from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect


async def before(label: str, count: int) -> int:
    raise RuntimeError("503 before the task began")


async def after(label: str, count: int) -> int:
    await taskruns._work.get().do()
    raise RuntimeError("503 after the task ended")


@pytest.mark.parametrize("broken", [before, after])
async def test_a_prefect_that_fails_changes_nothing_of_the_work(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Any]
) -> None:
    done = []

    async def take(shop: Shop) -> Found:
        done.append(shop.name)
        return Found(orders=3)

    monkeypatch.setattr(taskruns, "_named", lambda name: broken)

    @flow(retries=0)
    async def showing() -> Found:
        return await taskruns.run_intake("find-orders", take, cast(Shop, SimpleNamespace(name="east")))

    assert await showing() == Found(orders=3)
    assert done == ["east"]
