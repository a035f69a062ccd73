"""A make-believe WooCommerce shop, for the contract suite and for `amends plugin-check woocommerce`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from amends import Order, OrderStatus
from amends.testing.contracts import FakePlatform
from amends.testing.contracts.fakes import Refusal

_STATUS = {OrderStatus.TO_SHIP: "processing", OrderStatus.SHIPPED: "completed"}
_PATH = re.compile(r"/wp-json/wc/v3/orders/(\d+)(?:/(notes|refunds))?")
_MARK = re.compile(r"\(Ref\. ([^,)]+)\)")
_REFUSED = {
    "unauthorized": (401, "woocommerce_rest_authentication_error", "Consumer secret is invalid."),
    "forbidden": (403, "woocommerce_rest_cannot_view", "Sorry, you cannot view this resource."),
    "not-allowed": (
        401,
        "woocommerce_rest_authentication_error",
        "The API key provided does not have write permissions.",
    ),
    "not-found": (404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID."),
    "rejected": (400, "rest_invalid_param", "Invalid parameter(s): something"),
}


class FakeWooCommerce(FakePlatform):
    """Answers the calls of this connector as WooCommerce's documentation and source say."""

    name = "woocommerce"
    config: ClassVar[Mapping[str, Any]] = {
        "url": "https://shop.example.invalid",
        "consumer_key": "ck_made_up_0017",
        "consumer_secret": "cs_made_up_0017",
        "webhook_secret": "made-up-webhook-0017",
        "ship_by_meta": "_ship_by",
        "page_size": 10,
    }
    currency = "EUR"
    time_zone = "Europe/Berlin"
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "ship_by", "status", "carrier", "tracking_number",
        "items", "personal",
    )  # fmt: skip
    required = ("id", "status", "currency", "total", "date_created_gmt", "date_modified_gmt")

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.refunds: dict[str, list[dict[str, Any]]] = {}
        self.meta: dict[str, dict[str, str]] = {}
        self.coupons: dict[str, dict[str, Any]] = {}

    def handle(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, dict(request.url.params)
        body = json.loads(request.content) if request.content else {}
        if path.endswith("/orders"):
            return self._page([self._shown(order) for order in self._listed(query)], query)
        if path.endswith("/coupons"):
            return self._coupon(body) if request.method == "POST" else self._page(self._coded(query), query)
        if "/payment_gateways/" in path:
            return httpx.Response(200, json={"id": "stripe", "method_supports": ["refunds"]})
        match = _PATH.fullmatch(path)
        if match is None or match[1] not in self.orders:
            return _refusal("not-found")
        number, part = match[1], match[2]
        if part == "notes":
            return self._noted(number, body) if request.method == "POST" else self._notes(number, query)
        if part == "refunds":
            if request.method == "POST":
                return self._refunded(number, body)
            return self._page(self.refunds.get(number, []), query)
        if request.method == "PUT":
            self._agreed(number, {meta["key"]: meta["value"] for meta in body["meta_data"]})
        return httpx.Response(200, json=self._shown(self.orders[number]))

    def refuse(self, why: Refusal, request: httpx.Request) -> httpx.Response | None:
        return _refusal(why) if why in _REFUSED else super().refuse(why, request)

    def webhook(self, order: Order) -> bytes:
        return json.dumps(self._shown(order)).encode()

    def sign(self, body: bytes, at: datetime) -> Mapping[str, str]:
        digest = hmac.new(self.config["webhook_secret"].encode(), body, hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        return {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Resource": "order"}

    def _listed(self, query: Mapping[str, str]) -> list[Order]:
        since, until = query["modified_after"], query["modified_before"]
        return [order for order in reversed(self.changed()) if since < _gmt(order.updated_at) < until]

    def _page(self, rows: list[dict[str, Any]], query: Mapping[str, str]) -> httpx.Response:
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(-(-len(rows) // size))}
        return httpx.Response(200, headers=headers, json=rows[(page - 1) * size : page * size])

    def _coded(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return [coupon for code, coupon in self.coupons.items() if code == query["code"].lower()]

    def _coupon(self, body: dict[str, Any]) -> httpx.Response:
        code = body["code"].lower()
        if code in self.coupons:
            return httpx.Response(400, json={"code": "woocommerce_rest_coupon_code_already_exists"})
        ends = {"date_expires_gmt": body["date_expires"].removesuffix("Z")}
        self.coupons[code] = {**body, **ends, "id": len(self.coupons) + 700, "code": code}
        return httpx.Response(201, json=self.coupons[code])

    def _notes(self, number: str, query: Mapping[str, str]) -> httpx.Response:
        wanted = query["type"] == "customer"
        rows = [note for note in self.notes.get(number, []) if note["customer_note"] is wanted]
        return httpx.Response(200, json=rows)

    def _noted(self, number: str, body: dict[str, Any]) -> httpx.Response:
        rows = self.notes.setdefault(number, [])
        rows.append({"id": 800 + len(rows), "note": body["note"], "customer_note": body["customer_note"]})
        if body["customer_note"]:
            # A coupon is given when its customer knows the code.
            told = any(code in body["note"] for code in self.coupons)
            self.act("grant" if told else "message", number, key=_key(body["note"]))
        elif body["note"].startswith("amends:"):
            self.act("note", number, key=_key(body["note"]))
        return httpx.Response(201, json=rows[-1])

    def _refunded(self, number: str, body: dict[str, Any]) -> httpx.Response:
        self.act("grant", number, key=_key(body["reason"]))
        rows = self.refunds.setdefault(number, [])
        made = {"id": 600 + len(rows), "reason": body["reason"], "refunded_payment": body["api_refund"]}
        rows.append({**made, "amount": body["amount"]})
        return httpx.Response(201, json=rows[-1])

    def _agreed(self, number: str, meta: dict[str, str]) -> None:
        kept = self.meta.setdefault(number, {})
        if kept | meta != kept:
            kept.update(meta)
            self.act("extend", number, key=next(v for k, v in meta.items() if k.endswith("_ref")))

    def _shown(self, order: Order) -> dict[str, Any]:
        who, kept = order.personal, dict(self.meta.get(order.number, {}))
        meta: list[dict[str, Any]] = [{"id": 1, "key": key, "value": value} for key, value in kept.items()]
        if order.ship_by:
            meta.append({"id": 2, "key": "_ship_by", "value": order.ship_by.isoformat()})
        if order.tracking_number:
            parcel = {"tracking_provider": order.carrier, "tracking_number": order.tracking_number}
            meta.append({"id": 3, "key": "_wc_shipment_tracking_items", "value": [parcel]})
        first, _, last = (who.name if who else "").rpartition(" ")
        billing = {
            "first_name": first, "last_name": last, "phone": who.phone if who else "",
            "email": who.email if who else "", "address_1": who.address if who else "",
        }  # fmt: skip
        refunds = [
            {"id": row["id"], "reason": row["reason"], "total": f"-{row['amount']}"}
            for row in self.refunds.get(order.number, [])
        ]
        return {
            "id": int(order.number), "number": order.number, "status": _STATUS.get(order.status, "on-hold"),
            "currency": order.amount.currency, "total": f"{order.amount.decimal:f}", "customer_id": 17,
            "date_created_gmt": _gmt(order.placed_at), "date_modified_gmt": _gmt(order.updated_at),
            "date_paid_gmt": _gmt(order.paid_at), "date_completed_gmt": _gmt(order.shipped_at) or None,
            "billing": billing, "shipping": {}, "payment_method": "stripe", "meta_data": meta, "refunds": refunds,
            "line_items": [
                {"id": 1, "name": item.title, "sku": item.sku, "quantity": item.quantity} for item in order.items
            ],
        }  # fmt: skip


def _refusal(why: str) -> httpx.Response:
    status, code, message = _REFUSED[why]
    return httpx.Response(status, json={"code": code, "message": message, "data": {"status": status}})


def _gmt(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if at else ""


def _key(text: str) -> str:
    found = _MARK.search(text)
    return found[1] if found else ""
