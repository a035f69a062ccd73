"""The evidence: what is appended verifies, and any byte changed behind the ledger's back is found and located."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.cases.makers import bodies
from tests.unit.ledger.makers import HOUR, KEY, LATE, claim, close, in_threads, numbers, opened, sql, verified

from amends.cases import facts as f
from amends.errors import LedgerCorrupt
from amends.ledger import Ledger, chain

HELD = f.Held(why="请稍候 — let me look", by="ana")


def grown(ledger: Ledger, *cases: str) -> dict[str, int]:
    """Some cases with a few facts each."""
    found = opened(ledger, *cases)
    for case in found.values():
        add(ledger, case, HELD, f.Released(by="ana", why="looked"))
    return found


def add(ledger: Ledger, case: int, *found: f.Body) -> list[f.Fact]:
    new = [chain.New(body, LATE + HOUR, "ana") for body in found]  # type: ignore[arg-type]  # all have a kind
    return ledger.do(chain.append, {case: new}).get(case, [])


def problems(ledger: Ledger) -> list[tuple[int, int]]:
    return [(b.case, b.seq) for b in verified(ledger).breaks]


def test_what_is_appended_verifies_and_reads_back(ledger: Ledger) -> None:
    cases = grown(ledger, "A-1", "A-2", "A-3")
    written = add(ledger, cases["A-2"], HELD)
    assert [w.seq for w in written] == [4]
    found = ledger.do(chain.load, list(cases.values()))
    assert [[fact.seq for fact in facts] for facts in found.values()] == [[1, 2, 3], [1, 2, 3, 4], [1, 2, 3]]
    assert found[cases["A-2"]][-1] == written[0]
    report = verified(ledger)
    assert (report.chains, report.verified, report.broken, report.facts, report.breaks) == (3, 3, 0, 10, ())
    one = ledger.do(chain.verify, cases["A-2"])
    assert (one.chains, one.facts, one.breaks) == (1, 4, ())


def test_nothing_appended_is_nothing_written(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    assert ledger.do(chain.append, {case: []}) == {}
    assert verified(ledger).facts == 1


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(bodies(), min_size=1, max_size=5))
def test_facts_of_every_kind_survive_the_ledger(ledger: Ledger, found: list[f.Body]) -> None:
    case = _fresh(ledger)
    add(ledger, case, *found)
    assert [fact.body for fact in ledger.do(chain.load, [case])[case]][1:] == found
    assert ledger.do(chain.verify, case).breaks == ()


def _fresh(ledger: Ledger) -> int:
    count = sql(ledger, "SELECT count(*) FROM cases")[0][0]
    return opened(ledger, f"F-{count}").popitem()[1]


def test_a_cases_version_counts_its_material_facts(ledger: Ledger) -> None:
    case = opened(ledger)["A-1"]
    add(ledger, case, HELD, f.SeenAgain(), f.Looked(instance="complaint"))
    assert sql(ledger, "SELECT version FROM cases") == [(2,)]


def test_many_cases_may_grow_at_once(ledger: Ledger) -> None:
    cases = opened(ledger, *numbers(24))
    ids = sorted(cases.values())
    in_threads(4, lambda n: [add(ledger, case, HELD) for case in (ids if n % 2 else reversed(ids))])
    report = verified(ledger)
    assert report.breaks == () and report.facts == 24 * 5


# A forger's hand, on a copy of a SQLite ledger

COLUMNS = {
    "facts": ("case_id", "seq", "at", "kind", "actor", "body", "hash"),
    "heads": ("case_id", "length", "head", "mac"),
    "totals": ("bucket", "cases", "facts", "digest", "mac"),
}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, int]]:
    """A ledger of 20 cases; how many facts each has."""
    path = tmp_path_factory.mktemp("evidence") / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{path}", KEY)
    cases = grown(ledger, *numbers(20))
    for n, case in enumerate(cases.values()):
        add(ledger, case, *[HELD] * (n % 3))
    assert verified(ledger).breaks == ()
    ledger.close()
    return path, {case: 3 + n % 3 for n, case in enumerate(cases.values())}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_changed_byte_anywhere_is_found_and_located(
    evidence: tuple[Path, dict[int, int]], data: st.DataObject
) -> None:
    path, counts = evidence
    table = data.draw(st.sampled_from(sorted(COLUMNS)))
    column = data.draw(st.sampled_from(COLUMNS[table]))
    copy = path.with_name("forged.db")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as forger:
        row = _forge(forger, table, column, data)
    if row is None:
        return
    who, what = row
    ledger = Ledger(f"sqlite:///{copy}", KEY)
    try:
        report = verified(ledger)
    finally:
        ledger.close()
    assert report.breaks, f"{table}.{column} of {who}: {what}"
    located = {(b.case, b.seq) for b in report.breaks}
    if table == "facts" and column not in ("case_id", "seq"):
        assert located == {(who[0], who[1])}
    elif table == "facts" and column == "seq":
        assert {case for case, _ in located} == {who[0]}
    elif table == "heads" and column != "case_id":
        assert who[0] in {case for case, _ in located}
    elif table == "totals":
        assert {case for case, _ in located} == {0}
        assert report.verified == len(counts)
    else:
        assert who[0] in {case for case, _ in located}


def _forge(
    forger: sqlite3.Connection, table: str, column: str, data: st.DataObject
) -> tuple[Any, str] | None:
    """Change one byte of one row; answers with the row as it was and what was done, or None where SQLite refuses."""
    forger.text_factory = bytes
    rows = forger.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 - our own names
    rowid, old = rows[data.draw(st.integers(0, len(rows) - 1))]
    who = forger.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)).fetchone()  # noqa: S608 - our own names
    new = _forged(old, data)
    value = "CAST(? AS text)" if column in ("kind", "actor", "body") else "?"
    try:
        forger.execute(f"UPDATE {table} SET {column} = {value} WHERE rowid = ?", (new, rowid))  # noqa: S608 - our own names
    except sqlite3.IntegrityError:
        return None  # another row has that key
    forger.commit()
    return who, f"{old!r} -> {new!r}"


def _forged(old: Any, data: st.DataObject) -> Any:
    """The same value with one byte (or bit) changed."""
    if isinstance(old, int):
        return old ^ (1 << data.draw(st.integers(0, 40)))
    at, other = data.draw(st.integers(0, len(old) - 1)), data.draw(st.integers(1, 255))
    return old[:at] + bytes([old[at] ^ other]) + old[at + 1 :]


def test_a_cut_tail_shows(ledger: Ledger) -> None:
    case = grown(ledger, "A-1")["A-1"]
    sql(ledger, "DELETE FROM facts WHERE case_id = :case AND seq = 3", case=case)
    report = verified(ledger)
    assert [(b.case, b.seq) for b in report.breaks] == [(case, 2)]
    assert "cut after fact 2: the head says 3" in report.breaks[0].problem


def test_a_fact_taken_out_of_the_middle_shows(ledger: Ledger) -> None:
    case = grown(ledger, "A-1")["A-1"]
    sql(ledger, "DELETE FROM facts WHERE seq = 2")
    assert [(b.case, b.seq) for b in verified(ledger).breaks] == [(case, 2)]


def test_a_fact_slipped_in_shows(ledger: Ledger) -> None:
    case = grown(ledger, "A-1")["A-1"]
    sql(ledger, "INSERT INTO facts SELECT case_id, 4, at, kind, actor, body, hash FROM facts WHERE seq = 3")
    assert problems(ledger) == [(case, 4)]


def test_all_facts_of_a_case_gone_shows(ledger: Ledger) -> None:
    cases = grown(ledger, "A-1", "A-2")
    sql(ledger, "DELETE FROM facts WHERE case_id = :case", case=cases["A-1"])
    report = verified(ledger)
    assert [(b.case, b.problem) for b in report.breaks] == [(cases["A-1"], "all 3 facts are gone")]
    assert (report.chains, report.verified) == (2, 1)


def test_a_deleted_case_shows_in_the_totals(ledger: Ledger) -> None:
    case = grown(ledger, "A-1", "A-2")["A-1"]
    for table, column in (("facts", "case_id"), ("heads", "case_id"), ("cases", "id")):
        sql(ledger, f"DELETE FROM {table} WHERE {column} = :case", case=case)  # noqa: S608
    report = verified(ledger)
    assert [b.case for b in report.breaks] == [0]
    assert "the ledger once had 1 cases with 3 facts, now 0 with 0" in report.breaks[0].problem


def test_a_head_put_back_to_an_older_state_shows(ledger: Ledger) -> None:
    """The forger cuts the tail and restores the head of that time, signature and all."""
    case = grown(ledger, "A-1")["A-1"]
    old = sql(ledger, "SELECT length, head, mac FROM heads")[0]
    add(ledger, case, HELD)
    sql(ledger, "DELETE FROM facts WHERE seq = 4")
    sql(ledger, "UPDATE heads SET length = :c, head = :h, mac = :m", c=old[0], h=old[1], m=old[2])
    assert ledger.do(chain.verify, case).breaks == (), "the case alone looks whole"
    assert [b.case for b in verified(ledger).breaks] == [0]


def test_a_head_put_back_while_another_case_grew_as_much_shows(ledger: Ledger) -> None:
    """The sums fit; the digest of all heads does not."""
    cases = grown(ledger, *numbers(chain.BUCKETS + 1))
    first, other = cases["A-0"], cases[f"A-{chain.BUCKETS}"]
    assert first % chain.BUCKETS == other % chain.BUCKETS
    old = sql(ledger, "SELECT length, head, mac FROM heads WHERE case_id = :case", case=first)[0]
    add(ledger, first, HELD)
    totals = sql(
        ledger, "SELECT facts, digest, mac, bucket FROM totals WHERE bucket = :b", b=first % chain.BUCKETS
    )[0]
    sql(ledger, "DELETE FROM facts WHERE seq = 4 AND case_id = :case", case=first)
    sql(
        ledger,
        "UPDATE heads SET length = :c, head = :h, mac = :m WHERE case_id = :case",
        c=old[0],
        h=old[1],
        m=old[2],
        case=first,
    )
    add(ledger, other, HELD)
    sql(
        ledger,
        "UPDATE totals SET facts = :f, digest = :d, mac = :m WHERE bucket = :b",
        f=totals[0],
        d=totals[1],
        m=totals[2],
        b=totals[3],
    )
    assert "put back to an older state" in verified(ledger).breaks[0].problem


def test_facts_without_a_head_show(ledger: Ledger) -> None:
    case = grown(ledger, "A-1")["A-1"]
    sql(ledger, "DELETE FROM heads")
    assert (case, 0) in problems(ledger)


def test_missing_totals_show(ledger: Ledger) -> None:
    grown(ledger, "A-1")
    sql(ledger, "DELETE FROM totals")
    assert "is gone" in verified(ledger).breaks[0].problem


def test_a_fact_that_cannot_be_read_is_named_with_what_to_do(ledger: Ledger) -> None:
    case = grown(ledger, "A-1")["A-1"]
    sql(ledger, "UPDATE facts SET body = '{\"why\": ' WHERE seq = 2")
    with pytest.raises(LedgerCorrupt, match=f"fact 2 of case {case}") as caught:
        claim(ledger)
    assert "evidence verify" in caught.value.hint


def test_a_closed_case_stays_in_the_evidence(ledger: Ledger) -> None:
    opened(ledger)
    close(ledger, claim(ledger)[0])
    assert verified(ledger).breaks == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE heads SET head = 'text' WHERE case_id = 2",
        "UPDATE heads SET mac = 5 WHERE case_id = 2",
        "UPDATE heads SET length = 'two' WHERE case_id = 2",
        "UPDATE facts SET kind = 7 WHERE case_id = 2 AND seq = 2",
        "UPDATE facts SET body = 1.5 WHERE case_id = 2 AND seq = 2",
        "UPDATE facts SET hash = 'text' WHERE case_id = 2 AND seq = 2",
    ],
)
def test_rows_of_wrong_types_are_breaks_not_faults(tmp_path: Path, change: str) -> None:
    """What a page that is another's can hold, on SQLite."""
    file = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{file}", KEY)
    try:
        grown(ledger, "A-1", "A-2")
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("PRAGMA ignore_check_constraints=ON")
            raw.execute(change)
            raw.commit()
        assert 2 in {b.case for b in verified(ledger).breaks}
    finally:
        ledger.close()
