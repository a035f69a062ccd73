"""Reads of a platform: harmless to repeat, so a passing trouble is waited out for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import ValidationError

from amends.errors import BadAnswer, PlatformError, place
from amends.rows import fields_of

R = TypeVar("R")

TRIES = 4
PATIENCE = 2.0
"""Seconds that a platform may ask us to pause; a longer pause becomes a due time."""


async def own_faults(who: str, read: Callable[[], Awaitable[R]]) -> R:
    """What `read` answers. A plugin's own fault is a `PlatformError` like any other: it stops neither sweep nor shop.

    It is told by its kind and place only: its own words may hold what a customer or the platform wrote.
    """
    try:
        return await read()
    except PlatformError:
        raise
    except ValidationError as error:
        why = f"{who}: what the platform says cannot be: {fields_of(error)}"
    except Exception as error:
        raise PlatformError(f"{who} failed: {type(error).__name__} {place(error)}") from None
    raise BadAnswer(why)


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
