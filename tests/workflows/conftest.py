"""One Prefect server per test file, started the way the demo starts it: what others deployed is not there."""

from collections.abc import Iterator

import pytest
from tests.workflows.world import World, make_world

from amends.testing.control import launch
from amends.workflows.server import PrefectServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with PrefectServer(tmp_path_factory.mktemp("prefect"), report=print, ui=False) as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with launch(folder / "sandbox", seed=7, orders=60, days=10) as box:
        yield make_world(box, folder)
