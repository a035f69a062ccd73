"""PayPal's answers as typed values, under PayPal's own names; a missing field is reported by its name."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from amends import BadAnswer

_M = TypeVar("_M", bound=BaseModel)
Time = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


class Link(BaseModel):
    href: str
    rel: str = ""


class Summary(BaseModel):
    """A dispute in a list."""

    dispute_id: str = Field(min_length=1)
    status: str
    update_time: Time | None = None


class Listed(BaseModel):
    items: list[Summary] = Field(default_factory=list)  # left out where there are none
    links: list[Link] = Field(default_factory=list)


class Transaction(BaseModel):
    invoice_number: str = ""
    custom: str = ""


class Outcome(BaseModel):
    outcome_code: str


class Adjudication(BaseModel):
    adjudication_time: Time


class Message(BaseModel):
    posted_by: str
    time_posted: Time
    content: str = Field(default="", repr=False)


class ActionInfo(BaseModel):
    action: str = ""


class Evidence(BaseModel):
    evidence_type: str = ""
    source: str = ""
    notes: str = Field(default="", repr=False)
    action_info: ActionInfo | None = None


class SupportingInfo(BaseModel):
    source: str = ""
    notes: str = Field(default="", repr=False)


class OfferEvent(BaseModel):
    actor: str
    event_type: str
    offer_time: Time
    notes: str = Field(default="", repr=False)


class Offer(BaseModel):
    history: list[OfferEvent] = Field(default_factory=list)


class MakeOffer(BaseModel):
    offer_types: list[str] = Field(default_factory=list)


class Allowed(BaseModel):
    make_offer: MakeOffer | None = None


class Dispute(BaseModel):
    dispute_id: str = Field(min_length=1)
    status: str
    update_time: Time
    links: list[Link]
    dispute_life_cycle_stage: str = ""
    reason: str = ""
    seller_response_due_date: Time | None = None
    buyer_response_due_date: Time | None = None
    disputed_transactions: list[Transaction] = Field(default_factory=list)
    dispute_outcome: Outcome | None = None
    adjudications: list[Adjudication] = Field(default_factory=list)
    messages: list[Message] = Field(default_factory=list)
    evidences: list[Evidence] = Field(default_factory=list)
    supporting_info: list[SupportingInfo] = Field(default_factory=list)
    offer: Offer | None = None
    allowed_response_options: Allowed | None = None

    @property
    def open(self) -> bool:
        return self.status != "RESOLVED"

    def allows(self, action: str) -> bool:
        """Whether PayPal lets us do `provide-evidence`, `appeal` … now: only where it gives the link.

        The relation is written with dashes in the manual and with underscores in webhooks.
        """
        return any(
            action in (link.rel.replace("_", "-"), link.href.rpartition("/")[2]) for link in self.links
        )


def read(model: type[_M], data: Any, *, what: str) -> _M:
    """`data` as a `model`; raises `BadAnswer` naming the fields, never their (personal) values."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lacking = ", ".join(
            ".".join(map(str, problem["loc"]))
            + (" is missing" if problem["type"] == "missing" else f" ({problem['type']})")
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
    # Outside the handler: pydantic's error shows the values and must not hang on ours as its context.
    raise BadAnswer(f"paypal: {what}: {lacking or 'is not an object'}")
