"""Credentials, clock, address, quota, risk control: what each platform really answers, and what a merchant is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from amends import AuthFailed, NotAllowed, PlatformError, RiskControl, Throttled, Unavailable
from amends.hooks.registry import Registry
from amends.testing.contracts import samples
from amends.testing.contracts.bench import Bench
from amends.testing.contracts.leaks import secrets_of

HELD = (AuthFailed, NotAllowed, RiskControl)


@dataclass(frozen=True)
class Row:
    """One situation at one platform: its answer, our error, and words that the person must read."""

    name: str
    situation: str
    status: int
    body: Any
    kind: type[PlatformError]
    words: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    off: timedelta = timedelta()
    """How far this machine's clock is ahead."""
    config: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.situation}"


def pdd(code: int, message: str, sub: str = "") -> dict[str, Any]:
    told = {"error_code": code, "error_msg": message, "sub_code": sub, "sub_msg": "", "request_id": "17"}
    return {"error_response": told}


def woo(code: str, message: str, status: int) -> dict[str, Any]:
    return {"code": code, "message": message, "data": {"status": status}}


def graphql(code: str, message: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": code}}], "data": None}


def paypal(name: str, issue: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "message": name,
        "debug_id": "b1d2e3",
        "details": [{"issue": issue}] if issue else [],
    }


WOO_AUTH = "woocommerce_rest_authentication_error"
TABLE = (
    # Pinduoduo: the call guide's codes.
    Row("pinduoduo", "bad credentials", 200, pdd(20004, "签名验证失败"), AuthFailed, ("client_secret",)),
    Row("pinduoduo", "revoked token", 200, pdd(10019, "access_token已过期"), AuthFailed, ("主账号", "token")),
    Row("pinduoduo", "clock skew", 200, pdd(20004, "签名验证失败"), AuthFailed, ("clock is +25 minutes off", "NTP"),
        off=timedelta(minutes=25)),
    Row("pinduoduo", "clock skew, as a parameter", 200, pdd(10001, "公共参数错误:timestamp"), AuthFailed,
        ("clock is -700 minutes off", "NTP"), off=timedelta(minutes=-700)),
    Row("pinduoduo", "address", 200, pdd(20005, "IP不在白名单中"), NotAllowed, ("white list", "IP 白名单")),
    Row("pinduoduo", "permission", 200, pdd(20031, "用户没有授权访问此接口"), NotAllowed, ("权限包",)),
    Row("pinduoduo", "throttling", 200, pdd(70031, "调用过于频繁，请调整调用频率"), Throttled),
    Row("pinduoduo", "limit", 200, pdd(52101, "当前接口被限流，请稍后重试"), Throttled),
    Row("pinduoduo", "maintenance", 200, pdd(70033, "当前接口维护中"), Unavailable),
    Row("pinduoduo", "risk control", 200, pdd(70034, "当前接口被风控"), RiskControl, ("Stop all software", "商家后台")),
    # WooCommerce: its own authentication class, and WordPress' refusals.
    Row("woocommerce", "bad credentials", 401, woo(WOO_AUTH, "Consumer secret is invalid.", 401), AuthFailed,
        ("Consumer secret is invalid", "credentials")),
    Row("woocommerce", "revoked token", 401, woo("woocommerce_rest_cannot_view", "Sorry, you cannot list resources.", 401),
        AuthFailed, ("credentials",)),
    Row("woocommerce", "clock skew", 401, woo(WOO_AUTH, "Invalid timestamp.", 401), AuthFailed,
        ("clock is +60 minutes off", "Set this machine's clock"), off=timedelta(hours=1), config=(("auth", "oauth1"),)),
    Row("woocommerce", "address", 403, "<html>Access denied by a security plugin</html>", NotAllowed, ("firewall", "address")),
    Row("woocommerce", "permission", 401,
        woo(WOO_AUTH, "The API key provided does not have read permissions.", 401), NotAllowed, ("Read/Write",)),
    Row("woocommerce", "throttling", 429, "slow down", Throttled, headers=(("retry-after", "7"),)),
    # Shopify: HTTP for the store and the token, `extensions.code` for the rest.
    Row("shopify", "bad credentials", 401,
        {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, AuthFailed, ("token",)),
    Row("shopify", "revoked token", 401, {"errors": "[API] Invalid API key or access token"}, AuthFailed, ("revoked",)),
    Row("shopify", "address", 403, {"errors": "[API] This action requires merchant approval for read_orders scope."},
        NotAllowed, ("scope",)),
    Row("shopify", "permission", 200, graphql("ACCESS_DENIED", "Access denied for orders field. Required: read_orders"),
        NotAllowed, ("read_orders", "scope")),
    Row("shopify", "frozen", 402, {"errors": "Unavailable Shop"}, NotAllowed, ("bill",)),
    Row("shopify", "throttling", 200, graphql("THROTTLED", "Throttled"), Throttled),
    Row("shopify", "limit", 429, {"errors": "Exceeded 2 calls per second"}, Throttled, headers=(("retry-after", "2.0"),)),
    Row("shopify", "risk control", 430, "", RiskControl, ("security", "admin")),
    # Vendure: an ErrorResult of the login, GraphQL's codes, or whatever stands before the server.
    Row("vendure", "bad credentials", 200,
        {"data": {"login": {"__typename": "InvalidCredentialsError", "errorCode": "INVALID_CREDENTIALS_ERROR", "message": "-"}}},
        AuthFailed, ("credentials",)),
    Row("vendure", "revoked token", 200, graphql("FORBIDDEN", "You are not currently authorized"), NotAllowed, ("role",)),
    Row("vendure", "address", 403, "<html>403 Forbidden</html>", NotAllowed, ("firewall",)),
    Row("vendure", "throttling", 429, "", Throttled, headers=(("retry-after", "7"),)),
    # PayPal: the names of its error model; a withdrawn token is asked for once more first.
    Row("paypal", "bad credentials", 401,
        {"error": "invalid_client", "error_description": "Client Authentication failed"}, AuthFailed, ("client_secret",)),
    Row("paypal", "revoked token", 401, paypal("AUTHENTICATION_FAILURE"), AuthFailed, ("client_secret",)),
    Row("paypal", "permission", 403, paypal("NOT_AUTHORIZED", "PERMISSION_DENIED"), NotAllowed, ("Customer Disputes",)),
    Row("paypal", "throttling", 429, paypal("RATE_LIMIT_REACHED"), Throttled),
    Row("paypal", "risk control", 422, paypal("UNPROCESSABLE_ENTITY", "PAYEE_ACCOUNT_RESTRICTED"), RiskControl,
        ("restricted",)),
    # Aliyun SMS: the gateway's codes and the service's own.
    Row("aliyun_sms", "bad credentials", 400, {"Code": "SignatureDoesNotMatch"}, AuthFailed, ("access_key_secret",)),
    Row("aliyun_sms", "revoked token", 404, {"Code": "InvalidAccessKeyId.NotFound"}, AuthFailed, ("access_key_id",)),
    Row("aliyun_sms", "clock skew", 400, {"Code": "InvalidTimeStamp.Expired"}, AuthFailed,
        ("clock is -45 minutes off", "Set this machine's clock"), off=timedelta(minutes=-45)),
    Row("aliyun_sms", "address", 200, {"Code": "isv.DENY_IP_RANGE"}, NotAllowed, ("address",)),
    Row("aliyun_sms", "permission", 403, {"Code": "Forbidden.RAM"}, NotAllowed, ("RAM user",)),
    Row("aliyun_sms", "throttling", 400, {"Code": "Throttling.User"}, Throttled),
    Row("aliyun_sms", "risk control", 200, {"Code": "isv.ACCOUNT_ABNORMAL"}, RiskControl, ("support",)),
)  # fmt: skip
REAL = ("pinduoduo", "woocommerce", "shopify", "vendure", "paypal", "aliyun_sms")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(allow=REAL)


def bench_of(registry: Registry, row: Row) -> Bench:
    """The platform's fake with its wire; every request meets the row's answer, some of it what was sent."""
    (fake,) = registry.plugin(row.name).amends_contract()
    specs: dict[str, Any] = {**registry.connectors, **registry.channels}
    changed = type(fake.__name__, (fake,), {"config": {**fake.config, **dict(row.config)}})
    bench = Bench(specs[row.name], changed)
    bench.wire.before = answering(row, bench.clock.now())
    bench.clock.advance(row.off)
    return bench


def answering(row: Row, now: datetime) -> Callable[[httpx.Request], httpx.Response]:
    """What the platform, whose clock is right, says to every request."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"date": format_datetime(now, usegmt=True), **dict(row.headers)}
        if isinstance(row.body, str):
            return httpx.Response(row.status, headers=headers, text=row.body)
        echo = request.content.decode("utf-8", "replace")  # what services do: nothing of it may come out
        return httpx.Response(row.status, headers=headers, json={**row.body, "echo": echo})

    return answer


async def attempts(bench: Bench) -> list[PlatformError]:
    """The error of each way to reach the platform: reading a list, one order, a message."""
    errors = []
    order = bench.late_order()
    ways: dict[str, Any] = {
        "changed_orders": lambda made: made.changed_orders(""),
        "order": lambda made: made.order(order.number),
        "replies": lambda made: made.replies(""),
    }
    if bench.fake.kind == "channel":
        asked = bench.fake.request("message", "", order=order, key=samples.key("k"))
        ways = {"message": lambda made: made.message(asked)}
    for name, way in ways.items():
        if bench.spec.operation(name).how == "api":
            with pytest.raises(PlatformError) as caught:
                await way(bench.connect())
            errors.append(caught.value)
    await bench.close()
    assert errors
    return errors


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_one_clear_message(registry: Registry, row: Row) -> None:
    bench = bench_of(registry, row)
    for error in asyncio.run(attempts(bench)):
        assert type(error) is row.kind, error
        told = f"{error}. {error.hint}"
        assert [word for word in row.words if word not in told] == [], told
        if row.kind in HELD:
            assert len(error.hint) > 30, "it says what to do"
            assert error.sure_not_done and not error.retryable
        else:
            assert error.retryable
        if "retry-after" in dict(row.headers):
            assert error.retry_after == float(dict(row.headers)["retry-after"])
        shown = f"{error!r} {told} {error.context}"
        hidden = [*secrets_of(bench.config), *personal()]
        assert [value for value in hidden if value in shown] == []
        assert "\n" not in told and len(told) < 600


def personal() -> Iterator[str]:
    yield from (
        samples.PERSONAL.name,
        samples.PERSONAL.phone,
        samples.PERSONAL.email,
        samples.PERSONAL.address,
    )


def test_every_platform_is_asked_for_each_situation() -> None:
    """What a platform has no answer of its own for is named here, so that a gap is seen."""
    wanted = {"bad credentials", "revoked token", "clock skew", "address", "throttling", "risk control"}
    missing = {(name, what) for name in REAL for what in wanted} - {
        (row.name, row.situation) for row in TABLE
    }
    assert missing == {
        # No timestamp is signed.
        ("shopify", "clock skew"), ("vendure", "clock skew"), ("paypal", "clock skew"),
        # No list of addresses.
        ("paypal", "address"),
        # Servers of one's own have no risk control.
        ("woocommerce", "risk control"), ("vendure", "risk control"),
    }  # fmt: skip
