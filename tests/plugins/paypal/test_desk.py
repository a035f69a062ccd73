"""Disputes at PayPal: found by order, answered in time, only as PayPal allows, and read to their end."""

import json
from datetime import timedelta
from typing import Any

import pytest

from amends import (
    AfterSales,
    File,
    Grant,
    InputError,
    Message,
    Money,
    NotFound,
    Rejected,
    Remedy,
    RemedyKind,
    Ruling,
    Tracking,
    Unsupported,
)
from amends_paypal.fake import text


def file(name: str = "proof.pdf", *, media_type: str = "application/pdf", size: int = 8) -> File:
    return File(name=name, media_type=media_type, content=b"x" * size, sha256="0" * 64)


def told(account: Any) -> Any:
    """The JSON part of the last form that was sent."""
    return json.loads(account.fake.forms[-1].partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0])


async def test_disputes_are_listed_with_their_orders(account: Any) -> None:
    for n in range(7):
        account.open("respond", str(1001 + n))
    account.open("respond", "1099", disputed_transactions=[{"invoice_number": "OTHER-SHOP-5"}])
    desk, found, page = account.desk(order_prefix="#"), [], None
    while page is None or page.more:
        page = await desk.disputes(page.cursor if page else "")
        found += page.disputes
    assert sorted(one.order for one in found) == ["", *(f"#{1001 + n}" for n in range(7))]
    assert {one.due for one in found} == {account.clock.now() + timedelta(days=5)}
    account.clock.advance(timedelta(hours=2))
    assert (await desk.disputes(page.cursor)).disputes == ()


async def test_a_new_dispute_between_pages_hides_none(account: Any) -> None:
    """PayPal lists the newest first, so a new one pushes others on to the next page."""
    for n in range(9):
        account.open("respond", str(1001 + n))
    first = await account.desk().disputes("")
    account.open("respond", "1050")
    second = await account.desk().disputes(first.cursor)
    seen = {one.order for page in (first, second) for one in page.disputes}
    assert seen >= {str(1001 + n) for n in range(9)}
    third = await account.desk().disputes(second.cursor)
    assert third.more is False
    account.fake.disputes["PP-D-27809"]["update_time"] = text(account.clock.now())
    assert "1050" in {one.order for one in (await account.desk().disputes(third.cursor)).disputes}


async def test_an_order_of_another_platform_is_shown_as_disputed(account: Any) -> None:
    dispute = account.open()
    order = await account.desk().with_dispute(account.order())
    assert (order.after_sales, order.dispute) == (AfterSales.DISPUTED, dispute)
    assert order.after_sales_due == account.clock.now() + timedelta(days=5)
    assert await account.desk().with_dispute(account.order("1002")) == account.order("1002")


async def test_a_disputes_order_is_looked_up_once(account: Any) -> None:
    for n in range(4):
        account.open("respond", str(1001 + n))
    desk = account.desk()
    await desk.with_dispute(account.order("1001"))
    account.sent.clear()
    await desk.with_dispute(account.order("1003"))
    assert len(account.asked()) == 2


async def test_evidence_is_what_paypal_asks_for(account: Any) -> None:
    files = (file("Scan 1 (front).PDF"), file("价格.png", media_type="image/png"))
    tracking = Tracking(carrier="DHL", number="00340434161094")
    await account.desk().respond(account.filing(files=files, tracking=tracking))
    proof, papers = told(account)["evidences"]
    assert proof["evidence_type"] == "PROOF_OF_FULFILLMENT"
    assert proof["evidence_info"]["tracking_info"] == [
        {"carrier_name": "DHL", "tracking_number": "00340434161094"}
    ]
    assert papers["evidence_type"] == "ADDITIONAL_PROOF_OF_SHIPMENT"
    assert papers["documents"] == [{"name": "Scan 1 -front.PDF"}, {"name": "file-2.png"}]
    assert proof["notes"].startswith("Sent on Monday.")


@pytest.fixture(autouse=True)
def _dispute(account: Any, request: pytest.FixtureRequest) -> None:
    if "evidence" in request.node.name:
        account.open()


async def test_evidence_after_the_due_date_is_not_sent(account: Any) -> None:
    account.clock.advance(timedelta(days=6))
    with pytest.raises(Rejected, match="had to be answered by 2026-08-25"):
        await account.desk().respond(account.filing())
    assert account.fake.forms == []


@pytest.mark.parametrize(
    ("op", "allowed", "what"),
    [
        ("complain", ("send-message",), "escalate"),
        ("arbitrate", (), "appeal"),
        ("respond", ("accept-claim",), "answer"),
    ],
)
async def test_nothing_is_sent_without_paypals_link(
    account: Any, op: str, allowed: tuple[str, ...], what: str
) -> None:
    dispute = account.open(op)
    account.fake.allow(account.fake.disputes[dispute], *allowed)
    with pytest.raises(Rejected, match=f"does not allow to {what} now"):
        await getattr(account.desk(), op)(account.filing(op, dispute=dispute))
    assert not [path for path in account.asked() if path.startswith("POST")]


async def test_a_link_elsewhere_is_never_followed(account: Any) -> None:
    """The token goes to PayPal's own address, whatever the links of an answer say."""
    dispute = account.open("complain")
    for link in account.fake.disputes[dispute]["links"]:
        link["href"] = link["href"].replace("api-m.paypal.com", "elsewhere.example.invalid")
    await account.desk().complain(account.filing("complain", dispute=dispute))
    assert {request.url.host for request in account.sent} == {"api-m.paypal.com"}


async def test_the_sandbox_has_an_address_of_its_own(account: Any) -> None:
    account.open()
    await account.desk(sandbox=True).with_dispute(account.order())
    assert {request.url.host for request in account.sent} == {"api-m.sandbox.paypal.com"}


async def test_an_inquiry_is_answered_by_a_message(account: Any) -> None:
    dispute = account.open("complain")
    receipt = await account.desk().respond(account.filing(dispute=dispute, files=(file(),)))
    assert (receipt.ref, account.asked()[-1]) == (dispute, f"POST /{dispute}/send-message")
    assert b'name="message_document"' in account.fake.forms[-1]


@pytest.mark.parametrize(
    "files",
    [
        (file(media_type="text/csv"),),
        (file(size=10_000_001),),
        tuple(file(f"{n}.pdf", size=9_000_000) for n in range(6)),
    ],
    ids=["csv", "large", "large together"],
)
async def test_evidence_is_refused_rather_than_left_out(account: Any, files: tuple[File, ...]) -> None:
    with pytest.raises(Rejected):
        await account.desk().respond(account.filing(files=files))


async def test_evidence_is_refused_rather_than_cut(account: Any) -> None:
    await account.desk().respond(account.filing(text="x" * 1990))
    account.open()
    with pytest.raises(Rejected, match="takes 1991"):
        await account.desk().respond(account.filing(text="x" * 1992))


async def test_an_escalation_names_the_files_that_it_cannot_carry(account: Any) -> None:
    await account.desk().complain(
        account.filing("complain", dispute=account.open("complain"), files=(file(),))
    )
    assert "Files at hand: proof.pdf" in json.loads(account.sent[-1].content)["note"]


async def test_an_inquiry_that_the_customer_escalated_needs_no_second_time(account: Any) -> None:
    dispute = account.open("complain", dispute_life_cycle_stage="CHARGEBACK")
    assert (await account.desk().find(account.filing("complain", dispute=dispute))).ref == dispute


def offer(kind: RemedyKind = RemedyKind.REFUND) -> Grant:
    return Grant(
        key="k9", order="1001", remedy=Remedy(kind=kind, amount=Money.of("5", "EUR"), name="SKU-0001")
    )


async def test_an_offer_waits_for_the_customer(account: Any) -> None:
    dispute = account.open("complain")
    receipt = await account.desk().grant(offer())
    assert (receipt.state, receipt.ref) == ("requested", dispute)
    body = json.loads(account.sent[-1].content)
    assert (body["offer_type"], body["offer_amount"]) == ("REFUND", {"currency_code": "EUR", "value": "5.00"})
    # Accepted and paid out, the dispute is over; the offer was made all the same.
    account.fake.disputes[dispute] |= {"status": "RESOLVED"}
    assert (await account.desk().find(offer())).ref == dispute


async def test_an_offer_that_paypal_does_not_allow_is_not_made(account: Any) -> None:
    account.open("complain", allowed_response_options={"make_offer": {"offer_types": ["REFUND_WITH_RETURN"]}})
    with pytest.raises(Rejected) as caught:
        await account.desk().grant(offer())
    assert "REFUND_WITH_RETURN" in caught.value.hint
    with pytest.raises(Unsupported):
        await account.desk().grant(offer(RemedyKind.COUPON))


async def test_without_a_dispute_there_is_nothing_to_write_into(account: Any) -> None:
    account.open("complain", "1002")
    with pytest.raises(Rejected, match="no open dispute about order 1001"):
        await account.desk().message(Message(key="k", order="1001", text="Soon."))
    with pytest.raises(Rejected, match="no dispute about order 1001"):
        await account.desk().respond(account.filing())


async def test_replies_are_messages_and_what_was_said_to_paypals_offers(account: Any) -> None:
    at = account.clock.now() - timedelta(minutes=5)
    said = [
        {"posted_by": who, "time_posted": text(at), "content": what}
        for who, what in (("BUYER", "Where is it?"), ("BUYER", "Hello?"), ("SELLER", "Soon."))
    ]
    denied = {
        "actor": "BUYER",
        "event_type": "DENIED",
        "offer_time": text(at + timedelta(minutes=1)),
        "notes": "No.",
    }
    account.open("complain", messages=said, offer={"history": [denied]})
    replies = (await account.desk().replies("")).replies
    assert [(reply.answer, reply.text) for reply in replies] == [
        (None, "Where is it?"), (None, "Hello?"),
        (None, "The buyer declined the offer made in PayPal's Resolution Centre. No."),
    ]  # fmt: skip
    assert len({reply.event for reply in replies}) == 3


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("RESOLVED_WITH_PAYOUT", "for-us"),
        ("ACCEPTED", "against-us"),
        ("DENIED", "for-us"),
        ("NONE", "withdrawn"),
    ],
)
async def test_outcomes(account: Any, code: str, verdict: str) -> None:
    over = {"status": "RESOLVED", "dispute_outcome": {"outcome_code": code}}
    dispute = account.open("respond", **over)
    assert (await account.desk().ruling("1001", dispute)).verdict == verdict


async def test_a_ruling_says_whether_it_can_be_appealed(account: Any) -> None:
    account.open("arbitrate")
    ruling = await account.desk().ruling("1001", "")
    assert (ruling.verdict, ruling.note) == (
        "against-us",
        "CHARGEBACK RESOLVED_BUYER_FAVOUR, can be appealed",
    )
    await account.desk().arbitrate(account.filing("arbitrate"))
    assert await account.desk().ruling("1001", "") is None
    assert isinstance(ruling, Ruling)


async def test_odd_ids_and_cursors_are_refused(account: Any) -> None:
    for wrong in ("../../v2/payments", "PP D 1", "x" * 256):
        with pytest.raises(Rejected):
            await account.desk().ruling("1001", wrong)
    with pytest.raises(NotFound):
        await account.desk().ruling("1001", "PP-D-1")
    with pytest.raises(InputError):
        await account.desk().disputes("{}")
