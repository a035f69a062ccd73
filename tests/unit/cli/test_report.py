"""`amends report`: the same numbers for a terminal, as JSON and as a page; wrong options change nothing."""

from pathlib import Path

import pytest
from tests.unit.cli.merchants import LATER, Merchant

from amends.cli.report import Language
from amends.steps.report_words import WORDS

DAYS = ("--since", "2026-03-07", "--until", "2026-03-12", "--now", LATER)


def test_json_has_the_days_and_the_numbers(swept: Merchant) -> None:
    answer = swept("report", *DAYS, "--json")
    assert answer.code == 0, answer.err
    (found,) = answer.json["reports"]
    assert found["share"] == {"due": 3, "late": 2, "rate": 66.67}
    assert [day["day"] for day in found["days"]][::5] == ["2026-03-07", "2026-03-12"]
    assert found["funnel"]["opened"] == 3
    assert found["penalty"]["at_stake"] == {"CNY": "9.00 CNY"}
    assert found["limit"] is None
    assert swept("report", "--shop", "corner", *DAYS, "--json").json == answer.json


def test_for_people(swept: Merchant) -> None:
    out = swept("report", *DAYS).out
    assert "2 of 3 orders due" in out
    assert "corner: 2026-03-07 to 2026-03-12" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(("language", "title"), [("en", "Late shipments"), ("zh", "逾期发货报告")])
def test_a_page_in_both_languages(swept: Merchant, tmp_path: Path, language: str, title: str) -> None:
    page = tmp_path / "report.html"
    answer = swept("report", *DAYS, "-o", str(page), "--language", language)
    assert answer.code == 0, answer.err
    assert f"Written: {page}" in answer.out
    assert f"{title} · corner" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "is no day such as"),
        (("--since", "2026-03-12", "--until", "2026-03-01"), "at most 3660 days"),
        (("--since", "0001-01-01"), "at most 3660 days"),
        (("--until", "9999-12-31"), "no shop has days such as"),
        (("--shop", "nosuch"), "nosuch"),
        (("--language", "fr"), "--language"),
        (("-o", "."), "is a folder"),
    ],
)
def test_wrong_options_are_told(swept: Merchant, words: tuple[str, ...], said: str) -> None:
    answer = swept("report", *words)
    assert answer.code in (1, 2)
    assert said in answer.err
    assert answer.out == ""


def test_without_a_ledger_it_says_what_to_do(merchant: Merchant) -> None:
    answer = merchant("report")
    assert answer.code == 1
    assert "there is no ledger yet" in answer.err


def test_languages_are_those_with_words() -> None:
    assert {one.value for one in Language} == set(WORDS)
