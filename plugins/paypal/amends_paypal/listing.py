"""Lists PayPal's disputes as they change, and finds the order that each is about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from amends import AfterSales, Clock, InputError
from amends_paypal.api import Api, text
from amends_paypal.config import PayPalConfig
from amends_paypal.wire import Dispute

_KEPT = timedelta(days=179)  # PayPal lists disputes changed within 180 days


@dataclass(frozen=True, slots=True)
class Disputed:
    """How a dispute bears on an order; `order` is empty where the payment was for none of this shop's.

    `due` is until when we must answer it.
    """

    dispute: str
    order: str
    after_sales: AfterSales
    due: datetime | None
    raw: str


@dataclass(frozen=True, slots=True)
class DisputePage:
    """A page of disputes that changed; `cursor` is stored with them, `more` asks for the next page now."""

    disputes: tuple[Disputed, ...]
    cursor: str
    more: bool = False


class Listing:
    """The disputes of one account. A list names no payments: each dispute is looked at to learn its order."""

    def __init__(self, api: Api, config: PayPalConfig, clock: Clock) -> None:
        self._api, self._config, self._clock = api, config, clock
        self._order_of: dict[str, str] = {}  # a dispute's order never changes

    async def changed(self, cursor: str) -> tuple[list[Dispute], str, bool]:
        """A page of disputes in full, the next cursor, and whether there is more now.

        PayPal lists newest first and pages by token. Only the start of the time is bound, so nothing leaves
        the list while we turn its pages: what is new or moves only makes us see something twice.
        """
        since, token, then = self._place(cursor)
        listed, following = await self._api.page(since=since, token=token)
        found = [await self._api.dispute(item.dispute_id) for item in listed.items]
        if following:
            return found, _cursor(since, following, then), True
        return found, _cursor(then, "", None), False

    async def about(self, order: str, *, closed: bool) -> AsyncIterator[Dispute]:
        """The order's disputes, newest first; those that are over only if asked for."""
        since, token = self._clock.now() - _KEPT, ""
        while True:
            listed, token = await self._api.page(since=since, token=token)
            for item in listed.items:
                over = item.status == "RESOLVED" and not closed
                if over or self._order_of.get(item.dispute_id, order) != order:
                    continue
                dispute = await self._api.dispute(item.dispute_id)
                if self.number(dispute) == order:
                    yield dispute
            if not token:
                return

    async def open(self, order: str) -> Dispute | None:
        async for dispute in self.about(order, closed=False):
            return dispute
        return None

    def number(self, dispute: Dispute) -> str:
        """The number of the order that was paid; empty where it was none of this shop's."""
        told = (getattr(payment, self._config.order_in) for payment in dispute.disputed_transactions)
        number = next((order for order in map(self._config.order, told) if order), "")
        self._order_of[dispute.dispute_id] = number
        return number

    def disputed(self, dispute: Dispute) -> Disputed:
        return Disputed(
            dispute=dispute.dispute_id,
            order=self.number(dispute),
            after_sales=AfterSales.DISPUTED if dispute.open else AfterSales.CLOSED,
            due=dispute.seller_response_due_date if dispute.open else None,
            raw=f"{dispute.reason} {dispute.dispute_life_cycle_stage} {dispute.status}".strip(),
        )

    def _place(self, cursor: str) -> tuple[datetime, str, datetime]:
        now = self._clock.now()
        if not cursor:
            return now - self._config.history, "", now
        try:
            kept = json.loads(cursor)
            since, token = datetime.fromisoformat(kept["since"]), str(kept["token"])
            then = datetime.fromisoformat(kept["then"]) if kept["then"] else None
        except (ValueError, KeyError, TypeError):
            hint = "Clear it: the next sweep starts anew."
            raise InputError("paypal: the stored cursor is not one of ours", hint=hint) from None
        if then is not None:
            return since, token, then
        return max(since - self._config.overlap, now - _KEPT), "", now


def _cursor(since: datetime, token: str, then: datetime | None) -> str:
    return json.dumps({"since": text(since), "token": token, "then": text(then) if then else None})
