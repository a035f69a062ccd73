"""Coupons and refunds: each can be tried again after a crash at any point, and is given once."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from amends import (
    BadAnswer,
    Grant,
    Money,
    NotAllowed,
    NotFound,
    PlatformError,
    Receipt,
    Rejected,
    Unavailable,
)
from amends_woocommerce import notes
from amends_woocommerce.api import Api
from amends_woocommerce.orders import Look

EXISTS = "woocommerce_rest_coupon_code_already_exists"
NOT_REFUNDED = "woocommerce_rest_cannot_create_order_refund"
LOOK_AT_GATEWAY = "Look into the payment gateway, then tell amends whether the customer was paid."


def coupon_code(prefix: str, key: str) -> str:
    """The same for every attempt; lower case, because WooCommerce stores codes so."""
    return prefix + hashlib.sha256(key.encode()).hexdigest()[:12]


async def give_coupon(api: Api, request: Grant, time_zone: str) -> Receipt:
    """A coupon for that e-mail address alone, good for one purchase, and a note that tells its code."""
    config, money = api.config, _amount(request)
    code = coupon_code(config.coupon_prefix, request.key)
    order = Look(await api.get(f"orders/{request.order}"))
    _same_currency(order, money)
    coupon = await _coupon(api, code)
    if coupon is None:
        email = str(order.part("billing").get("email") or "")
        if not email:
            raise Rejected(f"{api.who}: order {request.order} has no e-mail address to bind a coupon to")
        until = api.clock.now() + config.coupon_valid
        body = {
            "code": code,
            "discount_type": "fixed_cart",
            "amount": f"{money.decimal:f}",
            "description": f"{request.reason or 'late order'} {request.order} {notes.mark(request.key)}",
            "date_expires": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage_limit": 1,
            "usage_limit_per_user": 1,
            "email_restrictions": [email],
        }
        try:
            coupon = await api.post("coupons", body)
        except Rejected as error:
            if error.context.get("platform_code") != EXISTS:
                raise
            coupon = await _coupon(api, code)
    if not isinstance(coupon, dict) or not _equal(coupon.get("amount"), money):
        raise Rejected(f"{api.who}: the coupon {code} exists with another amount")
    if config.coupon_note and await notes.told(api, request.order, key=request.key) is None:
        # The coupon's own end, not a new one: a second attempt must say what the first one made.
        ends = Look({"id": 0, **coupon}).when("date_expires_gmt") or api.clock.now() + config.coupon_valid
        until_text = f"{ends.astimezone(ZoneInfo(time_zone)):%Y-%m-%d}"
        text = config.coupon_note.format(code=code, amount=str(money), until=until_text)
        await notes.tell(api, request.order, text, key=request.key)
    return Receipt(ref=code)


async def find_coupon(api: Api, request: Grant) -> Receipt | None:
    """Given means: made and told. Where only the telling is missing, trying again does only that."""
    code = coupon_code(api.config.coupon_prefix, request.key)
    if await _coupon(api, code) is None:
        return None
    if api.config.coupon_note and await notes.told(api, request.order, key=request.key) is None:
        return None
    return Receipt(ref=code)


async def refund(api: Api, request: Grant) -> Receipt:
    """Pays back through the order's payment gateway, or only records it where config says so.

    WooCommerce deletes its record where the gateway fails, so a missing record does not prove that no money
    went. A remark made before the attempt tells: with it and without a record, only a person can know, and
    nothing is tried again.
    """
    money = _amount(request)
    found = await find_refund(api, request)
    if found is not None:
        return found
    order = Look(await api.get(f"orders/{request.order}"))
    await _refundable(api, order, money)
    await notes.remark(api, request.order, f"amends begins a refund of {money}.", key=request.key)
    body = {
        "amount": f"{money.decimal:f}",
        "reason": f"{request.reason or 'late order'} {notes.mark(request.key)}",
        "api_refund": api.config.refund_through_gateway,
        "api_restock": False,
    }
    try:
        made = await _ask(api, request.order, body)
    except PlatformError as error:
        if error.sure_not_done:
            # Say so on the order, so that a later attempt is free to begin again.
            with suppress(PlatformError):
                await notes.remark(
                    api, request.order, "amends made no refund.", key=f"{request.key}, not made"
                )
        raise
    return _receipt(api, request.order, made)


async def _ask(api: Api, order: str, body: dict[str, Any]) -> Any:
    try:
        return await api.post(f"orders/{order}/refunds", body)
    except Unavailable as error:
        if error.context.get("platform_code") != NOT_REFUNDED:
            raise
        if not api.config.refund_through_gateway:
            raise Rejected(error.message) from error
        raise PlatformError(f"{error.message}: the payment gateway failed", hint=LOOK_AT_GATEWAY) from error


async def find_refund(api: Api, request: Grant) -> Receipt | None:
    page = 1
    while True:
        rows, pages = await api.list(f"orders/{request.order}/refunds", per_page="100", page=str(page))
        for row in rows:
            if isinstance(row, dict) and notes.mark(request.key) in str(row.get("reason") or ""):
                return _receipt(api, request.order, row)
        if page >= pages:
            break
        page += 1
    texts = await notes.remarks(api, request.order)
    begun = sum(notes.mark(request.key) in text for text in texts)
    if begun > sum(notes.mark(f"{request.key}, not made") in text for text in texts):
        raise PlatformError(
            f"{api.who}: a refund on order {request.order} was begun and left no record", hint=LOOK_AT_GATEWAY
        )
    return None


def _receipt(api: Api, order: str, row: object) -> Receipt:
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        raise BadAnswer(f"{api.who}: a refund of order {order} lacks the field id")
    if api.config.refund_through_gateway and not row.get("refunded_payment"):
        say = f"{api.who}: refund {row['id']} of order {order} is recorded, not confirmed by the gateway"
        raise PlatformError(say, hint=LOOK_AT_GATEWAY)
    return Receipt(ref=str(row["id"]))


async def _refundable(api: Api, order: Look, money: Money) -> None:
    """Refuse early, with a reason, what WooCommerce would answer with a bare 500."""
    _same_currency(order, money)
    back = sum((Decimal(str(row.get("total", 0))) for row in order.raw.get("refunds") or ()), Decimal(0))
    left = order.money("total").decimal + back
    if money.decimal > left:
        raise Rejected(f"{api.who}: order {order.number} has only {left:f} {money.currency} left to refund")
    if not api.config.refund_through_gateway:
        return
    gateway = str(order.raw.get("payment_method") or "")
    if not gateway:
        raise Rejected(f"{api.who}: order {order.number} names no payment gateway: refund it by hand")
    try:
        found = await api.get(f"payment_gateways/{gateway}")
    except NotFound:
        raise Rejected(f"{api.who}: the payment gateway {gateway} is gone: refund by hand") from None
    except NotAllowed:
        return  # this key may not look; the refund itself will tell
    supports = found.get("method_supports") if isinstance(found, dict) else None
    if isinstance(supports, list) and "refunds" not in supports:
        raise Rejected(f"{api.who}: the payment gateway {gateway} cannot refund: do it by hand")


async def _coupon(api: Api, code: str) -> dict[str, Any] | None:
    rows, _ = await api.list("coupons", code=code)
    for row in rows:
        if isinstance(row, dict) and str(row.get("code") or "").lower() == code:
            return row
    return None


def _amount(request: Grant) -> Money:
    if request.remedy.amount is None:
        raise Rejected(f"a {request.remedy.kind} needs an amount")
    return request.remedy.amount


def _same_currency(order: Look, money: Money) -> None:
    if order.text("currency") != money.currency:
        raise Rejected(f"order {order.number} is in {order.text('currency')}, the remedy in {money.currency}")


def _equal(amount: Any, money: Money) -> bool:
    try:
        return Decimal(str(amount)) == money.decimal
    except InvalidOperation:
        return False
