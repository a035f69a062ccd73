"""Order exports (CSV, XLSX) of any platform as a connector, by a preset's columns or a merchant's own
mapping.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amends import ConnectorSpec, Operation, hookimpl
from amends_spreadsheet.connector import Spreadsheet, SpreadsheetConfig, make
from amends_spreadsheet.mapping import PRESETS, Mapping, load_mapping, preset
from amends_spreadsheet.rows import Row, Unreadable, read_orders

AMENDS_API = ">=1,<2"
_THERE = "In the back office of the platform that the export came from"


@hookimpl
def amends_connectors() -> Iterable[ConnectorSpec]:
    yield ConnectorSpec(
        name="spreadsheet",
        config=SpreadsheetConfig,
        factory=make,
        rules=lambda config: config.resolved("UTC").platform,
        description="Order exports of any platform; every act is a task for a person",
        operations={
            "changed_orders": Operation.read(),
            "order": Operation.read(),
            "message": Operation.by_hand(
                f"{_THERE}: open the order, choose to contact the customer, and paste the text."
            ),
            "grant": Operation.by_hand(
                f"{_THERE}: give the customer of this order the remedy named here, once."
            ),
            "extend": Operation.by_hand(
                f"{_THERE}: open the order and move its ship-by to the date named here."
            ),
            "complain": Operation.by_hand(f"{_THERE}: open a complaint on this order and attach the files."),
            "respond": Operation.by_hand(
                f"{_THERE}: open this order's dispute, paste the text and attach the files."
            ),
            "arbitrate": Operation.by_hand(
                f"{_THERE}: ask for the platform's decision on this order, attach the files."
            ),
        },
    )


def amends_contract() -> Iterable[Any]:
    """The fake against which `amends plugin-check spreadsheet` tries this plugin."""
    from amends_spreadsheet.fake import FakeExport

    yield FakeExport


__all__ = [
    "PRESETS",
    "Mapping",
    "Row",
    "Spreadsheet",
    "SpreadsheetConfig",
    "Unreadable",
    "amends_connectors",
    "load_mapping",
    "preset",
    "read_orders",
]
