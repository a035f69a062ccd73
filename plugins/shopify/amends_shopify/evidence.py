"""Answers Shopify Payments disputes and reads how they end."""

from __future__ import annotations

import base64
from typing import Any

from amends import BadAnswer, Clock, File, Filing, NotFound, Receipt, Rejected, Ruling
from amends_shopify.graphql import Admin
from amends_shopify.remedies import trace
from amends_shopify.wire import Dispute, DisputeAnswer, read

_VERDICTS = {
    "WON": "for-us",
    "LOST": "against-us",
    "ACCEPTED": "against-us",
    "CHARGE_REFUNDED": "against-us",
    "PREVENTED": "withdrawn",
}
# The slots of an evidence form that a late shipment can fill, and the words in a file's name that choose one.
_SLOTS = (
    (
        "shippingDocumentationFile",
        "shipping_documentation_file",
        ("ship", "track", "label", "carrier", "parcel"),
    ),
    (
        "customerCommunicationFile",
        "customer_communication_file",
        ("message", "chat", "mail", "communication", "offer"),
    ),
    ("uncategorizedFile", "uncategorized_file", ()),
    ("serviceDocumentationFile", "service_documentation_file", ("invoice", "receipt", "order")),
)
_TYPES = frozenset({"application/pdf", "image/jpeg", "image/png"})
_FILE_BYTES = 2 * 1024 * 1024  # the admin's own limit for one file
_ALL_BYTES = 4 * 1000 * 1000

LIMITS = "4 files (PDF, JPEG, PNG), 2 MB each, 4 MB in all; submitted once, before the due date"


class Disputes:
    """The disputes of one store."""

    def __init__(self, admin: Admin, clock: Clock) -> None:
        self._admin, self._clock = admin, clock

    async def read(self, ref: str) -> Dispute:
        answer = read(DisputeAnswer, await self._admin.run("Dispute", {"id": ref}), what="dispute")
        if answer.dispute is None:
            raise NotFound("shopify: there is no such dispute; it may be another payment provider's")
        return answer.dispute

    async def respond(self, request: Filing) -> Receipt:
        """Fill in the evidence form and submit it, which can be done once."""
        slots = _place(request.files)
        dispute = await self.read(_wanted(request))
        if dispute.disputeEvidence.submitted:
            done = _ours(dispute, request.key)
            if done:
                return done
            raise Rejected("shopify: evidence for this dispute was submitted already, and not by us")
        due = dispute.evidenceDueBy
        if dispute.status != "NEEDS_RESPONSE" or (due is not None and due <= self._clock.now()):
            raise Rejected(f"shopify: this dispute takes no evidence any more: {dispute.status}, due {due}")
        form: dict[str, Any] = {}
        for (field, kind), file in slots.items():
            form[field] = {"id": await self._upload(dispute, kind, file)}
        form |= {"uncategorizedText": f"{request.text}\n\n[{trace(request.key)}]", "submitEvidence": True}
        asked = {"id": dispute.disputeEvidence.id, "input": form}
        payload = await self._admin.change("UpdateEvidence", "disputeEvidenceUpdate", asked)
        if not (payload.get("disputeEvidence") or {}).get("submitted"):
            raise BadAnswer("shopify: disputeEvidence.submitted is not true after submitting")
        return Receipt(ref=dispute.id)

    async def find(self, request: Filing) -> Receipt | None:
        return _ours(await self.read(_wanted(request)), request.key)

    async def ruling(self, ref: str) -> Ruling | None:
        dispute = await self.read(ref)
        verdict = _VERDICTS.get(dispute.status)
        if verdict is None:
            return None
        return Ruling.model_validate(
            {
                "verdict": verdict,
                "at": dispute.finalizedOn or self._clock.now(),
                "ref": dispute.id,
                "note": f"{dispute.type} {dispute.status}".strip(),
            }
        )

    async def _upload(self, dispute: Dispute, kind: str, file: File) -> str:
        # This API version attaches files by REST only. A second upload of the same file does no harm: only
        # the one that the form names is evidence.
        body = {
            "document_type": kind,
            "filename": file.name,
            "mimetype": file.media_type,
            "data": base64.b64encode(file.content).decode(),
        }
        path = f"shopify_payments/disputes/{dispute.legacyResourceId}/dispute_file_uploads.json"
        try:
            made = (await self._admin.post(path, {"dispute_file_upload": body})).get("dispute_file_upload")
        except NotFound as error:
            raise Rejected(
                "shopify: the app may not upload a dispute's files",
                hint="Give it write_shopify_payments_dispute_file_uploads, or attach them in the admin.",
            ) from error
        if not isinstance(made, dict) or not made.get("id"):
            raise BadAnswer("shopify: dispute_file_upload.id is missing")
        return f"gid://shopify/ShopifyPaymentsDisputeFileUpload/{made['id']}"


def _wanted(request: Filing) -> str:
    if not request.dispute:
        raise Rejected(
            f"shopify: no open dispute is known of order {request.order}",
            hint="Verify the order, then try again.",
        )
    return request.dispute


def _ours(dispute: Dispute, key: str) -> Receipt | None:
    text = dispute.disputeEvidence.uncategorizedText or ""
    return (
        Receipt(ref=dispute.id) if dispute.disputeEvidence.submitted and f"[{trace(key)}]" in text else None
    )


def _place(files: tuple[File, ...]) -> dict[tuple[str, str], File]:
    """Each file in a slot, first those whose name tells which; raises where one fits none."""
    if len(files) > len(_SLOTS):
        raise Rejected(
            f"shopify: {len(files)} files, but a dispute takes {len(_SLOTS)}", hint="Merge them into one PDF."
        )
    for file in files:
        if file.media_type not in _TYPES or len(file.content) > _FILE_BYTES:
            raise Rejected(
                f"shopify: {file.name} ({file.media_type}, {len(file.content)} bytes) is refused",
                hint=f"At most {LIMITS}.",
            )
    if sum(len(file.content) for file in files) > _ALL_BYTES:
        raise Rejected("shopify: the files are too large together", hint=f"At most {LIMITS}.")
    free, placed, others = list(_SLOTS), {}, []
    for file in files:
        slot = next((slot for slot in free if any(word in file.name.casefold() for word in slot[2])), None)
        if slot is None:
            others.append(file)
            continue
        free.remove(slot)
        placed[slot[:2]] = file
    # What no word places goes where anything may go, before it fills a named slot.
    free.sort(key=lambda slot: bool(slot[2]))
    placed.update({slot[:2]: file for slot, file in zip(free, others, strict=False)})
    return placed
