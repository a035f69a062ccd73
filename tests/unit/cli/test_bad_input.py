"""Each bad input gets one clear message and a nonzero exit; nothing is written, and nothing looks like a crash."""

import os
from collections.abc import Callable

import pytest
from tests.unit.cli.merchants import NOW, Merchant, run

WRONG_USE = [
    (["triage", "{export}"], "--shop, --preset or --mapping"),
    (["triage", "{export}", "--preset", "taobao", "--mapping", "x.toml"], "--shop, --preset or --mapping"),
    (["triage", "{export}", "--mapping", "{mapping}", "--now", "yesterday"], "'yesterday' is not a time"),
    (["triage", "{export}", "--mapping", "{mapping}", "--time-zone", "Mars"], "is not an IANA zone"),
    (["cases", "--stage", "limbo"], "no stage"),
    (["reply", "L-2", "maybe"], "maybe"),
    (["reply", "L-2", "accept", "--remedy", "coupon 5 CNY"], "counter"),
    (["reply", "L-2", "counter", "--remedy", "car"], "such as 'coupon 5 CNY'"),
    (["reply", "L-2", "counter", "--remedy", "coupon five"], "is not an amount"),
    (["hold", "--why", "x"], "--case, --shop, --step or --all"),
    (["hold", "--why", "x", "--case", "1", "--shop", "corner"], "stand alone"),
    (["release"], "--case, --shop, --step or --all"),
    (["approve", "some-list"], "--by"),
    (["tasks", "--csv", "--json"], "--csv or --json"),
    (["demo", "--orders", "0"], "--orders"),
    (["frobnicate"], "frobnicate"),
]
REFUSED = [
    (["triage", "{folder}/none.csv", "--preset", "taobao"], "none.csv: no such file"),
    (["triage", "{folder}/empty.csv", "--preset", "taobao"], "empty.csv: the file is empty"),
    (["triage", "{export}", "--preset", "tabao"], "did you mean 'taobao'"),
    (["triage", "{export}", "--preset", "taobao"], "columns not found"),
    (["triage", "{export}", "--mapping", "{folder}/none.toml"], "no such mapping file"),
    (["triage", "{export}", "--shop", "nope"], 'there is no shop "nope"'),
    (["overdue", "--shop", "nope"], 'there is no shop "nope"'),
    (["sweep", "--local", "--shop", "nope"], 'there is no shop "nope"'),
    (["case", "777"], "there is no case '777'"),
    (["task", "show", "777"], "there is no task 777"),
    (["task", "done", "777", "--outcome", "done"], "there is no task 777"),
    (["task", "done", "1", "--outcome", "perhaps"], "done, not-done"),
    (["task", "done", "1", "--outcome", "done", "--file", "{folder}/none.png"], "none.png: No such file"),
    (["approve", "nope", "--by", "lin"], "there is no approval list 'nope'"),
    (["reply", "L-1", "accept"], "no offer that could be answered"),
    (["release", "--case", "L-1"], "is not held"),
    (["release", "--shop", "corner"], "was not held"),
    (["dossier", "L-1", "-o", "{export}"], "is there already"),
    (["dossier", "L-1", "-o", "{folder}/none/d.zip"], "No such file"),
    (["erase", "L-1", "--yes"], "still open"),
    (["erase", "L-1"], "nothing was erased"),
    (["init", "{folder}"], "already exists"),
    (["new-plugin", "frob", "x"], "no kind of plugin"),
    (["plugin-check", "nope"], "no plugin 'nope'"),
    (["--config", "{folder}/none", "cases"], "no configuration at"),
]


def ask(swept: Merchant, words: list[str]) -> tuple[int, str, str]:
    (swept.folder / "empty.csv").touch()
    places = {"folder": swept.folder, "export": swept.export, "mapping": swept.folder / "mapping.toml"}
    given = [word.format(**places) for word in words]
    answer = run(*given) if given[0] == "--config" else swept(*given)
    return answer.code, answer.out, " ".join(answer.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "told"), WRONG_USE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_use_ends_with_2(swept: Merchant, words: list[str], told: str) -> None:
    code, out, err = ask(swept, words)
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("words", "told"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_cannot_be_done_ends_with_1(swept: Merchant, words: list[str], told: str) -> None:
    code, out, err = ask(swept, words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert told in err
    assert "unexpected" not in err


def test_a_broken_key_is_named_with_its_file(merchant: Merchant) -> None:
    shops = merchant.folder / "config/base/shops.toml"
    shops.write_text(shops.read_text().replace("language", "langauge"))
    answer = merchant("sweep", "--local")
    assert (answer.code, answer.out) == (1, "")
    assert "shops.toml: shops.corner.langauge: unknown key; did you mean" in answer.err


def test_a_plugin_that_fails_to_import_is_named_and_the_rest_goes_on(
    merchant: Merchant, broken_plugin: Callable[[str], None]
) -> None:
    broken_plugin("raise SystemExit('boo')")
    answer = merchant("sweep", "--local", "--now", NOW, "--json")
    assert answer.code == 0
    assert answer.json["shops"][0]["opened"] == 3
    assert "warning: plugin crooked is left out: cannot be imported: SystemExit: boo" in answer.err
    assert merchant("doctor").code == 1


def test_one_shop_failing_does_not_stop_the_others(merchant: Merchant) -> None:
    (merchant.folder / "config/base/zz.toml").write_text(
        '[shops.aaa]\nconnector = "nope"\ntime_zone = "UTC"\n[shops.bbb]\nconnector = "spreadsheet"\n'
        'time_zone = "UTC"\n[shops.bbb.connector_config]\npath = "/nowhere.csv"\npreset = "taobao"\n'
    )
    for words in (["sweep", "--dry-run"], ["sweep", "--local"]):
        answer = merchant(*words, "--now", NOW, "--json")
        assert answer.code == 1, answer.err
        found = {shop["shop"]: shop for shop in answer.json["shops"]}
        assert found["aaa"]["state"] == "failed"
        assert "no plugin offers the connector 'nope'" in found["aaa"]["error"]
        assert "/nowhere.csv" in str(found["bbb"])
        assert found["corner"]["orders"] == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(merchant: Merchant) -> None:
    merchant.folder.chmod(0o500)
    try:
        answer = merchant("sweep", "--local")
    finally:
        merchant.folder.chmod(0o700)
    assert answer.code == 1
    assert "error: " in answer.err


def test_no_ledger_is_made_by_looking(merchant: Merchant) -> None:
    for words in (["overdue"], ["cases"], ["tasks"], ["approvals"], ["evidence", "verify"], ["case", "1"]):
        answer = merchant(*words)
        assert answer.code == 1
        assert "there is no ledger yet" in answer.err
    assert not (merchant.folder / "state").exists()


def test_a_damaged_ledger_says_so(swept: Merchant) -> None:
    ledger = swept.folder / "state/amends.db"
    ledger.write_bytes(b"not a database" * 100)
    answer = swept("cases")
    assert answer.code == 1
    assert "is damaged" in answer.err
    assert swept("doctor").code == 1


def test_a_lost_key_says_so(swept: Merchant) -> None:
    (swept.folder / "state/amends.key").unlink()
    answer = swept("cases")
    assert answer.code == 1
    assert "key" in answer.err
    assert "Restore" in answer.err
