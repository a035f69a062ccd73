"""Ledgers of every released version are brought up to date when they are opened, with all that they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import select
from tests.unit.ledger.makers import KEY, in_threads, sql, verified
from tests.unit.ledger.released import build, kept, read, released, revisions

from amends.cases import facts as f
from amends.errors import LedgerCorrupt, LedgerNewer
from amends.ledger import Ledger, Tx, chain, database, effects, holds, migrate, persons, work
from amends.ledger.schema import REVISION, cases, metadata, moment

OLD = released()
DROPPED = {"0002": {"meta": ("code:", "asked:")}}
"""What a revision deletes on purpose: rows of a table by the beginning of their key."""


@pytest.fixture
def old(url: str) -> Callable[[str], None]:
    """Builds the ledger of a revision."""

    def build_(revision: str) -> None:
        ledger = Ledger(url, KEY)
        ledger.do(build, revision)
        ledger.close()

    return build_


def test_every_released_revision_has_its_ledger() -> None:
    known = revisions()
    assert known[-1] == REVISION, "the code's schema is that of the newest migration"
    missing = set(known[:-1]) - set(OLD)
    assert not missing, f"make released/{missing}.json before a further revision: see released.py"


@pytest.mark.parametrize("revision", OLD)
def test_it_is_brought_up_to_date_with_all_that_it_holds(
    url: str, old: Callable[[str], None], reopen: Callable[[], Ledger], revision: str
) -> None:
    old(revision)
    ledger = reopen()
    assert sql(ledger, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    assert ledger.do(_differences) == []
    now = ledger.do(read)
    for name, rows in kept(revision).items():
        fields = set(now[name][0]) if now[name] else set()
        found = [{k: v for k, v in row.items() if v is not None} for row in now[name]]
        for row in rows:
            wanted = {k: v for k, v in row.items() if k in fields}
            assert any(wanted.items() <= there.items() for there in found), f"{name}: {row}"
    report = verified(ledger)
    assert (report.breaks, report.facts) == ((), len(kept(revision)["facts"]))


@pytest.mark.parametrize("revision", OLD)
def test_work_goes_on_with_it(
    old: Callable[[str], None], reopen: Callable[[], Ledger], revision: str
) -> None:
    """Its key still opens what is encrypted; its cases are claimed, written to and closed; new ones get new numbers."""
    old(revision)
    ledger = reopen()
    open_ = ledger.do(lambda tx: tx.execute(select(cases).where(cases.c.outcome.is_(None))).all())
    (shop,) = {row.shop for row in open_}
    texts = ledger.do(persons.load, [row.id for row in open_])
    assert any(text for found in texts.values() for text in found.values())
    assert [hold.step for hold in ledger.do(holds.current, shop)] == ["settle"]
    late = moment(max(row.due_at for row in open_))
    sql(ledger, "UPDATE cases SET lease_owner = NULL, lease_until = NULL")
    claims = ledger.do(work.claim, shop, "w1", now=late, limit=100)
    assert {claim.id for claim in claims} == {row.id for row in open_}
    body = f.Closed(outcome=f.Outcome.WRITTEN_OFF, why="test")
    ends = [
        work.End(claim, facts=[chain.New(body, late)], outcome=body.outcome, stage="closed")
        for claim in claims
    ]
    assert ledger.do(work.conclude, ends, late)[1] == set()
    assert all(ledger.do(effects.of_cases, [row.id for row in open_]).values())
    assert verified(ledger).breaks == ()


def test_several_processes_may_upgrade_at_once(url: str, old: Callable[[str], None]) -> None:
    old(OLD[0])
    ledgers = in_threads(4, lambda _: Ledger.open(url, KEY))
    assert {sql(ledger, "SELECT version_num FROM alembic_version")[0][0] for ledger in ledgers} == {REVISION}
    assert verified(ledgers[0]).breaks == ()
    for ledger in ledgers:
        ledger.close()


ANEW = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9000", "{head}", None, None


def upgrade():
    with op.batch_alter_table("cases") as cases:
        cases.add_column(sa.Column("mood", sa.String(), nullable=False, server_default="calm"))
        cases.alter_column("why", new_column_name="reason")
    {more}
"""


def further(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "pass") -> None:
    """Let the code know one revision more, which makes a table anew that others refer to."""
    (folder / "9000_anew.py").write_text(ANEW.format(head=REVISION, more=more))
    plain = migrate.config

    def config() -> Config:
        settings = plain()
        ours = Path(str(settings.get_main_option("script_location"))) / "versions"
        settings.set_main_option("path_separator", "newline")
        settings.set_main_option("version_locations", f"{ours}\n{folder}")
        return settings

    monkeypatch.setattr(migrate, "config", config)
    monkeypatch.setattr(database, "REVISION", "9000")


def test_a_revision_may_make_a_table_anew_that_others_refer_to(
    old: Callable[[str], None], reopen: Callable[[], Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(OLD[-1])
    further(tmp_path, monkeypatch)
    ledger = reopen()
    count = len(kept(OLD[-1])["cases"])
    assert sql(ledger, "SELECT mood, count(*) FROM cases GROUP BY mood") == [("calm", count)]
    assert len(ledger.do(read)["facts"]) == len(kept(OLD[-1])["facts"])
    with pytest.raises(Exception, match=r"(?i)foreign"):
        sql(ledger, "INSERT INTO case_keys (case_id, wrapped) VALUES (424242, '')")


def test_an_upgrade_that_fails_leaves_the_old_ledger(
    url: str, old: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(OLD[-1])
    before = Ledger(url, KEY)
    with monkeypatch.context() as patch:
        further(tmp_path, patch, "raise RuntimeError('half-way')")
        with pytest.raises(RuntimeError, match="half-way"):
            Ledger.open(url, KEY)
    assert sql(before, "SELECT version_num FROM alembic_version") == [(OLD[-1],)]
    assert before.do(read)["cases"] == [
        {name: row.get(name) for name in before.do(read)["cases"][0]} for row in kept(OLD[-1])["cases"]
    ]
    before.close()


def test_an_upgrade_never_leaves_a_broken_reference(
    url: str, old: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(OLD[-1])
    further(tmp_path, monkeypatch, "op.execute('DELETE FROM cases')")
    with pytest.raises((LedgerCorrupt, Exception), match=r"(?i)refer|foreign"):
        Ledger.open(url, KEY)


def test_a_ledger_of_a_further_revision_is_refused_by_this_code(
    url: str, old: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(OLD[-1])
    with monkeypatch.context() as patch:
        further(tmp_path, patch)
        Ledger.open(url, KEY).close()
    with pytest.raises(LedgerNewer, match=f"is at schema 9000; this amends knows up to {REVISION}") as caught:
        Ledger.open(url, KEY)
    assert "Upgrade amends" in caught.value.hint


def _differences(tx: Tx) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(tx.conn, opts={"compare_type": True}), metadata))
