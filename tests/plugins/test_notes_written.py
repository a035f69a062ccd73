"""From a sweep to the platform's back office: the line that our acts leave on an order, by each real connector."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plugins.test_two_shops import HOUR, Town, town
from tests.plugins.test_what_goes_wrong import Row

from amends import AuthFailed
from amends.ledger import holds, tasks
from amends.steps import people


def platform(name: str) -> Row:
    return Row(name, "all is well", 200, "", AuthFailed)


async def told(place: Town, shop: str = "troubled") -> str:
    """A late order whose customer has been told, by hand where the platform wants it so."""
    number = place.order(shop, 1)
    assert (await place.sweep(shop)).problems == []
    for task in place.ledger.do(tasks.listing, shop=shop, open_only=True):
        place.ledger.do(people.finish_task, task.id, "done", by="wang", now=place.clock.now())
    place.clock.advance(HOUR / 4)
    return number


def shown(place: Town, name: str, number: str) -> list[str]:
    fake: Any = place.fakes["troubled"]
    match name:
        case "pinduoduo":
            return [fake.router.orders[number]["remark"]]
        case "woocommerce":
            return [row["note"] for row in fake.notes.get(number, ()) if not row["customer_note"]]
    rows = fake.notes.get(number.removeprefix("V"), ())
    return [row["data"]["note"] for row in rows if not row["isPublic"]]


@pytest.mark.parametrize("name", ["pinduoduo", "woocommerce", "vendure"])
async def test_a_line_for_the_shops_own_people(name: str) -> None:
    async with town(platform(name), playbook={"notes": None if name == "pinduoduo" else True}) as place:
        number = await told(place)
        for _ in range(2):
            assert (await place.sweep("troubled")).problems == []
            place.clock.advance(HOUR / 4)
        (line,) = shown(place, name, number)
        assert "amends" in line and "offer 1: apology, ships by 0" in line


async def test_none_where_messages_show_anyway() -> None:
    async with town(platform("woocommerce")) as place:
        number = await told(place)
        await place.sweep("troubled")
        assert shown(place, "woocommerce", number) == []


async def test_a_key_without_the_right_to_write_notes_stops_nothing() -> None:
    async with town(platform("pinduoduo")) as place:
        await told(place)
        wire = place.wires["troubled"]
        refused = place.fakes["troubled"].refuse

        def no_notes(request: Any) -> Any:
            return refused("not-allowed", request) if b"note.update" in request.content else None

        wire.before = no_notes
        (problem,) = (await place.sweep("troubled")).problems
        assert "a note was not written, the case goes on" in problem
        assert place.ledger.do(holds.current) == []
        wire.before = None
        place.clock.advance(HOUR)
        assert (await place.sweep("troubled")).problems == []
        (line,) = shown(place, "pinduoduo", next(iter(place.fakes["troubled"].orders)))
        assert "amends" in line
