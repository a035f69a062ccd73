"""Pushes the sandbox's webhooks: signed, some of them twice, some out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import httpx

from amends import Event
from amends.testing.draws import unit
from amends.testing.faults import Faults
from amends.testing.webhooks import sign

AT_ONCE = 8


class Pusher:
    """Sends events to a merchant's inbox. What cannot be delivered is dropped: polling finds it later."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def push(
        self, url: str, events: Sequence[Event], now: datetime, faults: Faults, seed: int
    ) -> tuple[int, int]:
        """Send them all; returns how many were taken (2xx) and how many were not."""
        queue = list(in_order(events, faults, seed))
        taken = 0
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            for start in range(0, len(queue), AT_ONCE):
                batch = queue[start : start + AT_ONCE]
                taken += sum(await asyncio.gather(*(self._send(client, url, event, now) for event in batch)))
        return taken, len(queue) - taken

    async def _send(self, client: httpx.AsyncClient, url: str, event: Event, now: datetime) -> bool:
        body = event.model_dump_json(exclude_none=True).encode()
        try:
            response = await client.post(
                url, content=body, headers=sign(self._secret, event.event, now, body)
            )
        except httpx.HTTPError:
            return False
        return response.is_success


def in_order(events: Sequence[Event], faults: Faults, seed: int) -> list[Event]:
    """The order in which they go out, with what is sent twice: drawn by each event's own name."""
    places: list[tuple[float, str, Event]] = []
    for place, event in enumerate(events):
        late = unit(seed, "reordered", event.event) < faults.reordered_webhooks
        shift = unit(seed, "shift", event.event) * 6 if late else 0.0
        places.append((place + shift, event.event, event))
        if unit(seed, "duplicate", event.event) < faults.duplicate_webhooks:
            places.append((place + shift + unit(seed, "again", event.event) * 4, event.event, event))
    return [event for _, _, event in sorted(places, key=lambda item: item[:2])]
