"""What the carrier says of a parcel, from the platform's logistics trace. Only a pick-up makes a shipment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from amends import BadAnswer, NotAllowed, NotFound, Order, Parcel, Tracking
from amends_pinduoduo.fields import when
from amends_pinduoduo.router import Router

ACTIONS: Mapping[str, Parcel] = {
    "GOT": Parcel.PICKED_UP,
    "DEPARTURE": Parcel.IN_TRANSIT,
    "ARRIVAL": Parcel.IN_TRANSIT,
    "STAY_IN_WAREHOUSE": Parcel.IN_TRANSIT,
    "SEND": Parcel.OUT_FOR_DELIVERY,
    "IN_CABINET": Parcel.OUT_FOR_DELIVERY,  # in a locker or shop, not yet with the customer
    "OUT_CABINET": Parcel.DELIVERED,
    "SIGN": Parcel.DELIVERED,
    "SIGN_ON_BEHALF": Parcel.DELIVERED,
    "FAIL": Parcel.EXCEPTION,
    "REJECTION": Parcel.EXCEPTION,
    "RETURN": Parcel.RETURNED,
}
_KEEP = timedelta(hours=24)
_NO_RIGHT = frozenset({20031, 20034, 30000})
_NO_TRACE = "ISV_TRACK_ERROR"


class Carriers:
    """The platform's carriers by id: their names for people, their codes for the trace. Read once a day."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._names: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        self._read: datetime | None = None

    async def name(self, row: Mapping[str, Any], now: datetime) -> str:
        """The carrier of an order as people call it; empty where it has none or it is not told."""
        known = str(row.get("logistics_id") or "")
        if known in ("", "0"):
            return ""
        await self._load(now)
        return self._names.get(known, "")

    async def code(self, carrier: str, now: datetime) -> str:
        """The code of a carrier given by name or by id."""
        await self._load(now)
        return self._codes.get(carrier, "")

    async def _load(self, now: datetime) -> None:
        if self._read is not None and timedelta() <= now - self._read < _KEEP:
            return
        try:
            answer = await self._router.call(
                "pdd.logistics.companies.get", "logistics_companies_get_response"
            )
        except NotAllowed as error:
            if error.context.get("error_code") not in _NO_RIGHT:
                raise
            # Names and traces are a help; an application without this permission sees every late order too.
            self._read = now
            return
        rows = answer.get("logistics_companies")
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict):
                key, name, code = (str(row.get(field) or "") for field in ("id", "logistics_company", "code"))
                self._names[key] = name
                self._codes.update({key: code, name: code})
        self._read = now


async def track(router: Router, carriers: Carriers, order: Order, now: datetime) -> Tracking | None:
    """The parcel of an order; None where it has no waybill or its carrier cannot be asked."""
    if not order.tracking_number or not order.carrier:
        return None
    code = await carriers.code(order.carrier, now)
    if not code:
        return None
    label = Tracking(
        parcel=Parcel.LABEL_CREATED, carrier=order.carrier, number=order.tracking_number, observed_at=now
    )
    try:
        answer = await router.call(
            "pdd.logistics.ordertrace.get",
            "logistics_ordertrace_get_resposne",
            company_code=code,
            mail_no=order.tracking_number,
        )
    except NotFound as error:
        if error.context.get("sub_code") != _NO_TRACE:
            raise
        return label
    rows = answer.get("trace_list")
    if not isinstance(rows, list):
        if rows is None:
            return label
        raise BadAnswer("pinduoduo: the trace: field `trace_list` is not a list", field="trace_list")
    return read_trace([row for row in rows if isinstance(row, dict)], label)


def read_trace(rows: list[dict[str, Any]], label: Tracking) -> Tracking:
    """The parcel's state from its events, in the order of their times, whatever order they come in."""
    of = "the trace"
    events = []
    for row in rows:
        parcel = ACTIONS.get(str(row.get("action") or "").replace(" ", "").upper())
        at = when(row, "status_time", of) or when(row, "time", of)
        if parcel is not None and at is not None:
            events.append((at, parcel))
    if not events:
        return label
    events.sort(key=lambda event: event[0])
    # Any event of the carrier proves that it has the parcel, even where the pick-up itself was not scanned.
    delivered = [at for at, parcel in events if parcel is Parcel.DELIVERED]
    last = events[-1][1]
    return label.model_copy(
        update={
            "parcel": last,
            "picked_up_at": events[0][0],
            "delivered_at": delivered[0] if delivered and last is Parcel.DELIVERED else None,
        }
    )
