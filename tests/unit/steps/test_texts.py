"""Texts: every one in both languages, what they must and must not say, and a sandbox that nothing leaves."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Remedy, RemedyKind
from amends.errors import ConfigError
from amends.steps.sandboxed import NAMES, OURS, PARTS
from amends.steps.texts import VALUES, check_templates, message_name, remedy_words, render

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 6, 9, tzinfo=UTC)
WORTH = Money.of("3.50", "CNY")
REMEDIES: dict[str, Remedy | None] = {
    kind.value: Remedy(
        kind=kind,
        amount=WORTH if kind not in (RemedyKind.POINTS, RemedyKind.GIFT, RemedyKind.REPLACEMENT) else None,
        points=50 if kind is RemedyKind.POINTS else None,
        name="Mug" if kind in (RemedyKind.GIFT, RemedyKind.REPLACEMENT) else "",
    )
    for kind in RemedyKind
} | {"none": None}
FULL: dict[str, Any] = {
    "order": "A-1", "amount": Money.of("1234.50", "CNY"), "shop": "Corner Shop", "customer": "Li",
    "cause": "stock", "placed_at": NOW, "ship_by": NOW, "deliver_by": NOW, "shipped_at": NOW, "carrier": "SF",
    "tracking_number": "SF123", "new_ship_by": NOW + timedelta(days=3), "reply_by": NOW + timedelta(days=1),
    "agreed_ship_by": NOW, "refund": Money.of(9, "USD"), "cancel_right": True, "silence": "cancel",
    "dispute": "D-7", "reason": "it rained", "request": "patience", "ruling": "against us", "what": "grant",
    "where": "the back office", "limits": "once", "due": NOW, "note": "mind the step",
    "text": "word for word",
    "offers": [{"round": 1, "at": NOW, "what": REMEDIES["coupon"], "answer": "decline"}],
    "evidence": ["chat.pdf"], "chronology": [{"at": NOW, "what": "told"}],
}  # fmt: skip
MESSAGES = [name for name, limit in NAMES.items() if limit == 4000]


def override(folder: Path, text: str, name: str = "first-notice", language: str = "en") -> Path:
    file = folder / language / f"{name}.j2"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return folder


# Every text --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("remedy", REMEDIES)
def test_every_text_with_every_remedy(name: str, language: str, remedy: str) -> None:
    for values in (FULL, {"order": "A-1", "what": "message"}):
        text = render(name, language, {**values, "remedy": REMEDIES[remedy]}, time_zone="Asia/Shanghai")
        assert text.language == language
        assert "A-1" in text.subject and "\n" not in text.subject
        assert text.body and text.body == text.body.strip() and "\n\n\n" not in text.body
        for sign in ("None", "Undefined", "{", "}", "Money(", "RemedyKind", "minor"):
            assert sign not in text.subject + text.body
        assert bool(re.search("[\u4e00-\u9fff]", text.subject)) == (language == "zh")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_both_languages_have_every_template(language: str) -> None:
    assert {file.stem for file in (OURS / language).glob("*.j2")} == {*NAMES, *PARTS}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_is_promised_beyond_the_offer(name: str, language: str) -> None:
    """Without a remedy and a date in the offer, no amount, date, percentage or points appear in a message."""
    text = render(name, language, {"order": "A", "cause": "unknown"})
    assert re.findall(r"\d", text.body) == []


# What they say -----------------------------------------------------------------------------------


def test_a_first_notice_in_english() -> None:
    values = {**FULL, "remedy": REMEDIES["coupon"], "reply_url": "https://x.example/r/1"}
    text = render("first-notice", "en", values, time_zone="Asia/Shanghai")
    assert text.subject == "Your order A-1 is late"
    assert text.body == (
        "Dear Li,\n\n"
        "Your order A-1 should have shipped by 6 March 2026, 17:00 (GMT+08:00). "
        "It has not, and we are sorry.\n"
        "Why: the goods are out of stock at the moment, and we are waiting for more.\n\n"
        "New ship date: by 9 March 2026, 17:00 (GMT+08:00) at the latest.\n\n"
        "To make up for it, we offer you a coupon worth CN¥3.50.\n\n"
        "Please answer by 7 March 2026, 17:00 (GMT+08:00).\n"
        "To accept, decline, propose something else or cancel: https://x.example/r/1\n\n"
        "You have the right to cancel the order now and get a full and prompt refund of CN¥1,234.50.\n"
        "If we do not hear from you by then and the order has not shipped, "
        "we cancel it and refund you in full.\n\n"
        "With our apologies,\nCorner Shop"
    )


def test_a_first_notice_in_chinese() -> None:
    text = render("first-notice", "zh-CN", {**FULL, "remedy": REMEDIES["points"]}, time_zone="Asia/Shanghai")
    assert text.subject == "您的订单 A-1 未能按时发货"
    for said in (
        "应在 2026年3月6日 17:00（北京时间）前发货",
        "商品暂时缺货",
        "最迟 2026年3月9日 17:00（北京时间）",
        "50 积分",
        "直接回复本消息即可",
        "全额退款（¥1,234.50）",
        "我们将取消订单并全额退款",
    ):
        assert said in text.body


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        ("accepted", "we take it that you agree to the new date"),
        ("refused", "we take it that you do not agree"),
        ("cancel", "we cancel it and refund you in full"),
        ("", ""),
    ],
)
def test_it_says_what_silence_means(silence: str, said: str) -> None:
    body = render("at-risk", "en", {**FULL, "silence": silence}).body
    assert said in body
    assert ("do not hear from you" in body) == bool(said)


def test_without_a_date_who_waits_may_still_cancel() -> None:
    body = render(
        "first-notice", "en", {"order": "A", "cancel_right": True, "notice": "first-indefinite"}
    ).body
    assert "cannot name a new ship date yet" in body
    assert "you may still cancel at any time until it ships" in body
    assert "right to cancel the order now and get a full and prompt refund" in body


@pytest.mark.parametrize(
    "cause", ["stock", "warehouse", "carrier", "storm", "address", "unknown", "", "other"]
)
def test_every_cause_has_words(cause: str) -> None:
    english = render("first-notice", "en", {"order": "A", "cause": cause}).body
    assert ("Why: " in english) == (cause in ("stock", "warehouse", "carrier", "storm", "address"))
    assert ("exact reason" in english) != ("Why: " in english)


def test_times_are_in_the_customers_zone() -> None:
    def date(language: str, zone: str) -> str:
        return render("agreed", language, {"order": "A", "new_ship_by": NOW}, time_zone=zone).body

    assert "6 March 2026, 01:00 (GMT-08:00)" in date("en", "America/Los_Angeles")
    assert "2026年3月6日 10:00（GMT+01:00）" in date("zh", "Europe/Berlin")
    assert "6 March 2026, 09:00 (UTC)" in date("en", "Nowhere/At_All")


def test_a_remedy_in_words() -> None:
    assert remedy_words(REMEDIES["refund"], "en") == "a refund of CN¥3.50"
    assert remedy_words(REMEDIES["gift"], "zh") == "赠品：Mug"
    assert remedy_words(None, "zh") == ""


def test_an_unknown_language_is_english_and_says_so() -> None:
    assert render("agreed", "fr", {"order": "A"}).language == "en"
    assert render("agreed", "../../etc", {"order": "A"}).language == "en"


@pytest.mark.parametrize(
    ("state", "more", "name"),
    [
        (State.OVERDUE, {}, "first-notice"),
        (State.AT_RISK, {}, "at-risk"),
        (State.STALLED, {}, "stalled"),
        (State.SHIPPED_LATE, {"round": 2}, "shipped-late"),
        (State.OVERDUE, {"round": 2}, "next-offer"),
        (State.OVERDUE, {"round": 2, "broken": True}, "promise-broken"),
        (State.AT_RISK, {"round": 2, "agreed": True}, "agreed"),
    ],
)
def test_which_text_tells_of_what(state: State, more: dict[str, Any], name: str) -> None:
    assert message_name(state, **more) == name


# Values ------------------------------------------------------------------------------------------


def test_values_are_plain_only() -> None:
    with pytest.raises(TypeError, match="Path is no plain value"):
        render("agreed", "en", {"order": Path("x")})
    with pytest.raises(ValueError, match="no value 'ordr'; did you mean \"order\""):
        render("agreed", "en", {"ordr": "A"})
    with pytest.raises(ValueError, match="no text 'agred'; did you mean \"agreed\""):
        render("agred", "en", {})
    with pytest.raises(ValueError, match="has no time zone"):
        render("agreed", "en", {"new_ship_by": datetime(2026, 1, 1)})  # noqa: DTZ001  # naive on purpose
    with pytest.raises(ValueError, match="too long for a text"):
        render("legal", "en", {"evidence": ["x"] * 1001})


def test_values_cannot_forge_a_subject_or_hide() -> None:
    text = render("agreed", "en", {"order": "A\r\nBcc: all@example.com\u202eX", "shop": "S\x00\x1b[31m"})
    assert text.subject == "Your order A Bcc: all@example.comX: agreed"
    assert "\x1b" not in text.body and "\u202e" not in text.body


def test_values_are_never_run() -> None:
    text = render("agreed", "en", {"order": "{{ 7 * 7 }}{% include '_sign.j2' %}"})
    assert "{{ 7 * 7 }}" in text.body


# Overrides ---------------------------------------------------------------------------------------


def test_a_merchants_template_wins_and_may_use_our_parts(tmp_path: Path) -> None:
    local = override(tmp_path / "local", 'Subject: Hi {{ order }}\n\n{% include "_cause.j2" %}')
    base = override(tmp_path / "base", "Subject: base\nbase")
    text = render("first-notice", "en", {"order": "A", "cause": "carrier"}, [local, base])
    assert text.subject == "Hi A"
    assert text.body == "Why: the carrier has not moved the parcel as it should."
    assert render("first-notice", "zh", {"order": "A"}, [local, base]).language == "zh"


def test_a_merchant_may_add_a_language_and_replace_a_part(tmp_path: Path) -> None:
    override(tmp_path, "Subject: Bestellung {{ order }}\n{{ amount }}, {{ ship_by }}", language="de")
    override(tmp_path, "Bye", name="_sign")
    text = render("first-notice", "de-AT", {"order": "A", "amount": WORTH, "ship_by": NOW}, tmp_path)
    assert (text.language, text.subject) == ("de", "Bestellung A")
    assert "06.03.2026" in text.body and "3,50" in text.body
    assert render("agreed", "en", {"order": "A"}, tmp_path).body.endswith("Bye")


def test_a_changed_override_counts_at_once(tmp_path: Path) -> None:
    override(tmp_path, "one")
    assert render("first-notice", "en", {}, tmp_path).body == "one"
    time.sleep(0.02)
    override(tmp_path, "two")
    assert render("first-notice", "en", {}, tmp_path).body == "two"
    override(tmp_path, "Bye", name="_sign")
    override(tmp_path, '{% include "_sign.j2" %}')
    assert render("first-notice", "en", {}, tmp_path).body == "Bye"
    time.sleep(0.02)
    override(tmp_path, "See you", name="_sign")  # a part that is included counts too
    assert render("first-notice", "en", {}, tmp_path).body == "See you"


def test_trouble_in_a_part_names_the_parts_file_and_line(tmp_path: Path) -> None:
    override(tmp_path, "\n{{ nobody }}", name="_sign")
    with pytest.raises(ConfigError, match=r"_sign\.j2:2: 'nobody' is undefined"):
        render("agreed", "en", {"order": "A"}, tmp_path)
    override(tmp_path, "\n\n{{ oops", name="_sign")
    with pytest.raises(ConfigError, match=r"_sign\.j2:3: unexpected end"):
        render("agreed", "en", {"order": "A"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("fine\n{% if order %}\n", 2, "Unexpected end of template"),
        ("fine\n\n{{ ordr }}", 3, "'ordr' is undefined; did you mean \"order\""),
        ("{{ order", 1, "unexpected end of template"),
        ('fine\n{% include "secret.j2" %}', 2, "includes secret.j2, which does not exist"),
        ('{% include "first-notice.j2" %}', 1, "includes itself"),
        ('fine\n{{ "a" < 1 }}', 2, "not supported between"),
    ],
)
def test_a_broken_override_names_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    override(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        render("first-notice", "en", {"order": "A"}, tmp_path)
    assert f"first-notice.j2:{line}: " in str(caught.value)
    assert said in str(caught.value)


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ order['__class__'] }}",
    "{{ order|attr('__class__') }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum() }}",
    "{{ order.upper() }}",
    "{{ order.upper }}",
    "{{ '{:>1000000000}'.format('x') }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ 'x' * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 2 ** 99999999 }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'a'|replace('a', 'aa') }}",
    "{{ range(1001)|length }}",
    "{% for i in range(1000000000) %}{% endfor %}",
    "{% for i in range(99) %}{% for j in range(99) %}x{% endfor %}{% endfor %}",
    '{% for i in range(99) %}{% include "_sign.j2" %}{% endfor %}',
    "{% set a = 'x' %}",
    "{% with a = 'x' %}{{ a ~ a }}{% endwith %}",
    "{% macro m() %}x{% endmacro %}",
    "{% import '_sign.j2' as x %}",
    "{% extends 'agreed.j2' %}",
    "{% block b %}x{% endblock %}",
    "{% filter upper %}x{% endfilter %}",
    "{% include order %}",
    '{% include "../../../settings/keys.py" %}',
    "{{ range }}{{ range.__init__ }}",
    "{% for i in range(1000) %}xxxxxxxx{% endfor %}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_leaves_the_sandbox_or_runs_away(tmp_path: Path, text: str) -> None:
    override(tmp_path, text)
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"first-notice\.j2"):
        render("first-notice", "en", {"order": "A"}, tmp_path)
    assert time.process_time() - start < 1


def test_all_overrides_can_be_checked_before_they_are_used(tmp_path: Path) -> None:
    assert check_templates(None) == []
    override(tmp_path, "Subject: {{ order }}\n{{ reply_by }}")
    assert check_templates(tmp_path) == []
    override(tmp_path, "{{ ordr }}", name="agreed", language="zh")
    override(tmp_path, "x", name="frist-notice")
    override(tmp_path, "{% if cancel_right %}{{ nope }}{% endif %}", name="_sign")
    said = [str(problem).removeprefix(f"{tmp_path}/") for problem in check_templates(tmp_path)]
    assert said == [
        "en/_sign.j2:1: 'nope' is undefined; did you mean \"note\"?",
        'en/frist-notice.j2: is no text of amends; did you mean "first-notice"?',
        "zh/agreed.j2:1: 'ordr' is undefined; did you mean \"order\"?",
    ]


def test_every_name_and_value_is_explained() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, *PARTS, *VALUES) if f"`{name}`" not in text] == []
