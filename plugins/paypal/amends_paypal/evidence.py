"""Makes a filing into what PayPal takes: typed evidence, notes of 2000 characters, a few files."""

from __future__ import annotations

import re
from typing import Any

from amends import File, Filing, Rejected
from amends_paypal.wire import Dispute

LIMITS = "2000 characters; files JPG, GIF, PNG or PDF, 10 MB each, 50 MB in all; before the due date"

_TYPES = {
    "image/jpeg": ("jpg", "jpeg"),
    "image/gif": ("gif",),
    "image/png": ("png",),
    "application/pdf": ("pdf",),
}
_FILE_BYTES, _ALL_BYTES = 10_000_000, 50_000_000
_NOTE = 2000
# These need structured values instead of files, so they are sent only where we have those.
_STRUCTURED = frozenset({"PROOF_OF_FULFILLMENT", "PROOF_OF_REFUND", "PROOF_OF_RETURN"})
_CARRIERS = {
    "ups": "UPS", "usps": "USPS", "fedex": "FEDEX", "dhl": "DHL", "dhl express": "DHL",
    "royal mail": "ROYAL_MAIL", "tnt": "TNT", "dpd": "DPD", "canada post": "CA_CANADA_POST",
    "australia post": "AU_AU_POST",
    "china post": "CN_CHINA_POST", "sf express": "CN_SF_EXPRESS",
    "deutsche post": "DE_DEUTSCHE", "la poste": "FR_LAPOSTE",
}  # fmt: skip


def trace(key: str) -> str:
    """What we leave in a text, so that `find` sees it again."""
    return f"[ref {key}]"


def note(content: str, key: str) -> str:
    """A text with our trace; refused rather than cut."""
    whole = f"{content.strip()}\n{trace(key)}"
    if len(whole) > _NOTE:
        room = _NOTE - len(whole) + len(content.strip())
        raise Rejected(
            f"paypal: the text has {len(content)} characters, PayPal takes {room}", hint="Shorten the text."
        )
    return whole


def checked(files: tuple[File, ...]) -> tuple[File, ...]:
    """The files under names that PayPal takes; refused rather than left out."""
    for file in files:
        if file.media_type not in _TYPES or len(file.content) > _FILE_BYTES:
            raise Rejected(
                f"paypal: {file.name} ({file.media_type}, {len(file.content)} bytes) is refused",
                hint=f"At most {LIMITS}.",
            )
    if sum(len(file.content) for file in files) > _ALL_BYTES:
        raise Rejected("paypal: the files are too large together", hint=f"At most {LIMITS}.")
    return tuple(file.model_copy(update={"name": _name(file, n)}) for n, file in enumerate(files, start=1))


def evidences(request: Filing, files: tuple[File, ...], dispute: Dispute) -> list[dict[str, Any]]:
    """The filing as PayPal's list of evidence, first what the dispute asks for."""
    found: list[dict[str, Any]] = []
    if request.tracking is not None and request.tracking.number:
        info = {"tracking_info": [_tracking(request.tracking.carrier, request.tracking.number)]}
        found.append({"evidence_type": "PROOF_OF_FULFILLMENT", "evidence_info": info})
    if request.refunds:
        info_refunds = {"refund_ids": list(request.refunds)}
        found.append({"evidence_type": "PROOF_OF_REFUND", "evidence_info": info_refunds})
    if files or not found:
        wanted = (e.evidence_type for e in dispute.evidences if e.source == "REQUESTED_FROM_SELLER")
        kind = next((one for one in wanted if one and one not in _STRUCTURED), "OTHER")
        found.append(
            {"evidence_type": kind} | ({"documents": [{"name": f.name} for f in files]} if files else {})
        )
    found[0]["notes"] = note(request.text, request.key)
    return found


def _tracking(carrier: str, number: str) -> dict[str, str]:
    known = _CARRIERS.get(carrier.strip().casefold())
    if known:
        return {"carrier_name": known, "tracking_number": number}
    return {
        "carrier_name": "OTHER",
        "carrier_name_other": carrier.strip() or "unknown",
        "tracking_number": number,
    }


def _name(file: File, n: int) -> str:
    """PayPal takes letters, digits, `-`, `_`, `,` and blanks, one dot, and an ending of letters."""
    stem, _, ending = file.name.rpartition(".")
    endings = _TYPES[file.media_type]
    if ending.casefold() not in endings:
        stem, ending = file.name, endings[0]
    clean = re.sub(r"[^A-Za-z0-9_, -]+", "-", stem).strip("- ") or f"file-{n}"
    return f"{clean}.{ending}"
