"""A marketplace for tests and the demo: pure, in-process, deterministic, its clock set from outside.

The same seed gives the same world in whatever order calls come in. All that it tells the outside is its
journal; fed back with `replay`, the journal rebuilds the world.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from amends.cases.money import Money
from amends.cases.offers import Remedy, RemedyKind
from amends.cases.orders import Order, Tracking
from amends.errors import InputError, NotFound, Rejected, Unsupported
from amends.hooks.requests import (
    AnyRequest,
    Event,
    Extension,
    Filing,
    Grant,
    Message,
    Note,
    OrderPage,
    Receipt,
    Reply,
    ReplyPage,
    Ruling,
)
from amends.testing.cursors import read_cursor, write_cursor
from amends.testing.customers import Answered
from amends.testing.journal import Entry, Op, Visible
from amends.testing.outcomes import Outcomes
from amends.testing.sales import Change, Sale
from amends.testing.timelines import sale

START = datetime(2026, 3, 2, tzinfo=UTC)
_PREFIX = {
    "message": "M", "grant": "G", "extend": "X",
    "complain": "C", "respond": "R", "arbitrate": "A", "legal": "L", "note": "N",
}  # fmt: skip
_FAR = "\uffff"


class Marketplace:
    """One shop's marketplace: orders, carriers, customers and a dispute desk.

    `journal` is called with each entry before the entry takes effect; where it raises, nothing happens.
    Methods raise `Rejected` or `NotFound` as a platform refuses. Times are aware; `visibility_lag` delays
    what `find` sees.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        orders: int = 200,
        days: int = 10,
        start: datetime = START,
        currency: str = "CNY",
        page: int = 100,
        visibility_lag: timedelta = timedelta(),
        journal: Callable[[Entry], None] | None = None,
    ) -> None:
        self.seed, self.days, self.start, self.currency, self.page = (
            seed,
            days,
            start.astimezone(UTC),
            currency,
            page,
        )
        self.visibility_lag = visibility_lag
        self.now = self.start
        self.entries: list[Entry] = []
        self._journal = journal
        self._sales: dict[str, Sale] = {}
        self._feed: list[tuple[datetime, str]] = []
        self._replies: list[tuple[datetime, str]] = []
        self._answers: dict[str, Answered] = {}
        self._of: dict[str, list[Entry]] = {}
        self._by_key: dict[tuple[str, str], list[Entry]] = {}
        self._count: Counter[tuple[str, str] | tuple[str, str, int]] = Counter()
        self._outcomes = Outcomes(self._plan, self._unplan)
        for index in range(orders):
            made = sale(seed, index, start=self.start, days=days, currency=currency)
            self._sales[made.number] = made
            self._of[made.number] = []
        self._feed = sorted({(c.listed_at, s.number) for s in self._sales.values() for c in s.changes})

    def set_clock(self, now: datetime) -> list[Event]:
        """Move the time on; returns what the platform pushes. Raises `InputError` for a step back."""
        now = now.astimezone(UTC)
        if now < self.now:
            raise InputError(f"the sandbox's clock stands at {self.now.isoformat()} and does not go back")
        before, self.now = self.now, now
        return self._events(before, now)

    def _events(self, before: datetime, now: datetime) -> list[Event]:
        found = []
        for at, event in self._replies[bisect_right(self._replies, (before, _FAR)) :]:
            if at > now:
                break
            reply = self._answers[event].reply
            found.append((at, Event(event=f"push-{event}", order=reply.order, reply=reply)))
        for at, number in self._feed[bisect_right(self._feed, (before, _FAR)) :]:
            if at > now:
                break
            if any(
                c.listed_at == at and c.about in ("after-sales", "ruling")
                for c in self._sales[number].changes
            ):
                found.append((at, Event(event=f"push-{number}-{at:%Y%m%d%H%M%S}", order=number)))
        return [event for _, event in sorted(found, key=lambda pair: (pair[0], pair[1].event))]

    # Reading.

    def changed_orders(self, cursor: str = "") -> OrderPage:
        """Orders whose list entry changed after `cursor`, each once, oldest change first."""
        last = read_cursor(cursor)
        orders: list[Order] = []
        for at, number in self._feed[bisect_right(self._feed, last) if last else 0 :]:
            if at > self.now:
                break
            found = self._sales[number]
            if found.last_listed(self.now) != at:
                continue  # it changed again since: it comes at that later place
            if len(orders) == self.page:
                return OrderPage(orders=tuple(orders), cursor=write_cursor(last), more=True)
            orders.append(found.listed(self.now))
            last = (at, number)
        return OrderPage(orders=tuple(orders), cursor=write_cursor(last))

    def order(self, number: str) -> Order:
        return self._sale(number).page(self.now)

    def tracking(self, number: str) -> Tracking | None:
        return self._sale(number).tracking(self.now)

    def replies(self, cursor: str = "") -> ReplyPage:
        """Customers' answers after `cursor`, oldest first; `event` stays the same when read again."""
        last = read_cursor(cursor)
        found: list[Reply] = []
        for at, event in self._replies[bisect_right(self._replies, last) if last else 0 :]:
            if at > self.now:
                break
            if len(found) == self.page:
                return ReplyPage(replies=tuple(found), cursor=write_cursor(last), more=True)
            found.append(self._answers[event].reply)
            last = (at, event)
        return ReplyPage(replies=tuple(found), cursor=write_cursor(last))

    def find(self, request: AnyRequest) -> Receipt | None:
        """What took place under that request's key, once it can be seen; extensions cannot be looked up."""
        return self.lookup(request.op, request.key, request.order)

    def lookup(self, op: str, key: str, order: str = "") -> Receipt | None:
        if op == "extend":
            raise Unsupported("sandbox: an extension cannot be looked up")
        for entry in self._by_key.get((op, key), ()):
            if entry.at + self.visibility_lag <= self.now and order in ("", entry.order):
                return self.receipt(entry)
        return None

    def ruling(self, order: str, ref: str = "") -> Ruling | None:
        """The decision on what was filed as `ref` (empty: the last filing); None while there is none."""
        return self._outcomes.ruling(self._sale(order), ref, self.now)

    # Writing: each call that is not refused, or replayed by its key, commits an effect.

    def message(self, request: Message, *, by: Visible = "api") -> Receipt:
        self._sale(request.order)
        dated = request.model_dump(
            mode="json", include={"remedy", "new_ship_by", "reply_by"}, exclude_none=True
        )
        return self._commit("message", "message", request, by=by, data=dated)

    def grant(self, request: Grant, *, by: Visible = "api") -> Receipt:
        found, remedy = self._sale(request.order), request.remedy
        if remedy.amount and remedy.amount.currency != found.base.amount.currency:
            raise Rejected(
                f"sandbox: {remedy.amount.currency} given for an order in {found.base.amount.currency}"
            )
        data: dict[str, Any] = {"remedy": remedy.model_dump(mode="json", exclude_none=True)}
        kind = f"grant:{remedy.kind}"
        if remedy.kind is RemedyKind.REFUND:
            if remedy.amount and remedy.amount > found.base.amount:
                raise Rejected("sandbox: a refund above the order's amount")
            return self._commit("grant", kind, request, by=by, data=data, amount=remedy.amount)
        print_ = _fingerprint(request.order, data["remedy"])
        return self._once("grant", kind, request, print_, by=by, data=data, amount=remedy.amount)

    def extend(self, request: Extension, *, by: Visible = "api") -> Receipt:
        """Move the deadline: before it only, and once. The platform does not recognise a repeated call."""
        order = self.order(request.order)
        deadline = order.agreed_ship_by or order.ship_by
        earlier = [e for e in self._of[request.order] if e.op == "extend"]
        if any(e.round != request.round for e in earlier):
            raise Rejected("sandbox: this order's deadline was already extended once")
        if deadline is None or self.now > deadline:
            raise Rejected("sandbox: the deadline has passed or is not set")
        if not earlier and request.until <= deadline:
            raise Rejected("sandbox: the new date is not later than the present one")
        return self._commit("extend", "extend", request, by=by, data={"until": request.until.isoformat()})

    def respond(self, request: Filing, *, by: Visible = "api") -> Receipt:
        if not self.order(request.order).dispute:
            raise Rejected("sandbox: no dispute is open for this order")
        return self._commit("respond", "respond", request, by=by)

    def complain(self, request: Filing, *, by: Visible = "api") -> Receipt:
        self._sale(request.order)
        return self._commit("complain", "complain", request, by=by)

    def arbitrate(self, request: Filing, *, by: Visible = "api") -> Receipt:
        self._sale(request.order)
        return self._once(
            "arbitrate", "arbitrate", request, _fingerprint(request.order, request.round), by=by, data={}
        )

    def note(self, request: Note, *, by: Visible = "api") -> Receipt:
        """A line for the shop's own people: it changes nothing about the order."""
        self._sale(request.order)
        print_, data = _fingerprint(request.order, request.about, request.text), {"text": request.text}
        return self._once("note", f"note:{request.about}", request, print_, by=by, data=data)

    def back_office(
        self,
        order: str,
        op: Op,
        *,
        round: int = 0,
        key: str = "",
        remedy: Remedy | None = None,
        until: datetime | None = None,
    ) -> Receipt:
        """What a person does by hand in the back office. It commits every time: look with `seen` first."""
        known: dict[str, Any] = {"key": key, "order": order, "round": round}
        if op == "message":
            return self.message(Message(text="", remedy=remedy, new_ship_by=until, **known), by="hand")
        if op == "grant":
            if remedy is None:
                raise InputError("to grant by hand, name the remedy")
            return self.grant(Grant(remedy=remedy, **known), by="hand")
        if op == "extend":
            if until is None:
                raise InputError("to extend by hand, name the new date")
            return self.extend(Extension(until=until, **known), by="hand")
        if op == "legal":
            self._sale(order)
            return self._record("legal", "legal", order, round, key, by="hand", data={}, amount=None)
        instance: Any = {"complain": "complaint", "respond": "response", "arbitrate": "arbitration"}[op]
        filing = Filing(op=op, instance=instance, text="", **known)  # type: ignore[arg-type]  # looked up above
        act = {"complain": self.complain, "respond": self.respond, "arbitrate": self.arbitrate}[op]
        return act(filing, by="hand")

    def seen(self, order: str, op: str = "", *, round: int | None = None, key: str = "") -> list[Entry]:
        """What a person finds in the back office: every effect on that order, without any lag."""
        return [
            entry
            for entry in self._of.get(order, ())
            if op in ("", entry.op, entry.kind) and round in (None, entry.round) and key in ("", entry.key)
        ]

    def reading(self, event: str) -> str:
        """What a customer's reply means to a person who reads it: accept, decline, counter or cancel."""
        if event not in self._answers:
            raise NotFound(f"sandbox: no reply {event}")
        return self._answers[event].means

    def fate(self, number: str) -> str:
        return self._sale(number, unborn=True).fate

    def fates(self) -> dict[str, str]:
        """Every order's fate, placed or not."""
        return {number: str(found.fate) for number, found in self._sales.items()}

    def stats(self) -> dict[str, Any]:
        return {
            "now": self.now.isoformat(),
            "orders": sum(s.base.placed_at <= self.now for s in self._sales.values()),
            "effects": dict(sorted(Counter(e.kind for e in self.entries).items())),
            "replies": bisect_right(self._replies, (self.now, _FAR)),
            "fates": dict(sorted(Counter(self.fates().values()).items())),
        }

    def replay(self, entries: Iterable[Entry]) -> None:
        """Rebuild the world from its journal, in order; the journal is not called again."""
        for entry in entries:
            self.now = max(self.now, entry.at)
            self._apply(entry)

    # Committing.

    def _once(
        self, op: Op, kind: str, request: AnyRequest, print_: str, *, data: dict[str, Any], **more: Any
    ) -> Receipt:
        """Idempotent by key: the same again answers the same, the same key for something else is refused."""
        for entry in self._by_key.get((op, request.key), ()) if request.key else ():
            if entry.data.get("fingerprint") != print_:
                raise Rejected(f"sandbox: the key {request.key} was used for something else")
            return self.receipt(entry)
        return self._commit(op, kind, request, data={**data, "fingerprint": print_}, **more)

    def _commit(
        self,
        op: Op,
        kind: str,
        request: AnyRequest,
        *,
        by: Visible,
        data: dict[str, Any] | None = None,
        amount: Money | None = None,
    ) -> Receipt:
        return self._record(
            op, kind, request.order, request.round, request.key, by=by, data=data or {}, amount=amount
        )

    def _record(
        self,
        op: Op,
        kind: str,
        order: str,
        round: int,
        key: str,
        *,
        by: Visible,
        data: dict[str, Any],
        amount: Money | None,
    ) -> Receipt:
        entry = Entry(
            n=len(self.entries) + 1,
            at=self.now,
            op=op,
            kind=kind,
            order=order,
            round=round,
            key=key,
            amount=amount,
            by=by,
            ref=f"{_PREFIX[op]}-{order}-{self._count[order, op] + 1}",
            data=data,
        )
        if self._journal is not None:
            self._journal(entry)
        self._apply(entry)
        return self.receipt(entry)

    def _apply(self, entry: Entry) -> None:
        self.entries.append(entry)
        first = not self._count[entry.order, entry.op]
        again = bool(self._count[entry.order, entry.kind, entry.round])
        self._count.update([(entry.order, entry.op), (entry.order, entry.kind, entry.round)])
        self._of[entry.order].append(entry)
        self._by_key.setdefault((entry.op, entry.key), []).append(entry)
        answered = self._outcomes.follow(self._sales[entry.order], entry, first=first, again=again)
        if answered is not None:
            self._answers[answered.reply.event] = answered
            insort(self._replies, (answered.reply.at, answered.reply.event))

    def receipt(self, entry: Entry) -> Receipt:
        """What was, or would be, answered for that entry."""
        due = self._outcomes.due(entry)
        return Receipt(state="requested" if entry.kind == "grant:refund" else "done", ref=entry.ref, due=due)

    def _plan(self, found: Sale, change: Change) -> None:
        found.put(change)
        place = (change.listed_at, found.number)
        at = bisect_right(self._feed, place)
        if at == 0 or self._feed[at - 1] != place:
            self._feed.insert(at, place)

    def _unplan(self, found: Sale, about: str, after: datetime) -> None:
        for change in found.drop(about, after):
            if all(kept.listed_at != change.listed_at for kept in found.changes):
                at = bisect_right(self._feed, (change.listed_at, found.number)) - 1
                if at >= 0 and self._feed[at] == (change.listed_at, found.number):
                    del self._feed[at]

    def _sale(self, number: str, *, unborn: bool = False) -> Sale:
        found = self._sales.get(number)
        if found is None or (found.base.placed_at > self.now and not unborn):
            raise NotFound(f"sandbox: no order {number}")
        return found


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
