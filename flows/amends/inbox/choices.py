"""What a customer may ask for instead: dates and remedies to which the shop's own policy would agree at once.

The policy is asked, as it is pure: what it would not agree to goes to a person as the customer's words.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from amends.cases.money import Money
from amends.cases.offers import Remedy, RemedyKind
from amends.cases.stages import Now
from amends.hooks.protocols import CaseView, PolicyContext
from amends.inbox.replies import Seen
from amends.steps.shop import Shop

FURTHEST = (90, 60, 45, 30, 21, 14, 10, 7, 5, 4, 3, 2, 1)
"""Days ahead that are tried, the longest first."""
UNLIMITED = 30
"""Days that can be chosen where the policy agrees to none by itself: it makes its next offer, or a person reads."""
_WORTH = (RemedyKind.COUPON, RemedyKind.DISCOUNT, RemedyKind.STORE_CREDIT, RemedyKind.REFUND)

log = logging.getLogger("amends.inbox")


@dataclass(frozen=True, slots=True)
class Choices:
    """The days and remedies that can be chosen. `last`: no further offer follows, so that a person reads what is asked."""

    first_day: date | None = None
    last_day: date | None = None
    remedies: tuple[Remedy, ...] = ()
    cancel: bool = False
    last: bool = False

    def allows(self, day: date) -> bool:
        return (
            self.first_day is not None
            and self.last_day is not None
            and self.first_day <= day <= self.last_day
        )


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The last second of that day there."""
    return datetime.combine(day, time(23, 59, 59), tzinfo=zone)


def choices(shop: Shop, seen: Seen, now: Now, zone: ZoneInfo) -> Choices:
    """What can be asked for on this page, now."""
    case, round_, order = now.case, seen.round, now.case.order
    if round_ is None or order is None or now.lateness is None:
        return Choices(cancel=now.shipped is None)
    playbook = now.terms.playbook
    last = round_.number >= playbook.rounds
    view = CaseView(
        order=order, lateness=now.lateness, round=round_.number + 1, penalty=case.penalty, now=now.at,
        earlier=tuple(r.offer for r in case.rounds), can=shop.remedies,
    )  # fmt: skip
    context = PolicyContext(
        left=_given_back(seen.left or {}, round_.offer.remedy), reply_by=now.at + playbook.reply_within,
        last_round=playbook.rounds,
    )  # fmt: skip
    today = now.at.astimezone(zone).date()
    agrees = _Agrees(shop, seen, view, context)
    first_day = last_day = None
    if now.shipped is None:
        days = UNLIMITED if last else next(
            (d for d in FURTHEST if agrees.to(ship_by=end_of(today + timedelta(days=d), zone))), UNLIMITED
        )  # fmt: skip
        first_day, last_day = today + timedelta(days=1), today + timedelta(days=days)
    remedies = () if last else tuple(r for r in _others(round_.offer.remedy, shop) if agrees.to(remedy=r))
    return Choices(first_day, last_day, remedies, cancel=now.shipped is None, last=last)


class _Agrees:
    """Whether the policy would agree to a counter."""

    def __init__(self, shop: Shop, seen: Seen, view: CaseView, context: PolicyContext) -> None:
        self.policy, self.view, self.context = shop.policy(seen.policy), view, context

    def to(self, *, ship_by: datetime | None = None, remedy: Remedy | None = None) -> bool:
        asked = replace(self.view, counter_ship_by=ship_by, counter_remedy=remedy)
        try:
            offer = self.policy.propose(asked, self.context)
        except Exception as error:  # a policy's fault must not take the page away
            log.warning("the policy cannot say what a customer may ask for: %s", type(error).__name__)
            return False
        return offer.agreed


def _others(offered: Remedy | None, shop: Shop) -> Iterator[Remedy]:
    """The same worth in another kind."""
    if offered is None or offered.amount is None:
        return
    for kind in _WORTH:
        if kind is not offered.kind and kind.value in shop.remedies:
            yield Remedy(kind=kind, amount=offered.amount)


def _given_back(left: Mapping[str, Money], offered: Remedy | None) -> dict[str, Money]:
    """The caps as they stand once this offer's own share is given back."""
    amount = offered.amount if offered else None
    return {
        cap: free + amount if amount is not None and amount.currency == free.currency else free
        for cap, free in left.items()
    }
