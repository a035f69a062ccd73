"""Every documented error code becomes the error that tells who can help, with a message and what to do."""

from __future__ import annotations

import pickle
from datetime import timedelta

import httpx
import pytest
from tests.plugins.pinduoduo.conftest import Opened

from amends import (
    AuthFailed,
    BadAnswer,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.clock import FixedClock
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import SECRET, TOKEN, FakeRouter, order_row
from amends_pinduoduo.faults import FAULTS, error_from

TABLE: dict[type[PlatformError], tuple[int, ...]] = {
    Rejected: (10000, 10001, 21001, 21002, 10017, 10018, 52004),
    AuthFailed: (10016, 10019, 20004, 20032),
    NotAllowed: (20005, 20031, 20034, 20035, 30000, 30001, 70032),
    Unavailable: (50000, 50002, 52001, 52002, 70033),
    Throttled: (52101, 52102, 52103, 70031),
    RiskControl: (70034, 70035, 70036),
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in TABLE.items() for code in codes])
async def test_codes(shop: Pinduoduo, router: FakeRouter, kind: type[PlatformError], code: int) -> None:
    router.fail = lambda method: code
    with pytest.raises(PlatformError) as caught:
        await shop.order("P-1")
    assert type(caught.value) is kind
    assert str(code) in caught.value.message
    assert "15440104776643887" in caught.value.message, "the platform's support asks for the request id"
    assert caught.value.context["error_code"] == code
    assert kind in (Unavailable, Throttled) or caught.value.hint


def test_no_documented_code_is_left_out() -> None:
    assert set(FAULTS) == {code for codes in TABLE.values() for code in codes}


@pytest.mark.parametrize(
    ("kind", "sub_code", "text"),
    [
        (NotFound, "ISV_TRACK_ERROR", "该运单暂无轨迹"),
        (NotFound, "", "订单不存在"),
        (Rejected, None, "时间跨度不能超过30分钟"),
        (Rejected, "40017", "该订单不支持此操作"),
        (Throttled, "", "操作过于频繁"),
        (Unavailable, "", "系统繁忙，请稍后再试"),
        (AuthFailed, "10019", "access_token已过期"),
        (AuthFailed, "", "店铺授权失效"),
        (Unavailable, None, ""),
    ],
)
def test_business_errors_by_what_the_service_says(
    kind: type[PlatformError], sub_code: str | None, text: str
) -> None:
    said = {"error_code": 50001, "error_msg": "业务服务错误", "sub_code": sub_code, "sub_msg": text}
    assert type(error_from(said, method="pdd.some.method")) is kind


@pytest.mark.parametrize(("kind", "code"), [(Rejected, 39999), (Unavailable, 52999), (Unavailable, None)])
def test_unknown_codes(kind: type[PlatformError], code: int | None) -> None:
    assert type(error_from({"error_code": code}, method="pdd.some.method")) is kind


def test_errors_survive_pickling_with_what_they_know() -> None:
    error = pickle.loads(pickle.dumps(error_from({"error_code": 70033}, method="m")))  # noqa: S301  # our own
    assert (error.retry_after, error.context["error_code"]) == (1800.0, 70033)


async def test_secrets_that_the_platform_repeats_are_hidden(shop: Pinduoduo, router: FakeRouter) -> None:
    said = {"error_response": {"error_code": 10001, "error_msg": f"bad {SECRET} {TOKEN}"}}

    async def repeat(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=said)

    shop._router._http.client = httpx.AsyncClient(transport=httpx.MockTransport(repeat))
    with pytest.raises(Rejected) as caught:
        await shop.order("P-1")
    shown = f"{caught.value!r} {caught.value.hint} {caught.value.context} {shop._config!r}"
    assert SECRET not in shown
    assert TOKEN not in shown
    assert "***" in caught.value.message


@pytest.mark.parametrize("minutes", [-14, 11, 4000])
async def test_a_wrong_clock_is_named(opened: Opened, clock: FixedClock, minutes: int) -> None:
    ours = FixedClock(clock.now() + timedelta(minutes=minutes))
    with pytest.raises(AuthFailed, match=rf"clock is \{minutes:+d} minutes off") as caught:
        await opened(clock=ours).order("P-1")
    assert "NTP" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthFailed),
        (403, NotAllowed),
        (404, NotFound),
        (400, Rejected),
        (302, Rejected),
        (502, Unavailable),
    ],
)
async def test_a_gateway_in_between(opened: Opened, status: int, kind: type[PlatformError]) -> None:
    shop = opened(transport=httpx.MockTransport(lambda request: httpx.Response(status, text="<html>")))
    with pytest.raises(PlatformError) as caught:
        await shop.order("P-1")
    assert type(caught.value) is kind


async def test_throttled_by_a_gateway_says_how_long(opened: Opened) -> None:
    answer = httpx.Response(429, headers={"retry-after": "7"})
    with pytest.raises(Throttled) as caught:
        await opened(transport=httpx.MockTransport(lambda request: answer)).order("P-1")
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"order_info_get_response": {"order_in'])
async def test_unreadable_answers(opened: Opened, body: bytes) -> None:
    answer = httpx.Response(200, content=body)
    with pytest.raises(BadAnswer):
        await opened(transport=httpx.MockTransport(lambda request: answer)).order("P-1")


@pytest.mark.parametrize(
    ("broken", "kind"),
    [(httpx.ConnectError, Unreachable), (httpx.ReadTimeout, TimedOut), (httpx.RemoteProtocolError, TimedOut)],
)
async def test_broken_connections(
    opened: Opened, broken: type[httpx.TransportError], kind: type[PlatformError]
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise broken("made to fail", request=request)

    with pytest.raises(kind):
        await opened(transport=httpx.MockTransport(fail)).order("P-1")


async def test_a_refusal_inside_a_normal_answer(shop: Pinduoduo, router: FakeRouter) -> None:
    body = {"response": {"success": False, "error_code": 50001, "error_msg": "备注不能为空"}}
    shop._router._http.client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body))
    )
    with pytest.raises(Rejected, match="备注不能为空"):
        await shop._router.call("pdd.order.note.update", "response", order_sn="P-1")


async def test_the_pace_keeps_the_limit(shop: Pinduoduo, router: FakeRouter) -> None:
    """The refund detail's hundred calls in ten seconds: a burst passes, then calls wait their turn."""
    from asyncio import gather, get_running_loop

    from amends_pinduoduo.router import Pace

    pace = Pace({"slow": 100.0})
    began = get_running_loop().time()
    await gather(*(pace.take("slow") for _ in range(20)))
    assert get_running_loop().time() - began >= 0.1
    router.orders["P-1"] = order_row("P-1", router.now())
    await shop.order("P-1")
