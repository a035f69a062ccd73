"""The contract suites find connectors that lie: each liar is a good one with one thing made wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr
from tests.unit.testing.liars import SECRET, Room, failed, report

from amends import (
    BadAnswer,
    Extension,
    Grant,
    Message,
    Money,
    Operation,
    Order,
    OrderPage,
    PlatformError,
    Receipt,
    Throttled,
    Unreachable,
)

# Connectors: a member of the honest class replaced by one that lies, and the check that must find it.

LIES: dict[str, tuple[str, Callable[[type[Any], ModuleType], dict[str, Any]]]] = {}


def lie(caught_by: str) -> Callable[[Callable[[type[Any], ModuleType], dict[str, Any]]], None]:
    def note(members: Callable[[type[Any], ModuleType], dict[str, Any]]) -> None:
        LIES[members.__name__] = (caught_by, members)

    return note


@lie("an idempotent write repeated has one effect")
def sends_no_idempotency_key(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def grant(self: Any, request: Grant) -> Receipt:
        body = {"amount": str(request.remedy.amount and request.remedy.amount.decimal), "remark": request.key}
        return module.receipt(await self.call("POST", f"/orders/{request.order}/coupons", json=body))  # type: ignore[no-any-return]

    return {"grant": grant}


@lie("every error is mapped")
def swallows_errors(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def changed_orders(self: Any, cursor: str) -> OrderPage:
        try:
            return await honest.changed_orders(self, cursor)  # type: ignore[no-any-return]
        except PlatformError:
            return OrderPage(orders=(), cursor=cursor)

    return {"changed_orders": changed_orders}


@lie("every error is mapped")
def raises_what_is_not_ours(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def order(self: Any, number: str) -> Order:
        response = await self.http.client.get(f"/orders/{number}")
        response.raise_for_status()
        return self.read(response.json())  # type: ignore[no-any-return]

    return {"order": order}


@lie("secrets and personal values stay hidden")
def leaks_a_secret_in_its_repr(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    return {"__repr__": lambda self: f"<Shop token={SECRET}>"}


@lie("secrets and personal values stay hidden")
def logs_a_secret(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def order(self: Any, number: str) -> Order:
        logging.getLogger("liar").debug("asking with %s", self.http.client.headers["authorization"])
        return await honest.order(self, number)  # type: ignore[no-any-return]

    return {"order": order}


@lie("secrets and personal values stay hidden")
def repeats_what_the_platform_said(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def message(self: Any, request: Message) -> Receipt:
        told = {
            "text": request.text,
            "to": request.personal and request.personal.email,
            "remark": request.key,
        }
        response = await self.http.send("POST", f"/orders/{request.order}/messages", json=told)
        if response.status_code == 400:
            raise module.Rejected(f"refused: {response.text}")
        return await honest.message(self, request)  # type: ignore[no-any-return]

    return {"message": message}


@lie("nulls are no surprise")
def shows_what_it_cannot_read(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        try:
            return honest.read(self, found)  # type: ignore[no-any-return]
        except BadAnswer as error:
            raise BadAnswer(f"{error}: {found}") from error

    return {"read": read}


@lie("find proves absence and never guesses")
def takes_an_error_for_absence(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def find(self: Any, request: Any) -> Receipt | None:
        try:
            return await honest.find(self, request)  # type: ignore[no-any-return]
        except PlatformError:
            return None

    return {"find": find}


@lie("a lost write is found")
def never_finds(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def find(self: Any, request: Any) -> Receipt | None:
        await self.call("GET", f"/orders/{request.order}/messages")
        return None

    return {"find": find}


@lie("a lost write is found")
def finds_another_act(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def find(self: Any, request: Any) -> Receipt | None:
        answer = await self.call("GET", f"/orders/{request.order}/messages")
        return Receipt(ref=answer["messages"][0]["id"]) if answer["messages"] else None

    return {"find": find}


@lie("a plugin never repeats a write itself")
def tries_again_on_its_own(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def message(self: Any, request: Message) -> Receipt:
        try:
            return await honest.message(self, request)  # type: ignore[no-any-return]
        except PlatformError:
            return await honest.message(self, request)  # type: ignore[no-any-return]

    return {"message": message}


@lie("a write that may have happened is never called undone")
def promises_too_much(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def message(self: Any, request: Message) -> Receipt:
        try:
            return await honest.message(self, request)  # type: ignore[no-any-return]
        except PlatformError as error:
            if isinstance(error, module.Unavailable):
                raise Unreachable("cannot be reached") from error
            raise

    return {"message": message}


@lie("the same key sends the same bytes")
def writes_the_time_into_the_text(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def message(self: Any, request: Message) -> Receipt:
        late = request.model_copy(update={"text": f"{self.clock.now()}: {request.text}"})
        return await honest.message(self, late)  # type: ignore[no-any-return]

    return {"message": message}


@lie("what is not by api sends nothing")
def does_by_api_what_is_by_hand(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def extend(self: Any, request: Extension) -> Receipt:
        return Receipt(ref="done")

    return {"extend": extend}


@lie("pages have no gaps while orders come and change")
def counts_pages(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def changed_orders(self: Any, cursor: str) -> OrderPage:
        now = self.clock.now()
        since, _, number = cursor.partition("|")
        since, page = since or (now - module.FIRST).isoformat(), int(number or 1)
        answer = await self.call("GET", "/orders", params={"changed_since": since, "page": page})
        orders = tuple(self.read(found) for found in module.need_list(answer, "orders"))
        if module.need(answer, "has_more"):
            return OrderPage(orders=orders, cursor=f"{since}|{page + 1}", more=True)
        return OrderPage(orders=orders, cursor=f"{now.isoformat()}|1")

    return {"changed_orders": changed_orders}


@lie("a cursor goes on after a crash between pages")
def steps_over_ties(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def changed_orders(self: Any, cursor: str) -> OrderPage:
        page: OrderPage = await honest.changed_orders(self, cursor)
        if not page.more:
            return page
        last = datetime.fromisoformat(page.cursor.partition("|")[0]) + timedelta(seconds=1)
        return page.model_copy(update={"cursor": f"{last.isoformat()}|1"})

    return {"changed_orders": changed_orders}


@lie("a cursor goes on after a crash between pages")
def keeps_its_place_in_memory(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def changed_orders(self: Any, cursor: str) -> OrderPage:
        page: OrderPage = await honest.changed_orders(self, getattr(self, "place", ""))
        self.place = page.cursor
        return page.model_copy(update={"cursor": str(len(page.cursor))})

    return {"changed_orders": changed_orders}


@lie("an idle list comes to an end")
def starts_over_each_time(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def changed_orders(self: Any, cursor: str) -> OrderPage:
        page: OrderPage = await honest.changed_orders(self, cursor)
        return page if page.more else page.model_copy(update={"cursor": ""})

    return {"changed_orders": changed_orders}


@lie("times are utc and exact")
def takes_shop_time_for_utc(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        order: Order = honest.read(self, found)
        return order.model_copy(update={"placed_at": order.placed_at + timedelta(hours=1)})

    return {"read": read}


@lie("times are utc and exact")
def reads_the_machines_clock(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        order: Order = honest.read(self, found)
        return order.model_copy(update={"observed_at": datetime(2031, 1, 1, tzinfo=UTC)})

    return {"read": read}


@lie("money is exact")
def reckons_in_floats(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        minor = int(float(module.need(found, "paid")) * 100)
        return honest.read(self, found).model_copy(update={"amount": Money(minor=minor, currency="EUR")})  # type: ignore[no-any-return]

    return {"read": read}


@lie("missing fields are named")
def takes_missing_for_zero(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    return {"read": lambda self, found: honest.read(self, {"paid": "0.00", **found})}


@lie("missing fields are named")
def stumbles_over_missing(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        return honest.read(self, found | {"number": found["number"]})  # type: ignore[no-any-return]

    return {"read": read}


@lie("unknown fields are ignored")
def is_strict_about_fields(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def read(self: Any, found: Any) -> Order:
        return honest.read(self, found if len(found) == 9 else {})  # type: ignore[no-any-return]

    return {"read": read}


@lie("a forged webhook is refused")
def believes_every_webhook(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def verify_webhook(self: Any, headers: Any, body: bytes) -> Any:
        told = module.parsed_json(body)
        return (module.Event(event=module.need(told, "event_id"), order=module.need(told, "order_number")),)

    return {"verify_webhook": verify_webhook}


@lie("throttling says how long to wait")
def forgets_how_long_to_wait(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def call(self: Any, method: str, path: str, **options: Any) -> Any:
        try:
            return await honest.call(self, method, path, **options)
        except Throttled:
            raise Throttled("later") from None

    return {"call": call}


@lie("a redirect is not followed")
def follows_redirects(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    def start(self: Any, config: Any, context: Any) -> None:
        honest.__init__(self, config, context)
        self.http.client.follow_redirects = True

    return {"__init__": start}


@lie("one call stays within the quota")
def asks_too_often(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    async def order(self: Any, number: str) -> Order:
        for _ in range(10):
            await honest.order(self, number)
        return await honest.order(self, number)  # type: ignore[no-any-return]

    return {"order": order}


@lie("what is declared can be called")
def lacks_what_it_declares(honest: type[Any], module: ModuleType) -> dict[str, Any]:
    return {"grant": None}


@pytest.mark.parametrize("name", LIES)
def test_a_connector_that_lies_is_found(room: Room, name: str) -> None:
    caught_by, members = LIES[name]
    module = room.part("connector")
    honest = module.RoomConnector
    liar = type("Liar", (honest,), members(honest, module))
    found = report(room, "connector", liar=liar)
    assert caught_by in failed(found), found.lines()
    assert SECRET not in "\n".join(found.lines()), "the report repeats the secret"


def test_a_config_with_an_open_secret_is_found(room: Room) -> None:
    class Open(BaseModel):
        model_config = ConfigDict(frozen=True)

        url: str
        token: str
        webhook_secret: SecretStr = SecretStr("")

        @property
        def opened(self) -> Any:
            return room.modules["connector"].RoomConnectorConfig(**self.model_dump())

    module = room.part("connector")

    def factory(config: Open, context: Any) -> Any:
        return module.RoomConnector(config.opened, context)

    found = report(room, "connector", config=Open, factory=factory)
    [check] = [check for check in found.failed if check.title.startswith("config keeps")]
    assert "token must be a pydantic SecretStr" in check.detail


def test_a_write_declared_as_something_else_is_found(room: Room) -> None:
    operations = {**room.modules["connector"].SPEC.operations, "message": Operation.idempotent()}
    assert "an idempotent write repeated has one effect" in failed(
        report(room, "connector", operations=operations)
    )
