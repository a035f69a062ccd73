"""Every day: triage an export, sweep or say what would be done, look at late orders and cases."""

import json

import pytest
from tests.unit.cli.merchants import LATER, NOW, Merchant


def test_triage_by_mapping_and_by_shop_agree(merchant: Merchant) -> None:
    by_mapping = merchant(
        "triage",
        str(merchant.export),
        "--mapping",
        str(merchant.folder / "mapping.toml"),
        "--now",
        NOW,
        "--json",
    )
    by_shop = merchant(
        "triage", str(merchant.export), "--shop", "corner", "--now", "2026-03-10T12:00", "--json"
    )
    assert by_mapping.code == by_shop.code == 0
    found = by_mapping.json
    assert {"rows", "counts", "late", "amount", "unreadable", "duplicates"} <= set(found)
    assert [late["number"] for late in found["late"]] == ["L-1", "L-2"]
    assert found["counts"]["at-risk"] == 1
    assert found["late"][0]["penalty"] == "3.00 CNY"
    assert by_shop.json == found
    assert not (merchant.folder / "state").exists()


def test_triage_for_people(merchant: Merchant) -> None:
    merchant.export.write_text(merchant.export.read_text() + "X-9,-1.00,2026-03-06 09:00,2026-03-08 09:00,\n")
    answer = merchant("triage", str(merchant.export), "--shop", "corner", "--now", NOW)
    assert answer.code == 0
    assert "2 late orders worth 200.00 CNY" in answer.out
    assert "51.0 late" in answer.out
    assert "negative amount" in answer.out


def test_triage_that_could_read_nothing_ends_with_1(merchant: Merchant) -> None:
    merchant.export.write_text("number,amount,ordered,ship_by,shipped\nX-1,much,then,,\n")
    answer = merchant("triage", str(merchant.export), "--shop", "corner", "--json")
    assert answer.code == 1
    assert answer.json["unreadable"][0]["row"] == 2
    assert "no row could be read" in answer.err


def test_a_dry_run_foretells_the_sweep_and_leaves_no_trace(merchant: Merchant) -> None:
    told = merchant("sweep", "--dry-run", "--now", NOW, "--json").json
    assert not (merchant.folder / "state").exists()
    foretold = [one["number"] for one in told["shops"][0]["would_open"]]
    done = merchant("sweep", "--local", "--now", NOW, "--json").json["shops"][0]
    assert done["opened"] == len(foretold)
    opened = [one["number"] for one in merchant("cases", "--json").json["cases"]]
    assert sorted(opened) == sorted(foretold) == ["=R-3", "L-1", "L-2"]


def test_a_dry_run_on_a_ledger_writes_nothing(swept: Merchant) -> None:
    ledger = swept.folder / "state/amends.db"
    before = ledger.read_bytes()
    later = "2026-03-12T12:00+08:00"
    answer = swept("sweep", "--dry-run", "--now", later, "--json")
    assert answer.code == 0, answer.err
    due = {one["number"]: one for one in answer.json["shops"][0]["due"]}
    assert set(due) == {"L-1", "L-2", "=R-3"}
    assert all(one["why"] for one in due.values())
    assert "Nothing was written" in swept("sweep", "--dry-run", "--now", later).out
    assert ledger.read_bytes() == before


def test_overdue_names_all_that_is_needed(swept: Merchant) -> None:
    found = swept("overdue", "--now", LATER, "--json").json
    first, second = found["orders"]
    assert (first["number"], second["number"]) == ("L-1", "L-2")
    assert first["amount"] == "120.00 CNY"
    assert first["placed_at"] == "2026-03-06T01:00:00Z"
    assert first["ship_by"] == "2026-03-08T01:00:00Z"
    assert first["hours_late"] == 51.1
    assert (first["after_sales"], first["penalty"], first["state"]) == ("none", "3.00 CNY", "overdue")
    assert (first["case"], first["stage"], first["next_step"]) == (1, "contact", "contact-customer")
    assert found["penalty_at_stake"] == {"CNY": "6.00 CNY"}


def test_overdue_judges_by_its_own_time(swept: Merchant) -> None:
    at_risk = swept("overdue", "--now", LATER, "--at-risk", "--json").json["orders"]
    assert [(one["number"], one["state"]) for one in at_risk][2] == ("=R-3", "at-risk")
    assert at_risk[2]["hours_late"] == -5.9
    later = swept("overdue", "--now", "2026-03-21T12:00+08:00", "--json").json["orders"]
    assert [one["number"] for one in later] == ["L-1", "L-2", "=R-3", "F-4"]
    assert (later[3]["state"], later[3]["case"]) == ("overdue", None)


@pytest.mark.parametrize("words", [["overdue", "--at-risk"], ["cases"], ["tasks"], ["approvals"]])
def test_tables_fit_100_columns_and_show_local_time(swept: Merchant, words: list[str]) -> None:
    out = swept(*words, "--now", LATER).out
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out
    if words[0] == "overdue":
        assert "03-08 09:00" in out
        assert "Asia/Shanghai" in out


def test_cases_by_stage_and_shop(swept: Merchant) -> None:
    found = swept("cases", "--shop", "corner", "--stage", "contact", "--open", "--json").json["cases"]
    assert {one["number"] for one in found} == {"L-1", "L-2", "=R-3"}
    assert set(found[0]) >= {"id", "shop", "number", "stage", "outcome", "due_at", "next_step", "why"}
    assert swept("cases", "--stage", "legal").out == "No such cases.\n"


def test_a_case_tells_each_why_and_hides_texts(swept: Merchant) -> None:
    by_number, by_order = swept("case", "2", "--now", LATER), swept("case", "L-2", "--now", LATER)
    assert by_number == by_order
    assert "offer 1 proposed: coupon 1.60 CNY" in by_number.out
    assert "because" in by_number.out
    assert "waits until" in by_number.out
    assert "task 1" in by_number.out
    told = swept("case", "L-1", "--now", LATER, "--json").json
    assert told["next"]["do"] == "wait"
    assert told["approvals"][0]["what"] == "contact-customer:1"
    assert [one["kind"] for one in told["timeline"]][:3] == ["opened", "observed", "proposed"]
    assert "We are sorry" not in json.dumps(told)


def test_texts_are_shown_when_asked_for(swept: Merchant) -> None:
    assert swept("task", "done", "1", "--outcome", "done", "--now", LATER).code == 0
    hidden, shown = swept("case", "L-2"), swept("case", "L-2", "--texts")
    assert "Your order L-2 is late" not in hidden.out
    assert "--texts" in hidden.out
    assert "Your order L-2 is late" in shown.out
    timeline = swept("case", "L-2", "--texts", "--json").json["timeline"]
    assert any("Your order L-2" in one.get("text", "") for one in timeline)
