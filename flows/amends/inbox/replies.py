"""What a customer's link still allows, and the answer written: each in one transaction of the ledger.

A link is used up by its answer: the round being unanswered is checked where the answer is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.offers import Remedy
from amends.cases.snapshot import Round, Snapshot, fold
from amends.cases.stages import Now, look
from amends.hooks.requests import Reply
from amends.ledger import Tx, budgets, chain, inbox
from amends.ledger.schema import cases
from amends.ledger.schema import inbox as arrivals
from amends.steps.intake import arrival
from amends.steps.links import Ticket
from amends.steps.shop import Shop

GRACE = timedelta(minutes=5)
"""How long after its date an answer still counts, where silence has not spoken yet: for slow thumbs and clocks."""


class Standing(StrEnum):
    """What a link is good for now."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    REPLACED = "replaced"  # a newer offer is out
    CLOSED = "closed"
    UNKNOWN = "unknown"  # no such case in this ledger


@dataclass(frozen=True, slots=True)
class Seen:
    """A link's case as the page needs it. `answer` is None while a person must read the customer's words."""

    ticket: Ticket
    standing: Standing
    shop: str = ""
    case: Snapshot | None = None
    round: Round | None = None
    playbook: str = ""
    policy: str = ""
    answer: f.Answer | None = None
    ship_by: datetime | None = None
    left: dict[str, Money] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What the customer says. `words` go to a person, who decides what they mean."""

    answer: f.Answer
    ship_by: datetime | None = None
    remedy: Remedy | None = None
    words: str = ""


def see(tx: Tx, ticket: Ticket, shops: Mapping[str, Shop], now: datetime, *, lock: bool = False) -> Seen:
    """Where the round of a link stands at `now`; changes nothing."""
    query = select(cases).where(cases.c.id == ticket.case)
    row = tx.execute(tx.locked(query) if lock else query).first()
    if row is None or row.generation != ticket.generation or row.shop not in shops:
        return Seen(ticket, Standing.UNKNOWN)
    case = fold(chain.load(tx, [ticket.case])[ticket.case], case=row.id, shop=row.shop, number=row.number)
    round_ = case.round(ticket.round)
    if round_ is None:
        return Seen(ticket, Standing.UNKNOWN)
    shop = shops[row.shop]
    standing, answer, date = _standing(tx, ticket, case, round_, now)
    order = case.order
    left = None
    if standing is Standing.OPEN and order is not None:
        left = budgets.left(tx, shop.scopes(case.number, order.customer, order.amount.currency))
    return Seen(ticket, standing, row.shop, case, round_, row.playbook, row.policy, answer, date, left)


def answer(
    tx: Tx, ticket: Ticket, shops: Mapping[str, Shop], choice: Choice, now: datetime
) -> tuple[bool, Seen]:
    """Write the answer where the link is still open, and wake the case; tells whether it was written, and what stands.

    Cancelling goods that have left is not written: their order's own page says what to do then.
    """
    seen = see(tx, ticket, shops, now, lock=True)
    if seen.standing is not Standing.OPEN or seen.case is None:
        return False, seen
    if choice.answer is f.Answer.CANCEL and not may_cancel(situation(seen, shops, now)):
        return False, seen
    reply = Reply(
        event=ticket.event, order=seen.case.number, at=now, answer=None if choice.words else choice.answer,
        round=ticket.round, text=choice.words, ship_by=choice.ship_by, remedy=choice.remedy,
    )  # fmt: skip
    written = inbox.receive(tx, seen.shop, [arrival(reply)], now) == 1
    return written, see(tx, ticket, shops, now)


def situation(seen: Seen, shops: Mapping[str, Shop], now: datetime) -> Now:
    """The case at `now`, judged by the playbook that it began with."""
    if seen.case is None:
        raise ValueError("there is no case to look at")
    return look(seen.case, now, shops[seen.shop].terms(seen.playbook))


def may_cancel(now: Now) -> bool:
    """Whether the goods are still here."""
    return now.shipped is None


def _standing(
    tx: Tx, ticket: Ticket, case: Snapshot, round_: Round, now: datetime
) -> tuple[Standing, f.Answer | None, datetime | None]:
    if round_.answer is not None and not round_.silent:
        return Standing.ANSWERED, round_.answer, round_.counter_ship_by
    for event in inbox.waiting(tx, case.shop, [case.case]).get(case.case, ()):
        reply = Reply.model_validate_json(event.body) if event.body else None
        if reply is None or (reply.answer is None and event.event != ticket.event):
            continue  # word of a change, or words that may not be an answer at all
        if reply.round in (None, ticket.round):
            return Standing.ANSWERED, reply.answer, reply.ship_by
    used = select(arrivals.c.event).where(arrivals.c.shop == case.shop, arrivals.c.event == ticket.event)
    if tx.execute(used).first() is not None:
        return Standing.ANSWERED, None, None
    if case.outcome is not None:
        return Standing.CLOSED, None, None
    if case.rounds[-1].number != round_.number:
        return Standing.REPLACED, None, None
    reply_by = round_.reply_by or round_.offer.reply_by
    if round_.silent or reply_by is None or now > reply_by + GRACE:
        return Standing.EXPIRED, None, None
    return Standing.OPEN, None, None
