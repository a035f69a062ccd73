"""What customers are given: to whom, how much, and never twice."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from amends import Extension, Grant, Money, NotFound, Rejected, Remedy, RemedyKind, Unavailable, Unsupported


def grant(kind: RemedyKind, amount: str = "5.00 EUR", *, key: str = "k1") -> Grant:
    number, currency = amount.split()
    return Grant(
        key=key, order="#1001", remedy=Remedy(kind=kind, amount=Money.of(number, currency), name="card")
    )


async def test_a_discount_is_for_one_use_by_that_customer(store: Any) -> None:
    store.late()
    receipt = await store.connector().grant(grant(RemedyKind.COUPON))
    asked = store.variables("CreateDiscount")["discount"]
    assert asked["code"] == receipt.ref
    assert asked["context"] == {"customers": {"add": ["gid://shopify/Customer/1001"]}}
    assert (asked["usageLimit"], asked["appliesOncePerCustomer"]) == (1, True)
    assert asked["customerGets"]["value"]["discountAmount"] == {"amount": "5.00", "appliesOnEachItem": False}


async def test_a_discount_whose_code_is_there_was_given_before(store: Any) -> None:
    store.late()
    first = await store.connector().grant(grant(RemedyKind.DISCOUNT))
    again = await store.connector().grant(grant(RemedyKind.DISCOUNT))
    assert (first.ref, len(store.fake.codes)) == (again.ref, 1)


async def test_a_refund_is_spread_over_the_payments(store: Any) -> None:
    store.late()
    money = store.fake.OrderMoney

    def two_cards(asked: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = money(asked)
        for order in answer["orders"]["nodes"]:
            payment = order["suggestedRefund"]["suggestedTransactions"][0]
            first = {"maximumRefundableSet": {"presentmentMoney": {"amount": "3.10", "currencyCode": "EUR"}}}
            order["suggestedRefund"]["suggestedTransactions"] = [payment | first, payment]
        return answer

    store.fake.OrderMoney = two_cards
    await store.connector().grant(grant(RemedyKind.REFUND))
    asked = store.variables("Refund")
    assert [part["amount"] for part in asked["input"]["transactions"]] == ["3.10", "1.90"]
    assert (asked["input"]["note"], asked["input"]["notify"]) == ("amends:k1", True)


async def test_a_refund_that_was_made_is_seen_before_it_is_sent_again(store: Any) -> None:
    """Its numbers would differ by then, and Shopify refuses one key with two sets of numbers."""
    store.late()
    first = await store.connector().grant(grant(RemedyKind.REFUND, "50.00 EUR"))
    again = await store.connector().grant(grant(RemedyKind.REFUND, "50.00 EUR"))
    assert (first.ref, store.operations().count("Refund")) == (again.ref, 1)
    with pytest.raises(Rejected, match=r"only 9\.90 EUR of 20\.00 EUR"):
        await store.connector().grant(grant(RemedyKind.REFUND, "20.00 EUR", key="k2"))


async def test_two_refunds_at_once_leave_it_open_which_was_made(store: Any) -> None:
    store.late()
    clash = {"message": "in progress", "extensions": {"code": "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"}}

    def second(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, json={"errors": [clash]}) if b"@idempotent" in request.content else None

    store.answer = second
    with pytest.raises(Unavailable) as caught:
        await store.connector().grant(grant(RemedyKind.REFUND))
    assert not caught.value.sure_not_done


@pytest.mark.parametrize("kind", [RemedyKind.COUPON, RemedyKind.REFUND])
async def test_another_currency_is_refused_and_never_converted(store: Any, kind: RemedyKind) -> None:
    store.late()
    with pytest.raises(Rejected, match="in EUR, not USD"):
        await store.connector().grant(grant(kind, "5.00 USD"))


@pytest.mark.parametrize("kind", [RemedyKind.COUPON, RemedyKind.STORE_CREDIT, RemedyKind.GIFT])
async def test_a_guest_can_only_be_refunded(store: Any, kind: RemedyKind) -> None:
    store.late()
    money = store.fake.OrderMoney
    guest = {"customer": None}
    store.fake.OrderMoney = lambda asked: {
        "orders": {"nodes": [o | guest for o in money(asked)["orders"]["nodes"]]}
    }
    with pytest.raises(Rejected, match="as a guest"):
        await store.connector().grant(grant(kind))
    assert (await store.connector().grant(grant(RemedyKind.REFUND))).ref


async def test_store_credit_is_announced_and_cannot_be_looked_up(store: Any) -> None:
    store.late()
    await store.connector().grant(grant(RemedyKind.STORE_CREDIT))
    assert store.variables("CreditStore")["credit"]["notify"] is True
    with pytest.raises(Unsupported):
        await store.connector().find(grant(RemedyKind.STORE_CREDIT))


async def test_user_errors_keep_their_meaning(store: Any) -> None:
    store.late()
    told = {"field": ["id"], "message": "Owner does not exist.", "code": "OWNER_NOT_FOUND"}
    store.fake.CreditStore = lambda asked: {
        "storeCreditAccountCredit": {"storeCreditAccountTransaction": None, "userErrors": [told]}
    }
    with pytest.raises(NotFound, match="id Owner does not exist"):
        await store.connector().grant(grant(RemedyKind.STORE_CREDIT))


async def test_a_gift_card_goes_to_the_customer_and_its_code_to_nobody_else(store: Any) -> None:
    store.late()
    receipt = await store.connector(gift_card_valid="365d").grant(grant(RemedyKind.GIFT))
    asked = store.variables("CreateGiftCard")["card"]
    assert asked["recipientAttributes"] == {"id": "gid://shopify/Customer/1001"}
    assert asked["expiresOn"] == "2027-08-20"
    assert receipt.ref.startswith("gid://shopify/GiftCard/")


async def test_two_orders_of_one_name_are_never_confused(store: Any) -> None:
    store.late()
    money = store.fake.OrderMoney
    store.fake.OrderMoney = lambda asked: {"orders": {"nodes": money(asked)["orders"]["nodes"] * 2}}
    with pytest.raises(Rejected, match="2 orders are called #1001"):
        await store.connector().grant(grant(RemedyKind.REFUND))


async def test_an_extension_moves_what_is_left_and_is_found_by_its_key(store: Any) -> None:
    store.late()
    until = store.clock.now() + timedelta(days=3)
    extension = Extension(key="k1", order="#1001", until=until)
    assert await store.connector().find(extension) is None
    await store.connector().extend(extension)
    assert (await store.connector().order("#1001")).ship_by == until
    assert await store.connector().find(extension)
    assert await store.connector().find(extension.model_copy(update={"key": "k2"})) is None
