"""One farm of workers for all tests of this room; at the end it tells what the killed ones left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.crash import disk
from tests.crash.arena import Arena, opened

_found: Counter[str] = Counter()


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    with opened() as found:
        yield found
        _found.update(found.found_at_restart)


@pytest.fixture(scope="session")
def watchable() -> None:
    """For tests that look at SQLite's own writes."""
    if not disk.there():
        pytest.skip("this Python's sqlite3 hides SQLite's symbols, so its writes cannot be watched")
