"""How customers of the marketplace model answer: drawn per order and round, or scripted by the fate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from amends.cases.facts import Answer
from amends.cases.money import Money
from amends.cases.offers import Remedy, RemedyKind
from amends.hooks.requests import Reply
from amends.testing.fates import Wish
from amends.testing.sales import Sale

FIRST = {
    Wish.ACCEPT: 52,
    Wish.DECLINE: 12,
    Wish.LATER: 9,
    Wish.MORE: 9,
    Wish.CANCEL: 4,
    Wish.SILENT: 13,
    Wish.TEXT: 1,
}
LATER = {Wish.ACCEPT: 66, Wish.DECLINE: 14, Wish.CANCEL: 8, Wish.SILENT: 12}

_ANSWER = {
    Wish.ACCEPT: Answer.ACCEPT,
    Wish.DECLINE: Answer.DECLINE,
    Wish.LATER: Answer.COUNTER,
    Wish.MORE: Answer.COUNTER,
    Wish.CANCEL: Answer.CANCEL,
}
_SAYS = {
    "en": {
        Wish.ACCEPT: "All right, I accept.",
        Wish.DECLINE: "No, that is not enough for me.",
        Wish.LATER: "I can wait, but I am away until {date}. Ship it then.",
        Wish.MORE: "I would accept {remedy}.",
        Wish.CANCEL: "Please cancel the order.",
    },
    "zh": {
        Wish.ACCEPT: "好的,我接受。",
        Wish.DECLINE: "不行,我不接受。",
        Wish.LATER: "可以等,不过我 {date} 之前不在,到时候再发。",
        Wish.MORE: "给我 {remedy} 就可以。",
        Wish.CANCEL: "请取消订单。",
    },
}
_WORDS = {
    "en": {Answer.ACCEPT: "Well, if it must be so, fine by me.", Answer.DECLINE: "You must be joking."},
    "zh": {Answer.ACCEPT: "行吧,就这样吧。", Answer.DECLINE: "开什么玩笑。"},
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply and what it means: the same, except for free text, which only a person can read."""

    reply: Reply
    means: Answer


def wish(sale: Sale, round: int) -> Wish:
    """How this customer takes the offer of that round."""
    script = sale.story.answers
    if round - 1 < len(script):
        return script[max(0, round - 1)]
    if script and sale.story.stubborn:
        return script[-1]
    return sale.draw.pick(FIRST if round <= 1 else LATER, "wish", round)


def answer(
    sale: Sale, round: int, told_at: datetime, *, remedy: Remedy | None, new_ship_by: datetime | None
) -> Answered | None:
    """The reply to an offer told at that time, some virtual hours later; None: silence."""
    mood = wish(sale, round)
    if mood is Wish.SILENT:
        return None
    at = told_at + sale.draw.hours(1, 5, "reply", round)
    event = f"reply-{sale.number}-{round}"
    language = sale.base.language
    if mood is Wish.TEXT:
        weights = {Answer.ACCEPT: 6, Answer.DECLINE: 4}
        means = sale.draw.pick(weights, "means", round)
        said = _WORDS[language][means]
        return Answered(Reply(event=event, order=sale.number, at=at, round=round, text=said), means)
    ship_by = larger = None
    if mood is Wish.MORE:
        larger = _larger(remedy, sale.base.amount.currency)
    if mood is Wish.LATER:
        ship_by = max(new_ship_by or at, at) + timedelta(hours=sale.draw.between(6, 24, "later", round))
    said = _SAYS[language][mood].format(
        date=f"{ship_by:%Y-%m-%d %H:%M} UTC" if ship_by else "", remedy=larger
    )
    reply = Reply(
        event=event,
        order=sale.number,
        at=at,
        answer=_ANSWER[mood],
        round=round,
        text=said,
        ship_by=ship_by,
        remedy=larger,
    )
    return Answered(reply, _ANSWER[mood])


def _larger(remedy: Remedy | None, currency: str) -> Remedy:
    if remedy is None:
        return Remedy(kind=RemedyKind.COUPON, amount=Money(minor=500, currency=currency))
    if remedy.points:
        return remedy.model_copy(update={"points": remedy.points * 2})
    if remedy.amount:
        return remedy.model_copy(update={"amount": remedy.amount.percent(150)})
    return remedy
