"""`amends doctor`: each kind of trouble is found, is told with what to do, and decides the exit code."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.merchants import LATER, Answer, Merchant, run

from amends.cli import health, health_prefect, health_shops
from amends.errors import AuthFailed, NotAllowed, RiskControl, Throttled, Unreachable
from amends.testing.control import launch

SANDBOX = """
[shops.box]
connector = "sandbox"
time_zone = "Asia/Shanghai"
connector_config = {{ url = "{url}"{more} }}
"""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Prefect server is named, whatever the machine's profile says."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def findings(answer: Answer, about: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [one for one in answer.json["findings"] if one["about"] == about]
    assert all(one["todo"] for one in found if one["level"] in ("warning", "error")), found
    return found


def doctor(merchant: Merchant, *words: str) -> Answer:
    return merchant("doctor", "--now", LATER, "--json", *words)


def test_an_export_that_is_gone(swept: Merchant) -> None:
    assert "connector spreadsheet lets us in" in [
        one["what"] for one in findings(doctor(swept), "shop corner")
    ]
    swept.export.unlink()
    told = doctor(swept)
    assert told.code == 1
    assert any(
        one["level"] == "error" and "connector spreadsheet" in one["what"]
        for one in findings(told, "shop corner")
    )
    assert doctor(swept, "--offline").code == 0, "nobody is asked"


def test_a_ledger_that_takes_no_writes(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _rows(swept)
    assert {"ledger": "ok", "what": "takes writes"} in [
        {"ledger": one["level"], "what": one["what"]}
        for one in findings(doctor(swept, "--offline"), "ledger")
    ]
    assert _rows(swept) == before, "looking changes nothing"
    with sqlite3.connect(swept.folder / "state/amends.db", timeout=1) as other:
        monkeypatch.setattr("amends.ledger.database.BUSY", 0.1)
        other.execute("begin immediate")
        told = doctor(swept, "--offline")
        other.rollback()
    assert told.code == 1
    assert any(one["level"] == "error" for one in findings(told, "ledger"))


def _rows(merchant: Merchant) -> list[Any]:
    with sqlite3.connect(merchant.folder / "state/amends.db") as ledger:
        return ledger.execute("select * from cursors").fetchall()


def test_a_fact_that_was_changed(swept: Merchant) -> None:
    assert findings(doctor(swept, "--offline"), "evidence")[0]["level"] == "ok"
    with sqlite3.connect(swept.folder / "state/amends.db") as ledger:
        (id_,) = ledger.execute("select case_id from facts where seq = 1").fetchone()
        ledger.execute("update facts set at = at + 1 where case_id = ? and seq = 1", (id_,))
    told = doctor(swept, "--offline")
    assert told.code == 1
    (found,) = findings(told, "evidence")
    assert f"case {id_}" in found["what"] and "amends evidence verify" in found["todo"]


def test_a_disk_that_is_nearly_full(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 50 * 1024 * 1024

    monkeypatch.setattr(health.shutil, "disk_usage", lambda _: Usage)
    told = doctor(swept, "--offline")
    assert "50 MB free on its disk" in told.out


def test_a_key_that_is_gone(swept: Merchant) -> None:
    (swept.folder / "state/amends.key").unlink()
    told = doctor(swept, "--offline")
    assert told.code == 1
    assert findings(told, "key")[0]["level"] == "error"


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 34, 1), "error"), ((3, 40, 1), "note"), ((3, 51, 2), "note"), ((3, 51, 3), "ok")],
)
def test_sqlite_versions(
    swept: Merchant, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], level: str
) -> None:
    monkeypatch.setattr(health.sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(health.sqlite3, "sqlite_version", ".".join(map(str, version)))
    (found,) = findings(doctor(swept, "--offline"), "sqlite")
    assert found["level"] == level
    assert ("Postgres" in found["todo"]) == (level != "ok")


def test_a_broken_plugin(swept: Merchant, broken_plugin: Callable[[str], None]) -> None:
    broken_plugin("import no_such_module")
    told = doctor(swept, "--offline")
    assert told.code == 1
    (found,) = [one for one in findings(told, "plugins") if one["level"] == "error"]
    assert "crooked" in found["what"] and 'deny = ["crooked"]' in found["todo"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launch(tmp_path_factory.mktemp("box"), orders=5, days=1) as running:
        yield running.url


def box_shop(folder: Path, url: str, more: str = "") -> Answer:
    (folder / "a.toml").write_text(SANDBOX.format(url=url, more=more))
    return run("--config", str(folder / "a.toml"), "doctor", "--json")


def test_a_platform_is_asked_before_the_first_sweep(tmp_path: Path, box: str) -> None:
    told = box_shop(tmp_path, box)
    assert "connector sandbox lets us in" in [one["what"] for one in findings(told, "shop box")]
    assert findings(told, "clock of the platform")[0]["level"] == "ok"
    assert not (tmp_path / "state/amends.db").exists(), "looking makes no ledger"
    assert told.code == 0, told.out


def test_a_platform_that_is_not_there(tmp_path: Path) -> None:
    told = box_shop(tmp_path, "http://127.0.0.1:9")
    assert told.code == 1
    (found,) = [one for one in findings(told, "shop box") if one["level"] == "error"]
    assert "connector sandbox does not answer" in found["what"]
    assert run("--config", str(tmp_path / "a.toml"), "doctor", "--offline").code == 0


@pytest.mark.parametrize(
    ("error", "level", "told"),
    [
        (AuthFailed("401"), "error", "does not let us in"),
        (NotAllowed("scope"), "error", "does not let us in"),
        (RiskControl("slider"), "error", "blocks us"),
        (Throttled("429"), "note", "is busy"),
        (Unreachable("refused"), "error", "does not answer"),
        (TimeoutError(), "error", "no answer within"),
        (RuntimeError("for Sample Customer 0017"), "error", "failed: RuntimeError"),
        (None, "ok", "lets us in"),
    ],
)
def test_what_a_platform_answers(error: Exception | None, level: str, told: str) -> None:
    async def harmless() -> None:
        if error is not None:
            raise error

    found = asyncio.run(health_shops._asked("connector x", "shop y", harmless))
    assert (found.level, found.about) == (level, "shop y")
    assert told in found.what and "Sample Customer" not in found.what
    assert bool(found.todo) == (level != "ok")


def test_what_offers_nothing_harmless_is_not_asked() -> None:
    found = asyncio.run(health_shops._asked("channel x", "shop y", None))
    assert (found.level, "not tried" in found.what) == ("note", True)


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (20, "ok"), (40, "warning"), (-400, "warning")])
def test_clocks(seconds: int, level: str) -> None:
    found = health_prefect.clocks("clock of Prefect", timedelta(seconds=seconds))
    assert found.level == level
    assert ("behind" in found.what) == (seconds < -30)


def test_a_server_that_does_not_answer(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect")
    from prefect.settings import PREFECT_API_URL, temporary_settings

    assert findings(doctor(swept), "prefect server")[0]["level"] == "note"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        told = doctor(swept)
        assert told.code == 1
        (found,) = findings(told, "prefect server")
        assert "no Prefect server answers at http://127.0.0.1:9/api" in found["what"]
        assert not findings(doctor(swept, "--offline"), "prefect server")


@pytest.mark.parametrize(
    ("version", "level"),
    [("3.6.13", "error"), ("3.7.0", "warning"), ("3.8.8", "ok"), ("3.9.1", "warning"), ("", "ok")],
)
def test_versions_of_the_server(version: str, level: str) -> None:
    from amends.workflows.reach import Reached

    found = health_prefect._version(Reached("http://x/api", version, None), (3, 8, 8))
    assert found.level == level
    assert bool(found.todo) == (level != "ok")


def test_a_file_that_others_can_read(swept: Merchant) -> None:
    (swept.folder / "state/amends.db").chmod(0o640)
    assert "amends.db can be read by others" in doctor(swept, "--offline").out


def test_approvers_who_cannot_show_who_they_are(swept: Merchant) -> None:
    host = swept.folder / "config/base/host.toml"
    before = host.read_text()
    assert "names nobody" in findings(doctor(swept, "--offline"), "approvers")[0]["what"]
    host.write_text(before + "[approvers.lin]\n")
    assert "nobody can approve" in findings(doctor(swept, "--offline"), "approvers")[0]["what"]
    (swept.folder / "lin.txt").write_text("green-tea-7")
    host.write_text(before + f'[approvers.lin]\ncode = {{ file = "{swept.folder}/lin.txt" }}\n')
    assert not findings(doctor(swept, "--offline"), "approvers")
