"""Coupons and refunds: each can be tried again after a crash at any point, and is given once."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

from amends import BadAnswer, Grant, Money, PlatformError, Receipt, Rejected
from amends_vendure import documents, notes
from amends_vendure.api import Api
from amends_vendure.orders import PAID, Look, later, rows

LOOK_AT_PAYMENT = (
    "Look at the order's payment and at its provider, then tell amends whether the customer was paid."
)


def coupon_code(prefix: str, key: str) -> str:
    """The same for every attempt. Two promotions may have one code, so it is looked for before it is made."""
    return prefix + hashlib.sha256(key.encode()).hexdigest()[:12].upper()


async def give_coupon(api: Api, request: Grant, order: dict[str, Any], time_zone: str) -> Receipt:
    """A promotion with a code that is good for one purchase, and a note to the customer that tells it.

    Vendure binds no code to an e-mail address; one use in all, and a code that cannot be guessed, do as much.
    """
    config, look, money = api.config, Look(order, api.config), _amount(request)
    code, minor = coupon_code(config.coupon_prefix, request.key), _minor(api, look, money)
    promotion = await _promotion(api, code)
    if promotion is None:
        name = f"{request.reason or 'late order'} {request.order}"
        promotion = await api.result(
            "createPromotion",
            documents.CREATE_PROMOTION,
            input={
                "enabled": True,
                "couponCode": code,
                "usageLimit": 1,
                "perCustomerUsageLimit": 1,
                "endsAt": later(api.clock.now(), config.coupon_valid),
                "translations": [
                    {"languageCode": config.language, "name": name, "description": notes.mark(request.key)}
                ],
                "conditions": [],
                "actions": [
                    {"code": "order_fixed_discount", "arguments": [{"name": "discount", "value": str(minor)}]}
                ],
            },
        )
    if _discount(promotion) != str(minor):
        raise Rejected(f"{api.who}: the coupon {code} exists with another amount")
    if config.coupon_note and await notes.find(api, order["id"], key=request.key, public=True) is None:
        # The coupon's own end, not a new one: a second attempt must say what the first one made.
        ends = look.when(promotion, "endsAt") or api.clock.now() + config.coupon_valid
        until = f"{ends.astimezone(ZoneInfo(time_zone)):%Y-%m-%d}"
        text = config.coupon_note.format(code=code, amount=str(money), until=until)
        await notes.add(api, order["id"], text, key=request.key, public=True)
    return Receipt(ref=code)


async def find_coupon(api: Api, request: Grant, order: dict[str, Any]) -> Receipt | None:
    """Given means: made and told. Where only the telling is missing, trying again does only that."""
    code = coupon_code(api.config.coupon_prefix, request.key)
    if await _promotion(api, code) is None:
        return None
    if api.config.coupon_note and await notes.find(api, order["id"], key=request.key, public=True) is None:
        return None
    return Receipt(ref=code)


async def refund(api: Api, request: Grant, order: dict[str, Any]) -> Receipt:
    """Refunds through the payment's handler, and settles what that leaves pending, where config says so.

    The handler pays before Vendure saves the refund, so a missing refund does not prove that no money went. A
    private note made before the attempt tells: with it and without a refund, only a person can know, and
    nothing is tried again.
    """
    look, money = Look(order, api.config), _amount(request)
    minor = _minor(api, look, money)
    found = _refund(look, request.key)
    if found is None:
        await _not_begun(api, request, order)
        payment = _payment(api, look, minor)
        await notes.add(
            api, order["id"], f"amends begins a refund of {money}.", key=request.key, public=False
        )
        asked = {
            # Deprecated, and yet needed: Vendure 3.7 stores NULL for what is left out and fails.
            "lines": [],
            "shipping": 0,
            "adjustment": 0,
            "amount": minor,
            "paymentId": payment,
            "reason": f"{request.reason or 'late order'} {notes.mark(request.key)}",
        }
        try:
            found = await api.result("refundOrder", documents.REFUND, input=asked)
        except PlatformError as error:
            if error.sure_not_done:
                # Say so on the order, so that a later attempt is free to begin again.
                with suppress(PlatformError):
                    await notes.add(
                        api,
                        order["id"],
                        "amends made no refund.",
                        key=f"{request.key}, not made",
                        public=False,
                    )
            raise
    state = str(found.get("state") or "")
    if state == "Pending" and api.config.settle_refunds:
        found = await api.result(
            "settleRefund", documents.SETTLE_REFUND, input={"id": found["id"], "transactionId": request.key}
        )
        state = str(found.get("state") or "")
    if state == "Failed":
        raise Rejected(f"{api.who}: the payment provider refused the refund on order {request.order}")
    return _receipt(api, found, state)


async def find_refund(api: Api, request: Grant, order: dict[str, Any]) -> Receipt | None:
    """None while a pending refund waits for us to settle it: trying again does only that."""
    found = _refund(Look(order, api.config), request.key)
    if found is None:
        await _not_begun(api, request, order)
        return None
    state = str(found.get("state") or "")
    if state == "Failed" or (state == "Pending" and api.config.settle_refunds):
        return None
    return _receipt(api, found, state)


async def _not_begun(api: Api, request: Grant, order: dict[str, Any]) -> None:
    texts = await notes.texts(api, order["id"], public=False)
    begun = sum(notes.mark(request.key) in text for text in texts)
    if begun > sum(notes.mark(f"{request.key}, not made") in text for text in texts):
        say = f"{api.who}: a refund on order {request.order} was begun and left no record"
        raise PlatformError(say, hint=LOOK_AT_PAYMENT)


def _receipt(api: Api, found: dict[str, Any], state: str) -> Receipt:
    if not found.get("id"):
        raise BadAnswer(f"{api.who}: a refund lacks the field id")
    return Receipt(state="done" if state == "Settled" else "requested", ref=str(found["id"]))


def _refund(look: Look, key: str) -> dict[str, Any] | None:
    for payment in look.rows("payments"):
        for row in rows(payment.get("refunds")):
            if notes.mark(key) in str(row.get("reason") or ""):
                return row
    return None


def _payment(api: Api, look: Look, minor: int) -> str:
    """The payment with the most left to give back, so that one refund is enough."""
    best, left = "", 0
    for payment in look.rows("payments"):
        if payment.get("state") not in PAID:
            continue
        gone = sum(
            row.get("total") or 0 for row in rows(payment.get("refunds")) if row.get("state") != "Failed"
        )
        rest = int(payment.get("amount") or 0) - gone
        if rest > left:
            best, left = str(payment.get("id") or ""), rest
    if minor > left:
        raise Rejected(f"{api.who}: no payment of order {look.code} has that much left to refund")
    return best


async def _promotion(api: Api, code: str) -> dict[str, Any] | None:
    found = (await api.ask(documents.PROMOTIONS, code=code)).get("promotions")
    if not isinstance(found, dict) or not isinstance(found.get("items"), list):
        raise BadAnswer(f"{api.who}: the answer lacks the field promotions.items")
    for row in found["items"]:
        if isinstance(row, dict) and row.get("couponCode") == code:
            return row
    return None


def _discount(promotion: dict[str, Any]) -> str:
    for action in promotion.get("actions") or ():
        for argument in action.get("args") or ():
            if argument.get("name") == "discount":
                return str(argument.get("value"))
    return ""


def _amount(request: Grant) -> Money:
    if request.remedy.amount is None:
        raise Rejected(f"a {request.remedy.kind} needs an amount")
    return request.remedy.amount


def _minor(api: Api, look: Look, money: Money) -> int:
    """In the server's own minor units, whose number of decimals need not be the currency's."""
    currency = look.text("currencyCode")
    if currency != money.currency:
        raise Rejected(f"{api.who}: order {look.code} is in {currency}, the remedy in {money.currency}")
    exact = money.decimal.scaleb(api.config.precision)
    if exact != exact.to_integral_value():
        raise Rejected(f"{api.who}: {money} has more decimals than this server keeps")
    return int(exact)
