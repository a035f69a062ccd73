"""Ledgers as released versions wrote them: one file per schema revision in `released/`, every table with rows in it.

A revision's file is made once, before the next revision is written, from a ledger that has lived through a small demo:

    python -m tests.unit.ledger.released amends.db tests/unit/ledger/released/0002.json

The ledger's key must be `makers.KEY`, for then the tests can open what is encrypted.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import BigInteger, Boolean, MetaData, Table, func, insert, select

from amends.ledger import Tx, migrate

FOLDER = Path(__file__).with_name("released")
Rows = dict[str, list[dict[str, Any]]]


def released() -> list[str]:
    """The revisions of which there is a ledger."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def revisions() -> list[str]:
    """All revisions that the code knows, oldest first."""
    return sorted(
        script.revision for script in ScriptDirectory.from_config(migrate.config()).walk_revisions()
    )


def kept(revision: str) -> Rows:
    """The rows of that ledger by table, values as the columns of a database give them back."""
    found: Rows = json.loads((FOLDER / f"{revision}.json").read_text(encoding="utf-8"))
    return {
        name: [
            {
                key: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
                for key, value in row.items()
            }
            for row in rows
        ]
        for name, rows in found.items()
    }


def build(tx: Tx, revision: str) -> None:
    """Make that ledger: only the migrations up to the revision, then its rows."""
    migrate.upgrade(tx, revision)
    there = MetaData()
    there.reflect(tx.conn)
    rows = kept(revision)
    for table in there.sorted_tables:
        for row in rows.pop(table.name, ()):
            tx.execute(insert(table).values(_fit(table, row)))
        if tx.postgres and isinstance(getattr(table.c.get("id"), "type", None), BigInteger):
            sequence = func.pg_get_serial_sequence(table.name, "id")
            tx.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))
    assert not rows, f"{revision}.json has tables that its schema has not: {', '.join(rows)}"


def read(tx: Tx) -> Rows:
    """All rows of a ledger, as `kept` gives them."""
    there = MetaData()
    there.reflect(tx.conn)
    return {
        table.name: [
            {key: int(value) if isinstance(value, bool) else value for key, value in row._asdict().items()}
            for row in tx.execute(table.select())
        ]
        for table in there.sorted_tables
    }


def _fit(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {key: bool(v) if isinstance(table.c[key].type, Boolean) else v for key, v in row.items()}


def dump(ledger: str) -> Rows:
    db = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    names = [
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    found: Rows = {}
    for name in names:
        if name.startswith("sqlite_") or name == "alembic_version":
            continue
        rows = [dict(row) for row in db.execute(f'SELECT * FROM "{name}"')]  # noqa: S608  # the ledger's own tables
        found[name] = [
            {k: {"hex": v.hex()} if isinstance(v, bytes) else v for k, v in row.items() if v is not None}
            for row in rows
        ]
    db.close()
    empty = [name for name, rows in found.items() if not rows]
    if empty:
        raise SystemExit(f"empty: {', '.join(empty)}; every table should have a row")
    return found


if __name__ == "__main__":
    source, target = sys.argv[1:]
    tables = (
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"
        for name, rows in dump(source).items()
    )
    Path(target).write_text("{\n" + ",\n".join(tables) + "\n}\n", encoding="utf-8")
