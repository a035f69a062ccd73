"""One farm of workers for all tests of this room."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.crash import disk
from tests.crash.arena import Arena, opened


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    if not hasattr(os, "pidfd_open"):
        pytest.skip("workers are killed through Linux' process handles")
    with opened() as found:
        yield found


@pytest.fixture(scope="session")
def watchable() -> None:
    """For tests that look at SQLite's own writes."""
    if not disk.there():
        pytest.skip("this Python's sqlite3 hides SQLite's symbols, so its writes cannot be watched")
