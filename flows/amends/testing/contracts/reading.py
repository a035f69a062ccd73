"""Checks of what a connector reads: pages without gaps, restarts, exact times and money, odd answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from amends.cases.facts import Answer
from amends.cases.money import Money
from amends.cases.orders import Order, Tracking
from amends.errors import NotFound
from amends.hooks.requests import OrderPage, Reply
from amends.testing.contracts import samples
from amends.testing.contracts.bench import WAIT, Bench, Contract, check, expect
from amends.testing.contracts.fakes import FakePlatform

PAGES = 4000
"""More than a first run over two months in half-hour windows; a list that goes on longer never ends."""


class ReadingChecks(Contract):
    """For connectors that list or show orders."""

    fake: ClassVar[type[FakePlatform]]

    @check
    async def test_pages_have_no_gaps_while_orders_come_and_change(self) -> None:
        """Orders added and changed between pages are all seen, in their last state."""
        self.needs("changed_orders")
        async with self.bench() as bench:
            fill(bench)
            connector, cursor, seen, pages = bench.connect(), "", list[Order](), 0
            for turn in range(PAGES):
                page = await one_page(connector, cursor)
                seen += page.orders
                pages += bool(page.orders)
                cursor = page.cursor
                if not page.more:
                    break
                if turn < 6:
                    disturb(bench, turn)
                bench.clock.advance(timedelta(seconds=30))
            else:
                expect(False, f"changed_orders still says `more` after {PAGES} pages")
            expect(
                pages > 2 or not bench.platform.http,
                f"{bench.platform.many} orders in {pages} pages: the fake must answer with fewer at once",
            )
            seen += await catch_up(bench, cursor)
            agree(bench, seen)

    @check
    async def test_a_cursor_goes_on_after_a_crash_between_pages(self) -> None:
        """Each page is read by a fresh connector, and twice: the second time it holds no less."""
        self.needs("changed_orders")
        async with self.bench() as bench:
            fill(bench)
            cursor, seen, known = "", list[Order](), set[str]()
            for _ in range(PAGES):
                expect(cursor not in known, "a cursor leads back to itself: it does not hold the whole place")
                known.add(cursor)
                lost = await one_page(bench.connect(), cursor)
                page = await one_page(bench.connect(), cursor)
                missing = {o.number for o in lost.orders} - {o.number for o in page.orders}
                expect(not missing, f"read again from the same cursor, the page lacks {some(missing)}")
                seen += page.orders
                cursor = page.cursor
                await bench.close()
                if not page.more:
                    break
            seen += await catch_up(bench, cursor)
            agree(bench, seen)

    @check
    async def test_nothing_is_repeated_that_the_host_cannot_recognise(self) -> None:
        """No page holds an order twice; seen again unchanged, it has the same number, time and content."""
        self.needs("changed_orders")
        async with self.bench() as bench:
            fill(bench)
            connector, cursor, known = bench.connect(), "", dict[str, Order]()
            for _ in range(PAGES):
                page = await one_page(connector, cursor)
                numbers = [order.number for order in page.orders]
                expect(len(set(numbers)) == len(numbers), f"one page holds {some(numbers)} more than once")
                for order in page.orders:
                    before = known.setdefault(order.number, order)
                    expect(
                        before.same_as(order), f"order {order.number} did not change, but is read differently"
                    )
                cursor = page.cursor
                if not page.more:
                    break

    @check
    async def test_an_idle_list_comes_to_an_end(self) -> None:
        """With nothing new, polling again stops soon and repeats no more than an overlap."""
        self.needs("changed_orders")
        async with self.bench() as bench:
            fill(bench)
            cursor = (await walk(bench, ""))[0]
            for _ in range(3):
                bench.clock.advance(timedelta(hours=6))
                cursor, _ = await walk(bench, cursor)
            again = (await walk(bench, cursor))[1]
            expect(not again, f"hours after the last change, polling still brings {len(again)} old orders")

    @check
    async def test_times_are_utc_and_exact(self) -> None:
        """Times come out aware, in UTC, as the platform meant them, on both sides of a change of clocks."""
        async with self.bench() as bench:
            edge = samples.START.replace(hour=1, minute=0, second=0)
            for n, at in enumerate((edge - timedelta(seconds=1), edge, edge + timedelta(minutes=61))):
                order = samples.order(
                    bench.platform.number(n), n, now=bench.clock.now(), currency=bench.platform.currency
                )
                moved = {
                    "updated_at": at,
                    "placed_at": at - timedelta(hours=1),
                    "paid_at": at - timedelta(minutes=50),
                }
                bench.put(order.model_copy(update=moved))
            for order in await self.everything(bench):
                for name, value in order:
                    if isinstance(value, datetime):
                        expect(
                            value.utcoffset() == timedelta(0),
                            f"{name} of an order is not in UTC: {value.isoformat()}",
                        )
                self.same(
                    bench, order, *(name for name in bench.platform.shows if name.endswith(("_at", "_by")))
                )
                off = abs(order.observed_at - bench.clock.now())
                expect(off < timedelta(minutes=5), "observed_at is not the time of the context's clock")

    @check
    async def test_money_is_exact(self) -> None:
        """Amounts come out to the last minor unit, in their currency."""
        async with self.bench() as bench:
            for n, _ in enumerate(samples.MINOR):
                order = samples.order(
                    bench.platform.number(n), n, now=bench.clock.now(), currency=bench.platform.currency
                )
                bench.put(
                    order.model_copy(update={"updated_at": bench.clock.now() - timedelta(minutes=30 + n)})
                )
            for order in await self.everything(bench):
                self.same(bench, order, "amount")

    @check
    async def test_what_the_platform_shows_arrives(self) -> None:
        """Every field that the fake lists in `shows` comes out as it was put in."""
        async with self.bench() as bench:
            now, currency = bench.clock.now(), bench.platform.currency
            bench.put(samples.late(bench.platform.number(1), now=now, currency=currency))
            bench.put(samples.travelling(bench.platform.number(2), now=now, currency=currency))
            found = await self.everything(bench)
            expect(len(found) == 2, f"of 2 orders, {len(found)} arrived")
            for order in found:
                self.same(bench, order, *bench.platform.shows)

    @check
    async def test_an_unknown_order_is_not_found(self) -> None:
        """`order` raises NotFound for a number that the platform does not know."""
        self.needs("order")
        async with self.bench() as bench:
            try:
                await bench.connect().order(bench.platform.number(987))
            except NotFound:
                return
            except Exception as error:
                expect(False, f"an unknown order raised {type(error).__name__} instead of NotFound")
            expect(False, "an unknown order was answered with a value instead of NotFound")

    @check
    async def test_tracking_tells_of_pick_up(self) -> None:
        """`tracking` gives the carrier's pick-up of a travelling parcel, and nothing made up for another."""
        self.needs("tracking")
        async with self.bench() as bench:
            connector, now = bench.connect(), bench.clock.now()
            gone = bench.put(
                samples.travelling(bench.platform.number(2), now=now, currency=bench.platform.currency)
            )
            waits = bench.late_order()
            found = await connector.tracking(gone)
            expect(isinstance(found, Tracking), "a travelling parcel has no tracking")
            seen = found.picked_up_at
            expect(
                seen is None or abs(seen - gone.picked_up_at) < bench.platform.precision,
                "picked_up_at is another time",
            )
            other = await connector.tracking(waits)
            expect(other is None or other.picked_up_at is None, "a parcel that nobody took has a pick-up")

    @check
    async def test_replies_keep_their_events(self) -> None:
        """Replies arrive once each, and an `event` stays the same when read again."""
        self.needs("replies")
        async with self.bench() as bench:
            order, now = bench.late_order(), bench.clock.now()
            for n in range(3):
                at = now - timedelta(minutes=30 - n)
                bench.platform.replies.append(
                    Reply(
                        event=f"e{n}",
                        order=order.number,
                        at=at,
                        answer=Answer.ACCEPT,
                        round=1,
                        text="Yes, please.",
                    )
                )
            first, again = await replies(bench, ""), await replies(bench, "")
            expect({r.order for r in first} == {order.number}, "replies of the order did not arrive")
            expect(
                len({r.event for r in first}) == 3,
                f"3 replies have {len({r.event for r in first})} different events",
            )
            expect(
                [r.event for r in first] == [r.event for r in again], "read again, replies have other events"
            )
            expect(all(r.at.utcoffset() == timedelta(0) for r in first), "the time of a reply is not in UTC")

    async def everything(self, bench: Bench) -> list[Order]:
        """All orders of the fake, one by one where `order` is declared, else from the list."""
        connector = bench.connect()
        if self.reads("order"):
            return [await connector.order(number) for number in list(bench.platform.orders)]
        self.needs("changed_orders")
        cursor, found = await walk(bench, "")
        bench.clock.advance(WAIT)
        found += (await walk(bench, cursor))[1]
        return list({order.number: order for order in found}.values())

    def same(self, bench: Bench, got: Order, *fields: str) -> None:
        put = bench.platform.orders.get(got.number)
        if put is None:
            expect(False, f"an order {got.number!r} arrived that the platform does not have")
            return
        for name in fields:
            mine, its = getattr(put, name), getattr(got, name)
            if isinstance(mine, datetime) and isinstance(its, datetime):
                expect(abs(mine - its) < bench.platform.precision, f"{name} should be {mine}, is {its}")
            elif isinstance(mine, Money):
                expect(mine == its, f"{name} should be {mine}, is {its}")
            else:
                expect(mine == its, f"{name} of order {got.number} did not arrive as the platform has it")


def fill(bench: Any) -> None:
    """As many orders as make several pages, a few of them changed in the very same second."""
    fake, now = bench.platform, bench.clock.now()
    for n in range(fake.many):
        # The youngest is older than any margin by which a connector stays behind the clock.
        age = timedelta(minutes=20) + timedelta(minutes=5) * (fake.many - n - (n % 7 if n < 14 else 0))
        bench.put(samples.order(fake.number(n), n, now=now, currency=fake.currency, age=age))


def disturb(bench: Any, turn: int) -> None:
    """What happens meanwhile: an order comes in, a read one changes, an unread one changes."""
    fake, at = bench.platform, bench.clock.now() - bench.platform.lag
    new = samples.order(fake.number(500 + turn), turn, now=bench.clock.now(), currency=fake.currency)
    bench.put(new.model_copy(update={"updated_at": at}))
    for n in (turn, fake.many - 1 - turn):
        old = fake.orders[fake.number(n)]
        bench.put(old.model_copy(update={"updated_at": at}))


async def one_page(connector: Any, cursor: str) -> OrderPage:
    page = await connector.changed_orders(cursor)
    expect(
        isinstance(page, OrderPage),
        f"changed_orders must answer with an OrderPage, not {type(page).__name__}",
    )
    expect(
        not page.more or page.cursor != cursor or page.orders,
        "an empty page says `more` under the same cursor",
    )
    return page  # type: ignore[no-any-return]  # checked above; the plugin's own types are unknown here


async def walk(bench: Bench, cursor: str) -> tuple[str, list[Order]]:
    """Every page from there until there are no more for now."""
    connector, found = bench.connect(), list[Order]()
    for _ in range(PAGES):
        page = await one_page(connector, cursor)
        found += page.orders
        cursor = page.cursor
        if not page.more:
            return cursor, found
    expect(False, f"changed_orders still says `more` after {PAGES} pages")
    return cursor, found


async def catch_up(bench: Bench, cursor: str) -> list[Order]:
    """Poll twice more, an hour apart: a connector may stay behind the clock, but not for ever."""
    found: list[Order] = []
    for _ in range(2):
        bench.clock.advance(WAIT)
        cursor, more = await walk(bench, cursor)
        found += more
    return found


def agree(bench: Any, seen: Iterable[Order]) -> None:
    """The last that was seen of each order is what the platform has."""
    last = {order.number: order for order in seen}
    missing = set(bench.platform.orders) - set(last)
    expect(
        not missing,
        f"{len(missing)} of {len(bench.platform.orders)} orders were never listed: {some(missing)}",
    )
    for number, order in bench.platform.orders.items():
        at = last[number].updated_at
        if at is not None:
            expect(
                abs(at - order.updated_at) < bench.platform.precision,
                f"the last change of order {number} was missed",
            )


async def replies(bench: Bench, cursor: str) -> list[Reply]:
    connector, found = bench.connect(), list[Reply]()
    for _ in range(PAGES):
        page = await connector.replies(cursor)
        found += page.replies
        cursor = page.cursor
        if not page.more:
            break
    return found


def some(numbers: Iterable[str]) -> str:
    """A few of them, sorted."""
    listed = sorted(numbers)
    return ", ".join(listed[:5]) + (" …" if len(listed) > 5 else "")
