"""What people do by hand at Pinduoduo, because no API does it: where, what to paste, within which limits.

Two lists of the platform's methods of 2026 (287 and 288) hold no chat message, deadline extension, coupon
grant, complaint, evidence or arbitration. Places and limits come from merchants' guides (2022-2024), not from
the platform; menus move, so each text says what to look for. The texts to paste claim nothing: blanks (＿＿)
are filled from the task's own facts. 中文在前，英文在后。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amends import Operation


@dataclass(frozen=True, slots=True)
class Errand:
    """One kind of work in the back office, in Chinese and English: the place, the limits, a text to paste."""

    place: str
    place_en: str
    limits: str = ""
    limits_en: str = ""
    paste: str = ""
    reviewed: bool = False

    def operation(self) -> Operation:
        where = f"{self.place}（{self.place_en}）"
        if self.paste:
            where += f" 可直接粘贴 / text to paste：「{self.paste}」"
        limits = f"{self.limits}（{self.limits_en}）" if self.limits else ""
        return Operation.by_hand(where, limits=limits, reviewed=self.reviewed)


MESSAGE = Errand(
    place="商家后台 mms.pinduoduo.com → 多多客服 → 搜索订单号 → 打开买家会话，粘贴任务里的文字并发送",
    place_en=(
        "back office → customer chat → search the order number → open the chat, paste the task's text, send"
    ),
    limits="不要留站外联系方式或链接；买家回复后请在任务里记录；平台规则未规定不回复的含义，按拒绝处理",
    limits_en=(
        "no contacts or links outside the platform; record the answer in the task; silence counts as refusal"
    ),
)

EXTEND = Errand(
    place="多多客服 → 该订单的买家会话 → 订单卡片「延后发货 / 协商发货时间」→ 填写新日期 → 等买家同意",
    place_en=(
        "customer chat → the order's card → agree later shipping → enter the new date → the buyer accepts "
        "or not"
    ),
    limits=(
        "每单只能一次；必须在承诺发货时间之前；已发货、有退款申请、不承诺时效的地区不能用；滥用会被停用；"
        "最长天数平台未公布（有说法为 7 天）；买家同意后 last_ship_time 变动，系统会自动看到"
    ),
    limits_en=(
        "once per order; before the ship-by time only; not after shipping, with a refund open, or in areas "
        "without a promise; abuse disables it; the longest time is not published (one guide says 7 days); "
        "once the buyer accepts, the moved deadline is seen by itself"
    ),
    paste=(
        "亲，非常抱歉，您的订单暂时无法按时发出。我们已发起延后发货的申请，请您在聊天里点「同意」，"
        "我们会尽快安排发出。"
    ),
    reviewed=True,
)

COUPON = Errand(
    place=(
        "多多客服 → 该订单的买家会话 → 「优惠券」→ 选任务中的金额发送；没有合适的券时先到 商家后台 → "
        "店铺营销 → 优惠券 创建"
    ),
    place_en=(
        "customer chat → the buyer's chat → coupons → send the amount named in the task; if there is none, "
        "create it first under shop marketing → coupons"
    ),
    limits="金额必须与任务一致；每位买家只发一次；发送后把券号填回任务",
    limits_en="exactly the task's amount; once per buyer; write the coupon's number into the task",
    paste="亲，让您久等了，这是给您的补偿券，请在「我的优惠券」里查收，下次购物可直接使用。",
)

REFUND = Errand(
    place=(
        "多多客服 → 请买家在订单里申请退款（金额按任务）；买家申请后：商家后台 → 售后管理 → 售后工作台 → "
        "找到该订单 → 同意退款"
    ),
    place_en=(
        "customer chat → ask the buyer to request the refund (the task's amount); then after-sales "
        "management → workbench → the order → agree"
    ),
    limits=(
        "商家不能主动退款，只能同意买家的申请；同意前核对申请金额与任务一致；过了处理时限平台会自动处理；"
        "同意后由平台审核打款，售后状态由系统自动看到"
    ),
    limits_en=(
        "a merchant cannot refund unasked, only agree; compare the amount asked with the task's first; "
        "past its time limit the platform decides; the refund's state is then seen by itself"
    ),
    paste=(
        "亲，麻烦您打开该订单点「申请退款」，选「仅退款」、原因选与未按时发货相符的一项，我们收到后马上同意。"
    ),
    reviewed=True,
)

COMPLAIN = Errand(
    place=(
        "商家后台 → 店铺管理 → 违规信息 → 找到该订单的处罚 → 申诉（或从处罚通知的链接进入；"
        "订单维度：订单申诉 → 异常单不发货）"
    ),
    place_en=(
        "back office → shop management → violations → the order's penalty → appeal (or the link in the "
        "notice; for one order: order appeal → abnormal order not shipped)"
    ),
    limits="以处罚页面上的申诉截止时间为准；材料请一次交齐；一般 1-3 个工作日答复（可信度低）",
    limits_en=(
        "until the date on the penalty page; hand in everything at once; answered in 1-3 working days (low "
        "confidence)"
    ),
    paste=(
        "申诉说明：延迟原因＿＿；首次联系买家的时间＿＿；已给买家的补偿＿＿；揽收时间与单号＿＿。"
        "以上均有附件为证，请核实后撤销处罚。"
    ),
)

RESPOND = Errand(
    place="商家后台 → 售后管理 → 售后工作台 → 「平台介入」→ 该售后单 → 举证 → 粘贴说明、上传图片 → 提交",
    place_en=(
        "back office → after-sales → workbench → platform intervened → the request → evidence → text, "
        "pictures, submit"
    ),
    limits=(
        "收到介入通知后 48 小时内（有说法为 24 小时，请从早）；只能提交一次；最多 3 张图片，"
        "多的合并成长图或放进留言；逾期或不成立则退款给买家"
    ),
    limits_en=(
        "within 48 h of the notice (one source says 24 h: be early); one submission; 3 pictures at most, "
        "merge more into one or use the message box; late or failed means a refund"
    ),
    paste=(
        "举证说明：承诺发货时间＿＿；联系买家的时间及内容＿＿；提出的补偿＿＿；揽收时间与单号＿＿。"
        "凭证见图片，请平台依据事实处理。"
    ),
    reviewed=True,
)

ARBITRATE = Errand(
    place=(
        "商家后台 → 售后管理 → 售后工作台 → 该售后单 → 申请平台介入 / "
        "联系平台客服（对结果不服：从介入结果页申诉）"
    ),
    place_en=(
        "back office → after-sales → workbench → the request → ask the platform to step in / platform "
        "support (against a decision: appeal from its result page)"
    ),
    limits=(
        "仅在页面提供入口时可用，以页面截止时间为准；材料一次交齐，最多 3 张图片；请把售后单号写进任务备注，"
        "便于核对结果"
    ),
    limits_en=(
        "only while the page offers it, until the date shown there; everything at once, 3 pictures at "
        "most; write the after-sales number into the task's remark, by which the outcome is found"
    ),
    paste=(
        "与买家协商未果，现申请平台介入。协商经过＿＿；提出的补偿＿＿；买家的答复＿＿；揽收时间与单号＿＿。"
        "凭证见附件，请依据规则判定。"
    ),
    reviewed=True,
)

RULING = Errand(
    place=(
        "处罚申诉：商家后台 → 店铺管理 → 违规信息 → 申诉记录；"
        "平台介入：商家后台 → 售后管理 → 售后工作台 → 平台介入 → 处理结果"
    ),
    place_en=(
        "penalty appeal: shop management → violations → appeals; intervention: after-sales workbench → "
        "platform intervened → outcome"
    ),
    limits="没有结果就填“尚无结果”，系统会再问；请把页面上的处理时间和理由抄进备注",
    limits_en="no outcome yet is an answer too; copy the date and the reason shown there into the remark",
)

BY_HAND: Mapping[str, Operation] = {
    "message": MESSAGE.operation(),
    "extend": EXTEND.operation(),
    "grant:coupon": COUPON.operation(),
    # `pdd.refund.agree` exists, but only agrees to what the buyer asked, at the buyer's amount. A remedy that
    # we offered has no such request yet: a person brings it about, and the API shows its state.
    "grant:refund": REFUND.operation(),
    "complain": COMPLAIN.operation(),
    "respond": RESPOND.operation(),
    "arbitrate": ARBITRATE.operation(),
    "ruling": RULING.operation(),
}
