"""The live connector of one Shopify store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Filing,
    Grant,
    Http,
    InputError,
    Message,
    Note,
    Order,
    OrderPage,
    Receipt,
    Rejected,
    ReplyPage,
    Ruling,
    Tracking,
    Unreadable,
    Unsupported,
)
from amends_shopify import webhooks
from amends_shopify.config import ShopifyConfig
from amends_shopify.evidence import Disputes
from amends_shopify.graphql import Admin
from amends_shopify.orders import OPEN_DISPUTE, dispute_id, to_order, to_tracking, unfinished
from amends_shopify.remedies import Remedies, by_name, one
from amends_shopify.wire import MoreFulfillmentOrders, OrderList, OrderNode, TrackedOrders, read
from amends_shopify.wire import OrderPage as WirePage


class Shopify:
    """Orders, remedies, deadlines and disputes of one store."""

    def __init__(
        self,
        config: ShopifyConfig,
        context: Context,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config, self._clock = config, context.clock
        self._admin = Admin(Http(context.client(), who="shopify"), config, context.clock, sleep=sleep)
        self._remedies = Remedies(self._admin, config, context.clock)
        self._disputes = Disputes(self._admin, context.clock)

    async def changed_orders(self, cursor: str) -> OrderPage:
        """Orders by the time of their last update, in windows that overlap and stay behind the clock.

        The cursor holds the window and the place in it. An order that changes meanwhile leaves the window and
        is seen in the next one.
        """
        since, until, after = self._window(cursor)
        if since >= until:
            return OrderPage(orders=(), cursor=cursor or _cursor(since, None, None))
        asked = {
            "query": f"updated_at:>='{_text(since)}' AND updated_at:<'{_text(until)}'",
            "first": self._config.page_size,
            "after": after,
            **self._parts,
        }
        page = read(WirePage, await self._admin.run("ChangedOrders", asked), what="orders").orders
        orders: list[Order] = []
        unreadable: list[Unreadable] = []
        for row in page.nodes:
            name = str(row.get("name") or "")
            try:
                orders.append(await self._whole(read(OrderNode, row, what=f"order {name}")))
            except BadAnswer as error:
                if not name or "field" not in error.context:
                    raise  # an answer that is none, not an order that is odd
                unreadable.append(Unreadable(order=name, why=str(error)))
        after = page.pageInfo.next
        return OrderPage(
            orders=tuple(orders),
            unreadable=tuple(unreadable),
            cursor=_cursor(since, until, after) if after else _cursor(until, None, None),
            more=after is not None,
        )

    async def order(self, number: str) -> Order:
        return await self._whole(await self._node(number))

    async def tracking(self, order: Order) -> Tracking | None:
        data = await self._admin.run("Tracking", {"query": by_name(order.number)})
        found = read(TrackedOrders, data, what=f"parcels of {order.number}").orders.nodes
        same = one([node for node in found if node.name == order.number], order.number)
        return to_tracking(same.fulfillments, seen_at=self._clock.now())

    async def grant(self, request: Grant) -> Receipt:
        return await self._remedies.grant(request)

    async def extend(self, request: Extension) -> Receipt:
        """Move the deadline of everything that is left to ship; setting it twice is setting it once."""
        node = await self._node(request.order)
        left = unfinished((await self._complete(node)).fulfillmentOrders.nodes)
        if not left:
            raise Rejected(f"shopify: nothing is left to ship of {request.order}")
        asked = {
            "ids": [part.id for part in left],
            "deadline": _text(request.until),
            "trace": [
                {
                    "ownerId": node.id,
                    "namespace": "amends",
                    "key": "extension",
                    "type": "single_line_text_field",
                    "value": f"{request.key} {_text(request.until)}",
                }
            ],
        }
        # The trace goes first, in the same request: where it is missing, the deadline was not set by us.
        payload = await self._admin.change("SetDeadline", "fulfillmentOrdersSetFulfillmentDeadline", asked)
        if payload.get("success") is not True:
            raise BadAnswer("shopify: fulfillmentOrdersSetFulfillmentDeadline.success is not true")
        return Receipt(ref=left[0].id)

    async def note(self, request: Note) -> Receipt:
        """A tag on the order: added, never replacing what people wrote, and the same twice is one.

        The order's note would say more, but it is the customer's own, and the API replaces it whole.
        """
        node, tag = await self._node(request.order), _tag(request)
        if tag not in node.tags:
            await self._admin.change("AddTag", "tagsAdd", {"id": node.id, "tags": [tag]})
        return Receipt(ref=tag)

    async def find(self, request: AnyRequest) -> Receipt | None:
        if isinstance(request, Grant):
            return await self._remedies.find(request)
        if isinstance(request, Filing):
            return await self._disputes.find(request)
        if isinstance(request, Note):
            tag = _tag(request)
            return Receipt(ref=tag) if tag in (await self._node(request.order)).tags else None
        if isinstance(request, Extension):
            node = await self._complete(await self._node(request.order))
            if node.metafield is None or node.metafield.value.partition(" ")[0] != request.key:
                return None
            left = unfinished(node.fulfillmentOrders.nodes)
            moved = [
                part
                for part in left
                if part.fulfillBy and part.fulfillBy >= request.until.replace(microsecond=0)
            ]
            return Receipt(ref=left[0].id) if left and len(moved) == len(left) else None
        _no("message")

    async def respond(self, request: Filing) -> Receipt:
        return await self._disputes.respond(request)

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        """The end of the dispute `ref`, or of the order's own where no reference was kept."""
        if ref:
            return await self._disputes.ruling(ref)
        for dispute in (await self._node(order)).disputes:
            found = await self._disputes.ruling(dispute_id(dispute.id))
            if found is not None:
                return found
        return None

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        return webhooks.events(self._config, headers, body, now=self._clock.now())

    async def aclose(self) -> None:
        await self._admin.aclose()

    async def replies(self, cursor: str) -> ReplyPage:
        _no("replies")

    async def message(self, request: Message) -> Receipt:
        _no("message")

    async def complain(self, request: Filing) -> Receipt:
        _no("complain")

    async def arbitrate(self, request: Filing) -> Receipt:
        _no("arbitrate")

    @property
    def _parts(self) -> dict[str, Any]:
        return {"personal": self._config.personal, "disputes": self._config.disputes}

    async def _node(self, number: str) -> OrderNode:
        data = await self._admin.run("OrderByName", {"query": by_name(number), **self._parts})
        found = read(OrderList, data, what=f"order {number}").orders.nodes
        return one([node for node in found if node.name == number], number)

    async def _whole(self, node: OrderNode) -> Order:
        """The order, with the few things that a page of many does not tell about it."""
        node, due = await self._complete(node), None
        for dispute in node.disputes:
            if dispute.status in OPEN_DISPUTE:
                due = (await self._disputes.read(dispute_id(dispute.id))).evidenceDueBy
                break
        return to_order(node, self._config, seen_at=self._clock.now(), answer_by=due)

    async def _complete(self, node: OrderNode) -> OrderNode:
        nodes, info = list(node.fulfillmentOrders.nodes), node.fulfillmentOrders.pageInfo
        while info.next:
            data = await self._admin.run("MoreFulfillmentOrders", {"id": node.id, "after": info.next})
            more = read(
                MoreFulfillmentOrders, data, what=f"fulfilment orders of {node.name}"
            ).order.fulfillmentOrders
            nodes, info = nodes + more.nodes, more.pageInfo
        whole = node.fulfillmentOrders.model_copy(update={"nodes": nodes, "pageInfo": info})
        return node.model_copy(update={"fulfillmentOrders": whole})

    def _window(self, cursor: str) -> tuple[datetime, datetime, str | None]:
        now = self._clock.now().replace(microsecond=0)
        if not cursor:
            return now - self._config.history, now - self._config.lag, None
        try:
            kept = json.loads(cursor)
            since, until = datetime.fromisoformat(kept["since"]), kept["until"]
            if until is not None:
                return since, datetime.fromisoformat(until), str(kept["after"])
        except (ValueError, KeyError, TypeError):
            raise InputError(
                "shopify: the stored cursor is not one of ours", hint="Clear it: the next sweep starts anew."
            ) from None
        end = now - self._config.lag
        # Nothing new can be behind us until the clock has moved on: then there is no window to ask for.
        return (since - self._config.overlap, end, None) if end > since else (end, end, None)


def _cursor(since: datetime, until: datetime | None, after: str | None) -> str:
    return json.dumps({"since": _text(since), "until": _text(until) if until else None, "after": after})


def _tag(note: Note) -> str:
    """At most 40 characters; some of the key, so that another generation of the case has its own."""
    return (
        f"amends {note.about} {note.round} {note.key[:10]}"
        if note.round
        else f"amends {note.about} {note.key[:10]}"
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _no(operation: str) -> NoReturn:
    raise Unsupported(
        f"shopify: {operation} is not something that Shopify's API does", hint="Use a channel, such as mail."
    )
