"""Keeps what Prefect stores free of personal values: keys, free text, people's notes and errors, for every flow."""

from __future__ import annotations

import hashlib
import re

from amends.cases import facts as f
from amends.cases.snapshot import Snapshot
from amends.errors import AmendsError, PlatformError, place

_EMAIL = re.compile(r"[^\s@<>()\"']+@[^\s@<>()\"']+\.\w+")
_MOBILE = re.compile(r"(?<![\w-])(\+\d{1,3}[ -]?)?(1[3-9]\d|\(?0\d{2,3}\)?)[ -]?\d{3,4}[ -]?\d{4}(?![\w-])")
_CANONICAL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SUFFIX = re.compile(r"(^|-)[0-9a-f]{8}$")
# Causes of a hold whose reason amends words itself.
_OUR_WORDS = ("storm", "backfill", "approval", "undecided")
_HELD = re.compile(r"(\bis held by [^:]+): .*")  # a shop's or step's hold: `shop flagship is held by lin: …`
_FAILED = re.compile(r"^(failed, tried again then): .*")
_CODE = re.compile(r"\(([a-z]+(?:-[a-z]+)*)\)$")
_KIND = re.compile(r"([A-Z]\w*)(?=:|$)")
LONGEST = 300
"""Characters of free text that an artifact shows of one cell."""
KEPT = "(the words are in the ledger)"
"""Stands for what a person or a platform said."""


def slug(name: str) -> str:
    """The name in lowercase letters, digits and dashes, as Prefect's keys want it; two names never share one.

    A name that is a slug already stays as it is; any other gets a short hash of itself at its end.
    """
    if _CANONICAL.fullmatch(name) and not _SUFFIX.search(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return f"{readable}-{digest}" if readable else digest


def masked(text: str) -> str:
    """Free text on one line, cut to size, without what looks like a mail address or a telephone number."""
    line = " ".join(text.split())
    line = _MOBILE.sub("(number)", _EMAIL.sub("(address)", line))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def without_words(body: f.FactBody) -> f.FactBody:
    """A fact without the words that a person typed or a platform answered: they may name a customer.

    The ledger keeps them, and `amends case` shows them to who may read it.
    """
    match body:
        case f.TaskDone() | f.Ruled() | f.Cleared():
            return body.model_copy(update={"note": ""})
        case f.Released() | f.ApprovalRefused():
            return body.model_copy(update={"why": ""})
        case f.Held() if body.cause not in _OUR_WORDS:
            return body.model_copy(update={"why": f"by {body.by}"})
        case f.Unseen():
            return body.model_copy(update={"why": body.code})
        case (
            f.SettlementRejected()
            | f.ExtensionRejected()
            | f.FilingRejected()
            | f.Unreached()
            | f.Uncertain()
        ):
            return body.model_copy(update={"why": KEPT})
    return body


def bare_why(why: str, case: Snapshot) -> str:
    """The reason of a case's next step, without such words of its facts."""
    words = [round_.rejected for round_ in case.rounds]
    words += [round_.unreached for round_ in case.rounds]
    words += [round_.extension_failed for round_ in case.rounds]
    words += [act.rejected for act in case.acts]
    words += case.quarantined.values()
    if case.held is not None and case.held.cause not in _OUR_WORDS:
        words.append(case.held.why)
    if case.unseen is not None:
        why = why.replace(case.unseen.why, case.unseen.code)
    for said in sorted(filter(None, words), key=len, reverse=True):
        why = why.replace(said, KEPT)
    return masked(_FAILED.sub(r"\1", _HELD.sub(r"\1", why)))


def bare_problem(problem: str) -> str:
    """What went wrong by place and kind: `case 12: TypeError`, `flagship: unavailable`; without the words."""
    where, _, words = problem.partition(": ")
    code, kind = _CODE.search(words), _KIND.match(words)
    what = code[1] if code else kind[1] if kind else ""
    return f"{masked(where)}: {what}" if what else masked(where)


def tellable(error: Exception) -> AmendsError:
    """The error as Prefect may show and keep it.

    Errors about config, plugins and the ledger are told in full: they name files and keys. Whatever a platform said, and
    errors of unknown make, are told by their kind and place only: their texts can quote an order.
    """
    if isinstance(error, AmendsError) and not isinstance(error, PlatformError):
        told = type(error)(masked(error.message), hint=error.hint)
    elif isinstance(error, PlatformError):
        told = AmendsError(f"{type(error).__name__} ({error.code}) {place(error)}")
    else:
        told = AmendsError(f"{type(error).__name__} {place(error)}")
    return told
