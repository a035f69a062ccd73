"""Every request is one that PayPal's own OpenAPI description allows, and so is every answer of our fake."""

import json
import re
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest

from amends import File, Grant, Message, Money, Remedy, RemedyKind, Tracking

# Reference data kept beside the project, not part of it.
DESCRIPTION = Path(__file__).resolve().parents[4] / "shared" / "specs" / "paypal_customer_disputes_v1.json"
FILE = File(name="proof.pdf", media_type="application/pdf", content=b"%PDF-1.7", sha256="0" * 64)


class Described:
    """PayPal's description, as checks of single requests and answers."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def errors(self, value: Any, schema: dict[str, Any]) -> Iterator[str]:
        from jsonschema import Draft202012Validator

        whole = schema | {"components": self.spec["components"]}
        for error in Draft202012Validator(whole).iter_errors(value):
            yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"

    def operation(self, request: httpx.Request) -> dict[str, Any]:
        for path, methods in self.spec["paths"].items():
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
            if re.fullmatch(pattern, request.url.path) and request.method.lower() in methods:
                found: dict[str, Any] = methods[request.method.lower()]
                return found
        raise AssertionError(f"PayPal has no {request.method} {request.url.path}")

    def of_query(self, request: httpx.Request, operation: dict[str, Any]) -> Iterator[str]:
        named = [
            self.spec["components"]["parameters"][p["$ref"].rpartition("/")[2]]
            for p in operation["parameters"]
        ]
        query = {p["name"]: p["schema"] for p in named if p["in"] == "query"}
        for name, text in request.url.params.multi_items():
            if name not in query:
                yield f"{name} is not a parameter"
                continue
            value = int(text) if query[name]["type"] == "integer" else text
            yield from self.errors(value, query[name])
        number = next((p for p in named if p["in"] == "path"), None)
        if number is not None:
            yield from self.errors(request.url.path.split("/")[4], number["schema"])

    def of_body(self, request: httpx.Request, operation: dict[str, Any]) -> Iterator[str]:
        kind = request.headers.get("content-type", "").partition(";")[0]
        described = operation.get("requestBody", {}).get("content")
        if request.method == "GET":
            return
        if described is not None and kind not in described:
            yield f"{kind} is none of {', '.join(described)}"
        elif kind == "application/json":
            yield from self.errors(json.loads(request.content), described[kind]["schema"])
        else:
            yield from self.of_parts(request, described)

    def of_parts(self, request: httpx.Request, described: dict[str, Any] | None) -> Iterator[str]:
        head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
        parts = message_from_bytes(head + request.content).get_payload()
        names = [part.get_param("name", header="content-disposition") for part in parts]  # type: ignore[union-attr]  # multipart
        known = (
            described["multipart/form-data"]["schema"]["properties"] if described else {"evidence-file": {}}
        )
        if set(names) - {"input"} - set(known):
            yield f"parts {names}, PayPal names {list(known)}"
        # The description leaves the JSON part out; its types of evidence are there all the same.
        told = json.loads(parts[0].get_payload(decode=True))  # type: ignore[index, union-attr, arg-type]  # as above
        for one in told.get("evidences", ()):
            yield from self.errors(one, {"$ref": "#/components/schemas/evidence"})


@pytest.fixture(scope="session")
def described() -> Described:
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    if not DESCRIPTION.exists():
        pytest.skip(f"PayPal's description is not there: {DESCRIPTION}")
    return Described(json.loads(DESCRIPTION.read_text(encoding="utf-8")))


@pytest.fixture
async def exchanged(account: Any) -> list[tuple[httpx.Request, httpx.Response]]:
    """Every kind of request that the desk makes, with the fake's answer."""
    pairs: list[tuple[httpx.Request, httpx.Response]] = []

    def note(request: httpx.Request) -> httpx.Response:
        response: httpx.Response = account.fake.handle(request)
        pairs.append((request, response))
        return response

    account.answer = note
    desk = account.desk()
    tracking = Tracking(carrier="Sample Express", number="SE0000000017")
    more = {"files": (FILE, FILE), "tracking": tracking, "refunds": ("3BC38643YC807283D",)}
    await desk.respond(account.filing(dispute=account.open(), **more))
    await desk.arbitrate(account.filing("arbitrate", dispute=account.open("arbitrate"), files=(FILE,)))
    supported = account.open("respond")
    account.fake.allow(account.fake.disputes[supported], "provide-supporting-info")
    await desk.respond(account.filing(dispute=supported, files=(FILE,)))
    inquiry = account.open("complain", "1002")
    await desk.respond(account.filing(dispute=inquiry, order="1002", files=(FILE,)))
    await desk.message(Message(key="k2", order="1002", text="It leaves tomorrow."))
    for kind in (RemedyKind.REFUND, RemedyKind.REPLACEMENT):
        remedy = Remedy(kind=kind, amount=Money.of("5", "EUR"), name="SKU-0001")
        await desk.grant(Grant(key=f"k-{kind}", order="1002", remedy=remedy))
    await desk.complain(account.filing("complain", dispute=inquiry, order="1002", files=(FILE,)))
    account.fake.rulings[inquiry] = (await desk.ruling("1002", "")) or _ruling(account)
    assert await desk.ruling("1002", inquiry)
    for n in range(12):
        account.open("complain", str(2000 + n))
    page = await desk.disputes("")
    while page.more:
        page = await desk.disputes(page.cursor)
    return [pair for pair in pairs if "/disputes" in pair[0].url.path]


def _ruling(account: Any) -> Any:
    from amends import Ruling

    return Ruling(verdict="for-us", at=account.clock.now())


def test_every_request_is_described(
    exchanged: list[tuple[httpx.Request, httpx.Response]], described: Described
) -> None:
    seen = set()
    for request, _ in exchanged:
        operation = described.operation(request)
        seen.add(operation["operationId"])
        found = [*described.of_query(request, operation), *described.of_body(request, operation)]
        assert (operation["operationId"], found) == (operation["operationId"], [])
    writes = (
        "provide-evidence",
        "provide-supporting-info",
        "appeal",
        "send-message",
        "make-offer",
        "escalate",
    )
    assert seen == {f"disputes.{name}" for name in ("list", "get", *writes)}


def test_every_answer_of_the_fake_is_described(
    exchanged: list[tuple[httpx.Request, httpx.Response]], described: Described
) -> None:
    for request, response in exchanged:
        operation = described.operation(request)
        schema = operation["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
        found = list(described.errors(json.loads(response.content), schema))
        assert (operation["operationId"], found) == (operation["operationId"], [])


def test_what_we_read_is_what_is_described(described: Described) -> None:
    """Each of our fields of a dispute is one of PayPal's, by the same name."""
    from amends_paypal.wire import Dispute, Listed, OfferEvent, Transaction

    schemas = described.spec["components"]["schemas"]
    ours = {
        "dispute": Dispute,
        "dispute_search": Listed,
        "transaction_info": Transaction,
        "offer_history": OfferEvent,
    }
    for name, model in ours.items():
        assert set(model.model_fields) <= set(schemas[name]["properties"]), name


def test_every_outcome_and_carrier_is_known(described: Described) -> None:
    from amends_paypal.desk import _VERDICTS
    from amends_paypal.evidence import _CARRIERS

    schemas = described.spec["components"]["schemas"]
    assert set(_VERDICTS) == set(schemas["dispute_outcome"]["properties"]["outcome_code"]["enum"])
    assert set(_CARRIERS.values()) <= set(schemas["tracking_info"]["properties"]["carrier_name"]["enum"])
