"""What a report holds: the numbers of one shop's days, each with what it means, and their JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from amends.cases.money import Money

FUNNEL = ("opened", "late", "contacted", "accepted", "settled", "complaint", "arbitration", "legal")
"""In the order in which a case meets them; not every one meets all, so a later number can be the larger one."""

Amounts = dict[str, Money]
"""By currency: amounts of two currencies are never added."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The platform's limit of the late rate, in per cent, as a rule says."""

    percent: Decimal
    when: str
    source: str
    confidence: str


@dataclass(slots=True)
class Share:
    """Orders whose deadline passed, and how many of them were late: not picked up, or only after it."""

    due: int = 0
    late: int = 0

    @property
    def rate(self) -> float | None:
        """Per cent; None where nothing was due."""
        return round(100 * self.late / self.due, 2) if self.due else None


@dataclass(slots=True)
class Day:
    """`share` by deadline; the rest by when it happened."""

    day: date
    share: Share = field(default_factory=Share)
    opened: int = 0
    contacted: int = 0
    settled: int = 0
    closed: int = 0


@dataclass(slots=True)
class Cause:
    """One article, warehouse or carrier. `days`: on how many days it was late; from two on it happened again."""

    name: str
    share: Share = field(default_factory=Share)
    days: int = 0


@dataclass(slots=True)
class Customer:
    """Somebody to whom it happened again. The platform's opaque id, cut to its end; the orders say who it is."""

    mask: str
    late: int
    orders: list[str]


@dataclass(slots=True)
class Penalty:
    """What the rules say that lateness costs. amends does not see what a platform charged.

    `avoided`: of cases that closed as shipped or settled and kept the platform's own deadline, with what it was
    extended by. `missed`: closed so too, but after that deadline: the platform may have charged it. `at_stake`: of
    cases that are open. Cases that ended otherwise (cancelled, refunded, ruled …) count nowhere.
    """

    avoided: Amounts = field(default_factory=dict)
    missed: Amounts = field(default_factory=dict)
    at_stake: Amounts = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """One shop, from `since` to `until`, as the ledger knew it at `now`.

    `share`, `days`, `causes` and `customers` are about orders whose deadline lies there and has passed. The deadline is the
    platform's, an extension that the platform shows included; a date agreed with the customer alone moves nothing. An
    order refunded or cancelled after it was seen late stays late; one that was so before, or is exempt, is not due.
    `funnel`, `answers`, `explained` and `renewed` are about cases opened there; `cost`, `outcomes` and `hours` about
    what was settled or closed there. `cost` is by remedy kind; `refunds` are apart, since the goods may not have left.
    """

    shop: str
    time_zone: str
    since: date
    until: date
    now: datetime
    limit: Limit | None = None
    share: Share = field(default_factory=Share)
    unknown: int = 0  # orders without a known deadline, placed in these days
    days: list[Day] = field(default_factory=list)
    funnel: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FUNNEL, 0))
    answers: dict[str, int] = field(default_factory=dict)
    explained: dict[str, int] = field(default_factory=dict)  # the cause that customers were told, by case
    renewed: int = 0  # cases that needed a second offer
    outcomes: dict[str, int] = field(default_factory=dict)
    open: int = 0
    remedies: dict[str, int] = field(default_factory=dict)
    cost: dict[str, Amounts] = field(default_factory=dict)
    cost_total: Amounts = field(default_factory=dict)
    refunds: Amounts = field(default_factory=dict)
    penalty: Penalty = field(default_factory=Penalty)
    hours_median: float | None = None  # from opened to closed
    hours_p90: float | None = None
    causes: dict[str, list[Cause]] = field(default_factory=dict)
    causes_total: dict[str, int] = field(default_factory=dict)
    customers: list[Customer] = field(default_factory=list)
    customers_total: int = 0
    tasks_open: int = 0
    tasks_overdue: int = 0
    tasks_done: int = 0
    tasks_by_kind: dict[str, int] = field(default_factory=dict)  # open ones
    effects: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def over_limit(self) -> bool:
        """Whether the late rate of these days is above the platform's limit, where one is known."""
        rate = self.share.rate
        return self.limit is not None and rate is not None and Decimal(str(rate)) > self.limit.percent

    def to_json(self) -> dict[str, Any]:
        """Plain values: days as `2026-03-01`, times in UTC, amounts as `"12.30 CNY"`, rates and limits in per cent."""
        found: dict[str, Any] = _plain(self)
        return found | {"over_limit": self.over_limit}


def _plain(value: Any) -> Any:
    match value:
        case Money() | Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Enum():
            return value.value
        case Share():
            return {"due": value.due, "late": value.late, "rate": value.rate}
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value
