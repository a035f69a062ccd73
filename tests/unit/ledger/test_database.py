"""The ledger's file: made, opened again, refused where it cannot be used, each with what to do."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.unit.ledger.makers import KEY, LATE, SHOP, in_threads, kinds, opened, sql, verified

from amends.errors import LedgerCorrupt, LedgerError, LedgerLocked, LedgerNewer
from amends.ledger import Ledger, Tx, Vault, database, intake
from amends.ledger.schema import REVISION, metadata


def sqlite_at(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_migrations_make_just_the_schema(ledger: Ledger) -> None:
    def differences(tx: Tx) -> list[Any]:
        return list(
            compare_metadata(MigrationContext.configure(tx.conn, opts={"compare_type": True}), metadata)
        )

    assert ledger.do(differences) == []
    assert sql(ledger, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_a_ledger_opened_again_holds_what_it_held(reopen: Callable[[], Ledger]) -> None:
    case = opened(reopen())["A-1"]
    again = reopen()
    assert kinds(again, case) == ["opened"]
    assert verified(again).breaks == ()


def test_several_processes_may_open_a_new_ledger_at_once(url: str) -> None:
    ledgers = in_threads(4, lambda _: Ledger.open(url, KEY))
    assert sql(ledgers[0], "SELECT version_num FROM alembic_version") == [(REVISION,)]
    for ledger in ledgers:
        ledger.close()


def test_a_ledger_of_a_newer_amends_is_refused(ledger: Ledger, reopen: Callable[[], Ledger]) -> None:
    sql(ledger, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerNewer, match="is at schema 9999; this amends knows up to") as caught:
        reopen()
    assert "Upgrade amends" in caught.value.hint


def test_a_wrong_key_is_refused_before_anything_is_written(ledger: Ledger, url: str) -> None:
    opened(ledger)
    with pytest.raises(LedgerError, match="key does not fit this ledger") as caught:
        Ledger.open(url, Vault(bytes(32)))
    assert "key" in caught.value.hint
    assert verified(ledger).breaks == ()


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(LedgerError, match="32 bytes"):
        Vault(b"short")
    with pytest.raises(LedgerError, match="base64"):
        Vault.from_text("no key at all")


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "amends.key"
    first = Vault.from_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Vault.from_file(path).mac(b"x") == first.mac(b"x")


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "ledger.db"
    ledger = Ledger.open(sqlite_at(path), KEY)
    opened(ledger)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir() if stat.S_IMODE(p.stat().st_mode) != 0o600] == []
    ledger.close()


def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    ledger = Ledger.open(sqlite_at(tmp_path / "ledger.db"), KEY)
    assert sql(ledger, "PRAGMA synchronous") == [(2,)], "FULL"
    assert sql(ledger, "PRAGMA journal_mode") == [("truncate",)], (
        "no WAL: SQLite before 3.51.3 can corrupt it"
    )
    assert sql(ledger, "PRAGMA foreign_keys") == [(1,)]
    ledger.close()


def test_locked_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(sqlite_at(path), KEY).close()
    ready, done = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=_lock, args=(str(path), ready, done))
    other.start()
    try:
        assert ready.wait(20)
        monkeypatch.setattr(database, "BUSY", 0.05)
        ledger = Ledger(sqlite_at(path), KEY)
        with pytest.raises(LedgerLocked, match="locked by another process") as caught:
            opened(ledger)
        assert "Postgres" in caught.value.hint
        ledger.close()
    finally:
        done.set()
        other.join(20)
    again = Ledger.open(sqlite_at(path), KEY)
    assert opened(again), "nothing was written before, and nothing stands in the way now"
    again.close()


def _lock(path: str, ready: Any, done: Any) -> None:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("BEGIN EXCLUSIVE")
    ready.set()
    done.wait(20)
    conn.close()


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"orders,amount\n" * 600)
    with pytest.raises(LedgerCorrupt, match="is damaged") as caught:
        Ledger.open(sqlite_at(path), KEY)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == b"orders,amount\n" * 600


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(sqlite_at(path), KEY)
    opened(ledger, *(f"A-{n}" for n in range(200)))
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerCorrupt):
        Ledger.open(sqlite_at(path), KEY)


@pytest.mark.parametrize("where", ["file/ledger.db", "file/deep/ledger.db", "folder"])
def test_a_place_where_no_ledger_can_be_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerError, match="cannot be opened for writing") as caught:
        Ledger.open(sqlite_at(tmp_path / where), KEY)
    assert "permissions" in caught.value.hint


def test_a_failed_transaction_leaves_no_trace(ledger: Ledger) -> None:
    def half(tx: Tx) -> None:
        intake.set_cursor(tx, SHOP, "orders", "c1", LATE)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        ledger.do(half)
    assert ledger.do(intake.cursor, SHOP, "orders") == ""


async def test_the_event_loop_sees_the_same_ledger(ledger: Ledger) -> None:
    await ledger.run(intake.set_cursor, SHOP, "orders", "c1", LATE)
    assert await ledger.run(intake.cursor, SHOP, "orders") == "c1"
    assert ledger.do(intake.cursor, SHOP, "orders") == "c1"
    await ledger.aclose()


def test_an_address_shows_no_password() -> None:
    assert "hidden" not in Ledger("postgresql://amends:hidden@db/amends", KEY).where
