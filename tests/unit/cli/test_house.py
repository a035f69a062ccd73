"""Setting up and looking after an installation: init, config check, doctor, plugins, a plugin of one's own."""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
from tests.unit.cli.merchants import LATER, Merchant, run


def test_init_writes_a_configuration_and_says_what_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("init", "shop")
    assert answer.code == 0
    assert "cd shop" in answer.out
    assert "amends sweep --dry-run" in answer.out
    key = tmp_path / "shop/state/amends.key"
    assert key.stat().st_mode & 0o077 == 0
    before = key.read_bytes()
    again = run("init", "shop")
    assert (again.code, again.out) == (1, "")
    assert "nothing was written" in again.err
    assert key.read_bytes() == before
    monkeypatch.chdir("shop")
    assert run("config", "check").code == 0


def test_config_check_lists_every_problem(merchant: Merchant) -> None:
    good = merchant("config", "check")
    assert good.code == 0
    assert "shop corner: connector spreadsheet" in good.out
    shops = merchant.folder / "config/base/shops.toml"
    shops.write_text(shops.read_text().replace("mapping", "maping").replace('path = "', 'paht = "'))
    answer = merchant("config", "check")
    assert answer.code == 1
    assert "shops.corner.connector_config.maping: unknown key" in answer.err
    assert "shops.corner.connector_config.path: is missing" in answer.err
    told = merchant("config", "check", "--json")
    assert (told.code, told.json["ok"]) == (1, False)
    assert {problem["key"].rpartition(".")[2] for problem in told.json["problems"]} >= {
        "maping",
        "paht",
        "path",
    }


def test_config_check_names_a_file_that_is_no_toml(merchant: Merchant) -> None:
    (merchant.folder / "config/base/shops.toml").write_text("[shops\n")
    told = merchant("config", "check", "--json")
    assert told.code == 1
    assert told.json["problems"][0]["file"].endswith("shops.toml")


def test_doctor_is_content(swept: Merchant) -> None:
    told = swept("doctor", "--now", LATER, "--json")
    assert told.code == 0, told.out
    levels = {one["about"]: one["level"] for one in told.json["findings"]}
    assert levels["key"] == levels["ledger"] == levels["clock"] == levels["shop corner"] == "ok"
    assert levels["approvers"] == "warning"


@pytest.mark.parametrize(
    ("package", "version", "level"),
    [
        ("fastapi", "0.150.0", "ok"),
        ("fastapi", "0.151.0", "error"),
        ("sqlalchemy", "2.0.99", "ok"),
        ("sqlalchemy", "2.1.0b1", "error"),
        ("prefect", "3.8.8", "ok"),
        ("prefect", "3.9.1", "warning"),
    ],
)
def test_doctor_knows_what_breaks_prefect(
    swept: Merchant, monkeypatch: pytest.MonkeyPatch, package: str, version: str, level: str
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version if name == package else real(name))
    told = swept("doctor", "--now", LATER, "--json")
    found = next(one for one in told.json["findings"] if one["about"] == package)
    assert found["level"] == level
    assert (told.code == 1) == (level == "error")
    assert bool(found["todo"]) == (level != "ok")


def test_doctor_sees_trouble(swept: Merchant) -> None:
    (swept.folder / "state/amends.key").chmod(0o644)
    told = swept("doctor", "--now", "2026-03-20T12:00+08:00").out
    assert "amends.key can be read by others" in told
    assert "chmod 600" in told
    assert "last swept at 2026-03-10 12:05 (Asia/Shanghai)" in told
    assert "2 tasks are overdue" in told
    early = swept("doctor", "--now", "2026-03-01").out
    assert "in the future" in early


def test_doctor_counts_orders_that_nobody_knows_a_deadline_of(swept: Merchant) -> None:
    assert "no ship-by" not in swept("doctor", "--now", LATER).out
    with contextlib.closing(sqlite3.connect(swept.folder / "state/amends.db")) as ledger, ledger:
        ledger.execute(
            "UPDATE orders SET state = 'unknown', ship_by = NULL WHERE number IN (SELECT min(number) FROM orders)"
        )
    told = swept("doctor", "--now", LATER, "--json")
    (found,) = [one for one in told.json["findings"] if "no ship-by" in one["what"]]
    assert found["level"] == "warning" and found["what"].startswith("1 of ")
    assert "ship-promise" in found["todo"]


def test_doctor_knows_a_key_that_does_not_fit(swept: Merchant, tmp_path: Path) -> None:
    run("init", str(tmp_path / "other"))
    (swept.folder / "state/amends.key").write_bytes((tmp_path / "other/state/amends.key").read_bytes())
    answer = swept("doctor")
    assert answer.code == 1
    assert "does not fit this ledger" in answer.out


def test_doctor_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("doctor")
    assert answer.code == 1
    assert "no configuration at" in answer.out


def test_plugins_are_listed_with_what_they_offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no configuration is needed
    found = {one["name"]: one for one in run("plugins", "--json").json["plugins"]}
    assert found["spreadsheet"]["state"] == "loaded"
    assert "connector spreadsheet" in found["spreadsheet"]["offers"]
    assert "| grant: coupon" in run("plugins", "--matrix").out
    rows = run("plugins", "--matrix", "--json").json["capabilities"]
    assert {"kind", "name", "operation", "how", "effect"} <= set(rows[0])


def test_broken_and_denied_plugins_say_why(merchant: Merchant, broken_plugin: Callable[[str], None]) -> None:
    broken_plugin("import no_such_module")
    (merchant.folder / "config/base/plugins.toml").write_text('[plugins]\ndeny = ["shopify"]\n')
    found = {one["name"]: one for one in merchant("plugins", "--json").json["plugins"]}
    assert found["shopify"]["state"] == "denied"
    assert found["crooked"]["state"] == "broken"
    assert "No module named 'no_such_module'" in found["crooked"]["problem"]
    assert "No module named 'no_such_module'" in " ".join(merchant("plugins").out.split())


def test_a_plugin_of_ones_own(tmp_path: Path) -> None:
    answer = run("new-plugin", "policy", "own-policy", str(tmp_path))
    assert answer.code == 0
    assert (tmp_path / "amends-own-policy/pyproject.toml").is_file()
    assert "FILL IN" in answer.out
    assert run("new-plugin", "policy", "own-policy", str(tmp_path)).code == 1


def test_an_installed_plugin_is_checked() -> None:
    answer = run("plugin-check", "ladder", "--json")
    assert answer.code == 0, answer.out
    assert answer.json["ok"]
    assert {"title", "outcome", "detail", "about"} <= set(answer.json["checks"][0])


def test_the_demo_takes_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}

    def run_demo(**options: object) -> int:
        asked.update(options)
        return 3

    monkeypatch.setattr("amends.demo.run_demo", run_demo)
    words = [
        "--orders",
        "9",
        "--days",
        "2",
        "--seed",
        "1",
        "--state",
        str(tmp_path),
        "--json",
        "x.json",
        "--ui",
    ]
    assert run("demo", *words).code == 3
    assert asked == {
        "orders": 9, "days": 2, "seed": 1, "state": tmp_path, "json_file": Path("x.json"), "ui": True,
    }  # fmt: skip


def test_a_time_with_an_offset_is_taken_as_it_is(swept: Merchant) -> None:
    for given in ("2026-03-10T04:05Z", "2026-03-10T12:05", "2026-03-10 12:05+08:00"):
        now = swept("overdue", "--now", given, "--json").json["now"]
        assert datetime.fromisoformat(now) == datetime.fromisoformat(LATER)
