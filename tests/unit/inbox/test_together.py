"""Group commit: many requests, few transactions, and nobody pays for another one's fault."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from amends.errors import LedgerLocked
from amends.inbox.together import Together
from amends.ledger import Tx


class Counting:
    """A ledger that counts its transactions."""

    def __init__(self) -> None:
        self.transactions = 0
        self.locked = False

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        self.transactions += 1
        await asyncio.sleep(0.01)
        if self.locked:
            raise LedgerLocked("locked")
        return work(None, *args)


@pytest.fixture
def ledger() -> Any:
    return Counting()


async def test_a_hundred_in_three(ledger: Any) -> None:
    together = Together(ledger)
    found = await asyncio.gather(*(together.run(lambda tx, n=n: n) for n in range(100)))  # type: ignore[misc]
    assert found == list(range(100))
    assert ledger.transactions <= 3
    assert await together.run(lambda tx: "one more") == "one more"


async def test_one_that_fails(ledger: Any) -> None:
    together = Together(ledger)

    def bad(tx: Tx) -> int:
        raise ZeroDivisionError

    works: list[Callable[[Tx], int]] = [lambda tx: 1, bad, lambda tx: 3]
    found = await asyncio.gather(*(together.run(work) for work in works), return_exceptions=True)
    assert [found[0], type(found[1]), found[2]] == [1, ZeroDivisionError, 3]


async def test_a_locked_ledger_is_told_to_all_at_once(ledger: Any) -> None:
    ledger.locked = True
    together = Together(ledger)
    found = await asyncio.gather(*(together.run(lambda tx: 1) for _ in range(10)), return_exceptions=True)
    assert {type(one) for one in found} == {LedgerLocked}
    assert ledger.transactions <= 2
    ledger.locked = False
    assert await together.run(lambda tx: 1) == 1


async def test_who_has_left_is_not_waited_for(ledger: Any) -> None:
    together = Together(ledger)
    first = asyncio.create_task(together.run(lambda tx: 1))
    await asyncio.sleep(0)
    gone = asyncio.create_task(together.run(lambda tx: 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await first == 1
    assert await together.run(lambda tx: 3) == 3
