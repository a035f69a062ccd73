"""What connectors and channels can do, and how far each operation can be trusted: as rows, or as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amends.hooks.specs import UNSUPPORTED, ChannelSpec, ConnectorSpec, EffectClass, How, Operation

if TYPE_CHECKING:
    from amends.hooks.registry import Registry

OPERATIONS = (
    "changed_orders", "order", "tracking", "replies", "message", "grant", "extend", "note", "find",
    "verify_webhook", "complain", "respond", "arbitrate", "ruling", "disputes",
)  # fmt: skip
"""In the order of a case's life; a test keeps them the same as `READS` and `WRITES`."""

_CHANNEL = ("message", "find")


@dataclass(frozen=True, slots=True)
class Capability:
    """One operation of one connector or channel. `variant` is a remedy kind for `grant`."""

    kind: str  # connector | channel
    name: str
    operation: str
    variant: str
    how: How
    effect: EffectClass
    reviewed: bool = False
    where: str = ""
    limits: str = ""

    @property
    def cell(self) -> str:
        """As it is read in the table: `read`, `idempotent`, `queryable, reviewed`, `by hand`, `–`."""
        if self.how == "unsupported":
            return "–"
        words = "by hand" if self.how == "by-hand" else "read" if self.effect == "none" else self.effect
        return f"{words}, reviewed" if self.reviewed else words


def capabilities(registry: Registry) -> tuple[Capability, ...]:
    """Every operation of every connector and channel, unsupported ones too, by kind and name."""
    connectors = [one for _, spec in sorted(registry.connectors.items()) for one in capabilities_of(spec)]
    channels = [one for _, spec in sorted(registry.channels.items()) for one in capabilities_of(spec)]
    return (*connectors, *channels)


def capabilities_of(spec: ConnectorSpec | ChannelSpec) -> tuple[Capability, ...]:
    """Every operation of one connector or channel; `grant` as a whole, and per remedy kind where declared."""
    kind = "connector" if isinstance(spec, ConnectorSpec) else "channel"
    found = []
    for name in OPERATIONS if kind == "connector" else _CHANNEL:
        variants = sorted(full for full in spec.operations if full.startswith(f"{name}:"))
        if name in spec.operations or not variants:
            found.append(_one(kind, spec.name, name, spec.operations.get(name, UNSUPPORTED)))
        found += [_one(kind, spec.name, full, spec.operations[full]) for full in variants]
    return tuple(found)


def markdown(registry: Registry) -> str:
    """Two tables, connectors and channels: operations down, names across. Ends with a line break."""
    rows = capabilities(registry)
    tables = [_table("connector", rows), _table("channel", rows)]
    return "\n".join(table for table in tables if table)


def _one(kind: str, name: str, full: str, operation: Operation) -> Capability:
    base, _, variant = full.partition(":")
    # Undeclared is blind for the core; in a table it would read as if there were something to trust.
    effect: EffectClass = "none" if operation.how == "unsupported" else operation.effect
    return Capability(
        kind,
        name,
        base,
        variant,
        operation.how,
        effect,
        operation.reviewed,
        operation.where,
        operation.limits,
    )


def _table(kind: str, rows: Iterable[Capability]) -> str:
    mine = [row for row in rows if row.kind == kind]
    if not mine:
        return ""
    names = list(dict.fromkeys(row.name for row in mine))
    cells: Mapping[tuple[str, str, str], str] = {(r.operation, r.variant, r.name): r.cell for r in mine}
    lines = sorted({(OPERATIONS.index(row.operation), row.operation, row.variant) for row in mine})
    if not any(row.operation == "grant" and not row.variant and row.how != "unsupported" for row in mine):
        lines = [
            line
            for line in lines
            if line[1:] != ("grant", "") or len([x for x in lines if x[1] == "grant"]) == 1
        ]
    table = [[kind, *names]]
    for _, operation, variant in lines:
        title = f"{operation}: {variant}" if variant else operation
        # A remedy kind that a connector does not name goes the way of its `grant` as a whole.
        found = [cells.get((operation, variant, n), cells.get((operation, "", n), "–")) for n in names]
        table.append([title, *found])
    return _aligned(table)


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"
