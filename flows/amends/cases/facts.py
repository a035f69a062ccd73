"""What is appended to a case, and never edited: one frozen model per kind of fact.

A fact is something observed or done. The stage of a case, and what to do next, follow from its facts alone.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from amends.cases.lateness import Lateness, State
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy
from amends.cases.orders import Order


class Outcome(StrEnum):
    SHIPPED = "shipped"
    SETTLED = "settled"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    NOT_LATE = "not-late"
    RULED_FOR_US = "ruled-for-us"
    RULED_AGAINST_US = "ruled-against-us"
    WRITTEN_OFF = "written-off"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    VERIFY = "verify-order"
    CONTACT = "contact-customer"
    SETTLE = "settle"
    COMPLAIN = "file-complaint"
    ESCALATE = "escalate"


class Answer(StrEnum):
    ACCEPT = "accept"
    DECLINE = "decline"
    COUNTER = "counter"
    CANCEL = "cancel"


Instance = Literal["response", "complaint", "arbitration", "legal"]
Verdict = Literal["for-us", "against-us", "withdrawn", "written-off"]


REFUSED = "refused by the approver"


def of_cancel(effect: str) -> bool:
    """Whether that grant pays back a cancelled order: no remedy that was accepted before it was cancelled."""
    return re.search(r"/cancel(-\d+)?$", effect) is not None


class Body(BaseModel):
    """The base of every fact's content."""

    model_config = ConfigDict(frozen=True)


class Opened(Body):
    kind: Literal["opened"] = "opened"
    why: str
    playbook: str
    policy: str
    generation: int = 1


class Observed(Body):
    """The order as seen, when it is new or has changed."""

    kind: Literal["observed"] = "observed"
    order: Order
    lateness: Lateness
    contradictions: tuple[str, ...] = ()
    penalty: Money | None = None
    penalty_source: str = ""


class SeenAgain(Body):
    """Looked at again, nothing changed but the time; `lateness` only where the verdict changed with the time."""

    kind: Literal["seen-again"] = "seen-again"
    lateness: Lateness | None = None


class Unseen(Body):
    """Could not be looked at: unreachable, or the data was stale. Tried again at `retry_at`."""

    kind: Literal["unseen"] = "unseen"
    why: str
    code: str
    attempt: int
    retry_at: AwareDatetime


class Proposed(Body):
    """The policy's answer and reason, before anybody is told."""

    kind: Literal["proposed"] = "proposed"
    round: int
    offer: Offer
    policy: str
    state: State
    tier: int = 0
    notice: str = "first-definite"
    over_cap: str = ""  # the cap that took the remedy away


class Contacted(Body):
    """The customer has the offer (or the apology)."""

    kind: Literal["contacted"] = "contacted"
    round: int
    via: str
    effect: str
    ref: str = ""
    reply_by: AwareDatetime | None = None
    digest: str = ""  # salted hash of the text that was sent


class Unreached(Body):
    """Every way to reach the customer refused."""

    kind: Literal["unreached"] = "unreached"
    round: int
    why: str


class Replied(Body):
    kind: Literal["replied"] = "replied"
    round: int
    answer: Answer
    event: str
    via: str = ""
    digest: str = ""  # salted hash of the customer's words
    ship_by: AwareDatetime | None = None
    remedy: Remedy | None = None


class Silent(Body):
    """No answer came by the date; what that means, and by which rule."""

    kind: Literal["silent"] = "silent"
    round: int
    means: Answer
    rule: str


class SettlementRequested(Body):
    """The remedy was asked for and the platform must review it first."""

    kind: Literal["settlement-requested"] = "settlement-requested"
    round: int
    remedy: Remedy
    effect: str
    ref: str = ""


class Settled(Body):
    kind: Literal["settled"] = "settled"
    round: int
    remedy: Remedy | None
    effect: str
    ref: str = ""
    seen: bool = False  # by the order's own state rather than by the answer to our request


class SettlementRejected(Body):
    kind: Literal["settlement-rejected"] = "settlement-rejected"
    round: int
    remedy: Remedy
    effect: str
    why: str


class Extended(Body):
    """The platform's deadline was moved."""

    kind: Literal["extended"] = "extended"
    round: int
    until: AwareDatetime
    effect: str
    seen: bool = False


class ExtensionRejected(Body):
    kind: Literal["extension-rejected"] = "extension-rejected"
    round: int
    effect: str
    why: str


class Filed(Body):
    """A response, complaint or arbitration was put before the desk, or a legal file handed to a person."""

    kind: Literal["filed"] = "filed"
    instance: Instance
    effect: str
    ref: str = ""
    ruling_by: AwareDatetime | None = None
    dossier: str = ""  # the hash of what was handed over


class FilingRejected(Body):
    kind: Literal["filing-rejected"] = "filing-rejected"
    instance: Instance
    effect: str
    why: str


class Looked(Body):
    """Looked for a ruling, there is none yet."""

    kind: Literal["looked"] = "looked"
    instance: Instance


class Ruled(Body):
    kind: Literal["ruled"] = "ruled"
    instance: Instance
    verdict: Verdict
    ref: str = ""
    by: str = ""
    note: str = ""


class Held(Body):
    kind: Literal["held"] = "held"
    why: str
    by: str
    cause: Literal[
        "operator",
        "storm",
        "backfill",
        "quarantine",
        "poison",
        "contact",
        "approval",
        "platform",
        "undecided",
        "refund",
    ] = "operator"


class Released(Body):
    kind: Literal["released"] = "released"
    by: str
    why: str = ""


class ApprovalAsked(Body):
    """Frozen on a list: `what` names the act (`contact-customer:2`), `version` the case as it was shown."""

    kind: Literal["approval-asked"] = "approval-asked"
    what: str
    list: str
    amount: Money | None = None
    version: int
    expires_at: AwareDatetime


class Approved(Body):
    kind: Literal["approved"] = "approved"
    what: str
    list: str
    by: str
    amount: Money | None = None
    version: int
    second: bool = False  # one more person must still say yes


class ApprovalRefused(Body):
    kind: Literal["approval-refused"] = "approval-refused"
    what: str
    list: str
    by: str
    why: str = ""


class TaskOpened(Body):
    kind: Literal["task-opened"] = "task-opened"
    task: str
    what: str
    effect: str = ""
    due_at: AwareDatetime


class TaskDone(Body):
    kind: Literal["task-done"] = "task-done"
    task: str
    what: str
    outcome: str
    by: str
    note: str = ""
    files: tuple[str, ...] = ()  # sha256 of each


class Uncertain(Body):
    """An act whose outcome is not known: looked for later, or given to a person (`quarantined`)."""

    kind: Literal["uncertain"] = "uncertain"
    effect: str
    act: str
    why: str
    quarantined: bool = False


class Cleared(Body):
    """A person found out what a quarantined act did."""

    kind: Literal["cleared"] = "cleared"
    effect: str
    done: bool
    by: str
    note: str = ""


class Erased(Body):
    """The personal values of this case were destroyed on request."""

    kind: Literal["erased"] = "erased"
    by: str


class Closed(Body):
    kind: Literal["closed"] = "closed"
    outcome: Outcome
    why: str


FactBody = (
    Opened
    | Observed
    | SeenAgain
    | Unseen
    | Proposed
    | Contacted
    | Unreached
    | Replied
    | Silent
    | SettlementRequested
    | Settled
    | SettlementRejected
    | Extended
    | ExtensionRejected
    | Filed
    | FilingRejected
    | Looked
    | Ruled
    | Held
    | Released
    | ApprovalAsked
    | Approved
    | ApprovalRefused
    | TaskOpened
    | TaskDone
    | Uncertain
    | Cleared
    | Erased
    | Closed
)

AnyBody = Annotated[FactBody, Field(discriminator="kind")]

BODY: TypeAdapter[Any] = TypeAdapter(AnyBody)

_IMMATERIAL = frozenset(
    {"seen-again", "unseen", "looked", "approval-asked", "approved", "approval-refused", "task-opened", "task-done", "erased"}
)  # fmt: skip


def is_material(kind: str) -> bool:
    """Whether a fact of that kind changes what an approver was shown; such facts make up a case's version."""
    return kind not in _IMMATERIAL


class Fact(NamedTuple):
    """One fact of a case. `seq` counts from 1 within the case; `actor` is `amends`, a platform or a person's name."""

    seq: int
    at: datetime
    actor: str
    body: FactBody
