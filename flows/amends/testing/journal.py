"""The marketplace model's journal: one entry per committed effect, for checks to compare with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from amends.cases.money import Money

Op = Literal["message", "grant", "extend", "complain", "respond", "arbitrate", "legal", "note"]
Visible = Literal["api", "hand"]


class Entry(BaseModel):
    """One effect that took place. `at` is virtual time; `data` is what a restart needs."""

    model_config = ConfigDict(frozen=True)

    n: int
    at: AwareDatetime
    op: Op
    kind: str  # the operation; for grants with the remedy: `grant:coupon`
    order: str
    round: int
    key: str = ""
    amount: Money | None = None
    by: Visible = "api"
    ref: str = ""
    data: dict[str, Any] = Field(default_factory=dict)


def duplicates(entries: list[Entry]) -> list[Entry]:
    """The entries beyond the first per order, kind and round, whatever their key."""
    seen: set[tuple[str, str, int]] = set()
    found = []
    for entry in entries:
        identity = (entry.order, entry.kind, entry.round)
        if identity in seen:
            found.append(entry)
        seen.add(identity)
    return found
