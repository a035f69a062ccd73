"""The connector against a real Vendure server: what a merchant, and what a customer, sees of each act."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query, parse, validate
from tests.servers.vendure.conftest import Server

from amends import (
    AfterSales,
    AuthFailed,
    Grant,
    Message,
    Money,
    NotAllowed,
    NotFound,
    OrderStatus,
    PlatformError,
    Rejected,
    Remedy,
    RemedyKind,
    RuleBook,
    State,
    judge,
)
from amends.clock import SystemClock
from amends_vendure import amends_rules
from amends_vendure.documents import ALL

pytestmark = pytest.mark.servers
Connect = Callable[..., Any]
RULES = RuleBook(amends_rules(), platform="vendure")


def grant(kind: RemedyKind, order: str, key: str, amount: str = "5.00 USD") -> Grant:
    return Grant(key=key, order=order, remedy=Remedy(kind=kind, amount=Money.model_validate(amount)))


async def read_all(connector: Any, cursor: str = "") -> tuple[dict[str, Any], str]:
    seen = {}
    while True:
        page = await connector.changed_orders(cursor)
        seen.update({order.number: order for order in page.orders})
        cursor = page.cursor
        if not page.more:
            return seen, cursor


def lateness(order: Any) -> State:
    return judge(order, now=SystemClock().now(), rules=RULES).state


def test_every_document_fits_the_servers_schema(server: Server) -> None:
    query = get_introspection_query(input_value_deprecation=True)
    schema = build_client_schema(server.admin(query))  # type: ignore[arg-type]
    assert [str(error) for document in ALL for error in validate(schema, parse(document))] == []


async def test_late_orders_are_found_and_shipped_ones_left_alone(server: Server, connect: Connect) -> None:
    late, shipped, delivered, packed = (server.place(number=n) for n in range(1, 5))
    server.ship(shipped, "Shipped")
    server.ship(delivered, "Shipped", "Delivered")
    server.ship(packed)
    seen, _ = await read_all(connect(page_size=3))
    states = {order.code: lateness(seen[order.code]) for order in (late, shipped, delivered, packed)}
    assert list(states.values()) == [State.OVERDUE, State.ON_TIME, State.ON_TIME, State.OVERDUE]
    order = seen[late.code]
    assert order == await connect().order(late.code) or order.same_as(await connect().order(late.code))
    assert order.amount == Money(minor=late.total, currency="USD")
    assert (order.status, order.items[0].sku) == (OrderStatus.TO_SHIP, "CUP-1")
    assert order.ship_by == order.placed_at + timedelta(hours=48)
    assert timedelta(days=3) <= SystemClock().now() - order.placed_at < timedelta(days=3, minutes=5)
    assert order.personal.email == "sample0001@example.invalid" and "sample0001" not in repr(order)
    gone = seen[shipped.code]
    assert (gone.status, gone.carrier, gone.tracking_number) == (OrderStatus.SHIPPED, "SF", "T1")
    assert gone.shipped_at - gone.placed_at < timedelta(minutes=1)
    assert seen[delivered.code].delivered_at is not None
    assert seen[packed.code].parcel == "label-created"


async def test_a_new_order_is_found_by_the_next_look(server: Server, connect: Connect) -> None:
    _, cursor = await read_all(connect(lag="72h"))  # as if our clock were the server's
    bought = server.place()
    seen, _ = await read_all(connect(), cursor)
    assert bought.code in seen


async def test_the_customer_reads_the_note(server: Server, connect: Connect) -> None:
    bought, connector = server.place(), connect()
    request = Message(
        key="k-1", order=bought.code, text="Sorry, it ships on Friday.", reply_url="https://a.invalid/r"
    )
    assert await connector.find(request) is None
    receipt = await connector.message(request)
    assert await connector.find(request) == receipt
    assert bought.notes_seen() == ["Sorry, it ships on Friday.\n\nhttps://a.invalid/r\n\n(Ref. k-1)"]


async def test_a_coupon_is_made_once_and_used_once(server: Server, connect: Connect) -> None:
    bought, connector = server.place(), connect()
    request = grant(RemedyKind.COUPON, bought.code, "k-coupon")
    receipt = await connector.grant(request)
    assert await connector.grant(request) == await connector.find(request) == receipt
    (promotion,) = server.promotions(receipt.ref)
    assert promotion["usageLimit"] == 1
    (note,) = bought.notes_seen()
    assert f"{receipt.ref}, worth 5.00 USD" in note
    again = server.place(number=18, coupon=receipt.ref)
    assert (again.coupon_says, bought.total - again.total) == ("", 600)  # 5.00 and the tax on it
    third = server.place(number=19, coupon=receipt.ref)
    assert (third.coupon_says, third.total) == ("COUPON_CODE_LIMIT_ERROR", bought.total)


async def test_a_refund_is_settled_once(server: Server, connect: Connect) -> None:
    bought, connector = server.place(), connect()
    request = grant(RemedyKind.REFUND, bought.code, "k-refund")
    receipt = await connector.grant(request)
    assert receipt.state == "done"
    assert await connector.grant(request) == await connector.find(request) == receipt
    (refund,) = server.refunds(bought)
    assert (refund["state"], refund["total"]) == ("Settled", 500)
    assert bought.notes_seen() == []  # what we note for ourselves is not the customer's
    order = await connector.order(bought.code)
    assert (order.after_sales, order.status) == (AfterSales.NONE, OrderStatus.TO_SHIP)
    assert lateness(order) is State.OVERDUE  # the goods are still owed


async def test_a_refund_left_pending_is_a_request_until_somebody_settles_it(
    server: Server, connect: Connect
) -> None:
    bought, connector = server.place(), connect(settle_refunds=False)
    request = grant(RemedyKind.REFUND, bought.code, "k-pending")
    assert (await connector.grant(request)).state == "requested"
    assert (await connector.order(bought.code)).after_sales is AfterSales.REFUNDING
    assert (await connector.find(request)).state == "requested"
    (refund,) = server.refunds(bought)
    settle = 'mutation($i:ID!){settleRefund(input:{id:$i,transactionId:"by hand"}){__typename}}'
    server.admin(settle, i=refund["id"])
    assert (await connector.find(request)).state == "done"


async def test_a_pending_refund_is_only_settled_on_the_second_try(server: Server, connect: Connect) -> None:
    bought = server.place()
    request = grant(RemedyKind.REFUND, bought.code, "k-half")
    await connect(settle_refunds=False).grant(request)  # as a crash before the settling leaves it
    assert await connect().find(request) is None
    assert (await connect().grant(request)).state == "done"
    assert [refund["state"] for refund in server.refunds(bought)] == ["Settled"]


async def test_a_whole_refund_ends_the_matter(server: Server, connect: Connect) -> None:
    bought = server.place()
    whole = str(Money(minor=bought.total, currency="USD"))
    await connect().grant(grant(RemedyKind.REFUND, bought.code, "k-whole", whole))
    order = await connect().order(bought.code)
    assert order.after_sales is AfterSales.REFUNDED
    assert lateness(order) is State.EXEMPT
    with pytest.raises(Rejected, match="left to refund"):
        await connect().grant(grant(RemedyKind.REFUND, bought.code, "k-more", "0.01 USD"))


async def test_a_refund_begun_without_a_record_is_not_tried_again(server: Server, connect: Connect) -> None:
    bought, connector = server.place(), connect()
    note = "mutation($i:AddNoteToOrderInput!){addNoteToOrder(input:$i){id}}"
    server.admin(note, i={"id": bought.id, "note": "begun (Ref. k-lost)", "isPublic": False})
    request = grant(RemedyKind.REFUND, bought.code, "k-lost")
    for attempt in (connector.find, connector.grant):
        with pytest.raises(PlatformError, match="begun and left no record") as caught:
            await attempt(request)
        assert not caught.value.sure_not_done and not caught.value.retryable
    assert server.refunds(bought) == []


async def test_refusals_are_told_apart(server: Server, connect: Connect) -> None:
    bought = server.place()
    with pytest.raises(NotFound, match="no order NOSUCH"):
        await connect().order("NOSUCH")
    with pytest.raises(AuthFailed, match="INVALID_CREDENTIALS_ERROR"):
        await connect(password="wrong").order(bought.code)
    with pytest.raises(NotAllowed, match="no Admin API here"):
        await connect(url=f"{server.base}/nothing").order(bought.code)
    with pytest.raises(Rejected, match="is in USD, the remedy in EUR"):
        await connect().grant(grant(RemedyKind.COUPON, bought.code, "k-eur", "5 EUR"))


async def test_a_forgotten_session_is_renewed_and_a_missing_right_is_not(
    server: Server, connect: Connect
) -> None:
    bought, connector = server.place(), connect()
    connector.api._token = "forgotten"
    assert (await connector.order(bought.code)).number == bought.code
    role = "mutation($i:CreateRoleInput!){createRole(input:$i){id}}"
    reader = {"code": "reader", "description": "reads", "permissions": ["ReadOrder"]}
    made = server.admin(role, i=reader)["createRole"]["id"]
    clerk = {
        "emailAddress": "clerk@example.invalid", "firstName": "Sample", "lastName": "Clerk",
        "password": "made-up", "roleIds": [made],
    }  # fmt: skip
    server.admin("mutation($i:CreateAdministratorInput!){createAdministrator(input:$i){id}}", i=clerk)
    weak = connect(username="clerk@example.invalid", password="made-up")
    assert (await weak.order(bought.code)).number == bought.code
    with pytest.raises(NotAllowed, match="FORBIDDEN") as caught:
        await weak.message(Message(key="k-weak", order=bought.code, text="Hello"))
    assert "UpdateOrder" in caught.value.hint
    assert bought.notes_seen() == []
