"""Turns the cells of one row into the facts of one order, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from datetime import datetime, timedelta
from typing import Any

from amends import AfterSales, Item, OrderStatus, Parcel, Tag
from amends_spreadsheet.cells import Amounts, Bad, blank, clean, currency_code, normal, order_number
from amends_spreadsheet.headers import Header
from amends_spreadsheet.mapping import YES, Column, Mapping
from amends_spreadsheet.times import Times, day_end

Facts = dict[str, Any]
_TIMES: tuple[Column, ...] = (
    "updated_at",
    "ship_by",
    "agreed_ship_by",
    "deliver_by",
    "picked_up_at",
    "delivered_at",
    "shipped_at",
)
_DEADLINES = frozenset({"ship_by", "agreed_ship_by", "deliver_by"})
_AFTER_ORDER: dict[Column, str] = {
    "shipped_at": "ship date",
    "picked_up_at": "pick-up",
    "delivered_at": "delivery",
}
_TEXTS: tuple[Column, ...] = ("carrier", "tracking_number", "warehouse", "customer")
_ANY = "*"


class OrderReader:
    """Reads the rows of one open export."""

    def __init__(
        self, mapping: Mapping, header: Header, timed: frozenset[int], now: datetime, *, where: str
    ) -> None:
        at = header.columns
        self.at = at
        self.now = now
        self.mapping = mapping
        self.currency = mapping.currency
        self.currency_at = at.get("currency")
        self.amounts = Amounts(mapping.decimal, mapping.thousands_sign, rounded=mapping.round_amounts)
        self.times = Times(mapping.date_formats, mapping.time_zone, where=where)
        self.timed = timed
        self.columns = [(name, at[name]) for name in _TIMES if name in at]
        self.texts = [(name, at[name]) for name in _TEXTS if name in at]
        self.flags = header.flags
        self.status = _Words(mapping.status, {one.value: one for one in OrderStatus})
        self.payment = _Words(mapping.payment, {})
        self.after_sales = _Words(mapping.after_sales, {one.value: one for one in AfterSales})
        self.promise = timedelta(hours=mapping.promise_hours) if mapping.promise_hours else None
        self.yes = frozenset(map(normal, YES))
        self.item_at = tuple(at.get(name) for name in ("sku", "title", "quantity"))
        own: tuple[Column, ...] = ("amount", "placed_at", "paid_at")
        self.own_columns = [at[name] for name in own if name in at]

    def continues(self, cells: list[Any], number: str, before: str) -> bool:
        """Whether a row goes on with the order of the row before it."""
        if self.mapping.lines == "repeated":
            return number == before
        if number and number != before:
            return False
        return not any(clean(cells[index]) for index in self.own_columns) and any(cells)

    def item(self, cells: list[Any]) -> Item | None:
        """The line of a row, where it has one.

        An unreadable quantity counts as 1: nothing is judged by it.
        """
        sku_at, title_at, quantity_at = self.item_at
        sku = clean(cells[sku_at]) if sku_at is not None else ""
        title = clean(cells[title_at]) if title_at is not None else ""
        if not sku and not title:
            return None
        text = clean(cells[quantity_at]) if quantity_at is not None else ""
        return Item(sku=sku, title=title, quantity=int(text) if text.isdecimal() and len(text) < 10 else 1)

    def facts(self, cells: list[Any]) -> Facts | None:
        """The fields of an `Order`; None for a blank row. Raises `Bad` with the first thing that is wrong."""
        at = self.at
        cell = cells[at["number"]]
        if (cell == "" or cell is None) and not any(one != "" and clean(one) for one in cells):
            return None
        facts: Facts = {"number": order_number(cell), "observed_at": self.now}

        currency = self.currency
        if self.currency_at is not None:
            written = clean(cells[self.currency_at])
            # A blank cell falls back to the mapping's currency, where it has one.
            if written or not currency:
                currency = currency_code(written)
        facts["amount"] = self.amounts.read(cells[at["amount"]], currency)

        placed, placed_day = self._start(cells, facts)
        whole_days = self._times(cells, facts)
        self._in_order(cells, facts, placed, placed_day, whole_days)
        self._states(cells, facts)
        if self.promise is not None and "ship_by" not in facts:
            facts["ship_by"] = (facts.get("paid_at") or placed) + self.promise
        self._shipped(facts)

        for name, index in self.texts:
            text = clean(cells[index])
            if text and not blank(text):
                facts[name] = text
        if self.flags:
            self._tags(cells, facts)
        item = self.item(cells)
        if item is not None:
            facts["items"] = (item,)
        return facts

    def _start(self, cells: list[Any], facts: Facts) -> tuple[datetime, bool]:
        """When the order was placed; where the export does not say, when it was paid."""
        placed = paid = None
        if "placed_at" in self.at:
            placed = self._time(cells, "placed_at")
        if "paid_at" in self.at:
            paid = self._time(cells, "paid_at")
            if paid is not None:
                facts["paid_at"] = paid[0]
        start = placed or paid
        if start is None:
            raise Bad("placed_at" if "placed_at" in self.at else "paid_at", "no order time")
        facts["placed_at"] = start[0]
        return start

    def _time(self, cells: list[Any], column: Column) -> tuple[datetime, bool] | None:
        index = self.at[column]
        return self.times.read(cells[index], column, typed_midnight=index in self.timed)

    def _times(self, cells: list[Any], facts: Facts) -> list[str]:
        whole_days: list[str] = []
        for name, index in self.columns:
            cell = cells[index]
            if cell == "":
                continue
            found = self.times.read(cell, name, typed_midnight=index in self.timed)
            if found is None:
                continue
            when, day_only = found
            if day_only:
                if name in _DEADLINES:
                    when = day_end(when)
                else:
                    whole_days.append(name)
            facts[name] = when
        return whole_days

    def _in_order(
        self, cells: list[Any], facts: Facts, placed: datetime, placed_day: bool, whole_days: list[str]
    ) -> None:
        for name, words in _AFTER_ORDER.items():
            when = facts.get(name)
            if when is None or when >= placed:
                continue
            # A date without a time of day begins at midnight: on the day of the order that is no
            # contradiction.
            if name in whole_days and day_end(when) >= placed:
                facts[name] = placed
                continue
            reason = f"the {words} lies before the order" + (" date" if placed_day else "")
            raise Bad(name, reason, cells[self.at[name]])

    def _states(self, cells: list[Any], facts: Facts) -> None:
        at = self.at
        status: OrderStatus | None = None
        if "status" in at:
            status = self.status.read(cells[at["status"]], "status")
        if "payment" in at:
            paid = self.payment.read(cells[at["payment"]], "payment")
            if paid == "cancelled":
                status = OrderStatus.CANCELLED
            elif paid == "unpaid" and status in (None, OrderStatus.TO_SHIP):
                status = OrderStatus.UNPAID
        if "cancelled_at" in at and not blank(clean(cells[at["cancelled_at"]])):
            status = OrderStatus.CANCELLED
        if status is None:
            if "delivered_at" in facts:
                status = OrderStatus.RECEIVED
            elif "shipped_at" in facts or "picked_up_at" in facts:
                status = OrderStatus.SHIPPED
            else:
                status = OrderStatus.TO_SHIP
        facts["status"] = status
        if "after_sales" in at:
            raw = clean(cells[at["after_sales"]])
            if raw and not blank(raw):
                facts["after_sales"] = self.after_sales.known(raw) or AfterSales.UNKNOWN
                facts["after_sales_raw"] = raw

    def _shipped(self, facts: Facts) -> None:
        """What an export lets us say of the parcel: see `Mapping.ship_date`."""
        status = facts["status"]
        if self.mapping.ship_date == "label" or status not in (OrderStatus.SHIPPED, OrderStatus.RECEIVED):
            return
        if "picked_up_at" not in facts and "shipped_at" in facts:
            facts["picked_up_at"] = facts["shipped_at"]
        if "delivered_at" in facts:
            facts["parcel"] = Parcel.DELIVERED
        elif "picked_up_at" in facts:
            facts["parcel"] = Parcel.PICKED_UP
        elif status is OrderStatus.SHIPPED:
            # Shipped, but when? Before its deadline for certain while that has not come; after it, nobody can
            # tell.
            ship_by = facts.get("agreed_ship_by") or facts.get("ship_by")
            if ship_by is not None and self.now <= ship_by:
                facts["parcel"] = Parcel.IN_TRANSIT
            else:
                facts["status"] = OrderStatus.UNKNOWN

    def _tags(self, cells: list[Any], facts: Facts) -> None:
        tags: list[Tag] = []
        for index, tag in self.flags:
            text = clean(cells[index])
            if text and normal(text) in self.yes:
                tags.append(tag)
        if tags:
            facts["tags"] = tuple(tags)


class _Words:
    """An export's words and what they mean, whatever their case, spaces and width; each spelling is folded
    once.
    """

    def __init__(self, words: Dict[str, Any], ours: Dict[str, Any]) -> None:
        self.words = {normal(word): meaning for word, meaning in {**ours, **words}.items() if word != _ANY}
        self.other = words.get(_ANY)
        self.seen: dict[str, Any] = {}

    def known(self, text: str) -> Any:
        """The word's meaning, or None."""
        try:
            return self.seen[text]
        except KeyError:
            meaning = self.words.get(normal(text), self.other)
            if meaning is not None and len(self.seen) < 10_000:
                self.seen[text] = meaning
            return meaning

    def read(self, cell: Any, column: str) -> Any:
        """The cell's meaning; None where it is blank.

        Raises `Bad` for a word that the mapping does not have.
        """
        text = clean(cell)
        if not text or blank(text):
            return None
        meaning = self.known(text)
        if meaning is None:
            # A word of a status column is shown, so that it can be put into the mapping; anything else could
            # be personal.
            shown = f"{text!r} " if len(text) <= 24 and not any(one.isdigit() for one in text) else ""
            raise Bad(
                column,
                f"the mapping's [{column}] does not have the word {shown}".rstrip(),
                "" if shown else cell,
            )
        return meaning
