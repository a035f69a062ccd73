"""A small make-believe of the sandbox's HTTP side, for the contract suite and `amends plugin-check sandbox`.

The real one draws its own orders from a seed; the suite needs to put its own there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import httpx

from amends import Event, Order, Receipt, Tracking
from amends.testing.contracts import FakePlatform
from amends.testing.webhooks import sign

_SECRET = "made-up-sandbox-secret-0017"  # noqa: S105  # guards nothing: nobody listens there
_PAGE = 10
_ONCE = ("arbitrate", "note")  # and every grant but a refund: the same key again is the same act


class FakeSandbox(FakePlatform):
    """Shows the suite's orders as `server.py` shows its own."""

    name = "sandbox"
    config: ClassVar[Mapping[str, Any]] = {"url": "https://sandbox.example.invalid", "secret": _SECRET}
    lag = timedelta()  # what changes shows up at once
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "ship_by", "status", "shipped_at", "picked_up_at",
        "parcel", "carrier", "tracking_number", "items", "customer",
    )  # fmt: skip
    required = ("number", "amount", "placed_at")
    webhook_window = timedelta(hours=12)

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {_SECRET}":
            return httpx.Response(401, json={"error": "auth-failed", "message": "wrong secret"})
        asked = dict(request.url.params)
        match request.method, request.url.path.split("/")[1:]:
            case "GET", ["orders"]:
                return _answer(self._listed(asked["cursor"]))
            case "GET", ["orders", number]:
                found = self.orders.get(number)
                return _answer(self._shown(found)) if found else _refused(404, "not-found")
            case "GET", ["orders", number, "tracking"]:
                return _answer({"tracking": self._tracked(self.orders[number])})
            case "GET", ["replies"]:
                rows = [reply.model_dump(mode="json") for reply in self.replies[int(asked["cursor"] or 0) :]]
                return _answer({"replies": rows, "cursor": str(len(self.replies))})
            case "GET", ["rulings"]:
                ruling = self.rulings.get(asked["ref"])
                return _answer({"ruling": ruling.model_dump(mode="json") if ruling else None})
            case "GET", ["find"]:
                act = self.acted(asked["op"], key=asked["key"], order=asked["order"])
                return _answer({"receipt": {"ref": act.ref} if act else None})
            case "POST", [_]:
                return self._write(request.headers["idempotency-key"], json.loads(request.content))
        return _refused(404, "not-found")

    def webhook(self, order: Order) -> bytes:
        return Event(event=f"push-{order.number}", order=order.number).model_dump_json().encode()

    def sign(self, body: bytes, at: datetime) -> Mapping[str, str]:
        return sign(_SECRET, "push-0017", at, body)

    def _write(self, key: str, body: dict[str, Any]) -> httpx.Response:
        op, kind = str(body["op"]), (body.get("remedy") or {}).get("kind")
        again = self.acted(op, key=key, order=body["order"])
        once = op in _ONCE or (op == "grant" and kind != "refund")
        ref = again.ref if again and once else self.act(op, body["order"], key=key)
        done = Receipt(ref=ref, state="requested" if kind == "refund" else "done")
        return _answer(done.model_dump(mode="json"))

    def _listed(self, cursor: str) -> dict[str, Any]:
        after = tuple(json.loads(cursor)) if cursor else ("", "")
        found = [order for order in self.changed() if _place(order) > after]
        page = found[:_PAGE]
        return {
            "orders": [self._shown(order) for order in page],
            "cursor": json.dumps(_place(page[-1])) if page else cursor,
            "more": len(found) > len(page),
        }

    def _shown(self, order: Order) -> dict[str, Any]:
        public = order.public().model_copy(update={"observed_at": self.clock.now()})
        return public.model_dump(mode="json", exclude_none=True)

    def _tracked(self, order: Order) -> dict[str, Any] | None:
        if order.picked_up_at is None:
            return None
        seen = Tracking(parcel=order.parcel, carrier=order.carrier, picked_up_at=order.picked_up_at)
        return seen.model_dump(mode="json", exclude_none=True)


def _place(order: Order) -> tuple[str, str]:
    return ((order.updated_at or order.placed_at).isoformat(), order.number)


def _answer(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=body)


def _refused(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"error": code, "message": code})
