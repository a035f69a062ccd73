"""What all rooms of tests share: the Postgres server of this run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from amends.testing.postgres import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms that start servers go first: with several processes, none is left with them alone at the end."""
    items.sort(key=lambda item: "tests/workflows" not in item.nodeid)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a database on a server where tests may make and empty databases of their own.

    `AMENDS_TEST_POSTGRES` names one, such as `postgresql://postgres@127.0.0.1/postgres`; else it is a private cluster.
    """
    named = os.environ.get("AMENDS_TEST_POSTGRES", "")
    if named:
        yield named
        return
    with Cluster() as cluster:
        yield cluster.url()
