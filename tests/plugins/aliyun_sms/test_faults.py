"""Aliyun's codes become our errors, each with what to do."""

from __future__ import annotations

import httpx
import pytest
from tests.plugins.aliyun_sms.conftest import Account, message

from amends import (
    AuthFailed,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    Unavailable,
)
from amends_aliyun_sms.fake import PHONE


async def failed(account: Account) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        await account.channel().message(message())
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        (404, "InvalidAccessKeyId.NotFound", AuthFailed, "access_key_id"),
        (400, "SignatureDoesNotMatch", AuthFailed, "access_key_secret"),
        (400, "InvalidTimeStamp.Expired", AuthFailed, "clock"),
        (403, "Forbidden.RAM", NotAllowed, "dysms:SendSms"),
        (200, "isp.RAM_PERMISSION_DENY", NotAllowed, "dysms:SendSms"),
        (200, "isv.DENY_IP_RANGE", NotAllowed, "address"),
        (200, "isv.AMOUNT_NOT_ENOUGH", NotAllowed, "Top up"),
        (200, "isv.OUT_OF_SERVICE", NotAllowed, "Top up"),
        (200, "isv.PRODUCT_UN_SUBSCRIPT", NotAllowed, "Open"),
        (200, "isv.ACCOUNT_ABNORMAL", RiskControl, "support"),
        (200, "isv.SMS_TEMPLATE_ILLEGAL", Rejected, "approved"),
        (200, "isv.MOBILE_NUMBER_ILLEGAL", Rejected, ""),
        (200, "isv.SOMETHING_OF_TOMORROW", Rejected, ""),
        (400, "MissingSignName", Rejected, ""),
        (400, "Throttling.User", Throttled, ""),
        (200, "isp.SYSTEM_ERROR", Unavailable, ""),
        (200, "isp.SOMETHING_OF_TOMORROW", Unavailable, ""),
        (503, "ServiceUnavailable", Unavailable, ""),
        (500, "SomethingElse", Unavailable, ""),
        (400, "SignatureNonceUsed", Unavailable, ""),
        (404, "InvalidAction.NotFound", NotFound, ""),
    ],
)
async def test_codes(account: Account, status: int, code: str, kind: type[PlatformError], told: str) -> None:
    account.say(status, code, f"something about {PHONE}")
    error = await failed(account)
    assert type(error) is kind and told in error.hint
    assert PHONE not in f"{error!r}{error.hint}{error.context}"


@pytest.mark.parametrize(
    ("message", "kind", "wait"),
    [
        ("触发分钟级流控Permits:1", Throttled, 60.0),
        ("触发小时级流控Permits:5", Throttled, 3600.0),
        # Tomorrow is too late for a late order: the next channel is tried.
        ("触发天级流控Permits:10", Rejected, None),
        ("", Rejected, None),
    ],
)
async def test_a_limit_per_number_waits_or_goes_to_the_next_channel(
    account: Account, message: str, kind: type[PlatformError], wait: float | None
) -> None:
    account.say(200, "isv.BUSINESS_LIMIT_CONTROL", message)
    error = await failed(account)
    assert (type(error), error.retry_after) == (kind, wait)


async def test_a_code_that_is_no_code_is_not_repeated(account: Account) -> None:
    account.say(400, f"no code: {PHONE}")
    error = await failed(account)
    assert type(error) is Rejected and PHONE not in str(error)


async def test_a_gateway_that_knows_http_only(account: Account) -> None:
    account.answer = lambda request: httpx.Response(429, headers={"Retry-After": "7"}, text="slow down")
    error = await failed(account)
    assert isinstance(error, Throttled) and error.retry_after == 7
