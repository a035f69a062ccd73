"""How an order of the marketplace model goes by itself: what is sold to whom, what happens if nobody acts."""

from __future__ import annotations

from datetime import datetime, timedelta

from amends.cases.money import Money
from amends.cases.orders import AfterSales, Item, Order, OrderStatus, Parcel, Personal, Tag
from amends.testing.draws import Draw
from amends.testing.fates import STORIES, Fate, fate_of
from amends.testing.sales import Change, Sale, shipping

ITEMS = (
    ("MUG-01", "Stoneware mug"),
    ("LAMP-02", "Desk lamp"),
    ("SOCK-03", "Wool socks"),
    ("TENT-04", "Two-person tent"),
    ("TEA-05", "Green tea, 250 g"),
    ("CASE-06", "Phone case"),
    ("BOOK-07", "Notebook"),
    ("KITE-08", "Paper kite"),
)
WAREHOUSES = ("east-1", "north-2", "south-3")
CARRIERS = ("Express One", "Rail Parcel", "River Post")

NIGHTLY = timedelta(hours=30)
"""How far the list lags for orders whose list entry is rebuilt only overnight."""


def sale(seed: int, index: int, *, start: datetime, days: int, currency: str) -> Sale:
    """The order with that index, from (seed, index) alone: the same whatever else was asked before."""
    fate, draw = fate_of(seed, index), Draw(seed, index)
    story = STORIES[fate]
    low, high = story.placed
    share = low + (high - low) * draw.unit("placed")
    placed = start + timedelta(minutes=1 + int(share * days * 24 * 60))
    deadline = placed + timedelta(hours=draw.pick(story.promise, "promise"))
    sku, title = ITEMS[draw.between(0, len(ITEMS) - 1, "item")]
    # One customer in ten has ordered before, so that caps per customer have something to hold.
    customer = index // 2 if draw.unit("customer") < 0.1 else index
    chinese = Draw(seed, customer).unit("language") < 0.6
    base = Order(
        number=f"{start:%y%m%d}-{index:06d}",
        amount=Money(minor=1500 + draw.between(0, 585, "amount") * 100, currency=currency),
        placed_at=placed,
        paid_at=placed,
        observed_at=placed,
        updated_at=placed,
        ship_by=None if fate is Fate.PRESALE and draw.unit("undated") < 0.5 else deadline,
        status=OrderStatus.TO_SHIP,
        carrier=CARRIERS[draw.between(0, len(CARRIERS) - 1, "carrier")],
        tags=_TAGS.get(fate, ()),
        items=(Item(sku=sku, title=title, quantity=draw.between(1, 3, "quantity")),),
        warehouse=WAREHOUSES[draw.between(0, len(WAREHOUSES) - 1, "warehouse")],
        customer=f"c{seed % 1000:03d}-{customer:06d}",
        language="zh" if chinese else "en",
        time_zone="Asia/Shanghai" if chinese else "Europe/London",
        personal=personal(customer),
    )
    return Sale(index, fate, draw, base, _timeline(fate, draw, base, deadline))


def personal(customer: int) -> Personal:
    """Personal data that nobody can take for real."""
    tail = f"{customer:04d}"
    return Personal(
        name=f"Sample Customer {tail}",
        phone=f"000-0000-{tail}",
        email=f"customer{tail}@example.invalid",
        address=f"{customer} Example Street, Nowhere",
    )


_TAGS = {Fate.PRESALE: (Tag.PRESALE,), Fate.DO_NOT_TOUCH: (Tag.DO_NOT_TOUCH,)}
_UNSHIPPED = frozenset(
    {Fate.BROKEN_TWICE, Fate.COMPLAINT, Fate.ARBITRATION, Fate.LEGAL, Fate.UNRULED, Fate.ASKS_TO_CANCEL}
    | {Fate.DISPUTED, Fate.OUT_OF_STOCK}
)


def _timeline(fate: Fate, draw: Draw, order: Order, deadline: datetime) -> list[Change]:
    placed, span = order.placed_at, deadline - order.placed_at
    if fate is Fate.ON_TIME:
        short = span <= timedelta(hours=24)
        return shipping(draw, order, placed + draw.hours(*((1, 5) if short else (3, 22)), "pickup"))
    if fate is Fate.PRESALE:
        return shipping(draw, order, placed + draw.hours(50, 90, "pickup"))
    if fate is Fate.LAST_MINUTE:
        return shipping(draw, order, deadline - draw.hours(1, 8, "pickup"))
    if fate is Fate.STALLED:
        picked, promised = placed + draw.hours(6, 20, "pickup"), timedelta(hours=36)
        stuck = Change(picked + timedelta(hours=30), "ship", {"parcel": Parcel.EXCEPTION})
        transit = promised + draw.hours(40, 80, "transit")
        return [*shipping(draw, order, picked, transit=transit, promised=promised), stuck]
    if fate is Fate.LABEL_ONLY:
        label = placed + draw.hours(4, 20, "label")
        late = deadline + draw.hours(10, 40, "pickup")
        return shipping(draw, order, late, label=label, ahead=timedelta(hours=3))
    if fate is Fate.SHIPPED_MEANWHILE:
        return shipping(draw, order, placed + span * 0.46, lag=NIGHTLY)
    if fate is Fate.REFUNDED:
        asked = placed + span * 0.4
        done = {"after_sales": AfterSales.REFUNDED, "after_sales_raw": "refunded by the platform"}
        return [Change(asked, "after-sales", done, lag=NIGHTLY)]
    if fate is Fate.REFUND_UNDER_WAY:
        return _refund_under_way(draw, order, placed + span * 0.45, deadline)
    if fate is Fate.CANCELLED:
        at = placed + span * (0.45 + 0.4 * draw.unit("cancelled"))
        return [
            Change(at, "after-sales", {"status": OrderStatus.CANCELLED, "after_sales": AfterSales.REFUNDED})
        ]
    if fate is Fate.CONTRADICTORY:
        return _contradictory(draw, order, placed + span * 0.42, deadline)
    found = []
    if fate is Fate.OUT_OF_STOCK:
        found.append(Change(placed + draw.hours(3, 12, "stock"), "stock", {"tags": (Tag.OUT_OF_STOCK,)}))
    if fate is Fate.URGED:
        found.append(Change(deadline - draw.hours(2, 20, "urged"), "urged", {"tags": (Tag.URGED,)}))
    if fate is Fate.DISPUTED:
        found += _dispute(draw, order, deadline + draw.hours(2, 5, "disputed"))
    if fate not in _UNSHIPPED:
        found += shipping(draw, order, deadline + draw.hours(*_DELAY.get(fate, (3, 30)), "pickup"))
    return found


_DELAY = {Fate.NEVER_SHIPS: (72, 120), Fate.BROKEN_ONCE: (120, 140), Fate.EXTENDED: (60, 80)}


def _refund_under_way(draw: Draw, order: Order, asked: datetime, deadline: datetime) -> list[Change]:
    """The customer asked before the warning window; then it is refunded, or withdrawn and the goods leave."""
    due = asked + timedelta(hours=48)
    request = {
        "after_sales": AfterSales.REQUESTED,
        "after_sales_raw": "refund requested",
        "after_sales_due": due,
    }
    found = [Change(asked, "after-sales", request, lag=NIGHTLY)]
    decided = max(deadline, asked) + draw.hours(4, 20, "decided")
    if draw.unit("withdrawn") < 0.7:
        done = {"after_sales": AfterSales.REFUNDED, "after_sales_raw": "refunded", "after_sales_due": None}
        return [*found, Change(decided, "after-sales", done, lag=NIGHTLY)]
    closed = {
        "after_sales": AfterSales.CLOSED,
        "after_sales_raw": "request withdrawn",
        "after_sales_due": None,
    }
    found.append(Change(decided, "after-sales", closed, lag=NIGHTLY))
    return found + shipping(draw, order, decided + timedelta(hours=12), lag=NIGHTLY)


def _contradictory(draw: Draw, order: Order, since: datetime, deadline: datetime) -> list[Change]:
    """A parcel number used before: the carrier calls it delivered while the platform says not shipped."""
    wrong = {"parcel": Parcel.DELIVERED, "delivered_at": since, "tracking_number": f"SBX{draw.order:010d}"}
    right = {"parcel": Parcel.UNKNOWN, "delivered_at": None, "tracking_number": ""}
    until = deadline + draw.hours(3, 8, "resolved")
    found = [Change(since, "mistake", wrong, lag=NIGHTLY), Change(until, "mistake", right, lag=NIGHTLY)]
    return found + shipping(draw, order, until + draw.hours(14, 30, "pickup"), lag=NIGHTLY)


def _dispute(draw: Draw, order: Order, at: datetime) -> list[Change]:
    """The platform steps in; unanswered by its due date, it refunds the customer."""
    due = at + timedelta(hours=36)
    opened = {
        "after_sales": AfterSales.DISPUTED,
        "after_sales_raw": "platform stepped in",
        "after_sales_due": due,
        "dispute": f"D-{order.number}",
    }
    lost = {
        "after_sales": AfterSales.REFUNDED,
        "after_sales_raw": "refunded: no response",
        "after_sales_due": None,
    }
    return [Change(at, "after-sales", opened), Change(due, "default", lost)]
