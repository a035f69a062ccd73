"""`amends up`: one command brings everything up, Ctrl-C ends it, and `kill -9` of everything is no lasting harm."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.workflows.test_approve import CONFIG, MAPPING, SHOP
from tests.workflows.world import ask, wait_for

from amends.errors import ConfigError
from amends.settings import Settings
from amends.workflows import up
from amends.workflows.missed import missed
from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect


@pytest.fixture
def merchant(tmp_path: Path) -> Path:
    """A shop without orders, swept every minute; gives its config."""
    base = tmp_path / "config/base"
    base.mkdir(parents=True)
    (tmp_path / "wang.txt").write_text("green-tea-7")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "east.csv").write_text("number,amount,ordered,ship_by,shipped\n")
    text = CONFIG.format(port=1, folder=tmp_path) + SHOP.format(name="east", folder=tmp_path)
    text = text.replace("0 3 1 1 *", "* * * * *") + "\n[inbox]\nport = 0\n"
    (base / "amends.toml").write_text(text, encoding="utf-8")
    return tmp_path / "config"


class Up:
    """A running `amends up`."""

    def __init__(self, config: Path, *words: str, env: dict[str, str] | None = None) -> None:
        self.log = config.parent / f"up-{time.monotonic_ns()}.log"
        if env is None:
            env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
            env["PREFECT_HOME"] = str(config.parent / "home")
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "amends", "--config", str(config), "up", "--port", "0", *words],
                env=env | {"PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=out,
            )

    def said(self, pattern: str) -> str:
        text = self.log.read_text(errors="replace")
        found = re.search(pattern, text)
        assert found or self.process.poll() is None, text
        return found[1] if found else ""

    def wait(self) -> str:
        """Once everything is served: Prefect's API."""
        wait_for(lambda: self.said("(serving; Ctrl-C)"), seconds=240)
        return self.said(r"Prefect:  (http\S+)") + "/api"

    def tree(self) -> set[int]:
        """Its processes, itself included."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        found, more = set(), {self.process.pid}
        while more:
            found |= more
            more = {child for child, parent in parents.items() if parent in more} - found
        return found

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)


@pytest.fixture
def started() -> Iterator[list[Up]]:
    running: list[Up] = []
    yield running
    for one in running:
        for pid in one.tree() if one.process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        one.process.wait()


def post(api: str, path: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(api + path, json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def completed(api: str) -> list[dict[str, Any]]:
    body = {"deployments": {"name": {"any_": ["sweep-east"]}}, "sort": "START_TIME_DESC"}
    return [one for one in post(api, "/flow_runs/filter", body) if one["state"]["type"] == "COMPLETED"]


def sweeps_ended(config: Path) -> int:
    """What the ledger knows of sweeps that came to their end."""
    with contextlib.closing(sqlite3.connect(config.parent / "state/amends.db")) as ledger:
        return int(ledger.execute("select count(*) from sweeps where ended_at is not null").fetchone()[0])


def long_ago(database: Path, shop: str = "east", minutes: int = 0) -> list[str]:
    """As if nobody had worked for a while: the scheduled sweeps of a shop are past due; their ids."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as prefect, prefect:
        found = prefect.execute(
            "select id from flow_run where state_type = 'SCHEDULED' and auto_scheduled"
            " and deployment_id in (select id from deployment where name = ?)",
            (f"sweep-{shop}",),
        ).fetchall()
        for number, (id_,) in enumerate(found, minutes + 1):
            at = (datetime.now(UTC) - timedelta(minutes=number)).strftime("%Y-%m-%d %H:%M:%S.%f")
            prefect.execute(
                "update flow_run set expected_start_time = ?, next_scheduled_start_time = ? where id = ?",
                (at, at, id_),
            )
    return [str(uuid.UUID(str(id_))) for (id_,) in found]


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid)}


def state_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc")
def test_up_serves_and_ends_and_starts_again_after_kill_9(merchant: Path, started: list[Up]) -> None:
    first = Up(merchant)
    started.append(first)
    api = first.wait()
    inbox = first.said(r"inbox:    (http\S+)")
    assert httpx.get(f"{inbox}/health", timeout=30, trust_env=False).json()["status"] == "ok"
    names = {one["name"] for one in post(api, "/deployments/filter", {})}
    assert {"sweep-east", "approve", "resolve-case"} <= names
    slugs = {one["slug"] for one in post(api, "/block_types/filter", {})}
    assert {"amends-secret", "amends-login"} <= slugs
    wait_for(lambda: completed(api), seconds=180)
    tree = first.tree()
    assert len(tree) >= 3
    for pid in sorted(tree):  # the machine dies
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    first.process.wait()
    before = sweeps_ended(merchant)
    missed = long_ago(merchant.parent / "state/prefect/prefect.db")
    assert len(missed) > 1

    second = Up(merchant)
    started.append(second)
    api = second.wait()
    wait_for(lambda: len(completed(api)) > before, seconds=180)
    body = {"flow_runs": {"id": {"any_": missed}}}
    names = wait_for(
        lambda: (
            "Late"
            not in (found := sorted(one["state"]["name"] for one in post(api, "/flow_runs/filter", body)))
            and not {"Scheduled", "Pending", "Running"} & set(found)
            and found
        ),
        seconds=120,
    )
    # By that run, or by one of the schedule that it has met.
    assert names[0] in ("Completed", "Already running"), names
    assert names[1:] == ["Skipped"] * (len(missed) - 1), "caught up once"
    tree = second.tree()
    assert second.interrupt() == 0, second.log.read_text()
    wait_for(lambda: not alive(tree), seconds=30)

    third = Up(merchant, "--no-inbox")
    started.append(third)
    api = third.wait()
    (sweep,) = post(api, "/deployments/filter", {"deployments": {"name": {"any_": ["sweep-east"]}}})
    assert not sweep["paused"], "what Ctrl-C paused goes on"
    assert third.interrupt() == 0, third.log.read_text()


def test_missed_sweeps_are_caught_up_once() -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)

    def run(id_: int, deployment: str, minutes: int | None, auto: bool = True) -> SimpleNamespace:
        due = None if minutes is None else now + timedelta(minutes=minutes)
        return SimpleNamespace(id=id_, deployment_id=deployment, expected_start_time=due, auto_scheduled=auto)

    runs = [
        run(1, "a", -10),
        run(2, "a", -30),
        run(3, "a", -20),
        run(4, "b", -5),
        run(5, "a", 10),
        run(6, "c", None),
    ]
    by_hand = run(7, "a", -40, auto=False)  # somebody asked for this very run
    assert sorted(missed([*runs, by_hand], now)) == [2, 3]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on port {port}"):
            up.LastingServer(tmp_path, port).start()


def test_check_says_what_would_change(server: PrefectServer, merchant: Path) -> None:
    def check(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "amends", "--config", str(merchant), "up", "--check", "--json", *words],
            env=server.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["server"] == server.url
        return {one["name"]: (one["state"], one["differs"]) for one in found["deployments"]}

    for left in ask(server, "/deployments/filter", {}):  # by the tests before
        httpx.delete(f"{server.url}/deployments/{left['id']}", timeout=60, trust_env=False).raise_for_status()
    settings = Settings.load(merchant)
    assert check()["sweep/sweep-east"] == ("new", [])
    with pytest.raises(ConfigError, match="no work pool 'nobodys'"):
        asyncio.run(up.deploy_to(settings, "nobodys"))
    made = httpx.post(
        f"{server.url}/work_pools/", json={"name": "hands", "type": "process"}, timeout=60, trust_env=False
    )
    assert made.status_code == 201, made.text
    assert "sweep/sweep-east" in asyncio.run(up.deploy_to(settings, "hands"))
    assert check("--work-pool", "hands")["sweep/sweep-east"] == ("same", [])
    assert check()["sweep/sweep-east"] == ("changed", ["parameters", "work pool", "environment"])
    (deployed,) = ask(server, "/deployments/filter", {"deployments": {"name": {"any_": ["sweep-east"]}}})
    assert (deployed["work_pool_name"], deployed["entrypoint"]) == ("hands", "amends.workflows.sweep.sweep")
    file = merchant / "base/amends.toml"
    file.write_text(file.read_text().replace("* * * * *", "*/5 * * * *"))
    assert check("--work-pool", "hands")["sweep/sweep-east"] == ("changed", ["schedule"])
    with pytest.raises(ConfigError, match=r"4 of these deployments belong to the work pool hands"):
        asyncio.run(up.not_in_pools(settings))


def test_a_worker_that_comes_late_sweeps_once(server: PrefectServer, merchant: Path) -> None:
    """In a work pool nobody tidies up first: the run that begins skips the others that are past due."""
    made = httpx.post(
        f"{server.url}/work_pools/", json={"name": "late", "type": "process"}, timeout=60, trust_env=False
    )
    assert made.status_code == 201, made.text
    asyncio.run(up.deploy_to(Settings.load(merchant), "late"))
    body = {"deployments": {"name": {"any_": ["sweep-east"]}}}
    wait_for(lambda: len(ask(server, "/flow_runs/filter", body)) > 2, seconds=120)
    (deployed,) = ask(server, "/deployments/filter", body)
    late = wait_for(lambda: long_ago(server.home / "prefect.db"))
    asked = ask(server, f"/deployments/{deployed['id']}/create_flow_run", {}, 201)["id"]  # by a person: stays
    command = [sys.executable, "-m", "prefect", "flow-run", "execute", late[0]]
    env = server.environment() | {"AMENDS_CONFIG": str(merchant)}
    subprocess.run(command, env=env, cwd=merchant, capture_output=True, timeout=120, check=False)
    runs = {one["id"]: one["state"]["name"] for one in ask(server, "/flow_runs/filter", body)}
    assert runs[late[0]] == "Completed"
    assert {runs[id_] for id_ in late[1:]} == {"Skipped"}
    assert runs[asked] in ("Scheduled", "Late")
