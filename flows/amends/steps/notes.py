"""What our acts leave on an order for the shop's own people: one short line per offer and remedy, and for the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from amends.cases import facts as f
from amends.cases.snapshot import Round, Snapshot
from amends.hooks.requests import Note
from amends.ledger.effects import NOTE, Draft
from amends.steps.requests import split
from amends.steps.shop import Shop

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "offer": "offer {n}: {remedy}", "none": "apology", "date": ", ships by {date}", "settled": "given: {remedy}",
        "closed": "closed: {outcome}", "with": ", {remedy}",
    },
    "zh": {
        "offer": "方案{n}：{remedy}", "none": "致歉", "date": "，{date}前发货", "settled": "已补偿：{remedy}",
        "closed": "已结案：{outcome}", "with": "，{remedy}",
    },
}  # fmt: skip
_ZH = {
    "coupon": "优惠券", "points": "积分", "gift": "赠品", "discount": "折扣", "store-credit": "店铺余额", "refund": "退款",
    "replacement": "补发", "shipped": "已发货", "settled": "已补偿", "refunded": "已退款", "cancelled": "已取消",
    "not-late": "未逾期", "ruled-for-us": "判商家胜", "ruled-against-us": "判商家败", "written-off": "核销",
    "withdrawn": "已撤回",
}  # fmt: skip


def owed(shop: Shop, case: Snapshot) -> list[Draft]:
    """The notes that this case's facts call for; the ledger keeps each once, so that those already there do no harm."""
    if not shop.notes:
        return []
    drafts, given = [], ""
    for round_ in case.rounds:
        if round_.contacted_at is not None:
            drafts.append(_draft(shop, case, f.Step.CONTACT, "offer", _offer(shop, round_), round_.number))
        remedy = round_.remedy_due(case.order) if case.order is not None else None
        if round_.settled_at is not None and remedy is not None:
            cancelled = "cancelled" if round_.answer is f.Answer.CANCEL else ""
            given = _named(shop, str(remedy))
            text = _words(shop, "settled", remedy=given)
            drafts.append(_draft(shop, case, f.Step.SETTLE, "settled", text, round_.number, cancelled))
    if case.outcome is not None and drafts:  # where nobody was told anything, there is nothing to trace
        text = _words(shop, "closed", outcome=_named(shop, case.outcome.value))
        if given:  # again, for platforms that keep one line
            text += _words(shop, "with", remedy=given)
        drafts.append(_draft(shop, case, f.Step.VERIFY, "closed", text))
    return drafts


def _draft(
    shop: Shop,
    case: Snapshot,
    step: f.Step,
    about: Literal["offer", "settled", "closed"],
    text: str,
    round_: int = 0,
    detail: str = "",
) -> Draft:
    request, _ = split(Note(key="", order=case.number, round=round_, about=about, text=text))
    effect = shop.operation(NOTE, NOTE).effect
    return Draft(
        case.case, case.shop, case.number, case.generation, step, round_, NOTE, f"{NOTE}:{about}", effect, request,
        detail=detail,
    )  # fmt: skip


def _offer(shop: Shop, round_: Round) -> str:
    offer = round_.offer
    remedy = _named(shop, str(offer.remedy)) if offer.remedy else _words(shop, "none")
    text = _words(shop, "offer", n=round_.number, remedy=remedy)
    if offer.new_ship_by is None:
        return text
    local = offer.new_ship_by.astimezone(shop.settings.shop(shop.name).zone)
    return text + _words(shop, "date", date=f"{local:%m-%d}")


def _words(shop: Shop, name: str, **values: Any) -> str:
    return _WORDS["zh" if _zh(shop) else "en"][name].format(**values)


def _named(shop: Shop, text: str) -> str:
    kind, space, rest = text.partition(" ")
    return f"{_ZH.get(kind, kind)}{space}{rest}" if _zh(shop) else text


def _zh(shop: Shop) -> bool:
    return shop.settings.shop(shop.name).language.partition("-")[0] == "zh"
