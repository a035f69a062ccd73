"""The words of the reply page in Chinese and English, and which of the two a customer reads."""

from __future__ import annotations

import re

LANGUAGES = ("zh", "en")

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Your order",
        "order": "Order {order}",
        "other": "中文",
        "late": "It should have shipped by {ship_by}. It has not, and we are sorry.",
        "late-undated": "It has not shipped in time, and we are sorry.",
        "at-risk": "It is due to ship by {ship_by}, and we may not make it. We are sorry.",
        "at-risk-undated": "It may ship later than promised. We are sorry.",
        "shipped-late": "It shipped later than promised, and we are sorry.",
        "stalled": "It should have arrived by now. It has not, and we are sorry.",
        "sorry": "We are sorry for the trouble with this order.",
        "cause-stock": "Why: the goods are out of stock at the moment, and we are waiting for more.",
        "cause-warehouse": "Why: our warehouse is behind with packing.",
        "cause-carrier": "Why: the carrier has not moved the parcel as it should.",
        "cause-storm": "Why: exceptional circumstances hold up many orders at once.",
        "cause-address": "Why: the delivery address must be checked before the parcel can go on.",
        "cause-unknown": "We do not know the exact reason yet and are looking into it.",
        "offer": "What we offer",
        "remedy": "To make up for it",
        "no-remedy": "Our apology",
        "date": "New ship date, at the latest",
        "no-date": "We cannot name a new date yet",
        "reply-by": "Please answer by",
        "no-script": "Nothing is decided until you press a button.",
        "accept": "Accept this offer",
        "counter": "Ask for something else",
        "counter-date": "Ship by (until {last})",
        "counter-remedy": "Instead of the remedy offered",
        "keep": "keep what is offered",
        "words": "In your own words (a person reads this)",
        "words-hint": "Leave it empty if a date or another remedy is all you want. Please write no passwords or card numbers.",
        "send": "Send my wish",
        "decline": "Decline",
        "decline-hint": "You do not agree. We then see whether we can offer something else.",
        "decline-do": "Decline this offer",
        "cancel": "Cancel the order",
        "cancel-hint": "The whole order is cancelled and paid back in full: {amount}. This cannot be undone.",
        "cancel-sure": "Yes, cancel my whole order",
        "cancel-do": "Cancel and refund",
        "error": "That could not be sent",
        "error-empty": "Choose a date or another remedy, or write what you would like.",
        "error-date": "Please choose a day from {first} to {last}.",
        "error-remedy": "That remedy cannot be chosen here; please write what you would like.",
        "error-sure": "To cancel, tick the box that says so first.",
        "error-shipped": "The goods have left us, so the order cannot be cancelled here any more.",
        "error-long": "Please write no more than {most} characters.",
        "error-form": "The form did not arrive as we sent it. Please try again.",
        "thanks": "Thank you",
        "already": "This offer was already answered",
        "was-accept": "Your answer: accepted.",
        "was-decline": "Your answer: declined.",
        "was-counter": "Your answer: something else.",
        "was-counter-date": "Your answer: another date, {date}.",
        "was-cancel": "Your answer: cancel the order.",
        "was-words": "We have your words, and a person reads them.",
        "next": "What happens next",
        "next-accept": "We send you what we offered ({remedy}) now.",
        "next-accept-date": "We ship your order by {date} at the latest.",
        "next-accept-plain": "We go on as offered.",
        "next-decline": "We look at what else we can do and write to you.",
        "next-counter": "We look at what you asked for and write to you.",
        "next-cancel": "We pay {amount} back by the way you paid. The platform or bank may take some days.",
        "next-words": "We answer you by message, where you usually hear from us.",
        "expired": "This link has expired",
        "expired-next": "The time to answer here is over. You can still write to us in the messages of your order.",
        "replaced": "There is a newer offer",
        "replaced-next": "We have sent you another message since. Please use the link in that one.",
        "closed": "This matter is closed",
        "closed-next": "Nothing is left to answer here. You can still write to us in the messages of your order.",
        "unknown": "This link is not valid",
        "unknown-next": "It may have been cut short. Please open it again from our message.",
        "often": "Too many tries",
        "often-next": "Please wait a minute and open the page again.",
        "later": "Not possible at this moment",
        "later-next": "Nothing was changed. Please try again in a minute.",
        "refused": "That could not be read",
        "refused-next": "Nothing was changed. Please open the link from our message again.",
    },
    "zh": {
        "title": "您的订单",
        "order": "订单 {order}",
        "other": "English",
        "late": "该订单应在 {ship_by}前发货，但至今未能发出，非常抱歉。",
        "late-undated": "该订单未能按时发货，非常抱歉。",
        "at-risk": "该订单应在 {ship_by}前发货，我们可能无法按时发出，非常抱歉。",
        "at-risk-undated": "该订单可能晚于承诺时间发货，非常抱歉。",
        "shipped-late": "该订单的发货时间晚于承诺，非常抱歉。",
        "stalled": "该订单本应已送达，但至今未到，非常抱歉。",
        "sorry": "很抱歉，该订单给您带来了不便。",
        "cause-stock": "原因：商品暂时缺货，我们正在等待补货。",
        "cause-warehouse": "原因：仓库打包积压。",
        "cause-carrier": "原因：承运商未能按时揽收或运送包裹。",
        "cause-storm": "原因：遇到特殊情况，大批订单同时受到影响。",
        "cause-address": "原因：收货地址需要核对后包裹才能继续派送。",
        "cause-unknown": "具体原因尚不清楚，我们正在核实。",
        "offer": "我们的方案",
        "remedy": "补偿",
        "no-remedy": "向您致歉",
        "date": "新的发货时间（最迟）",
        "no-date": "目前还无法确定新的发货时间",
        "reply-by": "请在此之前答复",
        "no-script": "只有点击按钮后才会生效。",
        "accept": "接受此方案",
        "counter": "提出其他方案",
        "counter-date": "希望最迟发货日期（不晚于 {last}）",
        "counter-remedy": "希望将补偿换成",
        "keep": "保持原补偿",
        "words": "您的具体要求（由客服人员阅读）",
        "words-hint": "如果只需更改日期或补偿方式，此处可不填。请勿填写密码或银行卡号。",
        "send": "提交我的要求",
        "decline": "拒绝",
        "decline-hint": "您不同意此方案。我们会再看是否有其他办法。",
        "decline-do": "拒绝此方案",
        "cancel": "取消订单",
        "cancel-hint": "整个订单将被取消并全额退款：{amount}。此操作无法撤销。",
        "cancel-sure": "是的，取消整个订单",
        "cancel-do": "取消并退款",
        "error": "未能提交",
        "error-empty": "请选择日期或其他补偿，或写下您的要求。",
        "error-date": "请选择 {first} 至 {last} 之间的日期。",
        "error-remedy": "此处无法选择该补偿，请写下您的要求。",
        "error-sure": "如需取消，请先勾选确认。",
        "error-shipped": "商品已经发出，无法在此取消订单。",
        "error-long": "请不要超过 {most} 个字。",
        "error-form": "提交的内容不完整，请重试。",
        "thanks": "谢谢您",
        "already": "此方案已经答复过",
        "was-accept": "您的答复：接受。",
        "was-decline": "您的答复：拒绝。",
        "was-counter": "您的答复：希望其他方案。",
        "was-counter-date": "您的答复：希望改为 {date}。",
        "was-cancel": "您的答复：取消订单。",
        "was-words": "我们已收到您的要求，客服人员会阅读。",
        "next": "接下来",
        "next-accept": "我们现在就为您发放：{remedy}。",
        "next-accept-date": "我们最迟在 {date}前发货。",
        "next-accept-plain": "我们将按方案处理。",
        "next-decline": "我们会考虑其他办法，并给您发消息。",
        "next-counter": "我们会考虑您的要求，并给您发消息。",
        "next-cancel": "{amount} 将按原支付方式退还，平台或银行可能需要几天时间。",
        "next-words": "我们会像往常一样给您发消息答复。",
        "expired": "链接已过期",
        "expired-next": "在此答复的时间已过。您仍可在订单消息中与我们联系。",
        "replaced": "已有新的方案",
        "replaced-next": "我们之后又给您发了消息，请使用那条消息中的链接。",
        "closed": "此事已处理完毕",
        "closed-next": "此处无需再答复。您仍可在订单消息中与我们联系。",
        "unknown": "链接无效",
        "unknown-next": "链接可能不完整，请从我们的消息中重新打开。",
        "often": "尝试次数过多",
        "often-next": "请稍等一分钟后再打开本页。",
        "later": "暂时无法处理",
        "later-next": "没有任何更改。请一分钟后再试。",
        "refused": "无法读取提交的内容",
        "refused-next": "没有任何更改。请从我们的消息中重新打开链接。",
    },
}


class Words:
    """The texts of one language: `words("order", order="…17")`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.lang = {"zh": "zh-CN"}.get(language, language)
        self.other = next(name for name in LANGUAGES if name != language)

    def __call__(self, name: str, **values: str) -> str:
        return TEXTS[self.language][name].format(**values)


def language(asked: str, header: str, *known: str) -> str:
    """Ours that fits best: what the link asks for, what the browser prefers, then what is known of customer and shop."""
    if asked in LANGUAGES:
        return asked
    wanted: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        found = re.fullmatch(
            r"\s*([A-Za-z]{2,3})(?:-[\w-]*)?\s*(?:;\s*q=(\d(?:\.\d{0,3})?))?\s*", part, re.ASCII
        )
        if found and found[1].lower() in LANGUAGES:
            wanted.append((float(found[2] or 1), found[1].lower()))
    best = max(wanted, key=lambda pair: pair[0], default=(0.0, ""))
    if best[0] > 0:
        return best[1]
    for name in known:
        if name.partition("-")[0].lower() in LANGUAGES:
            return name.partition("-")[0].lower()
    return "en"


def masked(number: str) -> str:
    """An order number that its owner knows again and nobody else learns: `…4711`."""
    plain = "".join(c for c in number if c.isalnum() or c in "-_.")
    shown = 4 if len(plain) >= 8 else 2
    return f"…{plain[-shown:]}"
