"""What the tests of the flows share: a small marketplace with its config, and questions to Prefect's server."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from amends.ledger import Ledger
from amends.settings import Settings
from amends.steps.shop import open_ledger
from amends.testing.control import SandboxProcess
from amends.workflows.server import PrefectServer

T = TypeVar("T")

# The sandbox's customers are called `Sample Customer 0017`, 000-0000-0017, customer0017@example.invalid.
CANARIES = re.compile(rb"Sample Customer|example\.invalid|(?<![0-9a-f-])000-0000-\d")

CONFIG = """
[shops.demo]
connector = "sandbox"
time_zone = "Asia/Shanghai"
playbook = "demo"
schedule = "* * * * *"
connector_config = {{ url = "{url}" }}

[playbooks.demo]
at_risk_before = ["24h", "12h"]
fresh_for = "10m"
reply_within = "18h"
ruling_within = "36h"
poll = "6h"
rounds = 2
storm = {{ orders = 2000, within = "1h" }}
approve = {{ remedy_over = "50 CNY", two_people_over = "200 CNY" }}

[[policies.ladder.rungs]]
late_over = "-12h"
state = "at-risk"
remedy = {{ kind = "points", points = 100 }}
new_ship_in = "48h"

[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", amount = "5 CNY" }}
new_ship_in = "48h"

[caps]
per_order = "200 CNY"
"""


@dataclass
class World:
    """A marketplace in a process of its own, and a merchant's config for its one shop, `demo`."""

    box: SandboxProcess
    folder: Path
    start: datetime

    @property
    def config(self) -> str:
        return str(self.folder / "config")

    def now(self, sweep: int) -> datetime:
        """The virtual time of that sweep, four a day; the marketplace is moved there."""
        now = self.start + timedelta(hours=6 * sweep)
        self.box.control.set_clock(now)
        return now

    def ledger(self) -> Ledger:
        return open_ledger(Settings.load(self.config))


def make_world(box: SandboxProcess, folder: Path) -> World:
    base = folder / "config" / "base"
    base.mkdir(parents=True)
    (base / "demo.toml").write_text(CONFIG.format(url=box.url), encoding="utf-8")
    return World(box, folder, box.control.clock())


def ask(server: PrefectServer, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
    """What the server answers to a POST."""
    answer = httpx.post(server.url + path, json=body or {}, timeout=60, trust_env=False)
    assert answer.status_code == status, answer.text
    return answer.json()


def wait_for(look: Callable[[], T], *, seconds: float = 60) -> T:
    """The first truthy answer; fails with the last one when time is up."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"still {found!r} after {seconds:.0f} s"
        time.sleep(0.3)


def run_named(server: PrefectServer, name: str) -> dict[str, Any]:
    """The newest flow run of that name."""
    body = {"flow_runs": {"name": {"any_": [name]}}, "sort": "START_TIME_DESC", "limit": 1}
    found: list[dict[str, Any]] = ask(server, "/flow_runs/filter", body)
    assert found, f"no flow run {name!r}"
    return found[0]


def artifacts(server: PrefectServer) -> dict[str, dict[str, Any]]:
    """The newest artifact of each key."""
    return {one["key"]: one for one in ask(server, "/artifacts/latest/filter")}


def files_with_canaries(folder: Path) -> dict[str, bytes]:
    """Files in which a customer's name, address or number stands, with one such place."""
    found = {}
    for path in folder.rglob("*"):
        hit = CANARIES.search(path.read_bytes()) if path.is_file() else None
        if hit is not None:
            found[path.name] = hit.group()
    return found
