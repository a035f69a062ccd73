"""Until when an act may begin to leave, looked at in the last moment before its first byte does.

A worker that was stopped (a machine that slept, a process that was paused) goes on minutes later as if nothing had been.
Meanwhile another may have taken its case over, looked, found nothing, and sent. Whatever lies between an earlier look at
the clock and the first byte, be it a connection that is being made, is time in which that can happen.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from amends.errors import Unreachable

SEND_BEFORE: ContextVar[float] = ContextVar("send_before", default=float("inf"))
"""By `steady`: set by whoever sends under a lease, for the task that sends."""


def steady() -> float:
    """Seconds by a clock of this machine that is never set, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def in_time(who: str) -> None:
    """Raise `Unreachable` where it is too late to send: for what leaves by other ways than the HTTP client, which asks itself."""
    if steady() > SEND_BEFORE.get():
        raise Unreachable(f"{who}: the lease was running out before this could be sent")
