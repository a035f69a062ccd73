"""Numbered points around every durable boundary, at which the crash tests kill the process."""

from __future__ import annotations

import os
from collections.abc import Callable

_at: Callable[[str], None] | None = None


def crashpoint(name: str) -> None:
    """Do nothing, unless a test has set what happens here."""
    if _at is not None:
        _at(name)


def on_crashpoint(act: Callable[[str], None] | None) -> None:
    """For tests: call this at every point."""
    global _at
    _at = act


def _from_environment() -> None:
    """`AMENDS_CRASH=after-sent:3` kills the process with SIGKILL at the third `after-sent`."""
    wanted = os.environ.get("AMENDS_CRASH", "")
    if not wanted:
        return
    point, _, nth = wanted.partition(":")
    left = int(nth or 1)

    def kill(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)

    on_crashpoint(kill)


_from_environment()
