"""Brings a ledger's schema up to date by alembic's migrations, inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from amends.ledger.database import Tx


def config() -> Config:
    """Alembic's settings; its own `alembic.ini` is not needed."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return settings


def upgrade(tx: Tx) -> None:
    settings = config()
    settings.attributes["connection"] = tx.conn
    command.upgrade(settings, "head")
