"""Holds on shops and steps: the kill switch, checked before anything is sent. Holds on a case are facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select

from amends.ledger.database import Tx
from amends.ledger.schema import holds, moment, ticks

_ALL = select(holds)
_BEARING = _ALL.where(or_(holds.c.shop == "", holds.c.shop == bindparam("of")))


@dataclass(frozen=True, slots=True)
class Hold:
    """`shop=''` is every shop, `step=''` every step."""

    shop: str
    step: str
    by: str
    why: str
    at: datetime

    def bears_on(self, shop: str, step: str) -> bool:
        return self.shop in ("", shop) and self.step in ("", step)

    def __str__(self) -> str:
        what = (
            " ".join(filter(None, [self.shop and f"shop {self.shop}", self.step and f"step {self.step}"]))
            or "everything"
        )
        return f"{what} is held by {self.by}: {self.why}"


def hold(tx: Tx, *, shop: str, step: str, by: str, why: str, at: datetime) -> None:
    values = {"by": by, "why": why, "at": ticks(at)}
    statement = tx.upsert(holds).values(shop=shop, step=step, **values)
    tx.execute(statement.on_conflict_do_update(index_elements=["shop", "step"], set_=values))


def release(tx: Tx, *, shop: str, step: str) -> bool:
    return tx.execute(delete(holds).where(holds.c.shop == shop, holds.c.step == step)).rowcount > 0


def current(tx: Tx, shop: str | None = None) -> list[Hold]:
    """Every hold, or those that bear on one shop."""
    found = tx.execute(_ALL) if shop is None else tx.execute(_BEARING, {"of": shop})
    return [Hold(row.shop, row.step, row.by, row.why, moment(row.at)) for row in found]
