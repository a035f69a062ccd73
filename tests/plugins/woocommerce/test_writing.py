"""Notes, coupons, refunds and extensions in WooCommerce: done once, found again, refused in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.plugins.woocommerce.conftest import NOW
from tests.plugins.woocommerce.fake_shop import FakeShop, lost, unreachable

from amends import (
    Extension,
    Grant,
    Message,
    Money,
    NotAllowed,
    PlatformError,
    Rejected,
    Remedy,
    RemedyKind,
    Throttled,
    TimedOut,
    Unreachable,
    Unsupported,
)

Connect = Callable[..., Any]
MESSAGE = Message(
    key="k-msg-1", order="41", text="Sorry, it ships on Friday.", reply_url="https://a.invalid/r/x"
)


def grant(kind: RemedyKind, amount: str = "5.00 EUR", key: str = "k-grant-1") -> Grant:
    return Grant(key=key, order="41", remedy=Remedy(kind=kind, amount=Money.model_validate(amount)))


COUPON, REFUND = grant(RemedyKind.COUPON), grant(RemedyKind.REFUND)
EXTENSION = Extension(key="k-ext-1", order="41", until=NOW + timedelta(days=4))


@pytest.fixture(autouse=True)
def late_order(shop: FakeShop) -> None:
    shop.add(41, modified=NOW - timedelta(days=3))


async def test_a_message_is_a_mailed_note_that_can_be_found(shop: FakeShop, connector: Any) -> None:
    assert await connector.find(MESSAGE) is None
    receipt = await connector.message(MESSAGE)
    assert shop.mails == ["Sorry, it ships on Friday.\n\nhttps://a.invalid/r/x\n\n(Ref. k-msg-1)"]
    assert await connector.find(MESSAGE) == receipt
    assert await connector.find(MESSAGE.model_copy(update={"key": "k-msg"})) is None


async def test_a_coupon_is_for_one_person_and_one_purchase(shop: FakeShop, connector: Any) -> None:
    receipt = await connector.grant(COUPON)
    (coupon,) = shop.coupons
    assert (coupon["amount"], coupon["discount_type"], coupon["usage_limit"]) == ("5.00", "fixed_cart", 1)
    assert coupon["email_restrictions"] == ["sample0017@example.invalid"]
    assert coupon["date_expires"] == "2027-02-21T12:00:00Z"
    assert receipt.ref == coupon["code"]
    told = f"Your coupon: {receipt.ref}, worth 5.00 EUR, for you alone, once, until 2027-02-21."
    assert shop.mails == [f"{told}\n\n(Ref. k-grant-1)"]
    assert await connector.grant(COUPON) == await connector.find(COUPON) == receipt
    assert (len(shop.coupons), len(shop.mails)) == (1, 1)


async def test_a_coupon_can_be_left_to_the_merchants_own_message(shop: FakeShop, connect: Connect) -> None:
    connector = connect(coupon_note="")
    assert await connector.grant(COUPON) == await connector.find(COUPON)
    assert (len(shop.coupons), shop.mails) == (1, [])
    with pytest.raises(ValueError, match="coupon_note"):
        connect(coupon_note="Code: {kode}")


async def test_a_coupon_that_appears_meanwhile_is_taken_as_made(shop: FakeShop, connector: Any) -> None:
    await connector.grant(COUPON)
    made, shop.coupons = shop.coupons, []

    def appears(request: Any) -> None:
        if request.method == "POST" and request.url.path.endswith("/coupons"):
            shop.coupons = made

    shop.between = appears
    assert (await connector.grant(COUPON)).ref == made[0]["code"]
    assert len(shop.coupons) == 1


async def test_coupons_that_cannot_be(shop: FakeShop, connector: Any) -> None:
    with pytest.raises(Rejected, match="is in EUR, the remedy in USD"):
        await connector.grant(grant(RemedyKind.COUPON, "5 USD"))
    shop.orders[41]["billing"]["email"] = ""
    with pytest.raises(Rejected, match="no e-mail address"):
        await connector.grant(COUPON)
    assert shop.coupons == []


async def test_a_refund_goes_through_the_gateway_once(shop: FakeShop, connector: Any) -> None:
    receipt = await connector.grant(REFUND)
    assert shop.paid_back == [Decimal("5.00")]
    assert shop.mails == []  # the remark is for the back office
    assert await connector.grant(REFUND) == await connector.find(REFUND) == receipt
    assert shop.paid_back == [Decimal("5.00")]
    order = await connector.order("41")
    assert order.after_sales_raw == "refunded 5.00"
    assert not order.after_sales.under_way


async def test_a_recorded_refund_moves_no_money(shop: FakeShop, connect: Connect) -> None:
    connector = connect(refund_through_gateway=False)
    shop.orders[41]["payment_method"] = "bacs"
    assert await connector.grant(REFUND) == await connector.find(REFUND)
    assert (len(shop.refunds[41]), shop.paid_back) == (1, [])


@pytest.mark.parametrize(
    ("request_", "changes", "says"),
    [
        (grant(RemedyKind.REFUND, "30 EUR"), {}, "only 29.35 EUR left"),
        (REFUND, {"refunds": [{"id": 1, "total": "-25.00"}]}, "only 4.35 EUR left"),
        (REFUND, {"payment_method": "bacs"}, "cannot refund"),
        (REFUND, {"payment_method": ""}, "names no payment gateway"),
        (grant(RemedyKind.REFUND, "5 USD"), {}, "is in EUR"),
    ],
)
async def test_refunds_that_cannot_be(
    shop: FakeShop, connector: Any, request_: Grant, changes: dict[str, Any], says: str
) -> None:
    shop.orders[41].update(changes)
    with pytest.raises(Rejected, match=says):
        await connector.grant(request_)
    assert (shop.notes, shop.paid_back) == ({}, [])


async def test_a_gateway_that_fails_needs_a_person(shop: FakeShop, connector: Any) -> None:
    """Whether the customer was paid is known to the gateway alone: no second try, whatever asks for it."""
    shop.gateway_fails = True
    for _ in range(2):
        with pytest.raises(PlatformError, match=r"gateway|left no record") as caught:
            await connector.grant(REFUND)
        assert not caught.value.sure_not_done and not caught.value.retryable
        shop.gateway_fails = False
    with pytest.raises(PlatformError, match="left no record"):
        await connector.find(REFUND)
    assert shop.paid_back == []


async def test_a_refund_that_was_surely_not_made_is_made_later(shop: FakeShop, connector: Any) -> None:
    def slow_down(request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith("/refunds") and not shop.faults:
            shop.faults = [(False, lambda request: httpx.Response(429))]

    shop.between = slow_down
    for _ in range(2):
        with pytest.raises(Throttled):
            await connector.grant(REFUND)
        assert await connector.find(REFUND) is None
    shop.between = lambda request: None
    await connector.grant(REFUND)
    assert shop.paid_back == [Decimal("5.00")]


async def test_a_refund_that_the_gateway_has_not_confirmed_needs_a_person(
    shop: FakeShop, connector: Any
) -> None:
    await connector.grant(REFUND)
    shop.refunds[41][0]["refunded_payment"] = False
    with pytest.raises(PlatformError, match="not confirmed by the gateway"):
        await connector.find(REFUND)


async def test_an_agreed_date_is_kept_with_the_order(shop: FakeShop, connector: Any) -> None:
    assert await connector.find(EXTENSION) is None
    receipt = await connector.extend(EXTENSION)
    assert await connector.extend(EXTENSION) == await connector.find(EXTENSION) == receipt
    order = await connector.order("41")
    assert order.agreed_ship_by == EXTENSION.until
    assert order.ship_by == NOW - timedelta(days=1)  # the promise stays what it was
    assert [meta["key"] for meta in shop.orders[41]["meta_data"]] == [
        "_amends_ship_by",
        "_amends_ship_by_ref",
    ]


async def test_a_key_that_may_only_read_is_told_so(shop: FakeShop, connector: Any) -> None:
    shop.rights = "read"
    with pytest.raises(NotAllowed, match="write permissions") as caught:
        await connector.message(MESSAGE)
    assert "Read/Write" in caught.value.hint


async def test_what_woocommerce_cannot_do(connector: Any) -> None:
    for call in (connector.replies(""), connector.grant(grant(RemedyKind.STORE_CREDIT))):
        with pytest.raises(Unsupported):
            await call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", range(9))
@pytest.mark.parametrize("request_", [MESSAGE, COUPON, REFUND, EXTENSION], ids=lambda r: r.key)
async def test_interrupted_at_any_request_it_is_done_at_most_once(
    shop: FakeShop, connect: Connect, request_: Any, n: int, after: bool
) -> None:
    """The n-th request is lost, before or after it took effect; the host looks, tries again if absent."""

    async def act() -> Any:
        connector = connect()
        do = {"message": connector.message, "grant": connector.grant, "extend": connector.extend}[request_.op]
        return await do(request_)

    nothing: Any = (False, None)
    shop.faults = [nothing] * n + [(after, lost if after else unreachable)]
    try:
        await act()
        assert shop.faults, "the fault was not reached, so there was none"
    except (TimedOut, Unreachable):
        shop.faults = []
        try:
            if await connect().find(request_) is None:
                await act()
            assert await connect().find(request_) is not None
        except PlatformError as error:
            assert "left no record" in str(error), error  # a refund that was begun: a person looks
    shop.faults = []
    assert len(shop.coupons) == (request_ is COUPON)
    assert len(shop.mails) == (request_ in (MESSAGE, COUPON))
    assert len(shop.paid_back) <= (request_ is REFUND)
