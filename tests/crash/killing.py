"""How often the crash tests kill, from which seed, and how to repeat one that failed."""

from __future__ import annotations

import os
import random

KILLS = int(os.environ.get("AMENDS_KILLS", "300"))
SEED = int(os.environ.get("AMENDS_CRASH_SEED", "7"))


def again(test: str, seed: int) -> str:
    """How to repeat a failing one."""
    return f"AMENDS_CRASH_SEED={seed} AMENDS_KILLS=1 .venv/bin/python -m pytest tests/crash -k {test}"


def draws(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed} {name}")
