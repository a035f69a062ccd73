"""Reads of a platform: harmless to repeat, so a passing trouble is waited out for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from amends.errors import PlatformError

R = TypeVar("R")

TRIES = 4
PATIENCE = 2.0
"""Seconds that a platform may ask us to pause; a longer pause becomes a due time."""


async def patiently(read: Callable[[], Awaitable[R]]) -> R:
    """What `read` answers, tried again a few times where a moment's pause can help."""
    for attempt in range(1, TRIES):
        try:
            return await read()
        except PlatformError as error:
            pause = error.retry_after or 0.05 * 2**attempt
            if not error.retryable or pause > PATIENCE:
                raise
            await asyncio.sleep(pause)
    return await read()
