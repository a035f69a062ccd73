"""An empty Postgres database for each test of this room."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

_number = count(1)


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    name = f"amends_test_{os.getpid()}_{next(_number)}"
    asyncio.run(_do(postgres_server, f'CREATE DATABASE "{name}"'))
    yield postgres_server.rpartition("/")[0] + "/" + name
    asyncio.run(_do(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def folder() -> Iterator[Path]:
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="amends-postgres-test-", dir=shm) as found:
        yield Path(found)


async def _do(server: str, statement: str) -> None:
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(statement)
    finally:
        await admin.close()
