"""Killed with SIGKILL wherever it hurts while a coupon is given: the customer has one coupon and one note."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.vendure.conftest import Server

from amends import Grant, Money, Remedy, RemedyKind

pytestmark = [pytest.mark.servers, pytest.mark.crash]
DIES = Path(__file__).with_name("dies.py")
# What giving a coupon asks of the server, in this order.
REQUESTS = ("login", "order", "promotions", "createPromotion", "notes", "addNote")


def killed(server: Server, key: str, order: str, at: int, when: str) -> int:
    command = [sys.executable, str(DIES), f"{server.base}/admin-api", key, order, str(at), when]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode


# Before and midway a read there is nothing to lose.
@pytest.mark.parametrize(
    ("when", "names"),
    [
        ("before", ("createPromotion", "addNote")),
        ("midway", ("createPromotion", "addNote")),
        ("after", REQUESTS),
    ],
)
async def test_a_coupon_is_made_once_however_often_its_maker_is_killed(
    server: Server, connect: Callable[..., Any], when: str, names: tuple[str, ...]
) -> None:
    bought, connector = server.place(), connect()
    remedy = Remedy(kind=RemedyKind.COUPON, amount=Money.of("5.00", "USD"))
    for name in names:
        key, at = f"k-{when}-{name}", REQUESTS.index(name)
        request = Grant(key=key, order=bought.code, remedy=remedy)
        code = await asyncio.to_thread(killed, server, key, bought.code, at, when)
        assert code == -signal.SIGKILL, f"the process was not killed at {name}"
        await asyncio.sleep(0.3)  # what was under way comes to its end: the host's quiet delay, in small
        if await connector.find(request) is None:
            await connector.grant(request)
        receipt = await connector.find(request)
        assert receipt is not None
        assert len(server.promotions(receipt.ref)) == 1, f"killed {when} {name}"
        assert sum(f"(Ref. {key})" in note for note in bought.notes_seen()) == 1, f"killed {when} {name}"


async def test_nothing_is_left_to_kill_beyond_the_last_request(server: Server) -> None:
    bought = server.place()
    assert await asyncio.to_thread(killed, server, "k-end", bought.code, len(REQUESTS), "before") == 0
    assert len(bought.notes_seen()) == 1
