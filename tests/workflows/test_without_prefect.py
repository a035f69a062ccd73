"""Prefect's server goes away and comes back: what is due waits, people's commands and the dispatcher work on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.workflows.test_approve import MAPPING
from tests.workflows.test_up import Up, completed
from tests.workflows.world import wait_for

from amends.workflows.up import LastingServer

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

CONFIG = """
[shops.east]
connector = "spreadsheet"
rules = "pdd"
time_zone = "Asia/Shanghai"
schedule = "* * * * *"
[shops.east.connector_config]
path = "{folder}/east.csv"
mapping = "{folder}/mapping.toml"

[playbooks.standard]
approve = {{ complaint = true }}

[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", amount = "3 CNY" }}

[inbox]
port = 0
"""


class Merchant:
    """A shop by spreadsheet, whose acts are tasks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "config"
        (self.config / "base").mkdir(parents=True)
        (self.config / "base/amends.toml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
        (folder / "mapping.toml").write_text(MAPPING)
        (folder / "east.csv").write_text("number,amount,ordered,ship_by,shipped\n")

    def late_order(self, number: str) -> None:
        """A new export, with one more order that should have been sent yesterday."""
        now = datetime.now(ZoneInfo("Asia/Shanghai"))
        ordered, ship_by = (f"{now - timedelta(days=days):%Y-%m-%d %H:%M}" for days in (3, 1))
        with (self.folder / "east.csv").open("a") as file:
            file.write(f"{number},120.00,{ordered},{ship_by},\n")

    def amends(self, *words: str) -> Any:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        # Prefect is at no address where anything listens: a command that needed it would fail.
        env |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(self.folder / "none")}
        done = subprocess.run(
            [sys.executable, "-m", "amends", "--config", str(self.config), *words, "--json"],
            env=env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def tasks(self) -> dict[tuple[str, str], int]:
        """Open tasks by order and kind."""
        with contextlib.suppress(AssertionError):
            rows = self.amends("tasks")["tasks"]
            return {(one["order"], one["kind"]): one["task"] for one in rows}
        return {}


@pytest.fixture
def merchant(tmp_path: Path) -> Merchant:
    return Merchant(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LastingServer]:
    own = LastingServer(tmp_path / "prefect", 0, ui=False)
    own.start()
    yield own
    own.stop()


@pytest.fixture
def running(server: LastingServer, merchant: Merchant) -> Iterator[Up]:
    up = Up(merchant.config, env=server.environment())
    try:
        up.wait()
        yield up
    finally:
        if up.process.poll() is None:
            up.interrupt()


def test_the_server_goes_away_and_comes_back(server: LastingServer, merchant: Merchant, running: Up) -> None:
    merchant.late_order("E-1")
    first = wait_for(lambda: {n: id_ for n, id_ in merchant.tasks().items() if n[0] == "E-1"}, seconds=150)
    (message,) = first.values()

    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)

    # What people do, and what follows from it at once, needs no Prefect.
    merchant.amends("task", "done", str(message), "--outcome", "done", "--by", "lin")
    merchant.amends("reply", "E-1", "accept", "--by", "lin")
    granted = wait_for(lambda: [kind for n, kind in merchant.tasks() if n == "E-1"], seconds=60)
    assert granted == ["grant:coupon"], "the dispatcher went on to settle"

    # A sweep by hand works, and what nobody sweeps waits.
    merchant.late_order("E-2")
    (swept,) = merchant.amends("sweep", "--local")["shops"]
    assert (swept["state"], swept["opened"]) == ("done", 1)
    merchant.late_order("E-3")
    assert {number for number, _ in merchant.tasks()} == {"E-1", "E-2"}
    assert running.process.poll() is None

    server.start()
    before = len(completed(server.url))
    wait_for(lambda: len(completed(server.url)) > before, seconds=240)
    wait_for(lambda: {number for number, _ in merchant.tasks()} == {"E-1", "E-2", "E-3"}, seconds=60)
    cases = merchant.amends("cases")["cases"]
    assert Counter(one["number"] for one in cases) == {"E-1": 1, "E-2": 1, "E-3": 1}
    everything = merchant.amends("tasks", "--all")["tasks"]
    assert max(Counter((one["order"], one["kind"]) for one in everything).values()) == 1, "nothing twice"
    assert running.interrupt() == 0
