"""The merchant's playbook: which steps, their waits, what silence means, what needs a person's yes."""

from __future__ import annotations

import hashlib
from datetime import datetime, time, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from amends.cases.durations import Duration
from amends.cases.money import Money

Silence = Literal["by-rule", "accepted", "refused", "cancel"]
FurtherStep = Literal["file-complaint", "escalate"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Storm(_Table):
    """A sudden mass of late orders asks a person first: this many new cases within that time."""

    orders: int = Field(default=200, gt=0)
    within: Duration = timedelta(hours=1)


class Quiet(_Table):
    """No message reaches a customer within these hours of their own day."""

    start: time = Field(default=time(21, 0), description="From this time of day on.")
    end: time = Field(default=time(8, 0), description="Until this one.")
    unless_within: Duration = Field(
        default=timedelta(hours=4),
        description="Sent all the same where the deadline breaks within this time.",
    )

    def until(self, local: datetime) -> datetime | None:
        """When the quiet that `local` (the customer's time) lies in ends; None outside it."""
        now = local.time().replace(tzinfo=None)
        over_midnight = self.start > self.end
        inside = (now >= self.start or now < self.end) if over_midnight else self.start <= now < self.end
        if not inside:
            return None
        end = local.replace(hour=self.end.hour, minute=self.end.minute, second=0, microsecond=0)
        return end if end > local else end + timedelta(days=1)


class Often(_Table):
    """How many messages one customer gets at most, over all channels and orders, within a time."""

    messages: int = Field(default=3, gt=0)
    within: Duration = timedelta(days=1)


class Approvals(_Table):
    """What waits for a named person's yes."""

    complaint: bool = True
    arbitration: bool = True
    legal: bool = True
    remedy_over: Money | None = Field(
        default=None,
        description="Remedies above this amount; absent: only the money of an order cancelled after its goods left.",
    )
    two_people_over: Money | None = Field(default=None, description="Above this amount two different people.")
    within: Duration = Field(default=timedelta(hours=24), description="How long a list stays valid.")

    def needs(self, amount: Money | None) -> bool:
        """Whether a remedy of that amount needs a yes; another currency than the limit's always does."""
        limit = self.remedy_over
        if amount is None or limit is None:
            return False
        return amount.currency != limit.currency or amount > limit


class Playbook(_Table):
    """One playbook. Durations read like `24h`; every key has a default that harms nobody."""

    at_risk_before: tuple[Duration, ...] = (timedelta(hours=24), timedelta(hours=4))
    fresh_for: Duration = timedelta(minutes=10)
    reply_within: Duration = timedelta(hours=24)
    silence: Silence = "by-rule"
    rounds: int = Field(default=2, ge=1, le=10)
    shipped_late: Literal["apologise", "close", "offer"] = "apologise"
    at_risk: Literal["contact", "watch"] = Field(
        default="contact", description="Whether a customer is contacted before the deadline breaks."
    )
    then: tuple[FurtherStep, ...] = ("file-complaint", "escalate")
    legal: bool = Field(default=True, description="Whether a lost arbitration may go to law.")
    legal_over: Money | None = Field(
        default=None, description="Only orders of at least this amount go to law."
    )
    approve: Approvals = Approvals()
    backfill: Duration = Field(
        default=timedelta(days=7),
        description="Deadlines older than this at the first run only open held cases.",
    )
    storm: Storm = Storm()
    poll: Duration = Field(
        default=timedelta(hours=6), description="How often a waiting state is looked at again."
    )
    retry: Duration = Field(
        default=timedelta(minutes=15), description="First pause after unreachable or stale data."
    )
    task_within: Duration = Field(
        default=timedelta(hours=24), description="Until when a person's task is due."
    )
    ruling_within: Duration = Field(default=timedelta(days=7), description="Until when a ruling is expected.")
    channels: tuple[str, ...] = Field(
        default=("platform",),
        description="How to reach the customer, in order; the next one only after a rejection.",
    )
    quiet: Quiet | None = Field(
        default=None, description="Hours in which customers are left alone; absent: none."
    )
    at_most: Often | None = Field(
        default=None, description="A customer's share of messages; absent: no limit."
    )
    cap_reached: Literal["apologise", "ask"] = Field(
        default="apologise", description="Over a cap: send the offer without its remedy, or ask a person."
    )
    notes: bool | None = Field(
        default=None,
        description="A line on the order for the shop's people, per offer and remedy; absent: where messages are by hand.",
    )

    @field_validator("at_risk_before")
    @classmethod
    def _longest_first(cls, value: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if any(window <= timedelta() for window in value):
            raise ValueError("a warning window must be longer than nothing")
        return tuple(sorted(set(value), reverse=True))

    @property
    def version(self) -> str:
        """A short hash of every key: a case keeps the version that it began with."""
        return self.version_of(self.model_dump_json())

    @staticmethod
    def version_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:12]
