"""The WooCommerce connector: reads orders, writes customer notes, gives remedies, verifies webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Grant,
    Message,
    Note,
    Order,
    OrderPage,
    Receipt,
    Rejected,
    RemedyKind,
    ReplyPage,
    Tracking,
    Unsupported,
    Window,
    read_each,
)
from amends_woocommerce import notes, remedies
from amends_woocommerce.api import Api
from amends_woocommerce.config import WooCommerceConfig
from amends_woocommerce.orders import Look, to_order


class WooCommerce:
    """One WooCommerce shop."""

    def __init__(self, config: WooCommerceConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.api = Api(config, context)
        self._by_modified = True

    def __repr__(self) -> str:
        return f"<WooCommerce {self.context.shop}>"

    async def changed_orders(self, cursor: str) -> OrderPage:
        window = Window.of(cursor, self.config, self.context.clock.now())
        page = window.page or 1
        rows, pages = await self._page(window, page)
        if not window.page and pages > 1:
            page = pages
            rows, _ = await self._page(window, page)
        orders, unreadable = read_each(rows, self._order, "id")
        return OrderPage(
            orders=tuple(sorted(orders, key=lambda order: order.updated_at or order.placed_at)),
            unreadable=unreadable,
            cursor=str(window.after(page, self.config.overlap)),
            more=page > 1,
        )

    async def _page(self, window: Window, page: int) -> tuple[list[object], int]:
        query = {
            # Without a zone: WordPress compares the text as it stands with its GMT column.
            "modified_after": window.since.strftime("%Y-%m-%dT%H:%M:%S"),
            "modified_before": window.end.strftime("%Y-%m-%dT%H:%M:%S"),
            "dates_are_gmt": "true",
            "order": "desc",
            "page": str(page),
            "per_page": str(self.config.page_size),
        }
        if self._by_modified:
            try:
                return await self.api.list("orders", **query, orderby="modified")
            except Rejected as error:
                # Older shops cannot sort by it. By id nothing is missed either; pages come in another order.
                if error.context.get("platform_code") != "rest_invalid_param":
                    raise
                self._by_modified = False
        return await self.api.list("orders", **query, orderby="id")

    async def order(self, number: str) -> Order:
        return self._order(await self.api.get(f"orders/{number}"))

    def _order(self, raw: object) -> Order:
        context = self.context
        return to_order(
            raw, self.config, shop=context.shop, zone=context.time_zone, observed_at=context.clock.now()
        )

    async def message(self, request: Message) -> Receipt:
        text = request.text
        if request.reply_url and request.reply_url not in text:
            text = f"{text}\n\n{request.reply_url}"
        return await notes.tell(self.api, request.order, text, key=request.key)

    async def grant(self, request: Grant) -> Receipt:
        if request.remedy.kind is RemedyKind.COUPON:
            return await remedies.give_coupon(self.api, request, self.context.time_zone)
        if request.remedy.kind is RemedyKind.REFUND:
            return await remedies.refund(self.api, request)
        raise Unsupported(f"{self.api.who}: WooCommerce's API gives no {request.remedy.kind}")

    async def extend(self, request: Extension) -> Receipt:
        """Keeps the agreed date in the order's meta data, where `order` reads it again."""
        wanted = self._agreed(request)
        body = {"meta_data": [{"key": key, "value": value} for key, value in wanted.items()]}
        changed = Look(await self.api.put(f"orders/{request.order}", body))
        if any(changed.meta(key) != value for key, value in wanted.items()):
            raise BadAnswer(f"{self.api.who}: order {request.order} answers without the new meta_data")
        return Receipt(ref=wanted[self.config.agreed_meta])

    async def note(self, request: Note) -> Receipt:
        """A private note: seen in the shop's back office, never mailed."""
        return await notes.remark(self.api, request.order, f"amends: {request.text}", key=request.key)

    def _agreed(self, request: Extension) -> dict[str, str]:
        """What the order's meta data holds once this extension is done: the date, and which act set it."""
        until = request.until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {self.config.agreed_meta: until, f"{self.config.agreed_meta}_ref": request.key}

    async def find(self, request: AnyRequest) -> Receipt | None:
        if isinstance(request, Message):
            return await notes.told(self.api, request.order, key=request.key)
        if isinstance(request, Note):
            return await notes.told(self.api, request.order, key=request.key, kind="internal")
        if isinstance(request, Grant) and request.remedy.kind is RemedyKind.COUPON:
            return await remedies.find_coupon(self.api, request)
        if isinstance(request, Grant) and request.remedy.kind is RemedyKind.REFUND:
            return await remedies.find_refund(self.api, request)
        if isinstance(request, Extension):
            wanted, order = self._agreed(request), Look(await self.api.get(f"orders/{request.order}"))
            done = all(order.meta(key) == value for key, value in wanted.items())
            return Receipt(ref=wanted[self.config.agreed_meta]) if done else None
        raise Unsupported(f"{self.api.who}: nothing like {request.op} is done here")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        """Order webhooks: signed over the body, without a time; a replay only makes us look once more."""
        given = {name.lower(): value for name, value in headers.items()}
        signature = given.get("x-wc-webhook-signature", "")
        if not signature and body.startswith(b"webhook_id=") and body[11:].isdigit():
            return ()  # the unsigned ping by which WooCommerce tries a new address out; it says nothing
        config = self.config
        secrets = [s.get_secret_value() for s in (config.webhook_secret, config.webhook_secret_previous) if s]
        if not secrets:
            raise Rejected(f"{self.api.who}: a webhook came, but no webhook_secret is set")
        if not any(hmac.compare_digest(_signature(secret, body), signature.encode()) for secret in secrets):
            raise Rejected(f"{self.api.who}: the webhook's signature is wrong")
        if given.get("x-wc-webhook-resource", "order") != "order":
            return ()
        try:
            number = json.loads(body)["id"]
        except (ValueError, KeyError, TypeError):
            raise Rejected(f"{self.api.who}: the webhook names no order") from None
        # Headers are not signed, so the event is named by the body: the same news twice is one event.
        return (Event(event=f"{number}:{hashlib.sha256(body).hexdigest()[:24]}", order=str(number)),)

    async def tracking(self, order: Order) -> Tracking | None:
        raise Unsupported(f"{self.api.who}: WooCommerce has no carrier events")

    async def replies(self, cursor: str) -> ReplyPage:
        raise Unsupported(f"{self.api.who}: customers cannot answer a note; they use the reply page")

    async def aclose(self) -> None:
        await self.api.aclose()


def _signature(secret: str, body: bytes) -> bytes:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
