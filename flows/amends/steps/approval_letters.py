"""Words what approvers get about a list, with their code where it carries one: in Chinese or English, nothing personal."""

from __future__ import annotations

import hashlib

from amends.cases.orders import Personal
from amends.hooks.requests import Message
from amends.ledger.approvals import Listing
from amends.ledger.notices import Notice
from amends.settings import Settings

_SUBJECTS = {
    "en": {
        "asked": "Approval wanted: {list}",
        "reminded": "Still waiting for approval: {list}",
        "code": "Your code for {list}",
        "held": "Nobody decided in time, held: {list}",
    },
    "zh": {
        "asked": "待审批：{list}",
        "reminded": "仍待审批：{list}",
        "code": "验证码：{list}",
        "held": "逾期未审批，已暂停：{list}",
    },
}
_TEXTS = {
    "en": {
        "ask": "Shop {shop}: {acts} to approve or reject, until {until}.",
        "code": "Your code, good once: {code}",
        "newest": "Codes for this list that came before count no more.",
        "command": "Or on the command line: amends approve {list} --as {name} --code {bare}",
        "held": "Shop {shop}: the cases of list {list} ({acts}) are held. Look at them, then: amends release --shop {shop}",
    },
    "zh": {
        "ask": "店铺 {shop} 有 {acts} 项待您审批，截止 {until}。",
        "code": "您的一次性验证码：{code}",
        "newest": "此前为该清单发送的验证码已失效。",
        "command": "也可用命令：amends approve {list} --as {name} --code {bare}",
        "held": "店铺 {shop}：清单 {list}（{acts} 项）的工单已暂停。查看后恢复：amends release --shop {shop}",
    },
}


def letter(
    settings: Settings, listing: Listing, notice: Notice, code: str, person: Personal | None, link: str
) -> Message:
    """What this person is sent. `link`: where the list is decided in a browser, if anywhere."""
    shop = settings.shop(listing.shop)
    language = "zh" if shop.language.startswith("zh") else "en"
    values = {
        "list": listing.id,
        "shop": listing.shop,
        "name": notice.person,
        "acts": " · ".join([str(len(listing.waiting)), *map(str, listing.amounts)]),
        "until": f"{listing.expires_at.astimezone(shop.zone):%Y-%m-%d %H:%M} ({shop.zone.key})",
        "code": f"{code[:4]} {code[4:]}",
        "bare": code,
    }
    names = ["held"] if notice.kind == "held" else ["ask", "code"]
    if notice.kind in ("reminded", "code"):
        names.append("newest")
    lines = [_TEXTS[language][name].format(**values) for name in names]
    if code:
        lines += [link] if link else []
        lines.append(_TEXTS[language]["command"].format(**values))
    template = "approval-held" if notice.kind == "held" else "approval-code"
    return Message(
        key=_key(notice), order="", text="\n".join(lines), language=language, template=template,
        subject=_SUBJECTS[language][notice.kind].format(list=listing.id), parameters={"code": code} if code else {},
        personal=person,
    )  # fmt: skip


def _key(notice: Notice) -> str:
    """One key per notice, of letters and digits: a person's name may hold anything."""
    parts = (notice.list, notice.person, notice.kind, str(notice.number), str(notice.tries))
    return "am" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
