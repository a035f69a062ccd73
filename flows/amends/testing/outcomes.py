"""What follows from an effect in the marketplace model: replies, agreed dates, reviewed refunds and rulings.

Everything follows from the order, its earlier entries and draws by (seed, order, round), and lies in the
future of the entry, so a reader's cursor can never have passed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from amends.cases.facts import Answer, Verdict
from amends.cases.offers import Remedy
from amends.cases.orders import AfterSales, OrderStatus, Parcel
from amends.hooks.requests import Ruling
from amends.testing import customers
from amends.testing.customers import Answered
from amends.testing.fates import Fate
from amends.testing.journal import Entry
from amends.testing.sales import SECOND, Change, Sale, shipping

RULED_WITHIN = {"respond": (5, 14), "complain": (8, 26), "arbitrate": (10, 30)}
DUE_AFTER = {
    "respond": timedelta(hours=24),
    "complain": timedelta(hours=36),
    "arbitrate": timedelta(hours=48),
}
REVIEWED_WITHIN = (5, 16)
_VERDICTS = {
    "respond": {"for-us": 5, "against-us": 3, "withdrawn": 2},
    "complain": {"for-us": 7, "against-us": 2, "": 1},
    "arbitrate": {"for-us": 6, "against-us": 3, "withdrawn": 1},
}
_HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class _Filed:
    op: str
    ref: str
    ruling: Ruling | None  # with the future time at which it becomes known; None: nobody ever rules


class Outcomes:
    """Follows each entry up. `plan` and `unplan` put changes on an order's future and take them off again."""

    def __init__(
        self, plan: Callable[[Sale, Change], None], unplan: Callable[[Sale, str, datetime], None]
    ) -> None:
        self._plan = plan
        self._unplan = unplan
        self._filed: dict[str, list[_Filed]] = {}

    def follow(self, sale: Sale, entry: Entry, *, first: bool, again: bool) -> Answered | None:
        """Let the entry have its consequences; a message may bring the reply that will come.

        `first` tells that the order had no such operation before, `again` that this is a duplicate.
        """
        if entry.op == "message":
            return None if again else self._told(sale, entry)
        if entry.kind == "grant:refund" and not again:
            self._review(sale, entry)
        elif entry.op == "extend":
            until = datetime.fromisoformat(entry.data["until"])
            self._plan(sale, Change(entry.at, "extended", {"agreed_ship_by": until}, lag=SECOND))
        elif entry.op in RULED_WITHIN:
            self._file(sale, entry, first=first)
        return None

    def due(self, entry: Entry) -> datetime | None:
        """Until when the other side decides."""
        if entry.kind == "grant:refund":
            return entry.at + timedelta(hours=24)
        return entry.at + DUE_AFTER[entry.op] if entry.op in DUE_AFTER else None

    def ruling(self, sale: Sale, ref: str, now: datetime) -> Ruling | None:
        filed = [f for f in self._filed.get(sale.number, ()) if ref in ("", f.ref)]
        if not filed:
            return self._by_default(sale, ref, now)
        ruling = filed[-1].ruling
        return ruling if ruling is not None and ruling.at <= now else None

    def _by_default(self, sale: Sale, ref: str, now: datetime) -> Ruling | None:
        lost = next((c for c in sale.changes if c.about == "default" and c.at <= now), None)
        if lost is None or ref not in ("", f"D-{sale.number}"):
            return None
        return Ruling(verdict="against-us", at=lost.at, ref=f"D-{sale.number}", note="no response in time")

    def _told(self, sale: Sale, entry: Entry) -> Answered | None:
        remedy = Remedy.model_validate(entry.data["remedy"]) if "remedy" in entry.data else None
        new_ship_by = _date(entry.data.get("new_ship_by"))
        if (
            "reply_by" not in entry.data
        ):  # nothing is asked: what the customer wished is confirmed, or excuses are made
            if new_ship_by is not None:
                self._agree(sale, entry.at, new_ship_by)
            return None
        answered = customers.answer(sale, entry.round, entry.at, remedy=remedy, new_ship_by=new_ship_by)
        if answered is not None and answered.means is Answer.ACCEPT and new_ship_by is not None:
            self._agree(sale, answered.reply.at, new_ship_by)
        return answered

    def _agree(self, sale: Sale, at: datetime, date: datetime) -> None:
        """A date is agreed at `at`: the warehouse keeps it or not."""
        picked = sale.pickup()
        if picked is not None and picked <= at:
            return
        number, sale.agreements = sale.agreements, sale.agreements + 1
        keeps = sale.story.keeps
        scripted = number < len(keeps)
        if not scripted and picked is not None and picked <= date:
            return  # the goods leave in time anyway
        kept = keeps[number] if scripted else sale.draw.unit("keeps", number) < 0.85
        if kept:
            self._reship(sale, at, max(at + _HALF_HOUR, date - sale.draw.hours(1, 6, "early", number)))
        else:
            # A broken date that nobody renews: the goods leave days later, or never.
            lost = sale.fate is Fate.BROKEN_TWICE
            self._reship(sale, at, None if lost else date + sale.draw.hours(60, 80, "broken", number))

    def _reship(self, sale: Sale, after: datetime, pickup: datetime | None) -> None:
        self._unplan(sale, "ship", after)
        if pickup is None:
            return
        order = sale.page(after)
        labelled = order.status is OrderStatus.SHIPPED and order.parcel is Parcel.LABEL_CREATED
        label = max(after + timedelta(minutes=15), pickup - timedelta(hours=1))
        for change in shipping(sale.draw, sale.base, pickup, label=label, labelled=labelled):
            self._plan(sale, change)

    def _review(self, sale: Sale, entry: Entry) -> None:
        """The platform looks at the refund first; a few it refuses."""
        low, high = REVIEWED_WITHIN
        at = entry.at + sale.draw.hours(low, high, "review", entry.round)
        looking = {"after_sales": AfterSales.REVIEW, "after_sales_raw": "platform review"}
        self._plan(sale, Change(entry.at, "after-sales", looking, lag=SECOND))
        if sale.draw.unit("refused", entry.round) < 0.08 and sale.fate is not Fate.ASKS_TO_CANCEL:
            refused = {
                "after_sales": AfterSales.REJECTED,
                "after_sales_raw": "refund refused by the platform",
            }
            self._plan(sale, Change(at, "after-sales", refused))
            return
        done = {"after_sales": AfterSales.REFUNDED, "after_sales_raw": "refunded"}
        self._plan(sale, Change(at, "after-sales", done))
        if entry.amount == sale.base.amount:
            self._unplan(sale, "ship", max(entry.at, _label_time(sale, entry.at)))

    def _file(self, sale: Sale, entry: Entry, *, first: bool) -> None:
        default = next((c for c in sale.changes if c.about == "default"), None)
        verdict = self._verdict(sale, entry)
        low, high = RULED_WITHIN[entry.op]
        at = entry.at + sale.draw.hours(low, high, f"ruled {entry.op}", entry.round)
        ruling = Ruling(verdict=cast(Verdict, verdict), at=at, ref=entry.ref) if verdict else None
        if not first:  # a second filing of the same thing is put with the first
            ruling = next((f.ruling for f in self._filed[sale.number] if f.op == entry.op), ruling)
        self._filed.setdefault(sale.number, []).append(_Filed(entry.op, entry.ref, ruling))
        if (
            entry.op == "respond"
            and first
            and ruling is not None
            and default is not None
            and default.at > entry.at
        ):
            self._unplan(sale, "default", entry.at)
            lost = verdict == "against-us"
            closed: dict[str, Any] = {
                "after_sales": AfterSales.REFUNDED if lost else AfterSales.CLOSED,
                "after_sales_raw": f"ruled {verdict}",
                "after_sales_due": None,
            }
            self._plan(sale, Change(at, "ruling", closed))
            if not lost:
                self._reship(sale, at, at + sale.draw.hours(4, 10, "pickup"))

    def _verdict(self, sale: Sale, entry: Entry) -> str:
        fixed = sale.story.verdicts.get(entry.op)
        return sale.draw.pick(_VERDICTS[entry.op], f"verdict {entry.op}") if fixed is None else fixed


def _label_time(sale: Sale, at: datetime) -> datetime:
    """The end of a shipment that the carrier already has: only goods still in the house can be kept back."""
    picked = sale.pickup()
    if picked is not None and picked <= at:
        return max(c.at for c in sale.changes)
    return at


def _date(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
