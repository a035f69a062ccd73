"""Dated platform rules as data: what is promised, what counts as shipped, what lateness costs, what silence means.

Rows come from plugins (`amends_rules`) and a merchant's overrides; nothing here knows a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from amends.cases.durations import Duration
from amends.cases.money import Money
from amends.cases.orders import Order, Tag


class Confidence(StrEnum):
    """How far a row can be trusted. Only `medium` and better may move money unasked."""

    DISCARD = "discard"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    OFFICIAL = "official"

    @property
    def rank(self) -> int:
        return list(Confidence).index(self)

    @property
    def reliable(self) -> bool:
        return self.rank >= Confidence.MEDIUM.rank


class RuleName(StrEnum):
    SHIP_PROMISE = "ship-promise"  # hours from payment (or placing) to the deadline
    LATE_DEFINITION = "late-definition"  # text: "pickup" or "label"
    LATE_COMPENSATION = "late-compensation"  # what lateness costs the merchant
    LATE_COMPLAINT = "late-complaint"  # what it costs once the buyer complains
    OUT_OF_STOCK = "out-of-stock"
    OUT_OF_STOCK_LIMIT = "out-of-stock-limit"
    FALSE_SHIPMENT = "false-shipment"
    FRAUD_SHIPMENT = "fraud-shipment"
    PENALTY_CAP = "penalty-cap"  # all penalties of one order
    PENALTY_TIMING = "penalty-timing"
    PLATFORM_REFUND = "platform-refund"
    PICKUP_PROMISE = "pickup-promise"  # hours from shipping to the carrier's pick-up
    DELIVERY_PROMISE = "delivery-promise"
    SILENCE = "silence"  # text: accepted, refused, cancel or undefined
    EXTENSION = "extension"  # value: tries; lead, longest
    WAIVER = "waiver"  # penalties paused
    LATE_RATE_LIMIT = "late-rate-limit"
    EVIDENCE_LIMIT = "evidence-limit"
    REFUND_PROMPT = "refund-prompt"


class Rule(BaseModel):
    """One dated row. `platform` is a rule set's name such as `pdd`; `when` is what it applies to, in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: str
    name: RuleName
    kind: Literal["fixed", "percent", "hours", "days", "rate", "count", "flag", "text"]
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    currency: str = ""
    text: str = ""
    when: str = ""
    paid_from: Decimal | None = Field(default=None, description="Applies to orders of at least this amount.")
    paid_under: Decimal | None = Field(default=None, description="Applies to orders under this amount.")
    tag: Tag | None = Field(default=None, description="Applies to orders with this tag only.")
    promise_up_to: Duration | None = Field(
        default=None, description="Applies to ship promises of at most this."
    )
    promise_over: Duration | None = Field(
        default=None, description="Applies where the ship promise is longer."
    )
    special: bool = Field(
        default=False,
        description="Applies where `when` says, which no order shows: for people, never chosen unasked.",
    )
    notice: str = Field(
        default="", description="For silence: which notice (first-definite, first-indefinite, renewed)."
    )
    lead: Duration | None = Field(
        default=None, description="For extension: how long before the deadline at the latest."
    )
    longest: Duration | None = Field(
        default=None, description="For extension: how far the deadline may move."
    )
    since: date | None = None
    until: date | None = None
    source: str = Field(min_length=1)
    confidence: Confidence

    def valid_on(self, day: date) -> bool:
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)

    def applies_to(self, order: Order) -> bool:
        if self.currency and self.currency != order.amount.currency:
            return False
        if self.tag is not None and self.tag not in order.tags:
            return False
        if order.ship_by is not None:
            promise = order.ship_by - (order.paid_at or order.placed_at)
            if self.promise_up_to is not None and promise > self.promise_up_to:
                return False
            if self.promise_over is not None and promise <= self.promise_over:
                return False
        return (self.paid_from is None or order.amount.decimal >= self.paid_from) and (
            self.paid_under is None or order.amount.decimal < self.paid_under
        )

    def money(self, order: Order) -> Money | None:
        """What this row costs for that order, bounded by its `low` and `high`; None where it names no money."""
        if self.value is None or self.kind not in ("fixed", "percent"):
            return None
        currency = order.amount.currency
        if self.kind == "fixed":
            return Money.of(self.value, self.currency or currency)
        low = Money.of(self.low, currency) if self.low is not None else None
        high = Money.of(self.high, currency) if self.high is not None else None
        return order.amount.percent(self.value).clamp(low, high)


class RuleBook:
    """The rules of one shop: a platform's rows, the merchant's overrides first, valid by the days of the shop's zone."""

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        platform: str = "",
        overrides: Iterable[Rule] = (),
        zone: tzinfo = UTC,
    ) -> None:
        self.platform, self.zone = platform, zone
        self._overrides: Mapping[RuleName, tuple[Rule, ...]] = _by_name(overrides)
        self._rules = _by_name(rule for rule in rules if not platform or rule.platform == platform)
        self._of_day: dict[tuple[RuleName, date, bool], tuple[list[Rule], ...]] = {}

    def day(self, at: datetime) -> date:
        """The day by which rows are valid at that time."""
        return at.astimezone(self.zone).date()

    def all(
        self, name: RuleName, *, on: date, order: Order | None = None, special: bool = False
    ) -> list[Rule]:
        """Every row of that name valid on that day, best first: an override, then by confidence, then the newest.

        Rows marked `special` are left out unless asked for.
        """
        of_day = self._of_day.get((name, on, special))
        if of_day is None:
            if len(self._of_day) >= _DAYS:
                self._of_day.clear()
            of_day = tuple(_valid(rows.get(name, ()), on, special) for rows in (self._overrides, self._rules))
            self._of_day[name, on, special] = of_day
        for rows in of_day:
            found = [rule for rule in rows if order is None or rule.applies_to(order)]
            if found:
                return found
        return []

    def best(self, name: RuleName, *, on: date, order: Order | None = None) -> Rule | None:
        rows = self.all(name, on=on, order=order)
        return rows[0] if rows else None

    def pickup_counts(self, on: date) -> bool:
        """Whether only the carrier's pick-up ends the clock. Where no rule says, it does: the stricter reading."""
        rule = self.best(RuleName.LATE_DEFINITION, on=on)
        return rule is None or rule.text != "label"

    def promise(self, order: Order) -> tuple[datetime, str] | None:
        """The platform's own deadline, else payment plus the promised hours; with its source. None: unknown."""
        if order.ship_by is not None:
            return order.ship_by, "platform"
        start = order.paid_at or order.placed_at
        rule = self.best(RuleName.SHIP_PROMISE, on=self.day(start), order=order)
        if rule is None or rule.value is None or rule.kind not in ("hours", "days"):
            return None
        hours = int(rule.value) * (24 if rule.kind == "days" else 1)
        return start + timedelta(hours=hours), f"rule {rule.platform}/{rule.name} ({rule.confidence})"

    def penalty(self, order: Order, ship_by: datetime) -> tuple[Money, Rule] | None:
        """What lateness of this order costs by the rules on its deadline; None where none is known or all is waived."""
        day = self.day(ship_by)
        if Tag.MAY_SHIP_LATE in order.tags or self.best(RuleName.WAIVER, on=day, order=order) is not None:
            return None
        for rule in self.all(RuleName.LATE_COMPENSATION, on=day, order=order):
            money = rule.money(order)
            if money is not None:
                return money, rule
        return None

    def silence(self, on: date, notice: str = "") -> Rule | None:
        """What an unanswered notice of that kind means, where a rule says."""
        rows = self.all(RuleName.SILENCE, on=on)
        return next((r for r in rows if r.notice == notice), next((r for r in rows if not r.notice), None))


_DAYS = 4096
"""Looked-up days that a book remembers: cases ask for the same few again and again."""


def _valid(rows: Iterable[Rule], on: date, special: bool) -> list[Rule]:
    """Those that hold on that day, best first."""
    found = [
        rule
        for rule in rows
        if rule.valid_on(on) and rule.confidence is not Confidence.DISCARD and (special or not rule.special)
    ]
    return sorted(
        found, key=lambda r: (r.tag is None, -r.confidence.rank, -(r.since or date.min).toordinal())
    )


def _by_name(rules: Iterable[Rule]) -> dict[RuleName, tuple[Rule, ...]]:
    found: dict[RuleName, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.name, []).append(rule)
    return {name: tuple(rows) for name, rows in found.items()}
