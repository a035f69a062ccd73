"""The marketplace model: the same seed is the same world, cursors lose nothing, effects are as declared."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.testing.merchant import Merchant

from amends import (
    Extension,
    Filing,
    Grant,
    Message,
    Money,
    NotFound,
    Rejected,
    Remedy,
    RemedyKind,
    Unsupported,
)
from amends.cases.orders import AfterSales, Order
from amends.errors import InputError
from amends.testing.fates import SLOTS, Fate, fate_of
from amends.testing.journal import Entry, duplicates
from amends.testing.marketplace import START, Marketplace

HOUR = timedelta(hours=1)
STORIES = {
    "accept", "already refunded, no message", "arbitration for-us", "broken once", "broken twice", "cancel",
    "complained", "complaint for-us", "complaint lost", "complaint overdue", "contradictory", "counter",
    "decline",
    "dispute answered", "extension refused", "free text", "legal", "refund under way",
    "review awaited", "saved by extension", "settled", "shipped meanwhile, no message", "silent", "stalled",
}  # fmt: skip


def market(at: float = 40, **options: Any) -> Marketplace:
    made = Marketplace(**options)
    made.set_clock(START + HOUR * at)
    return made


def number_of(made: Marketplace, fate: Fate) -> str:
    """An order of that fate that has been placed."""
    for number, its in made.fates().items():
        if its == fate:
            try:
                return made.order(number).number
            except NotFound:
                continue
    raise LookupError(fate)


def offer(number: str, round: int = 1, *, key: str = "", ship_by: datetime | None = None) -> Message:
    key = key or f"m-{number}-{round}"
    return Message(
        key=key, order=number, round=round, text="Sorry.", new_ship_by=ship_by, reply_by=START + HOUR * 400
    )


def coupon(number: str, *, key: str = "g1", minor: int = 300, round: int = 1) -> Grant:
    remedy = Remedy(kind=RemedyKind.COUPON, amount=Money(minor=minor, currency="CNY"))
    return Grant(key=key, order=number, round=round, remedy=remedy)


def everything(made: Marketplace, until: float = 300, step: float = 7) -> list[Any]:
    """All that can be seen from now on: each order's page, list entry and parcel, and each reply."""
    seen: list[Any] = []
    while made.now < START + HOUR * until:
        made.set_clock(made.now + HOUR * step)
        for number in made.fates():
            try:
                seen.append((made.order(number), made.tracking(number)))
            except NotFound:
                continue
        seen += [made.changed_orders(""), made.replies("")]
    return seen


@pytest.mark.parametrize("seed", range(1, 21))
def test_every_story_is_met_whatever_the_seed(seed: int) -> None:
    merchant = Merchant(Marketplace(seed=seed)).work()
    assert STORIES - merchant.stories == set()
    late = [case for case in merchant.cases.values() if case.late]
    assert sum(bool(case.outcome) for case in late) >= 0.9 * len(late)
    assert duplicates(merchant.market.entries) == []


def test_sixty_orders_hold_every_fate() -> None:
    assert {fate_of(7, index) for index in range(60)} == set(Fate)
    assert sorted(fate_of(3, index) for index in range(50)) == sorted(SLOTS)


def test_another_seed_is_another_world() -> None:
    assert market(seed=1).fates() != market(seed=2).fates()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), data=st.data())
def test_the_order_of_calls_does_not_matter(seed: int, data: st.DataObject) -> None:
    one, two = market(seed=seed, orders=60), market(seed=seed, orders=60)
    numbers = [order.number for order in one.changed_orders("").orders]
    acts = [(kind, number) for number in numbers for kind in ("message", "grant")]

    def play(made: Marketplace, act: tuple[str, str]) -> None:
        if act[0] == "message":
            made.message(offer(act[1], ship_by=START + HOUR * 120))
        else:
            made.grant(coupon(act[1], key=f"g-{act[1]}"))

    for act in acts:
        play(one, act)
    for act in data.draw(st.permutations(acts)):
        two.changed_orders("")
        play(two, act)
    assert everything(one) == everything(two)


def test_how_often_the_clock_moves_does_not_matter() -> None:
    one, two = market(at=30), market(at=3)
    for hour in range(3, 31):
        two.set_clock(START + HOUR * hour)
    assert everything(one) == everything(two)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    page=st.integers(1, 9),
    steps=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=40),
)
def test_a_cursor_has_no_gaps_and_no_repeats(
    seed: int, page: int, steps: list[tuple[int, bool, bool]]
) -> None:
    """Whatever is written between pages, and however time goes on, a reader ends up with all list entries."""
    made = market(at=30, seed=seed, orders=50, page=page)
    known: dict[str, Order] = {}
    replies: list[str] = []
    cursor = said = ""

    def read() -> bool:
        nonlocal cursor, said
        found = made.changed_orders(cursor)
        for order in found.orders:
            old = known.get(order.number)
            assert old is None or not old.same_as(order) or old.observed_at != order.observed_at
            known[order.number] = order
        more = made.replies(said)
        replies.extend(reply.event for reply in more.replies)
        cursor, said = found.cursor, more.cursor
        return found.more or more.more

    for hours, write, extend in steps:
        read()
        made.set_clock(made.now + HOUR * hours)
        for place, number in enumerate(sorted(known)):
            if write and place % 3 == 0:
                made.message(offer(number, ship_by=made.now + HOUR * 30))
            if extend and place % 3 == 1:
                try:
                    made.extend(Extension(key="x", order=number, round=1, until=made.now + HOUR * 99))
                except Rejected:
                    continue
    made.set_clock(made.now + timedelta(seconds=1))
    while read():
        pass
    whole = market(at=30, seed=seed, orders=50, page=10_000)
    whole.replay(made.entries)
    whole.set_clock(made.now)
    listed = whole.changed_orders("").orders
    assert {order.number for order in listed} == set(known)
    assert [order.number for order in listed if not order.same_as(known[order.number])] == []
    assert replies == [reply.event for reply in whole.replies("").replies]


def test_the_journal_rebuilds_the_world() -> None:
    entries: list[Entry] = []
    merchant = Merchant(Marketplace(journal=entries.append, days=5)).work()
    again = Marketplace(days=5)
    again.replay([Entry.model_validate_json(entry.model_dump_json()) for entry in entries])
    again.set_clock(merchant.market.now)
    assert again.entries == merchant.market.entries
    assert everything(again) == everything(merchant.market)


def test_nothing_happens_where_the_journal_refuses() -> None:
    def full(entry: Entry) -> None:
        raise OSError("disk full")

    made = market(journal=full)
    with pytest.raises(OSError, match="disk full"):
        made.message(offer(number_of(made, Fate.LEGAL)))
    assert made.entries == []
    assert made.lookup("message", f"m-{number_of(made, Fate.LEGAL)}-1") is None


def test_messages_are_repeated_by_whoever_sends_them_twice() -> None:
    made = market(visibility_lag=timedelta(minutes=2))
    number = number_of(made, Fate.LEGAL)
    first, second = made.message(offer(number)), made.message(offer(number))
    assert first.ref != second.ref
    assert [entry.ref for entry in duplicates(made.entries)] == [second.ref]
    assert made.find(offer(number)) is None  # not visible yet
    made.set_clock(made.now + timedelta(minutes=3))
    assert made.find(offer(number)) == first
    made.set_clock(made.now + HOUR * 9)
    assert [reply.order for reply in made.replies("").replies] == [number]


def test_a_grant_is_replayed_by_its_key_and_refused_for_another_payload() -> None:
    made = market()
    number = number_of(made, Fate.LEGAL)
    receipt = made.grant(coupon(number))
    assert made.grant(coupon(number)) == receipt
    with pytest.raises(Rejected, match="used for something else"):
        made.grant(coupon(number, minor=400))
    assert len(made.entries) == 1
    made.grant(coupon(number, key="g2"))
    assert len(duplicates(made.entries)) == 1


def test_an_extension_is_blind_early_and_once() -> None:
    made = market(at=3)
    number = number_of(made, Fate.ON_TIME)
    ship_by = made.order(number).ship_by
    assert ship_by is not None
    request = Extension(key="x", order=number, round=1, until=ship_by + HOUR * 24)
    made.extend(request)
    assert made.order(number).agreed_ship_by == request.until
    made.extend(request)
    assert len(duplicates(made.entries)) == 1
    with pytest.raises(Rejected, match="once"):
        made.extend(request.model_copy(update={"round": 2}))
    with pytest.raises(Unsupported):
        made.find(request)
    late = market(at=9 * 24)
    with pytest.raises(Rejected, match="passed"):
        late.extend(request.model_copy(update={"until": late.now + HOUR}))


def test_a_refund_is_reviewed_first() -> None:
    made = market()
    number = number_of(made, Fate.LEGAL)
    remedy = Remedy(kind=RemedyKind.REFUND, amount=made.order(number).amount)
    receipt = made.grant(Grant(key="r", order=number, round=1, remedy=remedy))
    assert receipt.state == "requested"
    assert made.order(number).after_sales is AfterSales.REVIEW
    made.set_clock(made.now + HOUR * 17)
    assert made.order(number).after_sales in (AfterSales.REFUNDED, AfterSales.REJECTED)
    over = Remedy(kind=RemedyKind.REFUND, amount=made.order(number).amount + Money(minor=1, currency="CNY"))
    with pytest.raises(Rejected, match="above"):
        made.grant(Grant(key="r2", order=number, round=2, remedy=over))


def test_a_few_refunds_are_refused_after_review() -> None:
    made = market(at=9 * 24)
    for number in made.fates():
        remedy = Remedy(kind=RemedyKind.REFUND, amount=Money(minor=100, currency="CNY"))
        made.grant(Grant(key=f"r{number}", order=number, round=1, remedy=remedy))
    made.set_clock(made.now + HOUR * 17)
    states = [made.order(number).after_sales for number in made.fates()]
    assert 0 < states.count(AfterSales.REJECTED) < 40


def test_an_unanswered_dispute_is_lost_at_its_due_date() -> None:
    made = market(at=6 * 24)
    number = number_of(made, Fate.DISPUTED)
    opened = next(e for e in range(1, 144) if _disputed(number, e))
    silent = market(at=opened)
    order = silent.order(number)
    assert order.dispute and order.after_sales_due
    silent.set_clock(order.after_sales_due)
    assert silent.order(number).after_sales is AfterSales.REFUNDED
    ruling = silent.ruling(number, order.dispute)
    assert ruling is not None and ruling.verdict == "against-us"
    answered = market(at=opened)
    filing = Filing(op="respond", instance="response", text="", key="d", order=number)
    ref = answered.respond(filing).ref
    answered.set_clock(answered.now + HOUR * 15)
    assert answered.ruling(number, ref) is not None
    assert answered.order(number).after_sales is not AfterSales.DISPUTED


def _disputed(number: str, hour: int) -> bool:
    try:
        return market(at=hour).order(number).after_sales is AfterSales.DISPUTED
    except NotFound:
        return False


def test_the_back_office_sees_what_was_done_and_acts_by_hand() -> None:
    made = market()
    number = number_of(made, Fate.COMPLAINT)
    assert made.seen(number, "complain") == []
    receipt = made.back_office(number, "complain", key="task-1")
    assert [(e.by, e.ref) for e in made.seen(number, "complain")] == [("hand", receipt.ref)]
    assert made.lookup("complain", "task-1") == receipt
    made.set_clock(made.now + HOUR * 27)
    ruling = made.ruling(number, receipt.ref)
    assert ruling is not None and ruling.verdict == "for-us"


def test_an_order_that_is_not_placed_yet_is_not_found() -> None:
    made = Marketplace()
    with pytest.raises(NotFound):
        made.order(next(iter(made.fates())))
    assert made.changed_orders("").orders == ()


def test_the_clock_does_not_go_back() -> None:
    made = market()
    with pytest.raises(InputError, match="does not go back"):
        made.set_clock(START)


@pytest.mark.parametrize("cursor", ["x", "2026-03-02~1", "~"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Rejected, match="cursor"):
        market().changed_orders(cursor)


def test_personal_data_is_visibly_made_up() -> None:
    order = market().changed_orders("").orders[0]
    assert order.personal is not None
    assert order.personal.name.startswith("Sample Customer ")
    assert order.personal.email.endswith("@example.invalid")
    assert {order.language for order in market().changed_orders("").orders} == {"zh", "en"}
