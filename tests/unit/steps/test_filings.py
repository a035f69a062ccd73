"""What a person is handed who files something at a platform: the number of the dispute, whatever became of it."""

from __future__ import annotations

import json

import pytest
from tests.unit.demo.workshop import DAY, HOUR, Workshop, workshop

from amends.cases.orders import AfterSales
from amends.hooks.specs import Operation

BY_HAND = {name: Operation.by_hand("back office") for name in ("respond", "arbitrate", "ruling")}
PLAYBOOK = {"then": ["file-complaint", "escalate"], "approve": {"arbitration": False}, "legal": False}


def told(shop: Workshop, op: str) -> str:
    (effect,) = shop.effects(op)
    assert [task.effect for task in shop.tasks()] == [effect.key]
    return str(json.loads(effect.request).get("dispute", ""))


@pytest.mark.parametrize("still_open", [True, False])
async def test_the_dispute_goes_with_its_answer_and_its_appeal(still_open: bool) -> None:
    async with workshop(operations=BY_HAND, playbook=PLAYBOOK, orders=()) as shop:
        shop.platform.show(after_sales=AfterSales.DISPUTED, dispute="D-17")
        await shop.sweep()
        assert told(shop, "respond") == "D-17"
        shop.finish("respond", "done")
        await shop.sweep(HOUR)
        await shop.sweep(DAY)
        if not still_open:  # the platform shows no dispute any more once it has ruled
            shop.platform.show(after_sales=AfterSales.REQUESTED, dispute="")
        shop.finish("ruling", "against-us")
        await shop.sweep(HOUR)
        assert told(shop, "arbitrate") == "D-17"
