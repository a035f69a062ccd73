"""What the core asks of connectors, desks and channels, and what they answer: frozen values, neutral words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from amends.cases.facts import Answer, Instance, Verdict
from amends.cases.offers import Remedy
from amends.cases.orders import Order, Personal, Tracking


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Request(_Value):
    """The part common to every write. `key` is the effect's short key: the same for every attempt of the same act.

    Send it as the platform's idempotency key, or put it where `find` can see it again (a remark, a message id).
    """

    key: str
    order: str
    round: int = 0
    customer: str = ""
    personal: Personal | None = Field(default=None, repr=False)
    reply_url: str = Field(default="", repr=False)
    sent_at: AwareDatetime | None = Field(
        default=None,
        description="When it was first sent, for `find` alone: what took place took place no earlier. Never sent.",
    )


class Message(Request):
    """Tell the customer `text`. `offer` repeats the machine-readable part for platforms with structured offers."""

    op: Literal["message"] = "message"
    text: str = Field(repr=False)
    subject: str = Field(default="", repr=False)
    language: str = "en"
    remedy: Remedy | None = None
    new_ship_by: AwareDatetime | None = None
    reply_by: AwareDatetime | None = None
    template: str = ""
    parameters: dict[str, str] = Field(default_factory=dict, repr=False)


class Grant(Request):
    """Give the remedy."""

    op: Literal["grant"] = "grant"
    remedy: Remedy
    reason: str = ""


class Extension(Request):
    """Move the order's ship-by to `until`."""

    op: Literal["extend"] = "extend"
    until: AwareDatetime
    reason: str = ""


class File(_Value):
    """One file of evidence, content included."""

    name: str
    media_type: str
    content: bytes = Field(repr=False)
    sha256: str


class Filing(Request):
    """Put a response, complaint, arbitration or legal file before the desk: `op` says which."""

    op: Literal["complain", "respond", "arbitrate"]
    instance: Instance
    text: str = Field(repr=False)
    reason: str = "late-shipment"
    dispute: str = ""
    files: tuple[File, ...] = Field(default=(), repr=False)
    tracking: Tracking | None = Field(
        default=None, description="The shipment, for desks that ask for its number."
    )
    refunds: tuple[str, ...] = Field(default=(), description="References of refunds made, as proof of them.")


class Note(Request):
    """Leave a line on the order for the merchant's own people; customers neither see it nor are told of it.

    `text` holds no personal value. `about` and `round` are for platforms that take a tag rather than a text.
    """

    op: Literal["note"] = "note"
    about: Literal["offer", "settled", "closed"]
    text: str


AnyRequest = Message | Grant | Extension | Filing | Note


class Receipt(_Value):
    """A write that took place. `requested` means that the platform will review it: its state is watched."""

    state: Literal["done", "requested"] = "done"
    ref: str = ""
    due: AwareDatetime | None = None  # until when the other side decides


class Unreadable(_Value):
    """An order of a list that cannot be read: a field is missing, say. It is asked for by itself until it can be."""

    order: str = Field(min_length=1)
    why: str = Field(description="Names the field; holds no personal value.")


class OrderPage(_Value):
    """A page of changed orders. `cursor` is stored with them in one transaction; `more` asks for the next page now."""

    orders: tuple[Order, ...]
    cursor: str
    more: bool = False
    unreadable: tuple[Unreadable, ...] = Field(
        default=(), description="Orders of this page that must not keep the others from being read."
    )


class Reply(_Value):
    """A customer's answer as the platform shows it. `event` is unique per shop and stays the same when re-read."""

    event: str
    order: str
    at: datetime
    answer: Answer | None = Field(default=None, description="None: free text that a person must read.")
    round: int | None = None
    text: str = Field(default="", repr=False)
    ship_by: AwareDatetime | None = None
    remedy: Remedy | None = None


class ReplyPage(_Value):
    replies: tuple[Reply, ...]
    cursor: str
    more: bool = False


class Ruling(_Value):
    """A desk's decision."""

    verdict: Verdict
    at: datetime
    ref: str = ""
    note: str = ""


class Event(_Value):
    """One thing a verified webhook tells: an order to look at again, and perhaps the reply itself."""

    event: str
    order: str
    reply: Reply | None = None
