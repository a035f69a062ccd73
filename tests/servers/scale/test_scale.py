"""Several machines as the room's README sets them up: three shops, two workers on one pool, one killed in mid-sweep."""

import base64
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select
from tests.servers.scale.pool import Api, bare, documented, kill, process, tree, wait_for

from amends.demo import judge
from amends.demo.operator import Operator
from amends.demo.world import CONFIG
from amends.ledger import Ledger, Tx, Vault
from amends.ledger.schema import cases, sweeps
from amends.settings import keys
from amends.testing.control import SandboxProcess, launch
from amends.testing.journal import duplicates
from amends.testing.postgres import Cluster

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc"),
]

SHOPS = ("east", "west", "north")
EVERY = timedelta(hours=12)
ROUNDS = 6
"""Virtual times at which every shop is swept; the worker dies in the middle one."""
POOL = "late-orders"
AUTH = "amends:made-up-0017"
LEDGER = """
[ledger]
url = { env = "AMENDS_LEDGER_URL" }
key = { env = "AMENDS_LEDGER_KEY" }
"""


@dataclass
class House:
    """Everything that runs, and the merchant's config."""

    api: Api
    config: Path
    boxes: dict[str, SandboxProcess]
    env: dict[str, str]
    folder: Path

    def amends(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "amends", "--config", str(self.config), *words],
            env=self.env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ledger(self) -> Ledger:
        key = keys.parse(self.env["AMENDS_LEDGER_KEY"], where=keys.Problem("", "", ""))
        return Ledger.open(self.env["AMENDS_LEDGER_URL"], Vault(key))

    def sweeps_at(self, now: datetime, *, faults: str = "demo") -> dict[str, str]:
        """Move every marketplace to that time and ask for a sweep of each shop."""
        for box in self.boxes.values():
            box.control.faults(faults)
            box.control.set_clock(now)
        return {
            shop: self.api.run(self.api.deployment(f"sweep-{shop}")["id"], now=now.isoformat())
            for shop in SHOPS
        }

    def ended(self, runs: list[str], seconds: float = 300) -> dict[str, tuple[str, str, str]]:
        """Their states once all have ended."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        def look() -> dict[str, tuple[str, str, str]]:
            states = self.api.states(runs)
            return states if {state[0] for state in states.values()} <= set(final) else {}

        return wait_for(look, seconds=seconds)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        base = tmp_path / "config/base"
        base.mkdir(parents=True)
        boxes = {
            shop: stack.enter_context(launch(tmp_path / shop, seed=number, orders=30, days=3))
            for number, shop in enumerate(SHOPS, 1)
        }
        head, tail = CONFIG.split("[playbooks.demo]")
        text = "".join(
            head.replace("demo-shop", shop).format(url=box.url).replace("0 */6 * * *", "0 3 1 1 *")
            for shop, box in boxes.items()
        )
        (base / "amends.toml").write_text(
            text + "[playbooks.demo]" + tail.format() + LEDGER, encoding="utf-8"
        )
        cluster = stack.enter_context(Cluster({"max_connections": "200"}))
        prefect, ledger = cluster.create("prefect"), cluster.create("ledger")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        home = bare() | {"PREFECT_HOME": str(tmp_path / "home")}
        server = documented(
            "DB_VACUUM",
            PREFECT_API_DATABASE_CONNECTION_URL=prefect.replace("://", "+asyncpg://"),
            PREFECT_SERVER_API_AUTH_STRING=AUTH,
            PREFECT_SERVER_ENCRYPTION_KEY=Fernet.generate_key().decode(),
        )
        url = f"http://127.0.0.1:{port}/api"
        worker = documented(
            "AMENDS_LEDGER_URL",
            PREFECT_API_URL=url,
            PREFECT_API_AUTH_STRING=AUTH,
            AMENDS_LEDGER_URL=ledger,
            AMENDS_LEDGER_KEY=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )
        log = tmp_path / "server.log"
        running = stack.enter_context(
            process(log, home | server, "server", "start", "--host", "127.0.0.1", "--port", port)
        )
        api = Api(url, AUTH)

        def answers() -> bool:
            assert running.poll() is None, log.read_text()
            return api.ready()

        wait_for(answers, seconds=300)
        env = home | worker | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
        yield House(api, tmp_path / "config", boxes, env, tmp_path)


def test_a_worker_dies_in_mid_sweep_and_all_ends_with_nothing_twice(house: House) -> None:
    with ExitStack() as stack:
        house.api.post("/work_pools/", {"name": POOL, "type": "process"})
        said = house.amends("up", "--work-pool", POOL)
        assert f"prefect worker start --pool {POOL}" in said
        assert _check(house) == {"same"}
        deployed = house.api.deployment("sweep-east")
        assert (deployed["work_pool_name"], deployed["entrypoint"]) == (POOL, "amends.workflows.sweep.sweep")
        assert deployed["parameters"] == {"shop": "east"}
        assert deployed["job_variables"]["env"] == {"AMENDS_CONFIG": str(house.config)}
        _locked_out(house)
        _pulse(house)

        elsewhere = house.folder / "elsewhere"  # a worker is started anywhere
        elsewhere.mkdir()
        workers = [
            stack.enter_context(
                process(
                    elsewhere / f"{name}.log", house.env, "worker", "start", "--pool", POOL, "--name", name
                )
            )
            for name in ("one", "two")
        ]
        start = house.boxes["east"].control.clock()
        left: dict[str, str] = {}
        survivor = workers[0]
        for number in range(ROUNDS):
            now = start + EVERY * number
            if number == ROUNDS // 2:
                left, survivor = _killed(house, workers, now)
            else:
                runs = house.sweeps_at(now)
                states = house.ended(list(runs.values()))
                assert {state[:2] for state in states.values()} == {("COMPLETED", "Completed")}, states
            _people(house, now)
        assert survivor.poll() is None
        states = house.ended(list(left.values()), seconds=240)
        assert {state[0] for state in states.values()} == {"CRASHED"}, states

    # The rest of the story without Prefect, to see every case end.
    for number in range(ROUNDS, ROUNDS + 14):
        now = start + EVERY * number
        for box in house.boxes.values():
            box.control.set_clock(now)
        house.amends("sweep", "--local", "--now", now.isoformat())
        _people(house, now)
    cut = 0
    for shop, box in house.boxes.items():
        ledger = house.ledger()
        found = ledger.do(judge.gather, shop)
        open_ = [case for case in found.snapshots.values() if case.outcome is None]
        unfinished = ledger.do(_unfinished, shop)
        ledger.close()
        journal = box.control.journal()
        assert len(journal) > 10 and found.snapshots, "there was work to do"
        assert duplicates(journal) == []
        assert judge.lost(found, journal, now) == []
        assert found.chains.broken == 0
        assert len(open_) < len(found.snapshots) / 4, "most cases have ended by now"
        assert unfinished[0] == 0, "nobody holds a case any more"
        cut += unfinished[1]
    assert 1 <= cut <= len(left), "what the dead worker had begun, and nothing else"


def _killed(
    house: House, workers: list["subprocess.Popen[bytes]"], now: datetime
) -> tuple[dict[str, str], "subprocess.Popen[bytes]"]:
    """Sweep slowly, and kill a worker with all its runs once it holds cases; its runs, and the other worker."""
    runs = house.sweeps_at(now, faults="latency=1s")
    ledger = house.ledger()

    def at_work() -> "subprocess.Popen[bytes] | None":
        holders = {int(owner.split(":")[1]) for owner in ledger.do(_owners)}
        return next((worker for worker in workers if holders & tree(worker.pid)), None)

    victim = wait_for(at_work, seconds=120)
    kill(victim)
    for box in house.boxes.values():
        box.control.faults("demo")
    assert ledger.do(_owners), "it died with cases in its hands"
    ledger.close()
    (survivor,) = [worker for worker in workers if worker is not victim]

    def rest() -> dict[str, tuple[str, str, str]]:
        """The states of all runs, once those of the other worker have ended and the dead one's are left."""
        ledger = house.ledger()
        busy = any(int(owner.split(":")[1]) in tree(survivor.pid) for owner in ledger.do(_owners))
        ledger.close()
        if busy or len(tree(survivor.pid)) > 2:
            return {}
        states = house.api.states(list(runs.values()))  # now that the survivor's have told theirs
        done = all(state[0] in ("COMPLETED", "RUNNING", "PENDING") for state in states.values())
        return states if done else {}

    states = wait_for(rest, seconds=240)
    left = {shop: run for shop, run in runs.items() if states[run][0] == "RUNNING"}
    assert left, "the dead worker's sweep did not end"
    # The same virtual time again: what was cut off is taken up by the worker that is left.
    again = house.sweeps_at(now)
    ended = house.ended(list(again.values()))
    assert {state[:2] for state in ended.values()} == {("COMPLETED", "Completed")}, ended
    return left, survivor


def _locked_out(house: House) -> None:
    """With a wrong password nothing is deployed, and one is told why."""
    done = subprocess.run(
        [sys.executable, "-m", "amends", "--config", str(house.config), "up", "--work-pool", POOL],
        env=house.env | {"PREFECT_API_AUTH_STRING": "amends:wrong-0017"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "does not let us in (HTTP 401)" in done.stderr and "PREFECT_API_AUTH_STRING" in done.stderr
    assert "wrong-0017" not in done.stderr and "Traceback" not in done.stderr


def _pulse(house: House) -> None:
    """The automations, with less patience than a merchant's."""
    code = (
        "import asyncio, sys; from datetime import timedelta; from amends.settings import Settings\n"
        "from amends.workflows.automations import apply\n"
        "print(asyncio.run(apply(Settings.load(sys.argv[1]), pulse=timedelta(seconds=75))))"
    )
    command = [sys.executable, "-c", code, str(house.config)]
    done = subprocess.run(command, env=house.env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def _people(house: House, now: datetime) -> None:
    ledger = house.ledger()
    for shop, box in house.boxes.items():
        Operator(ledger, box.control, shop).work(now)
    ledger.close()


def _check(house: House) -> set[str]:
    found = json.loads(house.amends("up", "--check", "--work-pool", POOL, "--json"))["deployments"]
    assert len(found) == 2 * len(SHOPS) + 2
    return {one["state"] for one in found}


def _owners(tx: Tx) -> list[str]:
    return [
        str(row[0]) for row in tx.execute(select(cases.c.lease_owner).where(cases.c.lease_owner.is_not(None)))
    ]


def _unfinished(tx: Tx, shop: str) -> tuple[int, int]:
    """Cases that somebody holds, and sweeps that never ended."""
    held = tx.execute(select(cases.c.id).where(cases.c.shop == shop, cases.c.lease_owner.is_not(None))).all()
    cut = tx.execute(select(sweeps.c.id).where(sweeps.c.shop == shop, sweeps.c.ended_at.is_(None))).all()
    return len(held), len(cut)
