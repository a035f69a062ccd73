"""Bounds what strangers may send us: the length of a body, the time it takes, and how often somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request

LARGEST = 1024 * 1024
"""Bytes of a webhook's body; a longer one is read no further."""


class Refused(Exception):
    """The body is refused: `status` is what to answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def read_body(request: Request, most: int = LARGEST, *, seconds: float = 20.0) -> bytes:
    """The raw body. Raises `Refused`: 413 beyond `most` bytes, read only so far; 408 when it trickles in; 400 cut off."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > most):
        raise Refused(413, f"more than {most} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise Refused(413, f"more than {most} bytes")
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the body took longer than {seconds:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the body was cut off") from None
    return b"".join(parts)


@dataclass
class RateLimit:
    """At most `most` asks within `within` seconds for each key; keeps the newest `keys` of them in memory only."""

    most: int
    within: float = 60.0
    keys: int = 20_000
    clock: Callable[[], float] = time.monotonic
    _seen: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait(self, key: str) -> float:
        """Count one ask; answers with the seconds to wait before the next one is heard, 0 where this one is."""
        now = self.clock()
        began, count = self._seen.pop(key, (now, 0))
        if now - began >= self.within:
            began, count = now, 0
        self._seen[key] = (began, count + 1)
        while len(self._seen) > self.keys:
            self._seen.popitem(last=False)
        return 0.0 if count < self.most else max(1.0, began + self.within - now)
