"""The Vendure connector: reads orders, writes notes to the customer, gives coupons and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Grant,
    Message,
    Note,
    NotFound,
    Order,
    OrderPage,
    Receipt,
    RemedyKind,
    ReplyPage,
    Tracking,
    Unsupported,
    Window,
    read_each,
)
from amends_vendure import documents, notes, remedies
from amends_vendure.api import Api
from amends_vendure.config import VendureConfig
from amends_vendure.orders import to_order


class Vendure:
    """One Vendure shop (one channel)."""

    def __init__(self, config: VendureConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.api = Api(config, context)

    def __repr__(self) -> str:
        return f"<Vendure {self.context.shop}>"

    async def changed_orders(self, cursor: str) -> OrderPage:
        """Orders placed or changed in the window.

        Vendure moves an order's `updatedAt` neither when it is placed nor when it ships. So both times are
        asked for, and a shipment is seen when the host looks again, as it does before every step.
        """
        window = Window.of(cursor, self.config, self.context.clock.now())
        page = window.page or 1
        rows, total = await self._page(window, page)
        pages = -(-total // self.config.page_size)
        if not window.page and pages > 1:
            page = pages
            rows, _ = await self._page(window, page)
        orders, unreadable = read_each(rows, self._order, "code")
        return OrderPage(
            orders=tuple(sorted(orders, key=lambda order: order.updated_at or order.placed_at)),
            unreadable=unreadable,
            cursor=str(window.after(page, self.config.overlap)),
            more=page > 1,
        )

    async def _page(self, window: Window, page: int) -> tuple[list[object], int]:
        since, until = _time(window.since), _time(window.end)
        return await self._list(
            {
                "filter": {
                    "active": {"eq": False},
                    # Also for those found by `updatedAt`: a cart placed while we page must not slip in.
                    "orderPlacedAt": {"before": until},
                    "_or": [
                        {"orderPlacedAt": {"after": since}},
                        {"updatedAt": {"between": {"start": since, "end": until}}},
                    ],
                },
                "sort": {"orderPlacedAt": "DESC", "id": "DESC"},
                "skip": (page - 1) * self.config.page_size,
                # More than a page: should an order slip in all the same, what it pushes on is still read.
                "take": self.config.page_size + max(1, self.config.page_size // 2),
            }
        )

    async def _list(self, options: dict[str, Any]) -> tuple[list[object], int]:
        found = (await self.api.ask(documents.ORDERS, options=options)).get("orders")
        if not isinstance(found, dict) or not isinstance(found.get("items"), list):
            raise BadAnswer(f"{self.api.who}: the answer lacks the field orders.items")
        if not isinstance(found.get("totalItems"), int):
            raise BadAnswer(f"{self.api.who}: the answer lacks the field orders.totalItems")
        return found["items"], found["totalItems"]

    async def order(self, number: str) -> Order:
        return self._order(await self._raw(number))

    async def _raw(self, number: str) -> dict[str, Any]:
        rows, _ = await self._list({"filter": {"code": {"eq": number}}, "take": 1})
        if not rows:
            raise NotFound(f"{self.api.who}: there is no order {number}")
        row = rows[0]
        if not isinstance(row, dict) or not row.get("id"):
            raise BadAnswer(f"{self.api.who}: order {number} lacks the field id")
        return row

    def _order(self, raw: object) -> Order:
        return to_order(raw, self.config, observed_at=self.context.clock.now())

    async def message(self, request: Message) -> Receipt:
        text = request.text
        if request.reply_url and request.reply_url not in text:
            text = f"{text}\n\n{request.reply_url}"
        order = await self._raw(request.order)
        return await notes.add(self.api, order["id"], text, key=request.key, public=True)

    async def grant(self, request: Grant) -> Receipt:
        if request.remedy.kind is RemedyKind.COUPON:
            return await remedies.give_coupon(
                self.api, request, await self._raw(request.order), self.context.time_zone
            )
        if request.remedy.kind is RemedyKind.REFUND:
            return await remedies.refund(self.api, request, await self._raw(request.order))
        raise Unsupported(f"{self.api.who}: Vendure's API gives no {request.remedy.kind}")

    async def note(self, request: Note) -> Receipt:
        """A private note: for administrators alone."""
        order = await self._raw(request.order)
        return await notes.add(
            self.api, order["id"], f"amends: {request.text}", key=request.key, public=False
        )

    async def find(self, request: AnyRequest) -> Receipt | None:
        if isinstance(request, Message | Note):
            order = await self._raw(request.order)
            public = isinstance(request, Message)
            return await notes.find(self.api, order["id"], key=request.key, public=public)
        if isinstance(request, Grant) and request.remedy.kind is RemedyKind.COUPON:
            return await remedies.find_coupon(self.api, request, await self._raw(request.order))
        if isinstance(request, Grant) and request.remedy.kind is RemedyKind.REFUND:
            return await remedies.find_refund(self.api, request, await self._raw(request.order))
        raise Unsupported(f"{self.api.who}: nothing like {request.op} is done here")

    async def tracking(self, order: Order) -> Tracking | None:
        raise Unsupported(f"{self.api.who}: Vendure has no carrier events")

    async def replies(self, cursor: str) -> ReplyPage:
        raise Unsupported(f"{self.api.who}: customers cannot answer a note; they use the reply page")

    async def extend(self, request: Extension) -> Receipt:
        raise Unsupported(f"{self.api.who}: Vendure keeps no ship-by; the agreed date lives in the case")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        raise Unsupported(f"{self.api.who}: Vendure sends no webhooks of its own")

    async def aclose(self) -> None:
        await self.api.aclose()


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
