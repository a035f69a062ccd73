"""What people do, what of it the API shows, and the trace that we leave in the order's note."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from tests.plugins.pinduoduo.conftest import NOW

from amends import Extension, Filing, Grant, Message, Money, Note, Remedy, RemedyKind, Unsupported
from amends_pinduoduo import SPEC
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import FakeRouter, order_row, refund_row
from amends_pinduoduo.notes import with_line

BY_HAND = (
    "message", "extend", "grant:coupon", "grant:refund", "complain", "respond", "arbitrate", "ruling",
)  # fmt: skip
IN_LIMITS = {
    "extend": ("一次", "承诺发货时间之前", "7 days"),
    "grant:refund": ("不能主动退款", "compare the amount"),
    "respond": ("48 小时", "24 h", "一次", "3 张"),
    "arbitrate": ("3 张",),
    "complain": ("1-3 working days", "low confidence"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_person_is_told_where_and_within_which_limits(name: str) -> None:
    operation = SPEC.operations[name]
    assert (operation.how, operation.effect) == ("by-hand", "by-hand")
    for text in (operation.where, operation.limits):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text), "in Chinese"
        assert "（" in text, "and in English"
    assert all(words in operation.limits for words in IN_LIMITS.get(name, ()))


@pytest.mark.parametrize(
    "name", ["extend", "grant:coupon", "grant:refund", "complain", "respond", "arbitrate"]
)
def test_a_text_to_paste_is_ready(name: str) -> None:
    assert "可直接粘贴" in SPEC.operations[name].where


def test_what_others_decide_is_declared_as_reviewed() -> None:
    reviewed = {name for name, operation in SPEC.operations.items() if operation.reviewed}
    assert reviewed == {"extend", "grant:refund", "respond", "arbitrate"}


def test_nothing_is_declared_that_the_platform_cannot_do() -> None:
    assert {name for name, o in SPEC.operations.items() if o.how == "api"} == {
        "changed_orders", "order", "tracking", "ruling:response", "ruling:arbitration", "note",
    }  # fmt: skip
    for absent in ("replies", "find", "verify_webhook", "grant:points", "grant:gift"):
        assert absent not in SPEC.operations


def requests() -> list[Any]:
    filing = {"key": "k17", "order": "P-1", "text": "样品"}
    remedy = Remedy(kind=RemedyKind.REFUND, amount=Money(minor=300, currency="CNY"))
    return [
        Message(key="k17", order="P-1", text="样品"),
        Grant(key="k17", order="P-1", remedy=remedy),
        Extension(key="k17", order="P-1", until=NOW + timedelta(days=2)),
        Filing(op="complain", instance="complaint", **filing),
        Filing(op="respond", instance="response", **filing),
        Filing(op="arbitrate", instance="arbitration", **filing),
    ]


@pytest.mark.parametrize("request_", requests(), ids=lambda request: request.op)
async def test_by_hand_is_never_sent(shop: Pinduoduo, router: FakeRouter, request_: Any) -> None:
    with pytest.raises(Unsupported):
        await getattr(shop, request_.op)(request_)
    with pytest.raises(Unsupported):
        await shop.find(request_)
    assert not router.calls


async def test_there_are_no_replies_and_no_webhooks(shop: Pinduoduo) -> None:
    with pytest.raises(Unsupported):
        await shop.replies("")
    with pytest.raises(Unsupported):
        shop.verify_webhook({}, b"{}")


@pytest.mark.parametrize(
    ("status", "changes", "verdict"),
    [
        (8, {"join_or_not": "1"}, None),
        (2, {}, None),
        (4, {"join_or_not": "1"}, None),
        (9, {}, "for-us"),
        (5, {}, "against-us"),
        (10, {"join_or_not": "1", "refund_operator_role": 3}, "against-us"),
        (10, {"join_or_not": "1", "refund_operator_role": 4}, "against-us"),
        (10, {"join_or_not": "1", "refund_operator_role": 2}, "withdrawn"),
        (10, {}, None),
        (11, {"join_or_not": "1"}, "withdrawn"),
        (12, {"dispute_refund_status": 1}, "withdrawn"),
        (11, {}, None),
    ],
)
async def test_rulings(
    shop: Pinduoduo, router: FakeRouter, status: int, changes: dict[str, Any], verdict: str | None
) -> None:
    router.refunds["P-1"] = refund_row("P-1", NOW, status, **changes)
    ruling = await shop.ruling("P-1", "9001")
    assert (ruling and ruling.verdict) == verdict
    if ruling is not None:
        assert (ruling.at, ruling.ref) == (NOW, "9001")


@pytest.mark.parametrize("ref", ["", "penalty-17", "9002"])
async def test_no_verdict_for_what_is_not_that_dispute(shop: Pinduoduo, router: FakeRouter, ref: str) -> None:
    """A penalty appeal has no API; the after-sales outcome of the same order is not its ruling."""
    router.refunds["P-1"] = refund_row("P-1", NOW, 9, join_or_not="1")
    assert await shop.ruling("P-1", ref) is None


def note(key: str, text: str) -> Note:
    return Note(key=key, order="P-1", round=1, about="offer", text=text)


async def test_a_note_keeps_what_people_wrote(shop: Pinduoduo, router: FakeRouter) -> None:
    mark = {"remark": "老客户，送小样", "remark_tag": 2, "remark_tag_name": "重要"}
    router.orders["P-1"] = order_row("P-1", NOW, **mark)
    for _ in range(2):
        await shop.note(note("k17", "已提供 3 元补偿券"))
    row = router.orders["P-1"]
    assert row["remark"] == "老客户，送小样 【amends k17 已提供 3 元补偿券】"
    assert (row["remark_tag"], row["remark_tag_name"]) == (2, "重要")
    assert router.calls["pdd.order.note.update"] == 1, "again is harmless, and not even sent"
    await shop.note(note("k18", "【已】结案"))
    assert row["remark"] == "老客户，送小样 【amends k18 已 结案】"


async def test_a_note_without_a_mark(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW)
    await shop.note(note("k17", "联系中"))
    assert router.orders["P-1"]["remark"] == "【amends k17 联系中】"


def test_words_added_behind_our_line_stay() -> None:
    assert with_line("甲 【amends k1 x】 乙", "【amends k2 y】") == "甲 乙 【amends k2 y】"


async def test_a_long_note_is_cut_and_keeps_its_key(shop: Pinduoduo, router: FakeRouter) -> None:
    router.orders["P-1"] = order_row("P-1", NOW, remark="老客户")
    await shop.note(note("k17", "长" * 90))
    remark = router.orders["P-1"]["remark"]
    assert remark.startswith("老客户 【amends k17 长长") and remark.endswith("长…】")
    assert len(remark) == len("老客户 ") + 80


def test_importing_costs_little() -> None:
    heavy = ("httpx", "aiohttp", "sqlalchemy", "prefect")
    asked = f"import sys, amends_pinduoduo; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
