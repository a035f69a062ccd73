"""Signing in at PayPal, what becomes of errors, and webhooks."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from amends import (
    AuthFailed,
    BadAnswer,
    NotAllowed,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    Unavailable,
    Unreachable,
)


def sign_ins(account: Any) -> int:
    return sum("oauth2" in request.url.path for request in account.sent)


async def test_a_token_is_kept_until_it_is_old(account: Any) -> None:
    desk, dispute = account.desk(), account.open()
    await asyncio.gather(*(desk.ruling("1001", dispute) for _ in range(5)))
    assert sign_ins(account) == 1
    account.clock.advance(timedelta(hours=9))
    await desk.ruling("1001", dispute)
    assert sign_ins(account) == 2


async def test_a_withdrawn_token_is_asked_for_once_more(account: Any) -> None:
    desk, dispute = account.desk(), account.open()
    await desk.ruling("1001", dispute)
    refused = iter([httpx.Response(401, json={"error": "invalid_token"})])
    account.answer = lambda request: next(refused, None)
    await desk.ruling("1001", dispute)
    assert sign_ins(account) == 2


async def test_wrong_credentials_are_one_clear_error(account: Any) -> None:
    with pytest.raises(AuthFailed, match="invalid_client") as caught:
        await account.desk(client_secret="wrong-secret-0017").ruling("1001", "PP-D-1")
    assert "sandbox" in caught.value.hint
    assert "wrong-secret" not in f"{caught.value!r} {caught.value.context}"


@pytest.mark.parametrize(
    ("status", "issue", "kind"),
    [
        (403, "PERMISSION_DENIED", NotAllowed),
        (403, "", NotAllowed),
        (409, "", Unavailable),
        (422, "INVALID_OFFER_AMOUNT", Rejected),
        (422, "PAYEE_ACCOUNT_RESTRICTED", RiskControl),
        (429, "", Throttled),
        (500, "", Unavailable),
    ],
)
async def test_errors(account: Any, status: int, issue: str, kind: type[PlatformError]) -> None:
    desk, dispute = account.desk(), account.open()
    await desk.ruling("1001", dispute)
    said = {
        "name": "SOME_ERROR",
        "message": "private",
        "debug_id": "90957fca61718",
        "details": [{"issue": issue}],
    }
    account.answer = lambda request: httpx.Response(status, json=said)
    with pytest.raises(kind) as caught:
        await desk.ruling("1001", dispute)
    assert type(caught.value) is kind
    assert "90957fca61718" in str(caught.value)
    assert "private" not in str(caught.value)


async def test_a_missing_field_is_named(account: Any) -> None:
    dispute = account.open()
    del account.fake.disputes[dispute]["status"]
    with pytest.raises(BadAnswer, match="status is missing"):
        await account.desk().ruling("1001", dispute)


def webhook(account: Any, **resource: Any) -> tuple[dict[str, str], bytes]:
    told = json.loads(account.fake.webhook(account.order()))
    told["resource"] = told["resource"] | resource
    body = json.dumps(told, indent=2).encode()
    return dict(account.fake.sign(body, account.clock.now())), body


async def test_paypal_is_asked_whether_a_webhook_is_its_own(account: Any) -> None:
    """Called where a loop runs, and in a thread beside it."""
    headers, body = webhook(account)
    (event,) = account.desk().verify_webhook(headers, body)
    assert (event.event, event.order) == ("WH-1001", "1001")
    assert await asyncio.to_thread(account.desk().verify_webhook, headers, body) == (event,)
    asked = json.loads(account.sent[1].content)
    about = {"auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time"}
    assert set(asked) == about | {"webhook_id", "webhook_event"}


def test_a_webhook_that_tells_too_little_is_completed(account: Any) -> None:
    dispute = account.open()
    headers, body = webhook(account, dispute_id=dispute, disputed_transactions=[])
    assert [event.order for event in account.desk().verify_webhook(headers, body)] == ["1001"]


def test_webhooks_of_other_things_bring_nothing(account: Any) -> None:
    body = json.dumps({"id": "WH-2", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {}}).encode()
    assert account.desk().verify_webhook(account.fake.sign(body, account.clock.now()), body) == ()


def test_forged_webhooks_are_refused(account: Any) -> None:
    headers, body = webhook(account)
    with pytest.raises(Rejected, match="did not send"):
        account.desk().verify_webhook(headers, body.replace(b"1001", b"1002"))
    with pytest.raises(Rejected, match="certificate"):
        away = {"PAYPAL-CERT-URL": "https://paypal.com.example.invalid/cert"}
        account.desk().verify_webhook(headers | away, body)
    with pytest.raises(Rejected, match="webhook_id"):
        account.desk(webhook_id="").verify_webhook(headers, body)


def test_a_webhook_that_cannot_be_checked_now_is_neither_true_nor_false(account: Any) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("made to fail", request=request)

    account.answer = gone
    with pytest.raises(Unreachable):
        account.desk().verify_webhook(*webhook(account))
