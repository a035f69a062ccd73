"""Draws for the marketplace model: each depends on seed, order, purpose and round alone.

Never a shared generator, never the time or order of calls: the same seed gives the same world whoever
asks first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
_WHOLE = float(1 << 64)


def unit(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone, the same on every machine."""
    text = "|".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / _WHOLE


class Draw:
    """The draws of one order in the world of one seed."""

    __slots__ = ("order", "seed")

    def __init__(self, seed: int, order: int) -> None:
        self.seed = seed
        self.order = order

    def unit(self, purpose: str, round: int = 0) -> float:
        return unit(self.seed, self.order, purpose, round)

    def between(self, low: int, high: int, purpose: str, round: int = 0) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.unit(purpose, round) * (high - low + 1))

    def hours(self, low: float, high: float, purpose: str, round: int = 0) -> timedelta:
        """A span between so many hours, in whole minutes."""
        return timedelta(minutes=int((low + self.unit(purpose, round) * (high - low)) * 60))

    def pick(self, weights: Mapping[T, int], purpose: str, round: int = 0) -> T:
        """One of the keys, as likely as its weight."""
        point = self.unit(purpose, round) * sum(weights.values())
        for value, weight in weights.items():
            point -= weight
            if point < 0:
                return value
        return value
