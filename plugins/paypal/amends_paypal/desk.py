"""The live desk: disputes at PayPal, answered, escalated, appealed and watched for one merchant account."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Filing,
    Grant,
    Http,
    Message,
    Note,
    Order,
    OrderPage,
    Receipt,
    Rejected,
    RemedyKind,
    Reply,
    ReplyPage,
    Ruling,
    Tracking,
    Unsupported,
)
from amends_paypal import webhooks
from amends_paypal.api import Api, Token, text
from amends_paypal.config import PayPalConfig
from amends_paypal.evidence import checked, evidences, note, trace
from amends_paypal.listing import DisputePage, Listing
from amends_paypal.wire import Dispute

_VERDICTS = {
    "RESOLVED_SELLER_FAVOUR": "for-us",
    "RESOLVED_WITH_PAYOUT": "for-us",  # PayPal pays the customer; the merchant keeps the money
    "DENIED": "for-us",
    "RESOLVED_BUYER_FAVOUR": "against-us",
    "ACCEPTED": "against-us",
    "CANCELED_BY_BUYER": "withdrawn",
    "NONE": "withdrawn",
}
_OFFERS = {RemedyKind.REFUND: "REFUND", RemedyKind.REPLACEMENT: "REPLACEMENT_WITHOUT_REFUND"}


class PayPal:
    """Disputes of one merchant account."""

    def __init__(self, config: PayPalConfig, context: Context) -> None:
        self._config, self._context, self._clock = config, context, context.clock
        self._token = Token()
        self._api = self._connect()
        self._listing = Listing(self._api, config, context.clock)

    async def disputes(self, cursor: str) -> DisputePage:
        """Disputes that changed since the cursor, each with its order."""
        found, cursor, more = await self._listing.changed(cursor)
        return DisputePage(tuple(map(self._listing.disputed, found)), cursor, more)

    async def with_dispute(self, order: Order) -> Order:
        """The order of another platform, shown as disputed where it is: so no offer is made."""
        dispute = await self._listing.open(order.number)
        if dispute is None:
            return order
        seen = self._listing.disputed(dispute)
        return order.model_copy(
            update={
                "after_sales": seen.after_sales,
                "after_sales_raw": seen.raw,
                "after_sales_due": seen.due,
                "dispute": seen.dispute,
            }
        )

    async def replies(self, cursor: str) -> ReplyPage:
        """What customers wrote in their disputes, and their yes or no to our offers there."""
        found, cursor, more = await self._listing.changed(cursor)
        replies = (reply for dispute in found for reply in self._replies(dispute))
        return ReplyPage(replies=tuple(sorted(replies, key=lambda reply: reply.at)), cursor=cursor, more=more)

    async def respond(self, request: Filing) -> Receipt:
        """Answer by what PayPal allows now: evidence, supporting information, or a message in an inquiry."""
        dispute = await self._filed_on(request)
        files, number, body = checked(request.files), dispute.dispute_id, dict[str, Any]()
        if dispute.allows("provide-evidence"):
            self._in_time(dispute)
            action, body["evidences"] = "provide-evidence", evidences(request, files, dispute)
        elif dispute.allows("provide-supporting-info"):
            action, body["notes"] = "provide-supporting-info", note(request.text, request.key)
        else:
            self._may(dispute, "send-message", "answer")
            action, body["message"] = "send-message", note(request.text, request.key)
        await self._api.post_files(number, action, body, files, key=request.key)
        return Receipt(ref=number, due=dispute.buyer_response_due_date)

    async def complain(self, request: Filing) -> Receipt:
        """Make an inquiry a claim, which PayPal decides."""
        dispute = await self._filed_on(request)
        self._may(dispute, "escalate", "escalate")
        # Escalating takes no files: PayPal asks for evidence once it is a claim. The note names them.
        names = ", ".join(file.name for file in request.files)
        said = f"{request.text}\nFiles at hand: {names}" if names else request.text
        await self._api.post(dispute.dispute_id, "escalate", {"note": note(said, request.key)})
        return Receipt(ref=dispute.dispute_id)

    async def arbitrate(self, request: Filing) -> Receipt:
        """Appeal a decision with new evidence."""
        dispute = await self._filed_on(request)
        self._may(dispute, "appeal", "appeal")
        files = checked(request.files)
        body = {"evidences": evidences(request, files, dispute)}
        await self._api.post_files(dispute.dispute_id, "appeal", body, files, key=request.key)
        return Receipt(ref=dispute.dispute_id)

    async def message(self, request: Message) -> Receipt:
        dispute = await self._needed(request.order)
        self._may(dispute, "send-message", "write")
        body = {"message": note(request.text, request.key)}
        await self._api.post_files(dispute.dispute_id, "send-message", body, (), key=request.key)
        return Receipt(ref=dispute.dispute_id)

    async def grant(self, request: Grant) -> Receipt:
        """Offer a refund or a replacement in an inquiry. The customer decides, PayPal pays it out."""
        kind = _OFFERS.get(request.remedy.kind)
        if kind is None:
            raise Unsupported(f"paypal: a {request.remedy.kind} cannot be offered in a dispute")
        dispute = await self._needed(request.order)
        self._may(dispute, "make-offer", "offer")
        options = dispute.allowed_response_options
        if options and options.make_offer and kind not in options.make_offer.offer_types:
            allowed = ", ".join(options.make_offer.offer_types) or "nothing"
            raise Rejected(
                f"paypal: {kind} may not be offered in this dispute", hint=f"PayPal allows: {allowed}."
            )
        body: dict[str, Any] = {"note": note(request.reason or "Our offer", request.key), "offer_type": kind}
        if request.remedy.amount is not None:
            amount = request.remedy.amount
            body["offer_amount"] = {"currency_code": amount.currency, "value": f"{amount.decimal:f}"}
        await self._api.post(dispute.dispute_id, "make-offer", body)
        return Receipt(state="requested", ref=dispute.dispute_id, due=dispute.buyer_response_due_date)

    async def find(self, request: AnyRequest) -> Receipt | None:
        """The receipt of a text of ours that the dispute shows; None where it shows none."""
        if isinstance(request, Extension | Note):
            _no(request.op)
        if isinstance(request, Filing) and request.dispute:
            return _found(request, await self._api.dispute(request.dispute))
        # Also in those that are over: what we offered may have ended one.
        async for dispute in self._listing.about(request.order, closed=True):
            found = _found(request, dispute)
            if found is not None:
                return found
        return None

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        dispute = await self._api.dispute(ref) if ref else await self._last(order)
        if dispute is None or dispute.open or dispute.dispute_outcome is None:
            return None
        code = dispute.dispute_outcome.outcome_code
        if code not in _VERDICTS:
            raise BadAnswer(f"paypal: outcome_code {code[:60]} is not one that we know")
        decided = max((one.adjudication_time for one in dispute.adjudications), default=dispute.update_time)
        stage = dispute.dispute_life_cycle_stage
        again = ", can be appealed" if dispute.allows("appeal") else ""
        told = {
            "verdict": _VERDICTS[code],
            "at": decided,
            "ref": dispute.dispute_id,
            "note": f"{stage} {code}{again}",
        }
        return Ruling.model_validate(told)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        """Asks PayPal whether the webhook is its own. Blocks for that call, so run it in a thread.

        The call goes through a loop of its own, because this is no coroutine yet may be called in a loop.
        """
        told = webhooks.checked(self._config, headers, body, now=self._clock.now())

        async def ask() -> tuple[Event, ...]:
            api = self._connect()
            try:
                if not await api.genuine(told.headers, body, self._config.webhook_id):
                    raise Rejected("paypal: PayPal did not send this webhook", hint="Check `webhook_id`.")
                order = self._listing.number(told.dispute) if told.dispute else ""
                if told.number and not order:
                    order = self._listing.number(await api.dispute(told.number))
            finally:
                await api.aclose()
            return (Event(event=told.event, order=order),) if order else ()

        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(asyncio.run, ask()).result()

    async def aclose(self) -> None:
        await self._api.aclose()

    async def changed_orders(self, cursor: str) -> OrderPage:
        _no("changed_orders")

    async def order(self, number: str) -> Order:
        _no("order")

    async def tracking(self, order: Order) -> Tracking | None:
        _no("tracking")

    async def extend(self, request: Extension) -> Receipt:
        _no("extend")

    async def note(self, request: Note) -> Receipt:
        _no("note")

    def _connect(self) -> Api:
        return Api(Http(self._context.client(), who="paypal"), self._config, self._clock, self._token)

    async def _needed(self, order: str) -> Dispute:
        found = await self._listing.open(order)
        if found is None:
            raise Rejected(f"paypal: there is no open dispute about order {order}")
        return found

    async def _filed_on(self, request: Filing) -> Dispute:
        if request.dispute:
            return await self._api.dispute(request.dispute)
        found = await self._last(request.order)
        if found is None:
            raise Rejected(f"paypal: there is no dispute about order {request.order}")
        return found

    async def _last(self, order: str) -> Dispute | None:
        """The order's open dispute, else the newest that is over."""
        over = None
        async for dispute in self._listing.about(order, closed=True):
            if dispute.open:
                return dispute
            over = over or dispute
        return over

    def _in_time(self, dispute: Dispute) -> None:
        due = dispute.seller_response_due_date
        if due is not None and due <= self._clock.now():
            raise Rejected(f"paypal: this dispute had to be answered by {text(due)}")

    def _may(self, dispute: Dispute, action: str, what: str) -> None:
        if not dispute.allows(action):
            stands = f"{dispute.dispute_life_cycle_stage} {dispute.status}".strip()
            raise Rejected(
                f"paypal: this dispute does not allow to {what} now ({stands})",
                hint="See it in PayPal's Resolution Centre; it may allow another step.",
            )

    def _replies(self, dispute: Dispute) -> Iterable[Reply]:
        order, number = self._listing.number(dispute), dispute.dispute_id
        if not order:
            return
        for said in dispute.messages:
            if said.posted_by == "BUYER":
                # Two messages can bear the same second.
                mark = hashlib.sha256(said.content.encode()).hexdigest()[:8]
                event = f"{number}:message:{text(said.time_posted)}:{mark}"
                yield Reply(event=event, order=order, at=said.time_posted, text=said.content)
        # What is offered there is PayPal's own kind of offer, made by a person: an answer to it answers none of ours.
        answers = {"ACCEPTED": "accepted", "DENIED": "declined"}
        for done in dispute.offer.history if dispute.offer else ():
            if done.actor == "BUYER" and done.event_type in answers:
                event = f"{number}:{done.event_type.lower()}:{text(done.offer_time)}"
                told = f"The buyer {answers[done.event_type]} the offer made in PayPal's Resolution Centre."
                yield Reply(event=event, order=order, at=done.offer_time, text=f"{told} {done.notes}".strip())


def _found(request: Message | Grant | Filing, dispute: Dispute) -> Receipt | None:
    if any(trace(request.key) in said for said in _ours(dispute)):
        return Receipt(state="requested" if isinstance(request, Grant) else "done", ref=dispute.dispute_id)
    if request.op == "complain" and dispute.dispute_life_cycle_stage not in ("", "INQUIRY"):
        # An inquiry is escalated once, by either side: nothing is left to send, and the ruling is the same.
        return Receipt(ref=dispute.dispute_id)
    return None


def _ours(dispute: Dispute) -> Iterable[str]:
    """Everything that we wrote into a dispute, wherever PayPal shows it."""
    yield from (said.content for said in dispute.messages if said.posted_by != "BUYER")
    yield from (one.notes for one in dispute.evidences if one.source != "SUBMITTED_BY_BUYER")
    yield from (one.notes for one in dispute.supporting_info if one.source != "SUBMITTED_BY_BUYER")
    yield from (
        done.notes for done in (dispute.offer.history if dispute.offer else ()) if done.actor == "SELLER"
    )


def _no(operation: str) -> NoReturn:
    raise Unsupported(
        f"paypal: {operation} is not something that a desk does", hint="It is the shop's platform that does."
    )
