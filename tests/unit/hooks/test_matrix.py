"""The capability matrix says of each connector and channel what it can do, and how far it may be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

from pydantic import BaseModel

from amends import ChannelSpec, ConnectorSpec, Operation, hookimpl
from amends.hooks.matrix import OPERATIONS, capabilities, capabilities_of, markdown
from amends.hooks.registry import Registry
from amends.hooks.specs import READS, WRITES


class NoConfig(BaseModel):
    pass


def made(config: Any, context: Any) -> Any:
    return SimpleNamespace()


CORNER = ConnectorSpec(
    name="corner",
    config=NoConfig,
    factory=made,
    operations={
        "changed_orders": Operation.read(),
        "message": Operation.queryable(),
        "grant": Operation.idempotent(),
        "grant:refund": Operation.by_hand("Back office › Refunds", limits="once", reviewed=True),
        "extend": Operation.blind(),
    },
)
SQUARE = ConnectorSpec(
    name="square", config=NoConfig, factory=made, operations={"grant:coupon": Operation.blind()}
)
PIGEON = ChannelSpec(name="pigeon", config=NoConfig, factory=made, operations={"message": Operation.blind()})


def registry(connectors: Iterable[ConnectorSpec] = (), channels: Iterable[ChannelSpec] = ()) -> Registry:
    module = ModuleType("made_up")
    module.amends_connectors = hookimpl(lambda: connectors)  # type: ignore[attr-defined]
    module.amends_channels = hookimpl(lambda: channels)  # type: ignore[attr-defined]
    found = Registry()
    found.add(module, name="made-up")
    return found


def test_every_operation_of_the_contract_has_a_row() -> None:
    assert sorted(OPERATIONS) == sorted(READS + WRITES)
    assert {row.operation for row in capabilities_of(CORNER)} == set(OPERATIONS)


def test_rows_say_how_and_with_which_effect() -> None:
    rows = {(row.operation, row.variant): row for row in capabilities_of(CORNER)}
    assert (rows["message", ""].how, rows["message", ""].effect) == ("api", "queryable")
    refund = rows["grant", "refund"]
    assert (refund.how, refund.where, refund.limits, refund.reviewed) == (
        "by-hand",
        "Back office › Refunds",
        "once",
        True,
    )
    assert (rows["ruling", ""].how, rows["ruling", ""].effect) == ("unsupported", "none")


def test_the_table_has_a_column_for_each_connector() -> None:
    lines = markdown(registry([CORNER, SQUARE])).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines}
    assert cells["connector"] == ["corner", "square"]
    assert cells["changed_orders"] == ["read", "–"]
    assert cells["message"] == ["queryable", "–"]
    assert cells["grant"] == ["idempotent", "–"]
    assert cells["grant: refund"] == ["by hand, reviewed", "–"]
    assert cells["extend"] == ["blind", "–"]
    # The connector that declares `grant` as a whole grants coupons that way, too.
    assert cells["grant: coupon"] == ["idempotent", "blind"]
    assert len({len(line) for line in lines}) == 1


def test_grant_has_no_row_of_its_own_where_nobody_declares_it_as_a_whole() -> None:
    table = markdown(registry([SQUARE]))
    assert "| grant: coupon" in table
    assert "| grant  " not in table


def test_channels_get_a_table_of_their_own() -> None:
    both = registry([CORNER], [PIGEON])
    assert [(row.kind, row.operation, row.cell) for row in capabilities(both) if row.name == "pigeon"] == [
        ("channel", "message", "blind"),
        ("channel", "find", "–"),
    ]
    assert "| channel | pigeon |" in markdown(both)


def test_nothing_installed_is_an_empty_text() -> None:
    assert markdown(Registry()) == ""
