"""Brings a ledger's schema up to date by alembic's migrations, inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import func, select

from amends.errors import LedgerCorrupt
from amends.ledger.database import Tx

_LOCK = 4_127_001
"""Any number that nobody else locks by."""


def config() -> Config:
    """Alembic's settings; its own `alembic.ini` is not needed."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return settings


def upgrade(tx: Tx, to: str = "head") -> None:
    """Run the migrations that are missing; whoever else wants to run them waits, and finds them done."""
    if tx.postgres:  # SQLite has one writer anyway
        tx.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    settings = config()
    settings.attributes["connection"] = tx.conn
    command.upgrade(settings, to)
    if not tx.postgres:
        broken = tx.conn.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:  # they are not checked meanwhile: see `Ledger.migrate`
            raise LedgerCorrupt(f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")
