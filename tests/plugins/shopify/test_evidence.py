"""Answers to Shopify Payments disputes, their webhooks, and what the connector says it cannot do."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from amends import BadAnswer, File, Filing, Message, NotFound, Rejected, Unsupported
from amends_shopify import SPEC


def file(name: str, *, media_type: str = "application/pdf", size: int = 10) -> File:
    return File(name=name, media_type=media_type, content=b"x" * size, sha256="0" * 64)


def filing(store: Any, *files: File, key: str = "k1") -> Filing:
    dispute = store.fake.prepare("respond", store.late())
    return Filing(
        op="respond",
        key=key,
        order="#1001",
        instance="response",
        text="Sent on Monday.",
        dispute=dispute,
        files=files,
    )


async def test_files_go_where_their_names_say(store: Any) -> None:
    answer = filing(
        store, file("offer and reply.pdf"), file("order.png", media_type="image/png"), file("tracking.pdf")
    )
    await store.connector().respond(answer)
    form = store.variables("UpdateEvidence")["input"]
    kinds = {
        slot: store.fake.uploads[int(form[slot]["id"].rpartition("/")[2])]["filename"]
        for slot in form
        if "File" in slot
    }
    assert kinds == {
        "customerCommunicationFile": "offer and reply.pdf",
        "serviceDocumentationFile": "order.png",
        "shippingDocumentationFile": "tracking.pdf",
    }
    assert form["submitEvidence"] is True


@pytest.mark.parametrize(
    "files",
    [
        [file(f"{n}.pdf") for n in range(5)],
        [file("a.csv", media_type="text/csv")],
        [file("a.pdf", size=2_100_000 + 1)],
        [file("a.pdf", size=2_000_000), file("b.pdf", size=2_000_001)],
    ],
    ids=["five", "csv", "large", "large together"],
)
async def test_a_file_is_refused_rather_than_left_out(store: Any, files: list[File]) -> None:
    with pytest.raises(Rejected):
        await store.connector().respond(filing(store, *files))
    assert store.sent == []


async def test_nothing_is_filed_after_the_due_date(store: Any) -> None:
    answer = filing(store)
    store.clock.advance(timedelta(days=1))
    with pytest.raises(Rejected, match="takes no evidence any more"):
        await store.connector().respond(answer)
    assert "UpdateEvidence" not in store.operations()


async def test_what_a_person_submitted_is_not_overwritten(store: Any) -> None:
    answer = filing(store)
    await store.connector().respond(answer)
    assert await store.connector().respond(answer) == await store.connector().find(answer)
    with pytest.raises(Rejected, match="not by us"):
        await store.connector().respond(answer.model_copy(update={"key": "k2"}))


async def test_another_providers_dispute_is_not_here(store: Any) -> None:
    with pytest.raises(NotFound):
        await store.connector().respond(
            filing(store).model_copy(update={"dispute": "gid://shopify/ShopifyPaymentsDispute/1"})
        )
    with pytest.raises(Rejected, match="no open dispute"):
        await store.connector().respond(filing(store).model_copy(update={"dispute": ""}))


async def test_an_app_that_may_not_upload_says_which_scope_is_missing(store: Any) -> None:
    answer = filing(store, file("tracking.pdf"))
    store.answer = lambda request: httpx.Response(404) if "dispute_file_uploads" in request.url.path else None
    with pytest.raises(Rejected) as caught:
        await store.connector().respond(answer)
    assert "write_shopify_payments_dispute_file_uploads" in caught.value.hint


def events(store: Any, topic: str, told: Any, **headers: str) -> Any:
    body = json.dumps(told).encode()
    signed = dict(store.fake.sign(body, store.clock.now())) | {"X-Shopify-Topic": topic} | headers
    return store.connector().verify_webhook(signed, body)


def test_webhooks_name_their_order(store: Any) -> None:
    assert [e.order for e in events(store, "orders/paid", {"name": "#1001"})] == ["#1001"]
    assert [e.order for e in events(store, "fulfillments/update", {"name": "#1001.2", "order_id": 5})] == [
        "#1001"
    ]
    assert events(store, "refunds/create", {"order_id": 5}) == ()
    assert events(store, "products/update", {"name": "Teapot"}) == ()


def test_webhooks_of_others_are_refused(store: Any) -> None:
    with pytest.raises(Rejected, match="another store"):
        events(store, "orders/paid", {"name": "#1"}, **{"X-Shopify-Shop-Domain": "other.myshopify.com"})
    with pytest.raises(Rejected, match="too old"):
        events(store, "orders/paid", {"name": "#1"}, **{"X-Shopify-Triggered-At": "2026-08-18T09:00:00Z"})
    with pytest.raises(BadAnswer, match="Webhook-Id"):
        events(store, "orders/paid", {"name": "#1"}, **{"X-Shopify-Webhook-Id": ""})


async def test_messages_are_left_to_channels(store: Any) -> None:
    assert SPEC.operation("message").how == "unsupported"
    with pytest.raises(Unsupported):
        await store.connector().message(Message(key="k", order="#1001", text="Sorry."))
