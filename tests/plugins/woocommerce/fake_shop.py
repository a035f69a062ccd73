"""A WooCommerce shop in memory that answers as its REST v3 documentation and source say; faults on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

KEY, SECRET, BASE = "ck_made_up", "cs_made_up", "/wp-json/wc/v3/"


def gmt(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


class FakeShop:
    """`faults`, one per request: before it is served, or (first value true) once it took effect."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.orders: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.refunds: dict[int, list[dict[str, Any]]] = {}
        self.coupons: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self.mails: list[str] = []
        self.paid_back: list[Decimal] = []
        self.gateway_fails = False
        self.sorts_by_modified = True
        self.rights = "read_write"
        self.nonces: set[str] = set()
        self.faults: list[tuple[bool, Callable[[httpx.Request], httpx.Response]]] = []
        self.between: Callable[[httpx.Request], None] = lambda request: None
        self._id = 900

    def new_id(self) -> int:
        self._id += 1
        return self._id

    def add(self, number: int, *, modified: datetime, **changes: Any) -> dict[str, Any]:
        order = {
            "id": number, "number": str(number), "status": "processing", "currency": "EUR", "total": "29.35",
            "date_created_gmt": gmt(modified), "date_modified_gmt": gmt(modified),
            "date_paid_gmt": gmt(modified), "date_completed_gmt": None, "customer_id": 17,
            "payment_method": "stripe", "meta_data": [], "refunds": [], "unheard_of": {"new": 1},
            "billing": {
                "first_name": "Sample", "last_name": "Customer 0017", "email": "sample0017@example.invalid",
                "phone": "000-0017", "address_1": "1 Made Up Street", "city": "Nowhere", "country": "DE",
            },
            "shipping": {},
            "line_items": [{"id": 1, "name": "Cup &ndash; blue", "sku": "CUP-1", "quantity": 2}],
        }  # fmt: skip
        order.update(changes)
        self.orders[number] = order
        return order

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.between(request)
        after, fault = self.faults.pop(0) if self.faults else (False, None)
        if fault is not None and not after:
            return fault(request)
        answer = self._refused(request) or self._serve(request)
        return fault(request) if fault is not None else answer

    # Who asks, checked as WC_REST_Authentication does.

    def _refused(self, request: httpx.Request) -> httpx.Response | None:
        if request.headers.get("authorization", "").startswith("Basic "):
            if request.url.scheme != "https":
                return error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
            key, _, secret = base64.b64decode(request.headers["authorization"][6:]).decode().partition(":")
            if key != KEY:
                return error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
            if secret != SECRET:
                return error(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")
        else:
            problem = self._oauth(request)
            if problem:
                return error(401, "woocommerce_rest_authentication_error", problem, date=self.clock.now())
        if request.method != "GET" and self.rights == "read":
            say = "The API key provided does not have write permissions."
            return error(401, "woocommerce_rest_authentication_error", say)
        return None

    def _oauth(self, request: httpx.Request) -> str:
        given = dict(parse_qsl(urlsplit(str(request.url)).query))
        signature = given.pop("oauth_signature", "")
        if given.get("oauth_consumer_key") != KEY:
            return "Consumer key is invalid."
        url = str(request.url).partition("?")[0]
        pairs = "%26".join(
            quote(f"{quote(k, safe='')}={quote(v, safe='')}", safe="") for k, v in sorted(given.items())
        )
        text = f"{request.method}&{quote(url, safe='')}&{pairs}"
        wanted = base64.b64encode(hmac.new(f"{SECRET}&".encode(), text.encode(), hashlib.sha256).digest())
        if wanted.decode() != signature:
            return "Invalid signature - provided signature does not match."
        if abs(int(given["oauth_timestamp"]) - self.clock.now().timestamp()) > 900:
            return "Invalid timestamp."
        if given["oauth_nonce"] in self.nonces:
            return "Invalid nonce - nonce has already been used."
        self.nonces.add(given["oauth_nonce"])
        return ""

    # What is asked.

    def _serve(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(BASE)
        query = dict(request.url.params)
        body = json.loads(request.content) if request.content else {}
        if path == "orders":
            return self._list_orders(query)
        if path == "coupons":
            return self._make_coupon(body) if request.method == "POST" else self._list_coupons(query)
        if path.startswith("payment_gateways/"):
            supports = ["products", "refunds"] if path.endswith("stripe") else ["products"]
            return httpx.Response(200, json={"id": path.split("/")[1], "method_supports": supports})
        match = re.fullmatch(r"orders/(\d+)(?:/(notes|refunds))?", path)
        if not match:
            return error(404, "rest_no_route", "No route was found matching the URL and request method.")
        number, part = int(match[1]), match[2]
        if number not in self.orders:
            return error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        if part == "notes":
            return (
                self._add_note(number, body) if request.method == "POST" else self._list_notes(number, query)
            )
        if part == "refunds":
            if request.method == "POST":
                return self._refund(number, body)
            return httpx.Response(200, json=self.refunds.get(number, []), headers={"X-WP-TotalPages": "1"})
        order = self.orders[number]
        if request.method == "PUT":
            for meta in body["meta_data"]:
                order["meta_data"] = [m for m in order["meta_data"] if m["key"] != meta["key"]]
                order["meta_data"].append({"id": self.new_id(), **meta})
            order["date_modified_gmt"] = gmt(self.clock.now())
        return httpx.Response(200, json=order)

    def _list_orders(self, query: dict[str, str]) -> httpx.Response:
        assert query["dates_are_gmt"] == "true"
        if query["orderby"] == "modified" and not self.sorts_by_modified:
            return error(400, "rest_invalid_param", "Invalid parameter(s): orderby")
        field = "date_modified_gmt" if query["orderby"] == "modified" else "id"
        rows = [
            order
            for order in self.orders.values()
            if query["modified_after"] < order["date_modified_gmt"] < query["modified_before"]
        ]
        rows.sort(key=lambda order: (order[field], order["id"]), reverse=query["order"] == "desc")
        size, page = int(query["per_page"]), int(query["page"])
        headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(math.ceil(len(rows) / size))}
        return httpx.Response(200, json=rows[(page - 1) * size : page * size], headers=headers)

    def _list_notes(self, number: int, query: dict[str, str]) -> httpx.Response:
        wanted = {"customer": True, "internal": False}[query["type"]]
        rows = [note for note in self.notes.get(number, []) if note["customer_note"] is wanted]
        return httpx.Response(200, json=rows)

    def _add_note(self, number: int, body: dict[str, Any]) -> httpx.Response:
        note = {"id": self.new_id(), "note": body["note"], "customer_note": body.get("customer_note", False)}
        self.notes.setdefault(number, []).append(note)
        if note["customer_note"]:
            self.mails.append(note["note"])
        return httpx.Response(201, json=note)

    def _list_coupons(self, query: dict[str, str]) -> httpx.Response:
        rows = [coupon for coupon in self.coupons if coupon["code"] == query["code"].lower()]
        return httpx.Response(200, json=rows, headers={"X-WP-TotalPages": "1"})

    def _make_coupon(self, body: dict[str, Any]) -> httpx.Response:
        code = body["code"].lower()
        if any(coupon["code"] == code for coupon in self.coupons):
            return error(400, "woocommerce_rest_coupon_code_already_exists", "The coupon code already exists")
        ends = {"date_expires_gmt": body["date_expires"].removesuffix("Z")}
        self.coupons.append(
            {**body, **ends, "id": self.new_id(), "code": code, "amount": f"{Decimal(body['amount']):.2f}"}
        )
        return httpx.Response(201, json=self.coupons[-1])

    def _refund(self, number: int, body: dict[str, Any]) -> httpx.Response:
        amount, through = Decimal(body["amount"]), body.get("api_refund", True)
        if through and self.gateway_fails:
            return error(500, "woocommerce_rest_cannot_create_order_refund", "The gateway did not answer.")
        if through:
            self.paid_back.append(amount)
        row = {"id": self.new_id(), "reason": body["reason"], "refunded_payment": through}
        row["amount"] = body["amount"]
        self.refunds.setdefault(number, []).append(row)
        short = {"id": row["id"], "reason": row["reason"], "total": f"-{amount}"}
        self.orders[number]["refunds"].append(short)
        return httpx.Response(201, json=row)


def error(status: int, code: str, message: str, *, date: datetime | None = None) -> httpx.Response:
    headers = {"Date": date.strftime("%a, %d %b %Y %H:%M:%S GMT")} if date else {}
    body = {"code": code, "message": message, "data": {"status": status}}
    return httpx.Response(status, json=body, headers=headers)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("made up", request=request)


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("made up", request=request)
