"""A fresh ledger per test: SQLite in a temporary folder, and (mark `postgres`) a database of its own on Postgres."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.unit.ledger.makers import KEY

from amends.ledger import Ledger
from amends.ledger.schema import REVISION, metadata

BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    # Those modules try the making of a ledger itself.
    blank = request.module.__name__.endswith(("test_database", "test_migrations"))
    server: str = request.getfixturevalue("postgres_server")
    return asyncio.run(_emptied(server, f"amends_test_{worker}", blank=blank))


@pytest.fixture
def reopen(url: str) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger, as often as wanted, as another process would."""
    found: list[Ledger] = []

    def open_() -> Ledger:
        found.append(Ledger.open(url, KEY))
        return found[-1]

    yield open_
    for ledger in found:
        ledger.close()


@pytest.fixture
def ledger(reopen: Callable[[], Ledger]) -> Ledger:
    return reopen()


async def _emptied(server: str, name: str, *, blank: bool) -> str:
    import asyncpg

    admin = await asyncpg.connect(server)
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await admin.execute(f'CREATE DATABASE "{name}"')
    finally:
        await admin.close()
    address = server.rpartition("/")[0] + "/" + name
    own = await asyncpg.connect(address)
    try:
        tables = {
            row[0] for row in await own.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        ready = (
            "alembic_version" in tables
            and await own.fetchval("SELECT version_num FROM alembic_version") == REVISION
        )
        if blank or not ready or tables != {*metadata.tables, "alembic_version"}:
            await own.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        else:
            # Several times as fast as TRUNCATE, which makes and syncs a file per table and index.
            emptied = [str(delete(table)) for table in reversed(metadata.sorted_tables)]
            numbered = await own.fetch("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")
            emptied += [f"ALTER SEQUENCE {row[0]} RESTART" for row in numbered]
            await own.execute("; ".join(emptied))
    finally:
        await own.close()
    return address
