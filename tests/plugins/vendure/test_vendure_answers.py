"""What the Vendure connector makes of answers that a real server gives rarely: without a network."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from amends import (
    AfterSales,
    AuthFailed,
    BadAnswer,
    Context,
    Grant,
    InputError,
    Money,
    NotAllowed,
    NotFound,
    OrderStatus,
    Rejected,
    Remedy,
    RemedyKind,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
    Unsupported,
)
from amends.clock import FixedClock
from amends_vendure.config import VendureConfig
from amends_vendure.connector import Vendure
from amends_vendure.orders import to_order

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Answer = Callable[[httpx.Request], httpx.Response]


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def order(code: str = "A1", **changes: Any) -> dict[str, Any]:
    at = iso(NOW - timedelta(days=3))
    payment = {
        "id": "1", "state": "Settled", "amount": 12500, "createdAt": at, "updatedAt": at, "refunds": [],
    }  # fmt: skip
    return {
        "id": "7", "code": code, "state": "PaymentSettled", "currencyCode": "USD", "createdAt": at,
        "updatedAt": at, "orderPlacedAt": at, "totalWithTax": 12500, "payments": [payment],
        "fulfillments": [], "lines": [],
        "customer": {"id": "5", "firstName": "Sample", "emailAddress": "sample0017@example.invalid"},
        "history": {"items": []}, "shippingAddress": None, "unheard_of": {"new": 1}, **changes,
    }  # fmt: skip


class FakeServer:
    """Signs everybody in, and answers each operation by its name."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[httpx.Headers] = []
        self.token = "first"

    def handle(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        name = body["query"].split("(")[0].split()[-1]
        self.asked.append((name, body["variables"]))
        self.headers.append(request.headers)
        if name == "Login" and name not in self.answers:
            data = {"login": {"__typename": "CurrentUser", "id": "1"}}
            return httpx.Response(200, json={"data": data}, headers={"vendure-auth-token": self.token})
        answer = self.answers[name]
        if callable(answer):
            made: httpx.Response = answer(request)
            return made
        return httpx.Response(200, json=answer)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def connect(server: FakeServer, clock: FixedClock) -> Callable[..., Vendure]:
    def make(**changes: Any) -> Vendure:
        values = {
            "url": "https://shop.example.invalid/admin-api",
            "username": "amends",
            "password": "made-up",
        }
        config = VendureConfig.model_validate({**values, **changes})
        transport = httpx.MockTransport(server.handle)
        return Vendure(
            config,
            Context(
                "corner", "Europe/Berlin", clock, lambda **o: httpx.AsyncClient(transport=transport, **o)
            ),
        )

    return make


def listed(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"orders": {"totalItems": len(rows), "items": list(rows)}}}


def graphql_error(code: str, message: str = "made up") -> Answer:
    error = {"message": message, "extensions": {"code": code} if code else {}}
    return lambda request: httpx.Response(200, json={"errors": [error], "data": None})


def raises(kind: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise kind("made up", request=request)

    return answer


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (lambda r: httpx.Response(429, headers={"retry-after": "7"}), Throttled, "429"),
        (lambda r: httpx.Response(502, text="<html>"), Unavailable, "502"),
        (lambda r: httpx.Response(403, text="<html>"), NotAllowed, "firewall"),
        (lambda r: httpx.Response(404, text="<html>"), NotAllowed, "no Admin API"),
        (lambda r: httpx.Response(404, json={"statusCode": 404}), NotAllowed, "no Admin API"),
        (lambda r: httpx.Response(302), NotAllowed, "redirects"),
        (lambda r: httpx.Response(200, text="<html>"), BadAnswer, "not JSON"),
        (lambda r: httpx.Response(200, content=b'{"data": {"ord'), BadAnswer, "not JSON"),
        (lambda r: httpx.Response(200, json={"data": None}), BadAnswer, "field data"),
        (lambda r: httpx.Response(200, json={"data": {}}), BadAnswer, "orders.items"),
        (lambda r: httpx.Response(200, json=listed()), NotFound, "no order A1"),
        (graphql_error("FORBIDDEN"), NotAllowed, "FORBIDDEN"),
        (graphql_error("CHANNEL_NOT_FOUND"), NotAllowed, "CHANNEL_NOT_FOUND"),
        (graphql_error("USER_INPUT_ERROR"), Rejected, "USER_INPUT_ERROR"),
        (graphql_error("GRAPHQL_VALIDATION_FAILED"), Rejected, "GRAPHQL_VALIDATION_FAILED"),
        (graphql_error("INTERNAL_SERVER_ERROR"), Unavailable, "INTERNAL"),
        (graphql_error(""), Unavailable, "an error in the server"),
        (raises(httpx.ReadTimeout), TimedOut, "no answer in time"),
        (raises(httpx.ConnectError), Unreachable, "cannot connect"),
    ],
)
async def test_refusals_have_one_meaning_each(
    server: FakeServer, connect: Callable[..., Vendure], answer: Answer, kind: type[Exception], says: str
) -> None:
    server.answers["Orders"] = answer
    with pytest.raises(kind, match=says) as caught:
        await connect().order("A1")
    assert type(caught.value) is kind
    assert "made-up" not in f"{caught.value!r} {vars(caught.value)}"


async def test_one_sign_in_serves_many_calls_and_is_renewed_once(
    server: FakeServer, connect: Callable[..., Vendure]
) -> None:
    def only_the_second(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != "Bearer second":
            return graphql_error("FORBIDDEN")(request)
        return httpx.Response(200, json=listed(order()))

    connector = connect()
    server.answers["Orders"] = listed(order())
    await connector.order("A1")
    await connector.order("A1")
    assert [name for name, _ in server.asked] == ["Login", "Orders", "Orders"]
    server.answers["Orders"], server.token = only_the_second, "second"
    await connector.order("A1")
    assert [name for name, _ in server.asked][3:] == ["Orders", "Login", "Orders"]


async def test_a_sign_in_that_does_not_work_says_why(
    server: FakeServer, connect: Callable[..., Vendure]
) -> None:
    refused = {
        "__typename": "InvalidCredentialsError",
        "errorCode": "INVALID_CREDENTIALS_ERROR",
        "message": "no",
    }
    server.answers["Login"] = {"data": {"login": refused}}
    with pytest.raises(AuthFailed, match="INVALID_CREDENTIALS_ERROR"):
        await connect().order("A1")
    server.answers["Login"] = {"data": {"login": {"id": "1"}}}
    with pytest.raises(NotAllowed, match="no token came back") as caught:
        await connect().order("A1")
    assert "bearer" in caught.value.hint


async def test_an_api_key_and_a_channel(server: FakeServer, connect: Callable[..., Vendure]) -> None:
    server.answers["Orders"] = listed(order())
    await connect(username="", password=None, api_key="made-up-key", channel_token="uk").order("A1")
    assert [name for name, _ in server.asked] == ["Orders"]
    assert (server.headers[0]["vendure-api-key"], server.headers[0]["vendure-token"]) == ("made-up-key", "uk")


@pytest.mark.parametrize(
    "changes",
    [
        {"password": None},
        {"api_key": "both"},
        {"url": "shop.example.invalid"},
        {"coupon_note": "{kode}"},
        {"extra": 1},
    ],
)
def test_an_unusable_config_is_refused(connect: Callable[..., Vendure], changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # pydantic names the key; which one differs by case
        connect(**changes)


def test_secrets_stay_out_of_sight(connect: Callable[..., Vendure]) -> None:
    connector = connect(channel_token="made-up-channel")
    assert (
        "made-up"
        not in f"{connector!r} {connector.api!r} {connector.config!r} {connector.config.model_dump()}"
    )


@pytest.mark.parametrize("field", ["code", "state", "currencyCode", "totalWithTax", "updatedAt"])
async def test_a_missing_field_is_named(
    server: FakeServer, connect: Callable[..., Vendure], field: str
) -> None:
    row = order()
    del row[field]
    server.answers["Orders"] = listed(row)
    with pytest.raises(BadAnswer, match=field):
        await connect().order("A1")


def seen(**changes: Any) -> Any:
    values = {"url": "https://a.invalid/admin-api", "username": "a", "password": "b", "ship_within": "48h"}
    values["precision"] = changes.pop("precision", 2)
    return to_order(order(**changes), VendureConfig.model_validate(values), observed_at=NOW)


def test_amounts_are_exact_whatever_the_servers_decimals() -> None:
    assert seen().amount == Money.of("125.00", "USD")
    assert seen(currencyCode="JPY").amount == Money.of("125", "JPY")
    assert seen(currencyCode="KWD", precision=3).amount == Money.of("12.500", "KWD")
    with pytest.raises(BadAnswer, match="totalWithTax is no amount"):
        seen(currencyCode="JPY", totalWithTax=12550)


def test_states_and_times() -> None:
    at = {"createdAt": iso(NOW - timedelta(days=2)), "updatedAt": iso(NOW)}
    parcel = {"id": "1", "state": "Delivered", "method": "SF", "trackingCode": "T1", **at}
    moves = [
        {"createdAt": at["createdAt"], "data": {"to": "Shipped"}},
        {"createdAt": at["updatedAt"], "data": {"to": "Delivered"}},
    ]
    gone = seen(state="Delivered", fulfillments=[parcel], history={"items": moves})
    assert (gone.shipped_at, gone.delivered_at) == (NOW - timedelta(days=2), NOW)
    assert gone.updated_at == NOW  # though the order's own updatedAt is three days old
    partly = seen(state="PartiallyShipped", fulfillments=[{**parcel, "state": "Shipped"}])
    assert (partly.status, partly.shipped_at) == (OrderStatus.TO_SHIP, None)
    assert seen(state="Modifying").status is OrderStatus.UNKNOWN
    paid = order()["payments"][0]
    back = [{"id": "9", "state": "Settled", "total": 12500, "reason": "", "updatedAt": iso(NOW)}]
    assert seen(payments=[{**paid, "refunds": back}]).after_sales is AfterSales.REFUNDED
    assert (
        seen(payments=[{**paid, "refunds": [{**back[0], "state": "Failed"}]}]).after_sales is AfterSales.NONE
    )
    part = seen(payments=[{**paid, "refunds": [{**back[0], "total": 500}]}])
    assert (part.after_sales, part.refunded) == (AfterSales.NONE, Money.of("5.00", part.amount.currency))


@pytest.mark.parametrize("seed", range(5))
async def test_paging_misses_nothing_while_orders_change(
    server: FakeServer, connect: Callable[..., Vendure], clock: FixedClock, seed: int
) -> None:
    draw = random.Random(seed)
    rows = {}

    def add(number: int, placed: datetime, touched: datetime) -> None:
        rows[f"A{number}"] = order(
            f"A{number}", id=str(number), orderPlacedAt=iso(placed), updatedAt=iso(touched)
        )

    for number in range(40):
        placed = NOW - timedelta(minutes=10 + draw.choice([0, 0, 5, number]))
        add(number, placed, placed - timedelta(minutes=1))

    def answer(request: httpx.Request) -> httpx.Response:
        options = json.loads(request.content)["variables"]["options"]
        rule = options["filter"]
        after, window = rule["_or"][0]["orderPlacedAt"]["after"], rule["_or"][1]["updatedAt"]["between"]
        found = [
            row
            for row in rows.values()
            if row["orderPlacedAt"] < rule["orderPlacedAt"]["before"]
            and (row["orderPlacedAt"] > after or window["start"] <= row["updatedAt"] <= window["end"])
        ]
        found.sort(key=lambda row: (row["orderPlacedAt"], int(row["id"])), reverse=True)
        part = found[options["skip"] : options["skip"] + options["take"]]
        clock.advance(timedelta(seconds=30))
        for code in draw.sample(sorted(rows), 3):
            rows[code]["updatedAt"] = iso(clock.now())
        # A cart that was filled an hour ago and is paid for now.
        add(100 + len(rows), clock.now(), NOW - timedelta(minutes=11))
        return httpx.Response(200, json={"data": {"orders": {"totalItems": len(found), "items": part}}})

    server.answers["Orders"] = answer
    codes, cursor = set(), ""
    for _ in range(2):
        more = True
        while more:
            page = await connect(page_size=7).changed_orders(cursor)
            codes |= {each.number for each in page.orders}
            cursor, more = page.cursor, page.more
        before = set(rows)
        clock.advance(timedelta(minutes=10))
    assert {
        code for code in before if rows[code]["orderPlacedAt"] < iso(NOW + timedelta(minutes=10))
    } <= codes
    with pytest.raises(InputError, match="not a cursor"):
        await connect().changed_orders("yesterday")


async def test_a_refund_that_was_surely_not_made_says_so_on_the_order(
    server: FakeServer, connect: Callable[..., Vendure]
) -> None:
    notes: list[str] = []

    def add_note(request: httpx.Request) -> httpx.Response:
        notes.append(json.loads(request.content)["variables"]["input"]["note"])
        return httpx.Response(200, json={"data": {"addNoteToOrder": {"id": "7"}}})

    def list_notes(request: httpx.Request) -> httpx.Response:
        rows = [{"id": str(n), "isPublic": False, "data": {"note": note}} for n, note in enumerate(notes)]
        found = {"order": {"id": "7", "history": {"totalItems": len(rows), "items": rows}}}
        return httpx.Response(200, json={"data": found})

    request = Grant(key="k", order="A1", remedy=Remedy(kind=RemedyKind.REFUND, amount=Money.of("5", "USD")))
    refused = {"errorCode": "REFUND_ORDER_STATE_ERROR", "message": "not now"}
    server.answers = {
        "Orders": listed(order()), "AddNote": add_note, "Notes": list_notes,
        "Refund": {"data": {"refundOrder": refused}},
    }  # fmt: skip
    with pytest.raises(Rejected, match="REFUND_ORDER_STATE_ERROR"):
        await connect().grant(request)
    assert await connect().find(request) is None
    server.answers["Refund"] = {"data": {"refundOrder": {"id": "3", "state": "Failed", "total": 500}}}
    with pytest.raises(Rejected, match="provider refused"):
        await connect().grant(request)
    server.answers["Refund"] = {
        "data": {"refundOrder": {**refused, "errorCode": "REFUND_STATE_TRANSITION_ERROR"}}
    }
    notes.clear()
    with pytest.raises(Unavailable):
        await connect().grant(request)
    assert len(notes) == 1  # whether it was paid is not known, and nothing says that it was not


async def test_what_vendure_cannot_do(connect: Callable[..., Vendure]) -> None:
    connector = connect()
    for call in (connector.replies(""), connector.tracking(seen())):
        with pytest.raises(Unsupported):
            await call
    with pytest.raises(Unsupported):
        connector.verify_webhook({}, b"")
