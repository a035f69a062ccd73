"""Orders of a WooCommerce shop as amends sees them: nothing missed, nothing guessed, problems named."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.plugins.woocommerce.conftest import NOW
from tests.plugins.woocommerce.fake_shop import FakeShop, error, gmt, lost, unreachable

from amends import (
    AfterSales,
    AuthFailed,
    BadAnswer,
    InputError,
    Money,
    NotAllowed,
    NotFound,
    OrderStatus,
    Rejected,
    Tag,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.clock import FixedClock

Connect = Callable[..., Any]


async def read_all(connector: Any, cursor: str = "") -> tuple[list[str], str]:
    seen = []
    while True:
        page = await connector.changed_orders(cursor)
        seen += [order.number for order in page.orders]
        cursor = page.cursor
        if not page.more:
            return seen, cursor


async def test_an_order_in_our_words(shop: FakeShop, connector: Any) -> None:
    paid = NOW - timedelta(days=3)
    shop.add(41, modified=NOW - timedelta(hours=1), date_created_gmt=gmt(paid), date_paid_gmt=gmt(paid))
    order = await connector.order("41")
    assert order.amount == Money.of("29.35", "EUR")
    assert order.status is OrderStatus.TO_SHIP
    assert (order.paid_at, order.ship_by) == (paid, paid + timedelta(hours=48))
    assert order.items[0].title == "Cup – blue"
    assert order.personal.email == "sample0017@example.invalid"
    assert "sample" not in repr(order).lower() and "sample" not in str(order.public().model_dump()).lower()


@pytest.mark.parametrize(
    ("changes", "status", "shipped"),
    [
        ({"status": "completed", "date_completed_gmt": "2026-11-23T09:00:00"}, OrderStatus.SHIPPED, True),
        ({"status": "on-hold"}, OrderStatus.TO_SHIP, False),
        ({"status": "on-hold", "date_paid_gmt": None}, OrderStatus.UNPAID, False),
        ({"status": "pending", "date_paid_gmt": None}, OrderStatus.UNPAID, False),
        ({"status": "cancelled"}, OrderStatus.CANCELLED, False),
        ({"status": "awaiting-shipment"}, OrderStatus.TO_SHIP, False),
        ({"status": "somebodys-plugin"}, OrderStatus.UNKNOWN, False),
    ],
)
async def test_statuses(
    shop: FakeShop, connect: Connect, changes: dict[str, Any], status: OrderStatus, shipped: bool
) -> None:
    shop.add(41, modified=NOW, **changes)
    order = await connect(statuses={"awaiting-shipment": "to-ship"}).order("41")
    assert (order.status, order.shipped_at is not None) == (status, shipped)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-30", datetime(2026, 11, 30, 22, 59, 59, tzinfo=UTC)),  # the end of the day in Berlin
        ("2026-11-30T18:00", datetime(2026, 11, 30, 17, 0, tzinfo=UTC)),
        ("2026-07-30T18:00", datetime(2026, 7, 30, 16, 0, tzinfo=UTC)),
        ("2026-11-30T18:00:00+00:00", datetime(2026, 11, 30, 18, 0, tzinfo=UTC)),
        ("1796000000", datetime.fromtimestamp(1796000000, UTC)),
    ],
)
async def test_a_promise_in_a_meta_key_beats_the_shops(
    shop: FakeShop, connect: Connect, value: str, expected: datetime
) -> None:
    shop.add(41, modified=NOW, meta_data=[{"id": 1, "key": "ship_by", "value": value}])
    assert (await connect(ship_by_meta="ship_by").order("41")).ship_by == expected


async def test_tags_tracking_and_refunds(shop: FakeShop, connect: Connect) -> None:
    tracked = {"tracking_provider": "dhl", "tracking_number": "T1", "date_shipped": "1795400000"}
    meta = [
        {"id": 1, "key": "vip", "value": "yes"},
        {"id": 2, "key": "_wc_shipment_tracking_items", "value": [tracked]},
    ]
    shop.add(41, modified=NOW, meta_data=meta, refunds=[{"id": 1, "total": "-29.35"}], customer_id=0)
    order = await connect(do_not_touch_meta="vip", ship_within=None).order("41")
    assert order.tags == (Tag.DO_NOT_TOUCH,)
    assert (order.carrier, order.tracking_number, order.ship_by) == ("dhl", "T1", None)
    assert order.shipped_at == datetime.fromtimestamp(1795400000, UTC)
    assert (order.after_sales, order.refunded) == (AfterSales.REFUNDED, order.amount)
    shop.add(42, modified=NOW, refunds=[{"id": 1, "total": "-9.35"}, {"id": 2, "total": "-0.01"}])
    part = await connect().order("42")
    assert (part.after_sales, part.refunded) == (AfterSales.NONE, Money.of("9.36", "EUR"))
    assert order.customer.startswith("guest-") and "sample" not in order.customer


@pytest.mark.parametrize(
    "field", ["total", "currency", "status", "date_created_gmt", "date_modified_gmt", "id"]
)
async def test_a_missing_field_is_named(shop: FakeShop, connector: Any, field: str) -> None:
    del shop.add(41, modified=NOW)[field]
    with pytest.raises(BadAnswer, match=field):
        await connector.order("41")


async def test_an_unreadable_amount_is_named_and_a_persons_date_is_left_out(
    shop: FakeShop, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    shop.add(41, modified=NOW, total="12.345")
    with pytest.raises(BadAnswer, match="order 41: the field total"):
        await connect().order("41")
    shop.add(42, modified=NOW, meta_data=[{"id": 1, "key": "ship_by", "value": "soon"}])
    assert (await connect(ship_by_meta="ship_by").order("42")).number == "42"
    assert "the meta key ship_by of order 42 is no date" in caplog.text


@pytest.mark.parametrize("by_modified", [True, False])
@pytest.mark.parametrize("seed", range(5))
async def test_paging_misses_nothing_while_orders_change(
    shop: FakeShop, connect: Connect, clock: FixedClock, seed: int, by_modified: bool
) -> None:
    draw = random.Random(seed)
    shop.sorts_by_modified = by_modified
    for number in range(1, 48):
        # Many in the same second, as an import or a bulk edit leaves them.
        shop.add(number, modified=NOW - timedelta(minutes=10 + draw.choice([0, 0, 5, 60, number])))

    def meanwhile(request: httpx.Request) -> None:
        clock.advance(timedelta(seconds=30))
        for number in draw.sample(sorted(shop.orders), 4):
            shop.orders[number]["date_modified_gmt"] = gmt(clock.now())
        shop.add(100 + len(shop.orders), modified=clock.now())

    shop.between = meanwhile
    first, cursor = await read_all(connect(page_size=7))
    shop.between = lambda request: None
    clock.advance(timedelta(minutes=10))
    second, cursor = await read_all(connect(page_size=7), cursor)
    assert set(shop.orders) == {int(number) for number in first + second}
    clock.advance(timedelta(minutes=30))
    again, _ = await read_all(connect(page_size=7), (await connect().changed_orders(cursor)).cursor)
    assert again == []


async def test_a_page_and_its_cursor_survive_a_crash(shop: FakeShop, connect: Connect) -> None:
    for number in range(1, 21):
        shop.add(number, modified=NOW - timedelta(minutes=60 - number))
    before = await connect(page_size=6).changed_orders("")
    assert [order.number for order in before.orders] == ["1", "2"]  # oldest first
    rest, _ = await read_all(connect(page_size=6), before.cursor)
    assert rest == [str(number) for number in range(3, 21)]


async def test_windows_overlap_and_stay_behind_the_clock(
    shop: FakeShop, connector: Any, clock: FixedClock
) -> None:
    shop.add(1, modified=NOW - timedelta(minutes=4))
    shop.add(2, modified=NOW - timedelta(minutes=1))
    seen, cursor = await read_all(connector)
    assert seen == ["1"]
    clock.advance(timedelta(minutes=4))
    assert (await read_all(connector, cursor))[0] == ["1", "2"]
    with pytest.raises(InputError, match="not a cursor"):
        await connector.changed_orders("yesterday")


async def test_oauth_over_http(shop: FakeShop, connect: Connect) -> None:
    shop.add(41, modified=NOW - timedelta(hours=1))
    plain = connect(url="http://shop.example.invalid")
    assert (await plain.order("41")).number == "41"
    assert (await read_all(plain))[0] == ["41"]
    sent = [str(request.url) + str(request.headers) for request in shop.requests]
    assert not any("cs_made_up" in text for text in sent)


def answers(status: int, **options: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(status, **options)


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (answers(429, headers={"retry-after": "7"}), Throttled, "429"),
        (answers(503, headers={"retry-after": "9"}, text="Briefly unavailable"), Unavailable, "503"),
        (answers(403, text="<html>blocked</html>"), NotAllowed, "403"),
        (answers(301, headers={"location": "https://elsewhere.invalid"}), NotAllowed, "redirects"),
        (answers(404, text="<html>nothing</html>"), NotAllowed, "no WooCommerce REST API v3"),
        (answers(200, text="<b>Warning</b>: Undefined variable"), BadAnswer, "not JSON"),
        (answers(200, content=b'{"id": 41, "stat'), BadAnswer, "not JSON"),
        (lambda r: error(404, "rest_no_route", "No route"), NotAllowed, "rest_no_route"),
        (lambda r: error(403, "woocommerce_rest_cannot_view", "Sorry"), NotAllowed, "cannot_view"),
        (lambda r: error(400, "any", "bad: sample0017@example.invalid"), Rejected, "HTTP 400, any$"),
        (lost, TimedOut, "no answer in time"),
        (unreachable, Unreachable, "cannot connect"),
    ],
)
async def test_refusals_have_one_meaning_each(
    shop: FakeShop, connector: Any, fault: Any, kind: type[Exception], says: str
) -> None:
    shop.add(41, modified=NOW)
    shop.faults = [(False, fault)]
    with pytest.raises(kind, match=says) as caught:
        await connector.order("41")
    assert type(caught.value) is kind
    assert "cs_made_up" not in repr(caught.value) + str(caught.value.__dict__)  # type: ignore[attr-defined]


async def test_credentials_clock_and_rights_are_told_apart(shop: FakeShop, connect: Connect) -> None:
    shop.add(41, modified=NOW)
    with pytest.raises(NotFound):
        await connect().order("99")
    with pytest.raises(AuthFailed, match="Consumer secret is invalid"):
        await connect(consumer_secret="cs_old").order("41")
    with pytest.raises(AuthFailed):
        await connect(consumer_key="ck_unknown").order("41")
    fast = FixedClock(NOW + timedelta(hours=1))
    with pytest.raises(AuthFailed, match=r"\+60 minutes off") as caught:
        await connect(url="http://shop.example.invalid", own_clock=fast).order("41")
    assert "clock" in caught.value.hint


def test_secrets_stay_out_of_sight(connector: Any) -> None:
    shown = f"{connector!r} {connector.api!r} {connector.config!r} {connector.config.model_dump()}"
    assert "cs_made_up" not in shown and "ck_made_up" not in shown and "made-up" not in shown


@pytest.mark.parametrize(
    "url", ["shop.example.invalid", "ftp://x.invalid", "https://a:b@x.invalid", "https://x.invalid/?q"]
)
def test_an_unusable_address_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        connect(url=url)


def hook(body: bytes, signer: str = "made-up", **headers: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.new(signer.encode(), body, hashlib.sha256).digest()).decode()
    return {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Resource": "order", **headers}


def test_webhooks(connect: Connect) -> None:
    connector = connect(webhook_secret_previous="older")
    body = json.dumps({"id": 41, "status": "processing", "date_modified_gmt": "2026-11-23T11:00:00"}).encode()
    (event,) = connector.verify_webhook(hook(body), body)
    assert event.order == "41"
    assert connector.verify_webhook(hook(body, "older", **{"X-WC-Webhook-Delivery-ID": "2"}), body) == (
        event,
    )
    later = body.replace(b"11:00", b"11:01")
    assert connector.verify_webhook(hook(later), later)[0].event != event.event
    for headers, text in [
        (hook(body, "wrong"), body),
        (hook(body), body + b" "),
        ({}, body),
        (hook(b"[]"), b"[]"),
    ]:
        with pytest.raises(Rejected):
            connector.verify_webhook(headers, text)
    assert connector.verify_webhook({}, b"webhook_id=5") == ()
    other = {**hook(body), "X-WC-Webhook-Resource": "customer"}
    assert connector.verify_webhook(other, body) == ()
    with pytest.raises(Rejected, match="no webhook_secret"):
        connect(webhook_secret=None).verify_webhook(hook(body), body)
