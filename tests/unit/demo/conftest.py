"""Where demos of tests live, and how long they may take."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from tests.unit.demo.workshop import Hasty

from amends.steps import acts, reading

LIMIT = 120
"""Seconds after which a test is stopped: a ledger made faulty on purpose might go round for ever."""


def memory() -> str | None:
    """A folder in memory, where there is one: fsync costs nothing there, and a killed process loses nothing."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="amends-demo-", dir=memory()) as folder:
        yield Path(folder)


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """Pauses before a second try take no time: they make no difference to what happens."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (acts, reading):
            patch.setattr(module, "asyncio", Hasty())
        yield


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"stopped after {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
