"""Gives a customer what was agreed, and finds out whether it was given: discounts, credit, cards, refunds."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from amends import BadAnswer, Clock, Grant, Money, NotFound, Receipt, Rejected, RemedyKind, Unsupported
from amends_shopify.config import ShopifyConfig
from amends_shopify.graphql import Admin, Taken
from amends_shopify.wire import DiscountByCode, GiftCards, OrderMoney, OrderMoneys, read

_T = TypeVar("_T")
_NAMESPACE = uuid.UUID(
    "8f6a3f5e-4a53-5c0b-9a0e-6d1f0d2b7c11"
)  # ours, drawn once: keys of other apps cannot collide
_CARDS_BACK = timedelta(days=30)
_CARD_PAGES = 20


def by_name(name: str) -> str:
    """A search that finds the order of that name (and perhaps others: the caller compares)."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"name:'{escaped}'"


def trace(key: str) -> str:
    """What we leave in a note, so that `find` sees it again."""
    return f"amends:{key}"


class Remedies:
    """The remedies of one store."""

    def __init__(self, admin: Admin, config: ShopifyConfig, clock: Clock) -> None:
        self._admin, self._config, self._clock = admin, config, clock

    async def grant(self, request: Grant) -> Receipt:
        match request.remedy.kind:
            case RemedyKind.COUPON | RemedyKind.DISCOUNT:
                return await self._discount(request)
            case RemedyKind.STORE_CREDIT:
                return await self._store_credit(request)
            case RemedyKind.GIFT:
                return await self._gift_card(request)
            case RemedyKind.REFUND:
                return await self._refund(request)
        raise Unsupported(f"shopify: a {request.remedy.kind} cannot be given through the API")

    async def find(self, request: Grant) -> Receipt | None:
        """The remedy of that key; raises `Unsupported` for store credit, which carries no trace of ours."""
        match request.remedy.kind:
            case RemedyKind.COUPON | RemedyKind.DISCOUNT:
                code = self.code(request.key)
                found = read(
                    DiscountByCode, await self._admin.run("DiscountByCode", {"code": code}), what="discount"
                )
                return Receipt(ref=code) if found.codeDiscountNodeByCode else None
            case RemedyKind.GIFT:
                return await self._find_gift_card(request)
            case RemedyKind.REFUND:
                return _find_refund(await self._money(request.order), request.key)
        raise Unsupported(f"shopify: whether a {request.remedy.kind} was given cannot be seen")

    def code(self, key: str) -> str:
        """The discount code of that effect: the same for every attempt, so Shopify refuses a second one."""
        digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:10]
        return f"{self._config.discount_prefix}-{digest}" if self._config.discount_prefix else digest

    async def _discount(self, request: Grant) -> Receipt:
        order, amount = await self._money(request.order), _amount(request)
        _same_currency(amount, order.totalPriceSet.shopMoney.currencyCode, "a discount code")
        now, code = self._clock.now(), self.code(request.key)
        discount = {
            "title": self._config.discount_title,
            "code": code,
            "startsAt": now.isoformat(),
            "endsAt": (now + self._config.discount_valid).isoformat(),
            "usageLimit": 1,
            "appliesOncePerCustomer": True,
            "context": {"customers": {"add": [_customer(order)]}},
            "customerGets": {
                "value": {"discountAmount": {"amount": f"{amount.decimal:f}", "appliesOnEachItem": False}},
                "items": {"all": True},
            },
            "combinesWith": {"orderDiscounts": False, "productDiscounts": True, "shippingDiscounts": True},
        }
        try:
            await self._admin.change("CreateDiscount", "discountCodeBasicCreate", {"discount": discount})
        except Taken:
            if (
                await self.find(request) is None
            ):  # the code itself is free: something else of the input was taken
                raise
        return Receipt(ref=code)

    async def _store_credit(self, request: Grant) -> Receipt:
        order, amount, valid = (
            await self._money(request.order),
            _amount(request),
            self._config.store_credit_valid,
        )
        credit: dict[str, Any] = {"creditAmount": _money_input(amount), "notify": True}
        if valid is not None:
            credit["expiresAt"] = (self._clock.now() + valid).isoformat()
        asked = {"id": _customer(order), "credit": credit}
        payload = await self._admin.change("CreditStore", "storeCreditAccountCredit", asked)
        return Receipt(ref=_ref(payload, "storeCreditAccountTransaction"))

    async def _gift_card(self, request: Grant) -> Receipt:
        order, valid = await self._money(request.order), self._config.gift_card_valid
        if request.remedy.amount is None:
            raise Rejected(
                "shopify: a gift without an amount cannot be sent by Shopify",
                hint="Give it an amount (it becomes a gift card), or offer a replacement.",
            )
        customer = _customer(order)
        card: dict[str, Any] = {
            "initialAmount": _money_input(request.remedy.amount),
            "customerId": customer,
            # Shopify sends the code to the customer itself; we never see it, so it cannot leak from here.
            "recipientAttributes": {"id": customer},
            "note": f"{request.order} {trace(request.key)}",
        }
        if valid is not None:
            card["expiresOn"] = (self._clock.now() + valid).date().isoformat()
        payload = await self._admin.change("CreateGiftCard", "giftCardCreate", {"card": card})
        return Receipt(ref=_ref(payload, "giftCard"))

    async def _find_gift_card(self, request: Grant) -> Receipt | None:
        key, since = request.key, self._clock.now() - _CARDS_BACK
        if request.sent_at is not None:  # an hour for a clock that was off
            since = max(since, request.sent_at - timedelta(hours=1))
        asked: dict[str, Any] = {"query": f"created_at:>='{since.isoformat()}'", "after": None}
        for _ in range(_CARD_PAGES):
            page = read(GiftCards, await self._admin.run("GiftCards", asked), what="gift cards").giftCards
            for card in page.nodes:
                if (card.note or "").split()[-1:] == [trace(key)]:
                    return Receipt(ref=card.id)
            if not page.pageInfo.next:
                return None
            asked["after"] = page.pageInfo.next
        raise BadAnswer("shopify: too many gift cards in 30 days to prove that ours is not among them")

    async def _refund(self, request: Grant) -> Receipt:
        order = await self._money(request.order)
        done = _find_refund(order, request.key)
        if done is not None:
            # What can still be refunded has shrunk since, so the same key would now carry other numbers.
            return done
        amount = _amount(request)
        _same_currency(amount, order.totalPriceSet.presentmentMoney.currencyCode, "a refund")
        refund = {
            "orderId": order.id,
            "currency": amount.currency,
            "note": trace(request.key),
            "notify": True,
            "discrepancyReason": "CUSTOMER",
            "transactions": _spread(order, amount),
        }
        asked = {"input": refund, "key": str(uuid.uuid5(_NAMESPACE, request.key))}
        return Receipt(ref=_ref(await self._admin.change("Refund", "refundCreate", asked), "refund"))

    async def _money(self, name: str) -> OrderMoney:
        found = read(
            OrderMoneys, await self._admin.run("OrderMoney", {"query": by_name(name)}), what=f"order {name}"
        )
        same = [order for order in found.orders.nodes if order.name == name]
        return one(same, name)


def one(same: list[_T], name: str) -> _T:
    if not same:
        raise NotFound(f"shopify: there is no order {name}")
    if len(same) > 1:
        raise Rejected(
            f"shopify: {len(same)} orders are called {name}",
            hint="Two orders of a store must not share a name.",
        )
    return same[0]


def _find_refund(order: OrderMoney, key: str) -> Receipt | None:
    return next((Receipt(ref=r.id) for r in order.refunds if trace(key) in (r.note or "").split()), None)


def _spread(order: OrderMoney, amount: Money) -> list[dict[str, Any]]:
    """The refund over the order's payments, in Shopify's own order, each up to what is left of it."""
    left, parts = amount, []
    suggested = order.suggestedRefund.suggestedTransactions if order.suggestedRefund else []
    for payment in suggested:
        if payment.parentTransaction is None or payment.maximumRefundableSet is None or not payment.gateway:
            continue
        part = payment.maximumRefundableSet.presentmentMoney.money.clamp(high=left)
        if part.minor > 0:
            parts.append(
                {
                    "orderId": order.id,
                    "parentId": payment.parentTransaction.id,
                    "gateway": payment.gateway,
                    "kind": "REFUND",
                    "amount": f"{part.decimal:f}",
                }
            )
            left -= part
    if left:
        raise Rejected(
            f"shopify: only {amount - left} of {amount} can still be refunded on {order.name}",
            hint="Offer less, or store credit, or refund outside Shopify and record it.",
        )
    return parts


def _amount(request: Grant) -> Money:
    amount = request.remedy.amount
    if amount is None:
        raise Rejected(f"shopify: a {request.remedy.kind} needs an amount")
    return amount


def _same_currency(amount: Money, currency: str, what: str) -> None:
    if amount.currency != currency:
        raise Rejected(
            f"shopify: {what} for this order is in {currency}, not {amount.currency}",
            hint=f"Offer the remedy in {currency}, or another kind.",
        )


def _customer(order: OrderMoney) -> str:
    if order.customer is None:
        raise Rejected(
            f"shopify: {order.name} was ordered as a guest: there is no customer to give it to",
            hint="Offer a refund instead.",
        )
    return order.customer.id


def _money_input(amount: Money) -> dict[str, str]:
    return {"amount": f"{amount.decimal:f}", "currencyCode": amount.currency}


def _ref(payload: Mapping[str, Any], field: str) -> str:
    made = payload.get(field)
    if not isinstance(made, dict) or not made.get("id"):
        raise BadAnswer(f"shopify: {field}.id is missing")
    return str(made["id"])
