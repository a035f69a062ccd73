"""What Shopify shows of an order, in our words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amends import AfterSales, BadAnswer, Money, Order, OrderStatus, Parcel, Tag
from amends_shopify import ShopifyConfig
from amends_shopify.fake import text
from amends_shopify.orders import to_order, to_tracking
from amends_shopify.wire import Fulfillment, OrderNode, read

NOW = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)
CONFIG = ShopifyConfig.model_validate({"store": "sample-store", "access_token": "shpat_made-up-0017"})


@pytest.fixture
def node(store: Any) -> dict[str, Any]:
    """An unshipped, paid order whose deadline was six hours ago."""
    shown: dict[str, Any] = store.fake.show(store.late(), {"personal": True, "disputes": True})
    return shown


def seen(node: dict[str, Any], **config: Any) -> Order:
    return to_order(read(OrderNode, node, what="order"), CONFIG.model_copy(update=config), seen_at=NOW)


def part(node: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**node["fulfillmentOrders"]["nodes"][0], **changes}


def parcel(**changes: Any) -> dict[str, Any]:
    made = {"status": "SUCCESS", "displayStatus": "FULFILLED", "createdAt": text(NOW), "trackingInfo": []}
    return made | changes


def test_the_next_deadline_counts_while_something_is_left(node: dict[str, Any]) -> None:
    early, late = NOW - timedelta(days=1), NOW + timedelta(days=1)
    node["fulfillmentOrders"]["nodes"] = [
        part(node, status="CLOSED", fulfillBy=text(early)),
        part(node, status="IN_PROGRESS", fulfillBy=text(late)),
    ]
    assert seen(node).ship_by == late


def test_an_order_sent_in_part_is_not_shipped(node: dict[str, Any]) -> None:
    node |= {
        "displayFulfillmentStatus": "PARTIALLY_FULFILLED",
        "fulfillments": [parcel(deliveredAt=text(NOW))],
    }
    order = seen(node)
    assert (order.status, order.shipped_at, order.delivered_at) == (OrderStatus.TO_SHIP, None, None)


def test_two_parcels_have_left_when_the_second_has(node: dict[str, Any]) -> None:
    first, second = NOW - timedelta(hours=9), NOW - timedelta(hours=2)
    node |= {
        "displayFulfillmentStatus": "FULFILLED",
        "fulfillments": [
            parcel(displayStatus="DELIVERED", inTransitAt=text(first), deliveredAt=text(first)),
            parcel(displayStatus="IN_TRANSIT", inTransitAt=text(second)),
            parcel(status="CANCELLED", displayStatus="CANCELED"),
        ],
    }
    order = seen(node)
    assert (order.picked_up_at, order.delivered_at) == (second, None)
    assert (order.parcel, order.status) == (Parcel.IN_TRANSIT, OrderStatus.SHIPPED)


def test_a_label_is_no_pick_up(node: dict[str, Any]) -> None:
    node |= {"displayFulfillmentStatus": "FULFILLED", "fulfillments": [parcel(displayStatus="LABEL_PRINTED")]}
    order = seen(node)
    assert (order.parcel, order.picked_up_at, order.shipped_at) == (Parcel.LABEL_CREATED, None, NOW)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"cancelledAt": "2026-08-19T00:00:00Z"}, OrderStatus.CANCELLED),
        ({"displayFinancialStatus": "PENDING"}, OrderStatus.UNPAID),
        ({"displayFinancialStatus": "AUTHORIZED"}, OrderStatus.TO_SHIP),
        ({"displayFinancialStatus": "PARTIALLY_REFUNDED"}, OrderStatus.TO_SHIP),
        ({"displayFulfillmentStatus": "ON_HOLD"}, OrderStatus.TO_SHIP),
        ({"displayFulfillmentStatus": "BY_DRONE"}, OrderStatus.UNKNOWN),
    ],
)
def test_status(node: dict[str, Any], changes: dict[str, Any], status: OrderStatus) -> None:
    assert seen(node | changes).status is status


def test_a_shop_that_ships_unpaid_orders_says_so(node: dict[str, Any]) -> None:
    order = seen(node | {"displayFinancialStatus": "PENDING", "transactions": []}, ship_unpaid=True)
    assert (order.status, order.paid_at) == (OrderStatus.TO_SHIP, order.placed_at)


@pytest.mark.parametrize(
    ("changes", "after_sales"),
    [
        ({}, AfterSales.NONE),
        ({"displayFinancialStatus": "REFUNDED"}, AfterSales.REFUNDED),
        ({"returnStatus": "RETURN_REQUESTED"}, AfterSales.REQUESTED),
        ({"returnStatus": "IN_PROGRESS"}, AfterSales.RETURNING),
        ({"returnStatus": "SOMETHING_NEW"}, AfterSales.UNKNOWN),
        (
            {"disputes": [{"id": "gid://shopify/OrderDisputeSummary/7", "status": "LOST"}]},
            AfterSales.REFUNDED,
        ),
        ({"disputes": [{"id": "gid://shopify/OrderDisputeSummary/7", "status": "WON"}]}, AfterSales.NONE),
    ],
)
def test_after_sales(node: dict[str, Any], changes: dict[str, Any], after_sales: AfterSales) -> None:
    assert seen(node | changes).after_sales is after_sales


@pytest.mark.parametrize(
    ("reason", "tag"),
    [
        ("INVENTORY_OUT_OF_STOCK", Tag.OUT_OF_STOCK),
        ("HIGH_RISK_OF_FRAUD", Tag.RISK_REVIEW),
        ("AWAITING_PAYMENT", Tag.SHIP_HOLD),
    ],
)
def test_holds(node: dict[str, Any], reason: str, tag: Tag) -> None:
    node["fulfillmentOrders"]["nodes"] = [part(node, status="ON_HOLD", fulfillmentHolds=[{"reason": reason}])]
    assert seen(node).tags == (tag,)


def test_marks_of_the_merchant(node: dict[str, Any]) -> None:
    assert seen(node | {"tags": ["VIP", "Amends-Skip"]}).tags == (Tag.DO_NOT_TOUCH,)
    assert seen(node | {"tags": ["Pre-Order"]}).tags == (Tag.PRESALE,)


def test_what_nobody_carries_has_no_ship_date(node: dict[str, Any]) -> None:
    node["fulfillmentOrders"]["nodes"] = [part(node, deliveryMethod={"methodType": "PICK_UP"})]
    order = seen(node)
    assert (order.ship_by, order.tags) == (None, (Tag.MAY_SHIP_LATE,))
    assert Tag.MAY_SHIP_LATE in seen(node | {"requiresShipping": False}).tags


def test_money_without_and_with_decimals(node: dict[str, Any]) -> None:
    for told, minor, currency in (("1500.0", 1500, "JPY"), ("0.1", 10, "EUR"), ("1.005", 1005, "KWD")):
        node["totalPriceSet"] = {"shopMoney": {"amount": told, "currencyCode": currency}}
        assert seen(node).amount == Money(minor=minor, currency=currency)
    node["totalPriceSet"] = {"shopMoney": {"amount": 0.1, "currencyCode": "EUR"}}
    with pytest.raises(BadAnswer, match="amount"):
        seen(node)


def test_a_guest_has_no_customer(node: dict[str, Any]) -> None:
    order = seen(node | {"customer": None, "shippingAddress": None})
    assert (order.customer, order.personal) == ("", None)


def test_personal_values_are_not_asked_for_where_the_app_may_not_see_them(node: dict[str, Any]) -> None:
    assert seen(node, personal=False).personal is None


def test_tracking_takes_the_carriers_first_word() -> None:
    picked = NOW - timedelta(hours=3)
    moves = [("LABEL_PRINTED", NOW - timedelta(hours=9)), ("CARRIER_PICKED_UP", picked), ("IN_TRANSIT", NOW)]
    events = {"nodes": [{"status": status, "happenedAt": text(at)} for status, at in moves]}
    one = read(
        Fulfillment, parcel(displayStatus="IN_TRANSIT", inTransitAt=text(NOW), events=events), what="parcel"
    )
    found = to_tracking([one], seen_at=NOW)
    assert found is not None
    assert (found.picked_up_at, found.parcel) == (picked, Parcel.IN_TRANSIT)
    assert to_tracking([], seen_at=NOW) is None


async def test_an_open_dispute_comes_with_its_due_date(store: Any) -> None:
    order, show = store.late(), store.fake.show
    dispute = store.fake.prepare("respond", order)
    summary = {
        "id": dispute.replace("ShopifyPaymentsDispute", "OrderDisputeSummary"),
        "status": "NEEDS_RESPONSE",
    }
    store.fake.show = lambda order, asked: (
        show(order, asked) | {"disputes": [summary | {"initiatedAs": "CHARGEBACK"}]}
    )
    found = await store.connector().order("#1001")
    assert (found.after_sales, found.dispute) == (AfterSales.DISPUTED, dispute)
    assert found.after_sales_due == NOW.replace(hour=23)


async def test_an_order_with_many_parts_is_read_whole(store: Any) -> None:
    late = NOW - timedelta(days=2)
    store.late()
    show, more = (
        store.fake.show,
        store.fake.show(store.late(), {"personal": False, "disputes": False})["fulfillmentOrders"],
    )

    def first(order: Order, asked: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = show(order, asked)
        shown["fulfillmentOrders"]["pageInfo"] = {"hasNextPage": True, "endCursor": "there"}
        return shown

    more["nodes"][0]["fulfillBy"] = text(late)
    store.fake.show = first
    store.fake.MoreFulfillmentOrders = lambda asked: {"order": {"fulfillmentOrders": more}}
    assert (await store.connector().order("#1001")).ship_by == late
    assert store.variables("MoreFulfillmentOrders")["after"] == "there"


@pytest.mark.parametrize(
    ("back", "status", "state", "disputes"),
    [
        ("0.00", "PAID", AfterSales.NONE, []),
        ("5.00", "PARTIALLY_REFUNDED", AfterSales.NONE, []),
        # A lost dispute took the money, and no refund shows it.
        ("5.00", "PARTIALLY_REFUNDED", AfterSales.REFUNDED, ["LOST"]),
    ],
)
def test_money_given_back(
    node: dict[str, Any], back: str, status: str, state: AfterSales, disputes: list[str]
) -> None:
    node |= {
        "displayFinancialStatus": status,
        "totalRefundedSet": {"shopMoney": {"amount": back, "currencyCode": "EUR"}},
        "disputes": [{"id": "1", "status": word, "initiatedAs": "CHARGEBACK"} for word in disputes],
    }
    order = seen(node)
    told = back != "0.00" and not disputes
    assert (order.after_sales, order.refunded) == (state, Money.of(back, "EUR") if told else None)
