"""A make-believe Vendure server, for the contract suite and for `amends plugin-check vendure`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from amends import Order, OrderStatus
from amends.testing.contracts import FakePlatform
from amends.testing.contracts.fakes import Refusal

_STATE = {OrderStatus.TO_SHIP: "PaymentSettled", OrderStatus.SHIPPED: "Shipped"}
_OPERATION = re.compile(r"(?:query|mutation) (\w+)")
_MARK = re.compile(r"\(Ref\. ([^,)]+)\)")
_REFUSED = {
    "forbidden": "FORBIDDEN",
    "not-allowed": "CHANNEL_NOT_FOUND",
    "not-found": "ENTITY_NOT_FOUND",
    "rejected": "USER_INPUT_ERROR",
    "unavailable": "INTERNAL_SERVER_ERROR",
}


class FakeVendure(FakePlatform):
    """Answers each document of `documents.py` by its name, as the server 3.7.3 does."""

    name = "vendure"
    config: ClassVar[Mapping[str, Any]] = {
        "url": "https://shop.example.invalid/admin-api",
        "username": "amends",
        "password": "made-up-password-0017",
        "ship_within": "48h",
        "page_size": 10,
    }
    currency = "EUR"
    time_zone = "Europe/Berlin"
    # Of the coupon that has to be made; one that is there keeps its own.
    volatile = ("endsAt",)
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "status", "carrier", "tracking_number", "shipped_at",
        "items", "personal",
    )  # fmt: skip
    required = ("code", "state", "currencyCode", "totalWithTax", "orderPlacedAt", "updatedAt")

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.refunds: dict[str, list[dict[str, Any]]] = {}
        self.promotions: list[dict[str, Any]] = []

    def number(self, n: int) -> str:
        return f"V{100_000 + n}"

    def handle(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        name, variables = _OPERATION.search(body["query"]), body["variables"]
        assert name is not None, "each document has a name"  # noqa: S101  # of our own documents
        if name[1] == "Login":
            data: dict[str, Any] = {"login": {"__typename": "CurrentUser", "id": "1"}}
            return httpx.Response(200, json={"data": data}, headers={"vendure-auth-token": "session-0017"})
        if request.headers.get("authorization") != "Bearer session-0017":
            return _error("FORBIDDEN", "You are not currently authorized to perform this action")
        return httpx.Response(200, json={"data": getattr(self, f"_{name[1]}")(**variables)})

    def refuse(self, why: Refusal, request: httpx.Request) -> httpx.Response | None:
        if why in _REFUSED:
            return _error(_REFUSED[why], f"refused: {request.content.decode('utf-8', 'replace')}")
        return super().refuse(why, request)

    def _Orders(self, options: dict[str, Any]) -> dict[str, Any]:
        rule = options["filter"]
        if "code" in rule:
            found = [order for order in self.orders.values() if order.number == rule["code"]["eq"]]
        else:
            after, span = rule["_or"][0]["orderPlacedAt"]["after"], rule["_or"][1]["updatedAt"]["between"]
            found = [
                order
                for order in self.orders.values()
                if _iso(order.placed_at) < rule["orderPlacedAt"]["before"]
                and (_iso(order.placed_at) > after or span["start"] <= _iso(order.updated_at) <= span["end"])
            ]
            found.sort(key=lambda order: (order.placed_at, order.number), reverse=True)
        skip = options.get("skip", 0)
        rows = [self._shown(order) for order in found[skip : skip + options["take"]]]
        return {"orders": {"totalItems": len(found), "items": rows}}

    def _Notes(self, id: str, skip: int) -> dict[str, Any]:
        rows = self.notes.get(id, [])
        history = {"totalItems": len(rows), "items": rows[::-1][skip : skip + 100]}
        return {"order": {"id": id, "history": history}}

    def _AddNote(self, input: dict[str, Any]) -> dict[str, Any]:
        rows = self.notes.setdefault(input["id"], [])
        rows.append({"id": str(len(rows)), "isPublic": input["isPublic"], "data": {"note": input["note"]}})
        if input["isPublic"]:
            # A coupon is given when its customer knows the code.
            told = any(promotion["couponCode"] in input["note"] for promotion in self.promotions)
            self.act("grant" if told else "message", f"V{input['id']}", key=_key(input["note"]))
        elif input["note"].startswith("amends:"):
            self.act("note", f"V{input['id']}", key=_key(input["note"]))
        return {"addNoteToOrder": {"id": input["id"]}}

    def _Promotions(self, code: str) -> dict[str, Any]:
        rows = [promotion for promotion in self.promotions if promotion["couponCode"] == code]
        return {"promotions": {"totalItems": len(rows), "items": rows}}

    def _CreatePromotion(self, input: dict[str, Any]) -> dict[str, Any]:
        actions = [{"code": action["code"], "args": action["arguments"]} for action in input["actions"]]
        made = {"id": str(len(self.promotions)), "couponCode": input["couponCode"], "endsAt": input["endsAt"]}
        self.promotions.append({**made, "actions": actions})
        return {"createPromotion": {"__typename": "Promotion", **self.promotions[-1]}}

    def _Refund(self, input: dict[str, Any]) -> dict[str, Any]:
        order = input["paymentId"]
        self.act("grant", f"V{order}", key=_key(input["reason"]))
        rows = self.refunds.setdefault(order, [])
        # The payment's handler pays at once, as those of payment providers do.
        made = {"id": f"{order}-{len(rows)}", "state": "Settled", "total": input["amount"]}
        rows.append({**made, "reason": input["reason"], "updatedAt": _iso(self.clock.now())})
        return {"refundOrder": {"__typename": "Refund", **rows[-1]}}

    def _shown(self, order: Order) -> dict[str, Any]:
        id, who, at = order.number.removeprefix("V"), order.personal, order.shipped_at
        first, _, last = (who.name if who else "").rpartition(" ")
        paid = {"createdAt": _iso(order.paid_at), "updatedAt": _iso(order.paid_at)}
        total = int(order.amount.decimal.scaleb(2))
        parcel = {
            "id": "1", "state": "Shipped", "method": order.carrier, "trackingCode": order.tracking_number,
            "createdAt": _iso(at), "updatedAt": _iso(at),
        }  # fmt: skip
        moved = {"createdAt": _iso(at), "data": {"fulfillmentId": 1, "from": "Pending", "to": "Shipped"}}
        return {
            "id": id, "code": order.number, "state": _STATE.get(order.status, "Cancelled"),
            "currencyCode": order.amount.currency, "totalWithTax": total, "createdAt": _iso(order.placed_at),
            "updatedAt": _iso(order.updated_at), "orderPlacedAt": _iso(order.placed_at),
            "customer": {
                "id": order.customer, "firstName": first, "lastName": last,
                "phoneNumber": who.phone if who else None, "emailAddress": who.email if who else "",
            },
            "shippingAddress": {"fullName": who.name, "streetLine1": who.address} if who else None,
            "lines": [
                {"quantity": item.quantity, "productVariant": {"sku": item.sku, "name": item.title}}
                for item in order.items
            ],
            "payments": [
                {"id": id, "state": "Settled", "amount": total, "refunds": self.refunds.get(id, []), **paid}
            ],
            "fulfillments": [parcel] if at else [],
            "history": {"items": [moved] if at else []},
        }  # fmt: skip


def _error(code: str, message: str) -> httpx.Response:
    error = {"message": message, "extensions": {"code": code}}
    return httpx.Response(200, json={"errors": [error], "data": None})


def _iso(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at else ""


def _key(text: str) -> str:
    found = _MARK.search(text)
    return found[1] if found else ""
