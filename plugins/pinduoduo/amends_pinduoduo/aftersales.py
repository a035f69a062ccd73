"""Refunds, returns and disputes of an order in neutral words: what the platform shows, and until when.

The table is the platform's `after_sales_status` (order page 2026-04, refund pages 2025-11). The same refund
is given in yuan by lists and in fen by its detail; the types are numbered differently there too, so types are
not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from amends import AfterSales, BadAnswer, Money, Ruling
from amends_pinduoduo.fields import fen, flag, need, number, when

STATES: Mapping[int, AfterSales] = {
    0: AfterSales.NONE,
    2: AfterSales.REQUESTED,  # refund asked, the merchant must act
    3: AfterSales.REQUESTED,  # return and refund asked, the merchant must act
    4: AfterSales.REFUNDING,  # the merchant agreed
    5: AfterSales.REFUNDING,  # the platform agreed
    6: AfterSales.REJECTED,  # waiting for the buyer, who may call the platform in
    7: AfterSales.RETURNING,  # return agreed, the buyer ships it
    8: AfterSales.DISPUTED,  # the platform stepped in
    9: AfterSales.CLOSED,  # the platform refused the refund
    10: AfterSales.REFUNDED,
    11: AfterSales.CLOSED,  # the buyer withdrew
    12: AfterSales.CLOSED,  # the buyer did not act
    13: AfterSales.CLOSED,  # the buyer was too late
    14: AfterSales.REQUESTED,  # exchange or resend asked, the merchant must act
    15: AfterSales.EXCHANGING,
    16: AfterSales.CLOSED,  # exchanged
    17: AfterSales.CLOSED,  # exchange failed
    18: AfterSales.EXCHANGING,  # the buyer must confirm
    21: AfterSales.REQUESTED,  # repair asked, the merchant must agree
    22: AfterSales.RETURNING,  # repair: the buyer sends it in
    24: AfterSales.CLOSED,  # repair closed
    25: AfterSales.CLOSED,  # repaired
    27: AfterSales.EXCHANGING,  # repair: on its way back
    31: AfterSales.REFUNDING,  # refund agreed, once the buyer turns the parcel away
    32: AfterSales.EXCHANGING,  # resend: the merchant must ship
    33: AfterSales.REFUNDING,  # refund agreed, once the parcel is called back
}
_ROUGHLY: Mapping[int, AfterSales] = {
    # `refund_status`, for states that the table does not know yet.
    1: AfterSales.CLOSED,
    2: AfterSales.REQUESTED,
    3: AfterSales.REFUNDING,
    4: AfterSales.REFUNDED,
}
_WITHDRAWN = frozenset({11, 12, 13})


def state_of(row: Mapping[str, Any], of: str) -> tuple[AfterSales, str]:
    """The order's after-sales state and the platform's own number for it."""
    status = number(row, "after_sales_status", of)
    if status is not None and status in STATES:
        return STATES[status], str(status)
    rough = number(row, "refund_status", of)
    raw = "" if status is None else str(status)
    if status is None and rough in (None, 1):
        return AfterSales.NONE, raw
    return _ROUGHLY.get(rough or 0, AfterSales.UNKNOWN), raw


def worth_a_look(state: AfterSales) -> bool:
    """Whether the refund's detail tells more than the order: its deadline, who stepped in, how much went back."""
    return state.under_way or state in (AfterSales.REJECTED, AfterSales.REFUNDED)


class Refund(BaseModel):
    """One after-sales request as its detail shows it."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: int
    state: AfterSales
    stepped_in: bool = False
    due: AwareDatetime | None = None
    amount: Money | None = None
    updated_at: AwareDatetime | None = None
    agreed_by: int = 0

    @classmethod
    def read(cls, answer: Mapping[str, Any], order: str) -> Refund:
        """From `pdd.refund.information.get`; raises `BadAnswer` naming a missing field."""
        of = f"the refund of order {order}"
        status = number(answer, "after_sales_status", of)
        if status is None:
            need(answer, "after_sales_status", of)
        stepped_in = flag(answer, "join_or_not") or flag(answer, "dispute_refund_status")
        state = STATES.get(status or 0, AfterSales.UNKNOWN)
        # Once money is on its way back, nothing is left to dispute.
        if stepped_in and worth_a_look(state) and state not in (AfterSales.REFUNDING, AfterSales.REFUNDED):
            state = AfterSales.DISPUTED
        theirs = str(answer.get("order_sn") or order)
        if theirs != order:
            raise BadAnswer(f"pinduoduo: {of}: the answer is about another order", field="order_sn")
        return cls(
            id=str(need(answer, "id", of)),
            status=status or 0,
            state=state,
            stepped_in=stepped_in,
            due=when(answer, "expire_time", of),
            amount=fen(answer, "refund_amount", of),
            updated_at=when(answer, "updated_time", of),
            agreed_by=number(answer, "refund_operator_role", of) or 0,
        )

    def ruling(self, now: datetime) -> Ruling | None:
        """How the dispute over this refund ended; None while it has not, or where there was none."""
        at = self.updated_at or now
        note = f"after_sales_status {self.status}"
        if self.status == 9:
            return Ruling(verdict="for-us", at=at, ref=self.id, note=note)
        if not self.stepped_in and self.status != 5:
            return None
        if self.status == 5 or (self.status == 10 and self.agreed_by != 2):
            return Ruling(verdict="against-us", at=at, ref=self.id, note=note)
        if self.status == 10 or self.status in _WITHDRAWN:
            return Ruling(verdict="withdrawn", at=at, ref=self.id, note=note)
        return None
