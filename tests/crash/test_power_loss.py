"""Power cuts at every write of a ledger's life: what is there afterwards is the state before or after a transaction.

A sweep is recorded once, operation by operation; then every state that its disk could be left in is opened again.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.crash.disk import watched
from tests.crash.killing import KILLS, SEED
from tests.crash.powercut import CUTS, Recording, digest
from tests.unit.demo.workshop import HOUR, MINUTE, WAYS, workshop

from amends.cases import facts as f
from amends.ledger import Ledger, Vault, chain
from amends.testing.draws import unit

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("watchable")]
CHECKED = 600 if KILLS <= 300 else 20 * KILLS
"""About so many of the states are looked at, drawn by seed."""


@dataclass
class Life:
    """A recorded life: what was written, the content after each commit, and when each act left."""

    recording: Recording = field(default_factory=Recording)
    contents: list[str] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    sent: dict[tuple[str, str, int], int] = field(default_factory=dict)


async def live(path: Path, spoil: Callable[[sqlite3.Connection], Any] | None = None) -> Life:
    """Contact two late customers, settle with one: four effects and some dozens of transactions."""
    life = Life()
    url = f"sqlite:///{path}"
    Ledger.open(url, Vault(b"k" * 32)).close()
    with watched(life.recording):
        life.recording.ops += _as_written(path)
        async with workshop(
            ledger=url, orders=("A-1", "A-2"), operations={"message": WAYS["queryable"]}
        ) as shop:
            if spoil is not None:
                spoil(shop.ledger._sqlite().raw_connection().driver_connection)  # type: ignore[arg-type]
            once = shop.ledger._once

            def counted(*given: Any) -> Any:
                found = once(*given)
                life.commits.append(len(life.recording.ops))
                life.contents.append(digest(path))
                return found

            shop.ledger._once = counted  # type: ignore[method-assign]
            shop.platform.meanwhile = lambda request: life.sent.setdefault(
                (request.op, request.order, request.round), len(life.recording.ops)
            )
            await shop.sweep()
            shop.platform.say(f.Answer.ACCEPT)
            await shop.sweep(HOUR)
            await shop.sweep(10 * MINUTE)
    return life


def _as_written(path: Path) -> list[Any]:
    """The file as it is before the recording begins, as operations."""
    from tests.crash.disk import Op

    return [Op("make", False), Op("write", False, 0, path.read_bytes()), Op("sync", False)]


def troubles(life: Life, folder: Path, *, enough: int = 20, seed: int = SEED) -> tuple[int, list[str]]:
    """Cut the power wherever it can be cut; how many states were looked at, and what is wrong with `enough` of them."""
    path = folder / "cut.db"
    found: list[str] = []
    proved: set[str] = set()
    total = len(life.recording.ops) * len(CUTS)
    looked = 0
    for place, kind in life.recording.cuts(path, seed):
        if unit(seed, "cut", place, kind) > CHECKED / total:
            continue
        if len(found) >= enough:
            break
        looked += 1
        where = f"cut at {place}, {kind}"
        before = sum(commit <= place for commit in life.commits)
        try:
            content = digest(path)
            with closing(sqlite3.connect(path)) as connection:
                rows = connection.execute("SELECT op, number, round, state FROM effects").fetchall()
                states = {(op, number, round_): state for op, number, round_, state in rows}
        except sqlite3.Error as error:
            found.append(f"{where}: {error}")
            continue
        allowed = set(life.contents[max(0, before - 1) : before + 1])
        if before and content not in allowed:
            found.append(f"{where}: neither the state before transaction {before + 1} nor after it")
        for key, left in life.sent.items():
            state = states.get(key, "forgotten")
            if left <= place and state in ("planned", "forgotten"):
                found.append(f"{where}: {key} had left, and is {state}")
        if content not in proved:
            proved.add(content)
            found += [f"{where}: {problem}" for problem in _evidence(path)]
    return looked, found


def _evidence(path: Path) -> list[str]:
    try:
        ledger = Ledger.open(f"sqlite:///{path}", Vault(b"k" * 32))
    except Exception as error:  # whatever damage does
        return [repr(error)]
    try:
        return [f"case {b.case}, fact {b.seq}: {b.problem}" for b in ledger.do(chain.verify).breaks]
    except Exception as error:
        return [repr(error)]
    finally:
        ledger.close()


async def test_a_power_cut_leaves_the_state_before_or_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = await live(tmp_path / "ledger.db")
    assert len(life.sent) >= 3, "messages and a remedy left"
    looked, found = troubles(life, tmp_path)
    with capsys.disabled():
        sys.stdout.write(
            f"\npower cuts: {len(life.recording.ops)} operations, {len(life.commits)} transactions, "
            f"{len(life.sent)} acts that left, {looked} states that a disk may be left in: {len(found)} wrong\n"
        )
    assert not found, "\n".join(found)


@pytest.mark.parametrize("pragma", ["synchronous=OFF", "journal_mode=MEMORY", "journal_mode=OFF"])
async def test_a_ledger_that_does_not_wait_for_the_disk_is_found_out(tmp_path: Path, pragma: str) -> None:
    """Without what protects the ledger, these cuts do break it: else they would prove nothing."""
    life = await live(
        tmp_path / "ledger.db", lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall()
    )
    assert troubles(life, tmp_path, enough=1)[1]
