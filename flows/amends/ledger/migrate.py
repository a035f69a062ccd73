"""Brings a ledger's schema up to date by alembic's migrations, inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import func, select

from amends.ledger.database import Tx

_LOCK = 4_127_001
"""Any number that nobody else locks by."""


def config() -> Config:
    """Alembic's settings; its own `alembic.ini` is not needed."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return settings


def upgrade(tx: Tx) -> None:
    if tx.postgres:  # SQLite has one writer anyway
        tx.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    settings = config()
    settings.attributes["connection"] = tx.conn
    command.upgrade(settings, "head")
