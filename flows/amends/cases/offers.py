"""What a customer can get, and what is proposed to them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from amends.cases.money import Money


class RemedyKind(StrEnum):
    COUPON = "coupon"
    POINTS = "points"
    GIFT = "gift"
    DISCOUNT = "discount"
    STORE_CREDIT = "store-credit"
    REFUND = "refund"
    REPLACEMENT = "replacement"


class Remedy(BaseModel):
    """What the customer gets: an amount of money's worth, or a number of points, or a named gift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RemedyKind
    amount: Money | None = None
    points: int | None = Field(default=None, gt=0)
    name: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Remedy:
        if self.kind is RemedyKind.POINTS:
            if self.points is None:
                raise ValueError("a remedy of points needs `points`")
        elif self.kind in (RemedyKind.GIFT, RemedyKind.REPLACEMENT):
            if not self.name:
                raise ValueError(f"a {self.kind} needs a `name`")
        elif self.amount is None or self.amount.minor <= 0:
            raise ValueError(f"a {self.kind} needs an `amount` above zero")
        return self

    def __str__(self) -> str:
        if self.points:
            return f"{self.points} points"
        return f"{self.kind} {self.amount or self.name}"


class Offer(BaseModel):
    """A remedy proposed with an explanation, a new ship date and a reply-by.

    `Offer.nothing(why)` is an answer too: the policy has nothing (more) to give. `remedy=None` with `none=False` is an
    apology with a new date and nothing else. `agreed` says that this is just what the customer asked for, so no
    further answer is needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    remedy: Remedy | None = None
    new_ship_by: AwareDatetime | None = None
    reply_by: AwareDatetime | None = None
    cause: str = Field(
        default="", description="Key of the explanation: stock, warehouse, carrier, storm, unknown …"
    )
    why: str = Field(min_length=1, description="Why the policy proposes this; becomes a fact.")
    agreed: bool = False
    none: bool = False

    @classmethod
    def nothing(cls, why: str) -> Offer:
        return cls(none=True, why=why)
