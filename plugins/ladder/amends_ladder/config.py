"""What a merchant writes under `[policies.ladder]`: rungs, each with whom it fits and what it gives."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from amends import Duration, Money, Remedy, RemedyKind


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RungRemedy(_Table):
    """What a rung gives: an `amount`, a `percent` of the order (`min`, `max`), `points`, or a `name`."""

    kind: RemedyKind
    amount: Money | None = None
    percent: Decimal | None = Field(default=None, gt=0, le=100)
    min: Money | None = None
    max: Money | None = None
    points: int | None = Field(default=None, gt=0)
    name: str = ""

    @model_validator(mode="after")
    def _complete(self) -> RungRemedy:
        if self.kind is RemedyKind.POINTS:
            wanted = {"points"}
        elif self.kind in (RemedyKind.GIFT, RemedyKind.REPLACEMENT):
            wanted = {"name"}
        else:
            wanted = {"amount", "percent"}
        given = {name for name in ("amount", "percent", "points") if getattr(self, name) is not None}
        given |= {"name"} if self.name and "name" in wanted else set()
        if len(given) != 1 or not given <= wanted:
            raise ValueError(f"a {self.kind} needs just one of: {', '.join(sorted(wanted))}")
        if self.percent is None and (self.min or self.max):
            raise ValueError("`min` and `max` go with `percent`")
        if self.amount is not None and self.amount.minor <= 0:
            raise ValueError("`amount` must be above zero")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is above `max`")
        return self

    @property
    def currencies(self) -> set[str]:
        return {money.currency for money in (self.amount, self.min, self.max) if money is not None}

    def of(self, order: Money) -> Remedy | None:
        """The remedy for an order of that amount, never above it; None where it comes to nothing."""
        if self.points is not None or (self.amount is None and self.percent is None):
            return Remedy(kind=self.kind, points=self.points, name=self.name)
        amount = self.amount
        if amount is None:
            amount = order.percent(self.percent or 0).clamp(self.min, self.max)
        amount = amount.clamp(None, order)
        return Remedy(kind=self.kind, amount=amount, name=self.name) if amount.minor > 0 else None


class Rung(_Table):
    """One rung: fits by delay, amount, round and state; gives a remedy, or an apology alone."""

    late_over: Duration = timedelta()
    order_from: Money | None = None
    order_under: Money | None = None
    round: int | None = Field(default=None, ge=1)
    state: Literal["at-risk", "overdue", "stalled", "shipped-late"] | None = None
    remedy: RungRemedy | None = None
    new_ship_in: Duration | None = None

    @model_validator(mode="after")
    def _sane(self) -> Rung:
        if (
            self.order_from is not None
            and self.order_under is not None
            and self.order_from >= self.order_under
        ):
            raise ValueError("`order_from` must be below `order_under`")
        if self.new_ship_in is not None and self.new_ship_in <= timedelta():
            raise ValueError("`new_ship_in` must be longer than nothing")
        return self

    @property
    def currencies(self) -> set[str]:
        bounds = {money.currency for money in (self.order_from, self.order_under) if money is not None}
        return bounds | (self.remedy.currencies if self.remedy else set())

    @property
    def specific(self) -> tuple[bool, bool, timedelta, int]:
        """The larger, the more this rung is meant for just this case."""
        bounds = sum(bound is not None for bound in (self.order_from, self.order_under))
        return self.round is not None, self.state is not None, self.late_over, bounds


class LadderConfig(_Table):
    """The ladder: its rungs and its dates."""

    rungs: tuple[Rung, ...] = ()
    new_ship_in: Duration = timedelta(hours=72)
    business_days: str = Field(default="", description="A country whose working days `new_ship_in` counts.")
    time_zone: str = Field(
        default="", description="The zone of those days; absent: the customer's, else UTC."
    )
    counter_up_to: Duration = timedelta(days=7)

    @field_validator("new_ship_in")
    @classmethod
    def _ahead(cls, value: timedelta) -> timedelta:
        if value <= timedelta():
            raise ValueError("must be longer than nothing")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value or "UTC")
        except (ValueError, OSError, KeyError):
            raise ValueError(f"{value!r} is not an IANA time zone such as 'Asia/Shanghai'") from None
        return value

    @field_validator("business_days")
    @classmethod
    def _country(cls, value: str) -> str:
        if value:
            from amends_ladder.dates import calendar

            calendar(value)
        return value
