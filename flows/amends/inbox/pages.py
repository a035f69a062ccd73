"""Renders the customer's page: the offer with its form, or a note that says how things stand. No script, one file.

Everything that comes from orders, config or the customer is escaped; nothing personal is shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.stages import Now
from amends.inbox.choices import Choices
from amends.inbox.replies import Seen, Standing
from amends.inbox.words import Words, masked
from amends.steps.localised import locale_of, shown_money, shown_time
from amends.steps.shop import Shop
from amends.steps.texts import remedy_words

MOST_WORDS = 1000
"""Characters of a customer's own words."""
_STATES = {
    State.OVERDUE: "late", State.AT_RISK: "at-risk", State.SHIPPED_LATE: "shipped-late", State.STALLED: "stalled",
}  # fmt: skip
_CAUSES = ("stock", "warehouse", "carrier", "storm", "address")
_CODES = {
    Standing.OPEN: 200, Standing.ANSWERED: 200, Standing.EXPIRED: 410, Standing.REPLACED: 410, Standing.CLOSED: 410,
    Standing.UNKNOWN: 404,
}  # fmt: skip


@cache
def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = Markup(_style())  # noqa: S704  # our own file, without a value in it
    return made


@cache
def _style() -> str:
    return (Path(__file__).parent / "templates" / "style.css.j2").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy of every page: this one style, forms to ourselves, nothing else, no script at all."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    parts = (
        "default-src 'none'", f"style-src 'sha256-{digest}'", "form-action 'self'", "base-uri 'none'",
        "frame-ancestors 'none'",
    )  # fmt: skip
    return "; ".join(parts)


def zone_of(shop: Shop, seen: Seen) -> ZoneInfo:
    """The customer's zone where a platform told a true one, else the shop's."""
    given = seen.case.order.time_zone if seen.case is not None and seen.case.order is not None else ""
    try:
        return ZoneInfo(given) if given else shop.settings.shop(shop.name).zone
    except (ValueError, OSError, KeyError):
        return shop.settings.shop(shop.name).zone


@dataclass(frozen=True, slots=True)
class Mistake:
    """What was wrong with the last try, in which field, and what was given: nobody fills a form in twice."""

    told: str = ""
    place: str = ""
    given: Mapping[str, str] = field(default_factory=dict)


def offer_page(
    shop: Shop, seen: Seen, now: Now, choices: Choices, t: Words, mistake: Mistake | None = None
) -> HTMLResponse:
    """The offer and the four answers to it; with a mistake, what was wrong with the last try (422)."""
    case, round_ = now.case, seen.round
    if round_ is None:
        raise ValueError("there is no offer to show")
    mistake = mistake or Mistake()
    zone = zone_of(shop, seen)
    reply_by = round_.reply_by or round_.offer.reply_by
    values = {
        "heading": t("order", order=masked(case.number)),
        "error": mistake.told,
        "wrong": mistake.place,
        "opened": mistake.given.get("answer", ""),
        "words": mistake.given.get("words", "")[:MOST_WORDS],
        "date": mistake.given.get("date", "")[:10],
        "chosen": mistake.given.get("remedy", ""),
        "happened": _happened(now, t, zone),
        "cause": t(f"cause-{round_.offer.cause if round_.offer.cause in _CAUSES else 'unknown'}"),
        "remedy": remedy_words(round_.offer.remedy, t.language, shop.template_dirs),
        "dated": now.shipped is None,
        "new_ship_by": _time(round_.offer.new_ship_by, t, zone),
        "reply_by": _time(reply_by, t, zone),
        "first_day": choices.first_day.isoformat() if choices.first_day else "",
        "last_day": choices.last_day.isoformat() if choices.last_day else "",
        "last_shown": shown_day(choices.last_day, t) if choices.last_day else "",
        "remedies": [
            (r.kind.value, remedy_words(r, t.language, shop.template_dirs)) for r in choices.remedies
        ],
        "cancel": choices.cancel,
        "amount": shown_money(case.order.amount, t.language) if case.order else "",
        "most": MOST_WORDS,
    }
    return _respond("offer.html.j2", t, 422 if mistake.told else 200, shop=shop.name, **values)


def standing_page(shop: Shop | None, seen: Seen, t: Words, *, again: bool = False) -> HTMLResponse:
    """What a link is good for when it is not open: answered, expired, replaced, closed, unknown.

    `again` says that somebody has just tried to answer once more (409).
    """
    if seen.standing is not Standing.ANSWERED or shop is None or seen.case is None:
        name = seen.standing.value if seen.standing is not Standing.ANSWERED else "unknown"
        order = t("order", order=masked(seen.case.number)) if seen.case else ""
        code = _CODES[Standing(name)]
        return note(t, code, t(name), [t(f"{name}-next")], shop=shop.name if shop else "", order=order)
    zone = zone_of(shop, seen)
    day = shown_day(seen.ship_by.astimezone(zone).date(), t) if seen.ship_by else ""
    if seen.answer is None:
        said = t("was-words")
    elif seen.answer is f.Answer.COUNTER and day:
        said = t("was-counter-date", date=day)
    else:
        said = t(f"was-{seen.answer.value}")
    return note(
        t, 409 if again else 200, t("already" if again else "thanks"), [said], shop=shop.name, good=not again,
        order=t("order", order=masked(seen.case.number)), after=_next(shop, seen, t, zone),
    )  # fmt: skip


def note(
    t: Words, code: int, heading: str, lines: list[str], *, shop: str = "", order: str = "", after: list[str] | None = None,
    good: bool = False, switch: bool = True,
) -> HTMLResponse:  # fmt: skip
    """A short page: a heading and a few lines."""
    return _respond(
        "note.html.j2", t, code, shop=shop, heading=heading, lines=lines, order=order, after=after or [], good=good,
        switch=switch,
    )  # fmt: skip


def shown_day(day: date, t: Words) -> str:
    """A day as it is read in that language."""
    return format_date(day, {"zh": "y年M月d日"}.get(t.language, "d MMMM y"), locale=locale_of(t.language))


def _next(shop: Shop, seen: Seen, t: Words, zone: ZoneInfo) -> list[str]:
    case, round_ = seen.case, seen.round
    if case is None or round_ is None:
        return []
    match seen.answer:
        case None:
            return [t("next-words")]
        case f.Answer.ACCEPT:
            lines = []
            if round_.offer.remedy is not None:
                given = remedy_words(round_.offer.remedy, t.language, shop.template_dirs)
                lines.append(t("next-accept", remedy=given))
            if round_.offer.new_ship_by is not None:
                lines.append(t("next-accept-date", date=_time(round_.offer.new_ship_by, t, zone)))
            return lines or [t("next-accept-plain")]
        case f.Answer.CANCEL:
            return [t("next-cancel", amount=shown_money(case.order.amount, t.language) if case.order else "")]
        case _:
            return [t(f"next-{seen.answer.value}")]


def _happened(now: Now, t: Words, zone: ZoneInfo) -> str:
    late = now.lateness
    name = _STATES.get(late.state, "sorry") if late is not None else "sorry"
    if name not in ("late", "at-risk"):
        return t(name)
    if late is None or late.ship_by is None:
        return t(f"{name}-undated")
    return t(name, ship_by=_time(late.ship_by, t, zone))


def _time(when: datetime | None, t: Words, zone: ZoneInfo) -> str:
    return shown_time(when, t.language, zone.key) if when is not None else ""


def _respond(template: str, t: Words, code: int, **values: Any) -> HTMLResponse:
    plain: dict[str, Any] = {
        "t": t,
        "switch": True,
        "good": False,
        "other_lang": Words(t.other).lang,
    } | values
    text = _environment().get_template(template).render(plain)
    return HTMLResponse(text, code, headers={"Content-Language": t.lang, "Content-Security-Policy": policy()})
