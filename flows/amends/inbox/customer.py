"""Opens the customer's link: GET shows how things stand and changes nothing, POST answers, once."""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from amends.cases import facts as f
from amends.errors import LedgerError
from amends.hooks.protocols import Clock
from amends.inbox import pages, replies
from amends.inbox.choices import Choices, choices, end_of
from amends.inbox.limits import RateLimit, Refused, read_body
from amends.inbox.replies import Choice, Seen, Standing
from amends.inbox.together import Together
from amends.inbox.words import Words, language
from amends.ledger import Ledger
from amends.steps.links import Links, Ticket
from amends.steps.shop import Shop

FORM = 16 * 1024
"""Bytes of a form; ours have a few thousand at most."""
PATIENCE = 10.0
"""Seconds that a page waits for the ledger before it asks the customer to come back."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # make a text read otherwise

log = logging.getLogger("amends.inbox")


FIELDS = {
    "error-empty": "date", "error-date": "date", "error-remedy": "remedy", "error-long": "words", "error-sure": "sure",
}  # fmt: skip
"""Where on the form each mistake was made."""


class Wake(Protocol):
    """Told after commit which cases are due at once."""

    def __call__(self, shop: str, *, ids: Sequence[int] = (), numbers: Sequence[str] = ()) -> None: ...


class Wrong(Exception):
    """The form cannot be taken as it is: the name of the text that says why, and which part to open again."""

    def __init__(self, name: str, **values: str) -> None:
        super().__init__(name)
        self.name, self.values = name, values


@dataclass
class Limits:
    """How often a page is shown: by link, and by address (many customers may share one)."""

    by_link: RateLimit = field(default_factory=lambda: RateLimit(30))
    by_address: RateLimit = field(default_factory=lambda: RateLimit(300))
    form_seconds: float = 20.0

    def wait(self, request: Request, token: str) -> float:
        address = request.client.host if request.client else ""
        return self.by_address.wait(address) or self.by_link.wait(token[:200])


class CustomerPage:
    """The handlers of `/r/{token}`. The token is the secret, so the form needs neither cookie nor script."""

    def __init__(
        self, ledger: Ledger, together: Together, shops: Mapping[str, Shop], clock: Clock, wake: Wake | None = None,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.ledger, self.together, self.shops, self.clock = ledger, together, shops, clock
        self.links, self.wake, self.limits = Links(ledger.vault), wake, limits or Limits()

    async def handle(self, request: Request) -> Response:
        """Answer one request for a link, whatever happens."""
        token = str(request.path_params["token"])
        asked = request.query_params.get("lang", "")
        header = request.headers.get("accept-language", "")
        t = Words(language(asked, header))
        wait = self.limits.wait(request, token)
        if wait:
            answer = pages.note(t, 429, t("often"), [t("often-next")], switch=False)
            answer.headers["Retry-After"] = str(int(wait) + 1)
            return answer
        now = self.clock.now()
        ticket = self.links.read(token, now)
        if ticket is None:
            return pages.standing_page(None, Seen(Ticket(0, 0, 0), Standing.UNKNOWN), t)
        try:
            if request.method == "POST":
                return await self._post(request, ticket, token, asked, header, t)
            seen = await asyncio.wait_for(self.ledger.run(replies.see, ticket, self.shops, now), PATIENCE)
            return self._show(seen, self._words(seen, asked, header))
        except Refused as refused:
            return pages.note(t, refused.status, t("refused"), [t("refused-next")], switch=False)
        except (LedgerError, TimeoutError) as error:
            log.error("the reply page waits for the ledger: %s", type(error).__name__)
            answer = pages.note(t, 503, t("later"), [t("later-next")], switch=False)
            answer.headers["Retry-After"] = "60"
            return answer

    async def _post(
        self, request: Request, ticket: Ticket, token: str, asked: str, header: str, t: Words
    ) -> Response:
        form = await _form(request, self.limits.form_seconds)
        now = self.clock.now()
        seen = await asyncio.wait_for(self.ledger.run(replies.see, ticket, self.shops, now), PATIENCE)
        t = self._words(seen, asked, header)
        if seen.standing is not Standing.OPEN:
            return pages.standing_page(self.shops.get(seen.shop), seen, t, again=True)
        shop = self.shops[seen.shop]
        situation = replies.situation(seen, self.shops, now)
        zone = pages.zone_of(shop, seen)
        allowed = choices(shop, seen, situation, zone)
        try:
            choice = self._choice(form, allowed, t, seen)
            written, after = await self.together.run(
                lambda tx: replies.answer(tx, ticket, self.shops, choice, now)
            )
            if not written and after.standing is Standing.OPEN:
                raise Wrong("error-shipped")  # they left between our two looks
        except Wrong as wrong:
            mistake = pages.Mistake(t(wrong.name, **wrong.values), FIELDS.get(wrong.name, ""), form)
            return pages.offer_page(shop, seen, situation, allowed, t, mistake)
        if not written:
            return pages.standing_page(shop, after, t, again=True)
        log.info("case %s: answered on the page", ticket.case)
        if self.wake is not None:
            self.wake(seen.shop, ids=(ticket.case,))
        return RedirectResponse(f"{token}?lang={t.language}", 303)  # so that a reload does not send it again

    def _show(self, seen: Seen, t: Words) -> Response:
        shop = self.shops.get(seen.shop)
        if seen.standing is not Standing.OPEN or shop is None:
            return pages.standing_page(shop, seen, t)
        situation = replies.situation(seen, self.shops, self.clock.now())
        allowed = choices(shop, seen, situation, pages.zone_of(shop, seen))
        return pages.offer_page(shop, seen, situation, allowed, t)

    def _words(self, seen: Seen, asked: str, header: str) -> Words:
        shop, order = self.shops.get(seen.shop), seen.case.order if seen.case else None
        known = [order.language if order else "", shop.settings.shop(shop.name).language if shop else ""]
        return Words(language(asked, header, *known))

    def _choice(self, form: Mapping[str, str], allowed: Choices, t: Words, seen: Seen) -> Choice:
        """What the form says; raises `Wrong` for what is not allowed or makes no sense."""
        match form.get("answer"):
            case "accept":
                return Choice(f.Answer.ACCEPT)
            case "decline":
                return Choice(f.Answer.DECLINE)
            case "cancel":
                if not allowed.cancel:
                    raise Wrong("error-shipped")
                if form.get("sure") != "yes":
                    raise Wrong("error-sure")
                return Choice(f.Answer.CANCEL)
            case "counter":
                return self._counter(form, allowed, t, seen)
            case _:
                raise Wrong("error-form")

    def _counter(self, form: Mapping[str, str], allowed: Choices, t: Words, seen: Seen) -> Choice:
        words = _clean(form.get("words", ""))
        if len(words) > pages.MOST_WORDS:
            raise Wrong("error-long", most=str(pages.MOST_WORDS))
        day = _day(form.get("date", ""), allowed, t)
        kind = form.get("remedy", "")
        remedy = next((r for r in allowed.remedies if r.kind.value == kind), None)
        if kind and remedy is None:
            raise Wrong("error-remedy")
        if not (words or day or remedy):
            raise Wrong("error-empty")
        if words or allowed.last:  # a person reads it: nothing that we could offer by ourselves follows
            asked = [f"[ship by {day}]" if day else "", f"[instead: {remedy}]" if remedy else "", words]
            return Choice(f.Answer.COUNTER, words="\n".join(part for part in asked if part))
        ship_by = end_of(day, pages.zone_of(self.shops[seen.shop], seen)) if day else None
        return Choice(f.Answer.COUNTER, ship_by=ship_by, remedy=remedy)


async def _form(request: Request, seconds: float) -> dict[str, str]:
    """The fields of the form, each once. Raises `Refused` for any other body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "not a form")
    body = await read_body(request, FORM, seconds=seconds)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise Refused(400, "not a form that can be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused(400, "a field is there twice")
    return form


def _day(text: str, allowed: Choices, t: Words) -> date | None:
    if not text:
        return None
    if allowed.first_day is None or allowed.last_day is None:
        raise Wrong("error-form")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not allowed.allows(day):
        first, last = pages.shown_day(allowed.first_day, t), pages.shown_day(allowed.last_day, t)
        raise Wrong("error-date", first=first, last=last)
    return day


def _clean(text: str) -> str:
    """A customer's words without control characters and without marks that turn the reading direction."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (
        c for c in lines if c == "\n" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING)
    )
    return "".join(kept).strip()
