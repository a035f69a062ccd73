"""A make-believe Shopify store, for the contract suite and for `amends plugin-check shopify`."""

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

from amends import Money, Order, OrderStatus, Parcel
from amends.testing.contracts import FakePlatform

_Answer = dict[str, Any]
_COST = {
    "requestedQueryCost": 42,
    "actualQueryCost": 12,
    "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 1988, "restoreRate": 100.0},
}
_SHOWN = {
    OrderStatus.TO_SHIP: "UNFULFILLED",
    OrderStatus.SHIPPED: "FULFILLED",
    OrderStatus.RECEIVED: "FULFILLED",
}
_WINDOW = re.compile(r"updated_at:>='([^']+)' AND updated_at:<'([^']+)'")
_NAMED = re.compile(r"name:'([^']+)'")


class FakeShopify(FakePlatform):
    """Answers each document of `documents.py` as Shopify does; what it is not asked for is left out."""

    name = "shopify"
    config: ClassVar[Mapping[str, Any]] = {
        "store": "sample-store",
        "access_token": "shpat_made-up-0017",
        "webhook_secret": "made-up-webhook-secret-0017",
    }
    currency = "EUR"
    time_zone = "Europe/Berlin"
    # A code is valid from the moment of asking. Asked again, it is refused by its name, whatever its dates.
    volatile = ("startsAt", "endsAt")
    shows = (
        "amount", "placed_at", "paid_at", "updated_at", "ship_by", "status", "shipped_at", "picked_up_at",
        "parcel", "carrier", "tracking_number", "items", "personal",
    )  # fmt: skip
    required = (
        "name",
        "createdAt",
        "updatedAt",
        "amount",
        "currencyCode",
        "fulfillmentOrders",
        "hasNextPage",
    )

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.codes: dict[str, _Answer] = {}
        self.cards: list[_Answer] = []
        self.refunds: dict[str, list[_Answer]] = {}
        self.keys: dict[str, tuple[str, str]] = {}  # idempotency key -> parameters, refund
        self.deadlines: dict[str, tuple[str, datetime]] = {}  # order -> trace, deadline
        self.disputes: dict[str, _Answer] = {}
        self.tags: dict[str, list[str]] = {}
        self.uploads: dict[int, _Answer] = {}

    def number(self, n: int) -> str:
        return f"#{1000 + n}"

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("x-shopify-access-token") != self.config["access_token"]:
            return httpx.Response(401, json={"errors": "[API] Invalid API key or access token"})
        body = json.loads(request.content)
        if request.url.path.endswith("/dispute_file_uploads.json"):
            made = 9000 + len(self.uploads)
            self.uploads[made] = body["dispute_file_upload"]
            return httpx.Response(200, json={"dispute_file_upload": {"id": made}})
        if not request.url.path.endswith("/graphql.json"):
            return httpx.Response(404, json={"errors": "Not Found"})
        answer = getattr(self, body["operationName"])(body["variables"])
        return httpx.Response(200, json={"data": answer, "extensions": {"cost": _COST}})

    def refuse(self, why: Any, request: httpx.Request) -> httpx.Response | None:
        """Shopify answers 200 with `errors` to most of what it refuses."""
        codes = {
            "not-allowed": "ACCESS_DENIED",
            "unavailable": "INTERNAL_SERVER_ERROR",
            "throttled": "THROTTLED",
        }
        if why == "risk-control":
            return httpx.Response(430)
        if why in codes:
            left = {**_COST, "requestedQueryCost": 700, "throttleStatus": {**_THROTTLED}}
            error = {"message": "refused", "extensions": {"code": codes[why]}}
            return httpx.Response(200, json={"errors": [error], "extensions": {"cost": left}})
        if why == "rejected":
            said = request.content.decode("utf-8", "replace")
            return httpx.Response(200, json={"errors": [{"message": f"Variable is invalid: {said}"}]})
        return super().refuse(why, request)

    def request(self, op: str, variant: str, **about: Any) -> Any:
        request = super().request(op, variant, **about)
        if variant == "gift":
            amount = Money.of(5, self.currency)
            return request.model_copy(update={"remedy": request.remedy.model_copy(update={"amount": amount})})  # type: ignore[union-attr]  # a grant
        files = getattr(request, "files", ())
        scans = tuple(
            f.model_copy(update={"name": "shipping label.pdf", "media_type": "application/pdf"})
            for f in files
        )
        return request.model_copy(update={"files": scans}) if files else request

    def prepare(self, op: str, order: Order) -> str:
        if op != "respond":
            return ""
        number = 700 + len(self.disputes)
        gid = f"gid://shopify/ShopifyPaymentsDispute/{number}"
        self.disputes[gid] = {
            "id": gid,
            "legacyResourceId": str(number),
            "status": "NEEDS_RESPONSE",
            "type": "CHARGEBACK",
            "evidenceDueBy": text(self.clock.now().replace(hour=23)),
            "finalizedOn": None,
            "order": {"name": order.number},
            "disputeEvidence": {
                "id": f"gid://shopify/ShopifyPaymentsDisputeEvidence/{number}",
                "submitted": False,
                "uncategorizedText": None,
            },
        }
        return gid

    def webhook(self, order: Order) -> bytes:
        return json.dumps({"id": int(order.number[1:]), "name": order.number}).encode()

    def sign(self, body: bytes, at: datetime) -> Mapping[str, str]:
        made = hmac.new(str(self.config["webhook_secret"]).encode(), body, hashlib.sha256).digest()
        return {
            "X-Shopify-Topic": "orders/updated",
            "X-Shopify-Hmac-SHA256": base64.b64encode(made).decode(),
            "X-Shopify-Shop-Domain": "sample-store.myshopify.com",
            "X-Shopify-Webhook-Id": "b54557e4-0017",
            "X-Shopify-Triggered-At": at.isoformat(),
        }

    # One method for each operation of `documents.py`, of the same name.

    def ChangedOrders(self, asked: _Answer) -> _Answer:
        window = _WINDOW.fullmatch(asked["query"])
        if window is None:
            raise ValueError(f"not a window of time: {asked['query']}")
        since, until = (datetime.fromisoformat(at) for at in window.groups())
        found = [o for o in self.changed(since, until) if o.updated_at is not None and o.updated_at < until]
        # As Shopify's cursors do, ours tells the place by value: what leaves the list shifts nothing.
        if asked["after"]:
            place = tuple(json.loads(base64.b64decode(asked["after"])))
            found = [order for order in found if key(order) > place]
        page = found[: asked["first"]]
        end = base64.b64encode(json.dumps(key(page[-1])).encode()).decode() if page else None
        info = {"hasNextPage": len(found) > len(page), "endCursor": end}
        return {"orders": {"nodes": [self.show(order, asked) for order in page], "pageInfo": info}}

    def OrderByName(self, asked: _Answer) -> _Answer:
        nodes = []
        for order in self.named(asked):
            trace = self.deadlines.get(order.number, ("",))[0]
            nodes.append({**self.show(order, asked), "metafield": {"value": trace} if trace else None})
        return {"orders": {"nodes": nodes}}

    def MoreFulfillmentOrders(self, asked: _Answer) -> _Answer:
        return {
            "order": {
                "fulfillmentOrders": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
            }
        }

    def Tracking(self, asked: _Answer) -> _Answer:
        nodes = []
        for order in self.named(asked):
            parcels = []
            for parcel in self.parcels(order):
                moved = {"status": "CARRIER_PICKED_UP", "happenedAt": parcel["inTransitAt"]}
                events = {"nodes": [moved] if parcel["inTransitAt"] else []}
                parcels.append({**parcel, "estimatedDeliveryAt": None, "events": events})
            nodes.append({"name": order.number, "fulfillments": parcels})
        return {"orders": {"nodes": nodes}}

    def OrderMoney(self, asked: _Answer) -> _Answer:
        nodes = []
        for order in self.named(asked):
            done = self.refunds.get(order.number, [])
            left = order.amount - sum((r["amount"] for r in done), Money.zero(order.amount.currency))
            payment = {
                "gateway": "shopify_payments",
                "kind": "SUGGESTED_REFUND",
                "maximumRefundableSet": {"presentmentMoney": amount(left)},
                "parentTransaction": {"id": gid("OrderTransaction", order)},
            }
            nodes.append(
                {
                    "id": gid("Order", order),
                    "name": order.number,
                    "totalPriceSet": {
                        "shopMoney": {"currencyCode": self.currency},
                        "presentmentMoney": {"currencyCode": order.amount.currency},
                    },
                    "customer": {"id": gid("Customer", order)},
                    "refunds": [{"id": r["id"], "note": r["note"]} for r in done],
                    "suggestedRefund": {"suggestedTransactions": [payment]},
                }
            )
        return {"orders": {"nodes": nodes}}

    def SetDeadline(self, asked: _Answer) -> _Answer:
        order, trace = self.of(asked["trace"][0]["ownerId"]), asked["trace"][0]["value"]
        new = (trace, datetime.fromisoformat(asked["deadline"]))
        if self.deadlines.get(order.number) != new:
            self.deadlines[order.number] = new
            self.act("extend", order.number, key=trace)
        done = {"success": True, "userErrors": []}
        return {"metafieldsSet": {"userErrors": []}, "fulfillmentOrdersSetFulfillmentDeadline": done}

    def CreateDiscount(self, asked: _Answer) -> _Answer:
        discount = asked["discount"]
        code = discount["code"].upper()
        if code in self.codes:
            taken = {
                "field": ["basicCodeDiscount", "code"],
                "message": "Code must be unique.",
                "code": "TAKEN",
            }
            return {"discountCodeBasicCreate": {"codeDiscountNode": None, "userErrors": [taken]}}
        self.codes[code] = discount
        customer = discount["context"]["customers"]["add"][0]
        ref = self.act("grant", self.of(customer).number, key=code)
        node = {"id": f"gid://shopify/DiscountCodeNode/{ref}"}
        return {"discountCodeBasicCreate": {"codeDiscountNode": node, "userErrors": []}}

    def DiscountByCode(self, asked: _Answer) -> _Answer:
        there = asked["code"].upper() in self.codes
        return {"codeDiscountNodeByCode": {"id": "gid://shopify/DiscountCodeNode/1"} if there else None}

    def CreditStore(self, asked: _Answer) -> _Answer:
        ref = self.act("grant", self.of(asked["id"]).number)
        made = {"id": f"gid://shopify/StoreCreditAccountCreditTransaction/{ref}"}
        return {"storeCreditAccountCredit": {"storeCreditAccountTransaction": made, "userErrors": []}}

    def CreateGiftCard(self, asked: _Answer) -> _Answer:
        card = asked["card"]
        ref = self.act("grant", self.of(card["customerId"]).number, key=card["note"])
        self.cards.append({"id": f"gid://shopify/GiftCard/{ref}", "note": card["note"]})
        return {"giftCardCreate": {"giftCard": {"id": self.cards[-1]["id"]}, "userErrors": []}}

    def GiftCards(self, asked: _Answer) -> _Answer:
        info = {"hasNextPage": False, "endCursor": None}
        return {"giftCards": {"nodes": self.cards[::-1], "pageInfo": info}}

    def Refund(self, asked: _Answer) -> _Answer:
        asked_for, key = json.dumps(asked["input"], sort_keys=True), asked["key"]
        if key not in self.keys:
            order = self.of(asked["input"]["orderId"])
            ref = f"gid://shopify/Refund/{self.act('grant', order.number, key=key)}"
            parts = [
                Money.of(part["amount"], order.amount.currency) for part in asked["input"]["transactions"]
            ]
            total = sum(parts, Money.zero(order.amount.currency))
            made = {"id": ref, "note": asked["input"]["note"], "amount": total}
            self.refunds.setdefault(order.number, []).append(made)
            self.keys[key] = (asked_for, ref)
        before, ref = self.keys[key]
        if before != asked_for:
            clash = {
                "field": ["input"],
                "message": "The same idempotency key cannot be used with different parameters.",
            }
            return {"refundCreate": {"refund": None, "userErrors": [clash]}}
        return {"refundCreate": {"refund": {"id": ref}, "userErrors": []}}

    def AddTag(self, asked: _Answer) -> _Answer:
        order = self.of(asked["id"])
        kept = self.tags.setdefault(order.number, [])
        for tag in asked["tags"]:
            if tag not in kept:
                kept.append(tag)
                self.act("note", order.number, key=tag)
        return {"tagsAdd": {"userErrors": []}}

    def Dispute(self, asked: _Answer) -> _Answer:
        dispute = self.disputes.get(asked["id"])
        ruling = self.rulings.get(asked["id"])
        if dispute is not None and ruling is not None:
            ends = {"for-us": "WON", "against-us": "LOST", "withdrawn": "PREVENTED"}
            dispute = {**dispute, "status": ends[ruling.verdict], "finalizedOn": text(ruling.at)}
        return {"dispute": dispute}

    def UpdateEvidence(self, asked: _Answer) -> _Answer:
        dispute = next(d for d in self.disputes.values() if d["disputeEvidence"]["id"] == asked["id"])
        evidence = dispute["disputeEvidence"]
        if evidence["submitted"]:
            late = {
                "field": ["id"],
                "message": "Evidence already accepted.",
                "code": "EVIDENCE_ALREADY_ACCEPTED",
            }
            return {"disputeEvidenceUpdate": {"disputeEvidence": None, "userErrors": [late]}}
        evidence |= {"submitted": True, "uncategorizedText": asked["input"]["uncategorizedText"]}
        dispute["status"] = "UNDER_REVIEW"
        self.act("respond", dispute["order"]["name"], key=asked["id"])
        seen = {"id": evidence["id"], "submitted": True}
        return {"disputeEvidenceUpdate": {"disputeEvidence": seen, "userErrors": []}}

    def of(self, gid: str) -> Order:
        """The order that an id belongs to: all ids here end with its number."""
        return self.orders["#" + gid.rpartition("/")[2]]

    def named(self, asked: _Answer) -> list[Order]:
        wanted = _NAMED.fullmatch(asked["query"])
        found = self.orders.get(wanted[1]) if wanted else None
        return [found] if found else []

    def show(self, order: Order, asked: _Answer) -> _Answer:
        """An order in Shopify's words, as `OrderFields` asks for it."""
        who, shipped = order.personal, order.status in (OrderStatus.SHIPPED, OrderStatus.RECEIVED)
        part: _Answer = {
            "id": gid("FulfillmentOrder", order),
            "status": "CLOSED" if shipped else "OPEN",
            "fulfillAt": None,
            "fulfillBy": text(
                self.deadlines[order.number][1] if order.number in self.deadlines else order.ship_by
            ),
            "fulfillmentHolds": [],
            "deliveryMethod": {"methodType": "SHIPPING", "maxDeliveryDateTime": text(order.deliver_by)},
            "assignedLocation": {"name": order.warehouse or "Sample Warehouse"},
        }
        shown: _Answer = {
            "id": gid("Order", order),
            "name": order.number,
            "createdAt": text(order.placed_at),
            "updatedAt": text(order.updated_at),
            "cancelledAt": None,
            "requiresShipping": True,
            "displayFinancialStatus": "PAID",
            "displayFulfillmentStatus": _SHOWN.get(order.status, "OPEN"),
            "returnStatus": "NO_RETURN",
            "customerLocale": order.language or "en",
            "tags": list(self.tags.get(order.number, [])),
            "totalPriceSet": {"shopMoney": amount(order.amount)},
            "totalRefundedSet": {"shopMoney": amount(order.refunded or Money.zero(order.amount.currency))},
            "risk": {"recommendation": "ACCEPT"},
            "transactions": [{"kind": "SALE", "status": "SUCCESS", "processedAt": text(order.paid_at)}],
            "lineItems": {
                "nodes": [
                    {"sku": i.sku, "title": i.title, "currentQuantity": i.quantity} for i in order.items
                ]
            },
            "fulfillments": self.parcels(order),
            "fulfillmentOrders": {"nodes": [part], "pageInfo": {"hasNextPage": False, "endCursor": None}},
        }
        if asked["disputes"]:
            shown["disputes"] = []
        if asked["personal"]:
            shown |= {
                "customer": {"id": gid("Customer", order), "displayName": who.name if who else ""},
                "email": who.email if who else None,
                "phone": who.phone if who else None,
                "shippingAddress": {"formatted": [who.address] if who else [], "timeZone": "Europe/Berlin"},
            }
        return shown

    def parcels(self, order: Order) -> list[_Answer]:
        if order.shipped_at is None:
            return []
        words = {Parcel.IN_TRANSIT: "IN_TRANSIT", Parcel.DELIVERED: "DELIVERED"}
        return [
            {
                "status": "SUCCESS",
                "displayStatus": words.get(order.parcel, "FULFILLED"),
                "createdAt": text(order.shipped_at),
                "inTransitAt": text(order.picked_up_at),
                "deliveredAt": text(order.delivered_at),
                "trackingInfo": [{"company": order.carrier, "number": order.tracking_number}],
            }
        ]


_THROTTLED = {"maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0}


def gid(kind: str, order: Order) -> str:
    return f"gid://shopify/{kind}/{order.number.removeprefix('#')}"


def amount(money: Money) -> _Answer:
    return {"amount": str(money.decimal), "currencyCode": money.currency}


def text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def key(order: Order) -> tuple[str, str]:
    return (text(order.updated_at) or "", order.number)
