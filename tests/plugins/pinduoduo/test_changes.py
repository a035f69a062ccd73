"""`changed_orders`: no order is missed, whatever changes while its pages are read."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.plugins.pinduoduo.conftest import NOW, Opened

from amends import AfterSales, BadAnswer, Order, Throttled, Unavailable
from amends.clock import FixedClock
from amends_pinduoduo.changes import Place
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import FakeRouter, china, order_row, refund_row

LISTS = {
    "pdd.order.list.get": ("start_confirm_at", "end_confirm_at"),
    "pdd.order.number.list.increment.get": ("start_updated_at", "end_updated_at"),
    "pdd.refund.list.increment.get": ("start_updated_at", "end_updated_at"),
}


async def walk(shop: Pinduoduo, cursor: str) -> tuple[str, list[Order]]:
    found: list[Order] = []
    for _ in range(500):
        page = await shop.changed_orders(cursor)
        found += page.orders
        cursor = page.cursor
        if not page.more:
            return cursor, found
    raise AssertionError("the list does not end")


def put(router: FakeRouter, numbers: Iterable[int], **changes: Any) -> None:
    for n in numbers:
        router.orders[f"P-{n:04d}"] = order_row(f"P-{n:04d}", router.now(), **changes)


def numbers(orders: Iterable[Order]) -> set[str]:
    return {order.number for order in orders}


async def test_the_first_run_finds_what_is_open(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    start = clock.now()
    for days in (40, 29, 12, 3, 1, 0):
        clock.set(start - timedelta(days=days, minutes=30))
        put(router, [days])
    clock.set(start)
    _, found = await walk(opened(), "")
    assert numbers(found) == {"P-0029", "P-0012", "P-0003", "P-0001", "P-0000"}
    assert router.calls["pdd.order.list.get"] == 30
    assert router.calls["pdd.order.information.get"] == 0, "the list shows whole orders"


async def test_the_first_run_can_begin_later(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    await walk(opened(backfill="2d"), "")
    assert router.calls["pdd.order.list.get"] == 2


async def test_windows_are_narrow_overlap_and_stay_behind(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    cursor, _ = await walk(opened(), "")
    router.log.clear()
    clock.advance(timedelta(hours=3))
    await walk(opened(), cursor)
    for method, (start, end) in LISTS.items():
        windows = sorted({(int(p[start]), int(p[end])) for p in router.log if p["type"] == method})
        if method == "pdd.order.list.get":
            assert not windows
            continue
        assert all(b - a <= 1800 for a, b in windows)
        assert all(after[0] == before[1] - 300 for before, after in pairwise(windows))
        assert windows[-1][1] == int((clock.now() - timedelta(minutes=5)).timestamp())


async def test_a_fast_clock_loses_nothing(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    """Ours is 8 minutes ahead: by it, windows would end in the platform's future; the fake allows none."""
    ours = FixedClock(clock.now() + timedelta(minutes=8))
    shop = opened(clock=ours)
    cursor, _ = await walk(shop, "")
    put(router, [1])
    for each in (clock, ours):
        each.advance(timedelta(minutes=20))
    assert numbers((await walk(shop, cursor))[1]) == {"P-0001"}


async def test_pages_are_read_from_the_last_to_the_first(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    shop = opened(page_size=10)
    cursor, _ = await walk(shop, "")
    for n in range(35):
        clock.advance(timedelta(seconds=5))
        put(router, [n])
    clock.advance(timedelta(minutes=10))
    router.log.clear()
    _, found = await walk(shop, cursor)
    pages = [int(p["page"]) for p in router.log if p["type"] == "pdd.order.number.list.increment.get"]
    assert pages == [1, 4, 3, 2, 1], "page 1 for the count first"
    assert [order.number for order in found] == [f"P-{n:04d}" for n in range(35)], "oldest first"


@pytest.mark.parametrize("seed", range(12))
async def test_no_change_is_missed_while_orders_move(
    opened: Opened, router: FakeRouter, clock: FixedClock, seed: int
) -> None:
    """Orders change, come and become visible late between any two calls; the last state of each is seen."""
    draw = random.Random(seed)
    put(router, range(40))
    last: dict[str, Order] = {}
    fresh = iter(range(1000, 2000))

    def disturb(parameters: dict[str, str]) -> None:
        if not parameters["type"].endswith("list.get") and "increment" not in parameters["type"]:
            return
        for _ in range(draw.randrange(3)):
            router.orders[draw.choice(sorted(router.orders))]["updated_at"] = china(clock.now())
        if draw.random() < 0.3:
            # Visible a while after its own time, but within what lag and overlap cover.
            at = clock.now() - timedelta(minutes=draw.choice((0, 2, 4)))
            number = f"P-{next(fresh)}"
            router.orders[number] = order_row(number, at)

    cursor = ""
    shop = opened(page_size=7)
    router.after = disturb
    for turn in range(120):
        page = await shop.changed_orders(cursor)
        last.update({order.number: order for order in page.orders})
        cursor = page.cursor
        clock.advance(timedelta(seconds=20))
        if turn % 3 == 0:
            shop = opened(page_size=7)  # as after a crash
    router.after = lambda parameters: None
    for _ in range(3):
        clock.advance(timedelta(minutes=30))
        cursor, found = await walk(shop, cursor)
        last.update({order.number: order for order in found})
    assert set(last) == set(router.orders)
    for number, row in router.orders.items():
        shown = last[number].updated_at
        assert shown is not None
        assert china(shown) == row["updated_at"], number


async def test_a_window_that_grows_is_read_again(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    """A late order on page 1 pushes another over a page's edge to where we have already been."""
    shop = opened(page_size=2)
    cursor, _ = await walk(shop, "")
    for n in range(6):
        clock.advance(timedelta(seconds=5))
        put(router, [n])
    newest = clock.now()
    clock.advance(timedelta(minutes=10))
    page = await shop.changed_orders(cursor)
    late = order_row("P-0099", newest)
    router.orders["P-0099"] = late
    seen = numbers(page.orders)
    while page.more:
        page = await shop.changed_orders(page.cursor)
        seen |= numbers(page.orders)
    assert seen == set(router.orders)


async def test_a_slow_walk_comes_to_an_end(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    """Each call takes a minute: the walk ends where the clock stood when it began, and the next goes on."""
    shop = opened(page_size=2)
    cursor, _ = await walk(shop, "")
    put(router, range(9))
    clock.advance(timedelta(hours=2))
    router.after = lambda parameters: clock.advance(timedelta(minutes=1))
    cursor, found = await walk(shop, cursor)
    assert numbers(found) == set(router.orders)
    put(router, [99])
    clock.advance(timedelta(minutes=10))
    assert "P-0099" in numbers((await walk(shop, cursor))[1])


async def test_caught_up_means_no_more_calls(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    shop = opened()
    cursor, _ = await walk(shop, "")
    router.calls.clear()
    again = await shop.changed_orders(cursor)
    assert (again.orders, again.cursor, again.more) == ((), cursor, False)
    assert not router.calls


async def test_lean_lists_are_completed(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    """The increment list is named for numbers; where it shows no more, each order is read by itself."""
    shop = opened()
    cursor, _ = await walk(shop, "")
    put(router, range(20), urge_shipping_time=china(NOW))
    clock.advance(timedelta(minutes=10))
    router.lean = True
    _, found = await walk(shop, cursor)
    assert numbers(found) == set(router.orders)
    assert router.calls["pdd.order.information.get"] == 20
    assert {order.amount.minor for order in found} == {1999}


async def test_a_dispute_is_seen_though_the_order_did_not_change(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    put(router, [1], after_sales_status=2, refund_status=2)
    router.refunds["P-0001"] = refund_row("P-0001", clock.now(), 2)
    clock.advance(timedelta(hours=2))
    shop = opened()
    cursor, first = await walk(shop, "")
    router.refunds["P-0001"] = refund_row("P-0001", clock.now(), 2, join_or_not="1")
    clock.advance(timedelta(minutes=10))
    cursor, second = await walk(shop, cursor)
    assert [order.after_sales for order in (*first, *second)] == [AfterSales.REQUESTED, AfterSales.DISPUTED]
    old, new = first[0].updated_at, second[0].updated_at
    assert old is not None and new is not None and new > old, "the host recognises orders by their updated_at"


async def test_a_withdrawn_refund_is_news_though_the_order_did_not_change(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    put(router, [1], after_sales_status=11)
    clock.advance(timedelta(hours=2))
    shop = opened()
    cursor, _ = await walk(shop, "")
    router.refunds["P-0001"] = refund_row("P-0001", clock.now(), 11)
    changed = clock.now()
    clock.advance(timedelta(minutes=10))
    _, found = await walk(shop, cursor)
    assert [(order.after_sales, order.updated_at) for order in found] == [(AfterSales.CLOSED, changed)]


async def test_an_order_that_cannot_be_read_yet_is_tried_again(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    """The platform's FAQ: an order can be listed some minutes before it can be read."""
    shop = opened()
    cursor, _ = await walk(shop, "")
    router.lean = True
    put(router, [1, 2])
    clock.advance(timedelta(minutes=6))
    shown = dict(router.orders)

    def hide(parameters: dict[str, str]) -> None:
        if parameters["type"] == "pdd.order.number.list.increment.get":
            router.orders.pop("P-0001", None)

    router.after = hide
    with pytest.raises(Unavailable, match="P-0001"):
        await shop.changed_orders(cursor)
    router.after = lambda parameters: None
    router.orders = shown
    assert numbers((await walk(shop, cursor))[1]) == {"P-0001", "P-0002"}


async def test_an_order_that_is_gone_stops_nobody(
    opened: Opened, router: FakeRouter, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    shop = opened()
    cursor, _ = await walk(shop, "")
    put(router, [1])
    router.refunds["P-0404"] = refund_row("P-0404", clock.now(), 2)
    clock.advance(timedelta(hours=1))
    _, found = await walk(shop, cursor)
    assert numbers(found) == {"P-0001"}
    assert "P-0404" in caplog.text


async def test_a_failing_page_is_repeated_from_the_same_cursor(
    opened: Opened, router: FakeRouter, clock: FixedClock
) -> None:
    shop = opened()
    cursor, _ = await walk(shop, "")
    put(router, range(3))
    clock.advance(timedelta(minutes=10))
    router.fail = lambda method: 52101 if "increment" in method else None
    with pytest.raises(Throttled):
        await shop.changed_orders(cursor)
    router.fail = lambda method: None
    assert numbers((await walk(shop, cursor))[1]) == set(router.orders)


@pytest.mark.parametrize(
    "cursor",
    ["junk", "{}", "[]", '{"v":2}', '{"v":1,"phase":"x","start":1}', '{"v":1,"phase":"orders","odd":1}'],
)
async def test_a_foreign_cursor_begins_anew(cursor: str) -> None:
    assert Place.load(cursor) is None


def test_a_cursor_holds_its_place() -> None:
    place = Place("orders", start=17, end=1800, page=3, total=250, again=1)
    assert Place.load(place.dump()) == place


@pytest.mark.parametrize("field", ["total_count", "order_list"])
async def test_a_list_without_its_fields_is_named(
    shop: Pinduoduo, router: FakeRouter, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    put(router, [1])
    plain = router._answer

    def without(method: str, p: dict[str, str]) -> dict[str, Any]:
        body = plain(method, p)
        body.get("order_list_get_response", {}).pop(field, None)
        return body

    monkeypatch.setattr(router, "_answer", without)
    clock.advance(timedelta(hours=1))
    with pytest.raises(BadAnswer, match=f"`{field}`"):
        await walk(shop, "")


@pytest.mark.parametrize(
    ("key", "value"), [("lag", "1m"), ("overlap", "25m"), ("backfill", "91d"), ("page_size", 101)]
)
async def test_settings_that_would_lose_orders_are_refused(opened: Opened, key: str, value: object) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match=key):
        opened(**{key: value})
