"""Personal values, planted in every order, message and answer, are nowhere but encrypted in the ledger.

Sweeps under faults, an approval asked for and given in Prefect, a case resolved and a report, all with the loudest logs;
then the bytes of Prefect's database, of the logs and of the ledger are searched, and every row of every table.
"""

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.workflows.test_approve import ended, is_served, resume, suspended
from tests.workflows.test_serve import SERVE
from tests.workflows.world import CANARIES, World, ask, make_world, wait_for

from amends.cases import facts as f
from amends.ledger import Tx, approvals, persons, tasks, views
from amends.ledger.schema import cases
from amends.steps import people
from amends.testing.control import launch
from amends.workflows.approve_form import YES
from amends.workflows.resolve_case import resolve_case
from amends.workflows.server import PrefectServer
from amends.workflows.sweep import sweep

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

SAID = "Ring my mother, Sample Mother 0017, at 000-0000-4711, behind the blue gate"
"""What a customer says, as a person notes it down."""
NOTE = "Her uncle, Sample Uncle 0018, says that the gate is blue"
"""What a person writes about a task: a fact in the ledger, and nothing for Prefect."""
CODE = "green-tea-7"
APPROVER = """
[approvers.zhao]
code = {{ file = "{folder}/zhao.txt" }}
"""


@pytest.fixture
def loud(tmp_path: Path) -> Iterator[World]:
    """A marketplace with faults, whose remedies all want a yes."""
    with launch(tmp_path / "sandbox", seed=11, orders=60, days=6) as box:
        world = make_world(box, tmp_path)
        file = tmp_path / "config/base/demo.toml"
        text = file.read_text().replace('remedy_over = "50 CNY"', 'remedy_over = "2 CNY"')
        file.write_text(text.replace('"* * * * *"', '"0 3 1 1 *"') + APPROVER.format(folder=tmp_path))
        (tmp_path / "zhao.txt").write_text(CODE)
        yield world


@contextlib.contextmanager
def served(server: PrefectServer, world: World) -> Iterator[Path]:
    log = world.folder / "serve.log"
    env = server.environment() | {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_INTERNAL_LEVEL": "DEBUG"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, world.config], cwd=world.folder, env=env, stdout=out, stderr=out
        )
    try:
        wait_for(lambda: is_served(server, process, log), seconds=120)
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def do(world: World, work: Any, *args: Any, **more: Any) -> Any:
    ledger = world.ledger()
    try:
        return ledger.do(work, *args, **more)
    finally:
        ledger.close()


def run(server: PrefectServer, deployment: str, **parameters: Any) -> dict[str, Any]:
    """Run a deployment in the served process; how it ended."""
    (there,) = ask(server, "/deployments/filter", {"deployments": {"name": {"any_": [deployment]}}})
    path = f"/deployments/{there['id']}/create_flow_run"
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}

    def asked() -> str:
        answer = httpx.post(server.url + path, json=body, timeout=60, trust_env=False)
        assert answer.status_code in (201, 503), answer.text  # 503: SQLite is busy
        return str(answer.json().get("id", ""))

    id_ = wait_for(asked)
    return wait_for(lambda: ended(server, id_), seconds=240)


async def test_nothing_personal_is_anywhere_in_clear(server: PrefectServer, loud: World) -> None:
    with served(server, loud) as log:
        listing, number = await _until_asked(loud)
        waiting = wait_for(lambda: suspended(server, listing.id, 1), seconds=100)
        resume(server, waiting["id"], decision=YES, approver="zhao", code=CODE)
        state = wait_for(lambda: ended(server, waiting["id"]), seconds=240)
        assert state["name"] == "Approved", state

        loud.box.control.faults("heavy")
        for later in range(number + 1, number + 7):
            await sweep(shop="demo", config=loud.config, now=loud.now(later))
        now = loud.now(number + 7)
        state = run(server, "sweep-demo", now=now.isoformat())
        assert state["type"] == "COMPLETED", state
        loud.box.control.faults("none")
        answered = _people_write(loud, now)
        await resolve_case(case=str(answered), config=loud.config, now=loud.now(number + 8))
        state = run(server, "resolve-case", case=str(answered), now=now.isoformat())
        assert state["type"] == "COMPLETED", state
        state = run(server, "report-demo", now=now.isoformat())
        assert state["type"] == "COMPLETED", state

    secrets = do(loud, _secrets)
    assert len(secrets) > 50
    assert any(b"Sample Customer" in one for one in secrets) and SAID.encode() in secrets
    rows = list(_rows(server.home / "prefect.db"))
    tables = {table for table, _ in rows}
    assert {"flow_run", "task_run", "artifact", "events", "log", "flow_run_state"} <= tables, (
        "there is much to search"
    )
    prefects = [*rows, ("what the runs printed", log.read_bytes()), *_files(server.home)]
    assert not [where for where, content in prefects if NOTE.encode() in content]
    for where, content in [*prefects, *_files(loud.folder / "state")]:
        hit = CANARIES.search(content) or next((one for one in secrets if one in content), None)
        assert not hit, f"{where}: {hit!r}"


async def _until_asked(world: World) -> tuple[approvals.Listing, int]:
    """Sweep, six virtual hours at a time, until a person is asked."""
    for number in range(12, 30):
        await sweep(shop="demo", config=world.config, now=world.now(number))
        if lists := do(world, approvals.listing, shop="demo", open_only=True):
            return lists[0], number
    raise AssertionError("nothing needed a yes")


def _people_write(world: World, now: datetime) -> int:
    """Notes and answers in people's own words; the case that was answered."""
    waiting: list[int] = [
        line.id
        for line in do(world, views.case_lines, shop="demo", open_only=True)
        if line.stage == "awaiting-reply"
    ]
    assert waiting
    do(world, people.reply, waiting[0], f.Answer.DECLINE, by="lin", now=now, note=SAID)
    for task in do(world, tasks.listing, shop="demo")[:2]:
        outcome = task.choices[-1] if task.choices else "done"
        do(world, people.finish_task, task.id, outcome, by="lin", now=now, note=NOTE)
    return waiting[0]


def _secrets(tx: Tx) -> set[bytes]:
    """Everything personal that the ledger keeps encrypted, piece by piece: names, numbers, addresses, texts by line."""
    ids = list(tx.execute(select(cases.c.id).where(cases.c.shop == "demo")).scalars())
    found: set[bytes] = set()
    for named in persons.load(tx, ids).values():
        for value in named.values():
            text = value.decode("utf-8", errors="replace")
            with contextlib.suppress(ValueError):
                parsed = json.loads(text)
                text = "\n".join(map(str, parsed.values())) if isinstance(parsed, dict) else str(parsed)
            for line in filter(None, map(str.strip, text.splitlines())):
                if len(line) >= 10 and not re.fullmatch(r"[\d.:T+Z -]+|http\S+", line):
                    found |= {line.encode(), json.dumps(line)[1:-1].encode()}
    return found


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


def _rows(database: Path) -> Iterator[tuple[str, bytes]]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as db:
        for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in db.execute(f'select * from "{table}"'):  # noqa: S608  # names of its own
                yield table, "\x1f".join(map(str, row)).encode()
