"""The generated plugins, once for each module of tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.unit.testing.liars import Room


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    path, folder = list(sys.path), tmp_path_factory.mktemp("room")
    yield Room(folder)
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("amends_room_")]:
        del sys.modules[name]
