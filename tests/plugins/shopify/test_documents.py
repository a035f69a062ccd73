"""What the connector sends is what Shopify's own introspection allows, and so is what our fake answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from amends import Extension, File, Filing, Grant, Money, Note, Remedy, RemedyKind
from amends_shopify.documents import API_VERSION, DOCUMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_valid(name: str, schema: Any) -> None:
    from graphql import parse, validate

    assert [error.message for error in validate(schema, parse(DOCUMENTS[name]))] == []


def test_no_document_uses_what_is_deprecated(schema: Any) -> None:
    from graphql import NoDeprecatedCustomRule, parse, validate

    found = {
        name: validate(schema, parse(text), [NoDeprecatedCustomRule]) for name, text in DOCUMENTS.items()
    }
    assert {name: [error.message for error in errors] for name, errors in found.items() if errors} == {}


def test_the_version_is_the_one_that_is_checked() -> None:
    assert API_VERSION == "2026-07"


@pytest.fixture
async def exchanged(store: Any) -> AsyncIterator[list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Every kind of request that the connector makes, with the fake's answer."""
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def note(request: httpx.Request) -> httpx.Response:
        response: httpx.Response = store.fake.handle(request)
        body = json.loads(request.content)
        if "query" in body:
            pairs.append((body, json.loads(response.content)))
        return response

    store.answer = note
    order = store.late()
    shop = store.connector(gift_card_valid="365d", store_credit_valid="365d")
    await shop.changed_orders("")
    await shop.tracking(order)
    extension = Extension(key="k-extend", order=order.number, until=store.clock.now())
    await shop.extend(extension)
    await shop.find(extension)
    await shop.note(Note(key="k-note", order=order.number, round=1, about="offer", text="offer 1"))
    for kind in (RemedyKind.COUPON, RemedyKind.STORE_CREDIT, RemedyKind.GIFT, RemedyKind.REFUND):
        remedy = Remedy(
            kind=kind, amount=Money.of("5", "EUR"), name="card" if kind is RemedyKind.GIFT else ""
        )
        grant = Grant(key=f"k-{kind}", order=order.number, remedy=remedy)
        await shop.grant(grant)
        if kind is not RemedyKind.STORE_CREDIT:
            assert await shop.find(grant)
    file = File(name="tracking.pdf", media_type="application/pdf", content=b"%PDF-1.7", sha256="0" * 64)
    dispute = store.fake.prepare("respond", order)
    filing = Filing(
        op="respond",
        key="k-file",
        order=order.number,
        instance="response",
        text="Sent late.",
        dispute=dispute,
        files=(file,),
    )
    await shop.respond(filing)
    yield pairs
    await shop.aclose()


def test_the_variables_fit(exchanged: list[tuple[dict[str, Any], dict[str, Any]]], schema: Any) -> None:
    """Coerced by the schema's own rules: no unknown key, no wrong enum, nothing required left out."""
    from graphql import get_variable_values, parse

    names = {body["operationName"] for body, _ in exchanged}
    assert names == set(DOCUMENTS) - {"MoreFulfillmentOrders"}
    for body, _ in exchanged:
        definitions = parse(body["query"]).definitions[0].variable_definitions  # type: ignore[union-attr]  # an operation
        values = get_variable_values(schema, definitions, body["variables"])
        assert not isinstance(values, list), (body["operationName"], values)


def test_the_fakes_answers_are_shopifys(
    exchanged: list[tuple[dict[str, Any], dict[str, Any]]], schema: Any
) -> None:
    """Executed over the fake's answer, the document gives just that answer: names, enums, nulls, lists."""
    from graphql import execute_sync, parse

    for body, answer in exchanged:
        done = execute_sync(schema, parse(body["query"]), answer["data"], variable_values=body["variables"])
        assert done.errors is None, (body["operationName"], done.errors)
        assert done.data == answer["data"], body["operationName"]
