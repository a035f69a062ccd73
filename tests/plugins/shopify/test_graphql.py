"""Signing in, query points, and what becomes of each kind of error."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from amends import (
    AuthFailed,
    BadAnswer,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    Unavailable,
)
from amends_shopify import ShopifyConfig


def always(status: int, **body: Any) -> Any:
    return lambda request: httpx.Response(status, json=body)


def cost(asked: float, left: float, rate: float = 100.0) -> dict[str, Any]:
    status = {"maximumAvailable": 2000.0, "currentlyAvailable": left, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": asked, "actualQueryCost": asked, "throttleStatus": status}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, NotAllowed),
        (401, AuthFailed),
        (402, NotAllowed),
        (403, NotAllowed),
        (404, NotFound),
        (423, NotAllowed),
        (429, Throttled),
        (430, RiskControl),
        (400, Rejected),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_statuses(store: Any, status: int, kind: type[PlatformError]) -> None:
    store.answer = always(status, errors="no")
    with pytest.raises(kind) as caught:
        await store.connector().order("#1001")
    assert type(caught.value) is kind
    assert "shpat" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ACCESS_DENIED", NotAllowed),
        ("SHOP_INACTIVE", NotAllowed),
        ("INTERNAL_SERVER_ERROR", Unavailable),
        ("MAX_COST_EXCEEDED", Rejected),
        ("IDEMPOTENCY_CONCURRENT_REQUEST", Unavailable),
        ("undefinedField", Rejected),
    ],
)
async def test_top_level_errors(store: Any, code: str, kind: type[PlatformError]) -> None:
    store.answer = always(200, errors=[{"message": "no", "extensions": {"code": code}}])
    with pytest.raises(kind) as caught:
        await store.connector().order("#1001")
    assert (type(caught.value), code in str(caught.value)) == (kind, True)


async def test_an_error_in_the_middle_of_a_mutation_leaves_it_open(store: Any) -> None:
    store.answer = always(200, data=None, errors=[{"message": "oops", "path": ["refundCreate"]}])
    with pytest.raises(BadAnswer) as caught:
        await store.connector().order("#1001")
    assert not caught.value.sure_not_done


async def test_a_throttled_query_says_when_there_will_be_points(store: Any) -> None:
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    store.answer = always(200, errors=[error], extensions=cost(700, 100))
    with pytest.raises(Throttled) as caught:
        await store.connector().order("#1001")
    assert caught.value.retry_after == pytest.approx(6.0)


async def test_a_short_want_of_points_is_waited_for(store: Any) -> None:
    store.late()
    shop = store.connector()
    store.fake.handle = costly(store, cost(300, 100))
    await shop.order("#1001")
    assert store.slept == []
    await shop.order("#1001")
    assert store.slept == [pytest.approx(2.0)]
    store.clock.advance(timedelta(seconds=10))
    await shop.order("#1001")
    assert len(store.slept) == 1


async def test_a_long_want_of_points_is_reported_and_nothing_is_sent(store: Any) -> None:
    store.late()
    shop = store.connector(patience="1s")
    store.fake.handle = costly(store, cost(300, 100))
    await shop.order("#1001")
    with pytest.raises(Throttled) as caught:
        await shop.order("#1001")
    assert (caught.value.retry_after, len(store.sent)) == (pytest.approx(2.0), 1)


def costly(store: Any, extensions: dict[str, Any]) -> Any:
    handle = store.fake.handle
    return lambda request: httpx.Response(
        200, json=json.loads(handle(request).content) | {"extensions": extensions}
    )


class Lender:
    """Lends tokens for a day, and takes requests that carry the last one."""

    def __init__(self, store: Any) -> None:
        self.store, self.lent, self.refused = store, 0, 0

    def __call__(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/admin/oauth/access_token":
            assert b"grant_type=client_credentials" in request.content
            if b"wrong" in request.content:
                return httpx.Response(400, text="<html>Oauth error</html>")
            self.lent += 1
            return httpx.Response(200, json={"access_token": f"lent-{self.lent}", "expires_in": 86399})
        if request.headers["x-shopify-access-token"] != f"lent-{self.lent}":
            self.refused += 1
            return httpx.Response(401, json={"errors": "no"})
        request.headers["x-shopify-access-token"] = self.store.fake.config["access_token"]
        return None


APP = {"access_token": None, "client_id": "app-17", "client_secret": "made-up-client-secret-0017"}


async def test_a_lent_token_is_kept_for_its_day(store: Any) -> None:
    store.late()
    store.answer = lender = Lender(store)
    shop = store.connector(**APP)
    await asyncio.gather(*(shop.order("#1001") for _ in range(5)))
    assert lender.lent == 1
    store.clock.advance(timedelta(hours=24))
    await shop.order("#1001")
    assert (lender.lent, lender.refused) == (2, 0)


async def test_a_withdrawn_token_is_asked_for_once_more(store: Any) -> None:
    store.late()
    store.answer = lender = Lender(store)
    shop = store.connector(**APP)
    await shop.order("#1001")
    lender.lent += 1
    await shop.order("#1001")
    assert lender.refused == 1


async def test_wrong_app_credentials_are_one_clear_error(store: Any) -> None:
    store.answer = Lender(store)
    with pytest.raises(AuthFailed, match="client id or secret") as caught:
        await store.connector(**APP | {"client_secret": "wrong-secret-0017"}).order("#1001")
    assert "wrong-secret" not in repr(caught.value)


def test_config_names_one_store_and_one_way_in() -> None:
    assert (
        ShopifyConfig(store="https://My-Store.myshopify.com/", access_token="x" * 9).store
        == "my-store.myshopify.com"
    )  # type: ignore[arg-type]
    for wrong in (
        {"store": "my-store"},
        {"store": "a.example.com", "access_token": "x"},
        {"store": "s", "client_id": "a"},
    ):
        with pytest.raises(ValidationError):
            ShopifyConfig.model_validate(wrong)
