"""The approve flow on a real server: one suspended run per list, a form that decides nothing by itself, codes, two people."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.workflows.test_serve import SERVE
from tests.workflows.world import artifacts, ask, wait_for

from amends.cases import facts as f
from amends.ledger import approvals, chain, tasks
from amends.settings import Settings
from amends.steps.decide_list import Word, decide_list
from amends.steps.shop import open_ledger
from amends.workflows import approve_form as form_
from amends.workflows.approve_runs import Decided
from amends.workflows.server import PrefectServer
from amends.workflows.sweep import sweep

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
ORDERS = """\
number,amount,ordered,ship_by,shipped
{0}-1,120.00,2026-03-06 09:00,2026-03-08 09:00,
{0}-2,150.00,2026-03-06 10:00,2026-03-09 10:00,
{0}-3,900.00,2026-03-06 10:00,2026-03-09 10:00,
"""
MAPPING = """\
date_formats = ["%Y-%m-%d %H:%M"]
time_zone = "Asia/Shanghai"
currency = "CNY"
platform = "pdd"
[columns]
number = "number"
amount = "amount"
placed_at = "ordered"
ship_by = "ship_by"
shipped_at = "shipped"
"""
CONFIG = """\
[playbooks.standard]
approve = {{ remedy_over = "2 CNY", two_people_over = "10 CNY", within = "24h" }}

[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", percent = 2 }}

[approvals]
remind_after = "2h"

[approvers.lin]
channel = "apprise"
to = "json://127.0.0.1:{port}/made-up-token-0017"

[approvers.wang]
code = {{ file = "{folder}/wang.txt" }}

[approvers.zhao]
code = {{ file = "{folder}/zhao.txt" }}
"""
SHOP = """\
[shops.{name}]
connector = "spreadsheet"
rules = "pdd"
time_zone = "Asia/Shanghai"
schedule = "0 3 1 1 *"
[shops.{name}.connector_config]
path = "{folder}/{name}.csv"
mapping = "{folder}/mapping.toml"
"""
SHOPS = ("east", "west", "north")


@dataclass
class Office:
    """A merchant of three shops, whose approver lin is told by HTTP."""

    folder: Path
    notices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> str:
        return str(self.folder / "config")

    @property
    def settings(self) -> Settings:
        return Settings.load(self.config)

    def code(self, list_id: str) -> str:
        """The newest code that reached lin for that list."""
        told = [one for one in self.notices if list_id in one["title"]]
        (found,) = re.findall(r"good once: (\d{4} \d{4})", told[-1]["message"])
        return str(found)

    def do(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        ledger = open_ledger(self.settings)
        try:
            return ledger.do(work, *args, **kwargs)
        finally:
            ledger.close()

    async def say(self, shop: str, word: Word) -> approvals.Decision:
        """Decide the shop's list, as `amends approve` and `reject` do."""
        ledger = open_ledger(self.settings)
        try:
            return await decide_list(self.settings, ledger, self.lists(shop)[0].id, word, NOW)
        finally:
            ledger.close()

    def lists(self, shop: str) -> list[approvals.Listing]:
        found: list[approvals.Listing] = self.do(approvals.listing, shop=shop)
        return found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    base = folder / "config/base"
    base.mkdir(parents=True)
    made = Office(folder)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    (folder / "wang.txt").write_text("green-tea-7")
    (folder / "zhao.txt").write_text("black-tea-8")
    (folder / "mapping.toml").write_text(MAPPING)
    for shop in SHOPS:
        file = folder / f"{shop}.csv"
        file.write_text(ORDERS.format(shop[0].upper()))
        os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    text = CONFIG.format(port=door.server_address[1], folder=folder)
    text += "".join(SHOP.format(name=shop, folder=folder) for shop in SHOPS)
    (base / "amends.toml").write_text(text, encoding="utf-8")
    yield made
    door.shutdown()


@pytest.fixture(scope="module")
def served(server: PrefectServer, office: Office) -> Iterator[Path]:
    """The deployments, served by a process of its own; gives its log."""
    log = office.folder / "serve.log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", SERVE, office.config]
        process = subprocess.Popen(
            command, cwd=office.folder, env=server.environment(), stdout=out, stderr=out
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


def is_served(server: PrefectServer, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-2000:]
    return bool(ask(server, "/deployments/filter", {"deployments": {"name": {"any_": ["approve"]}}}))


def runs_of(server: PrefectServer, list_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(
        server, "/flow_runs/filter", {"flow_runs": {"name": {"any_": [f"approve-{list_id}"]}}}
    )
    return found


def suspended(server: PrefectServer, list_id: str, round_: int) -> dict[str, Any] | None:
    """The list's run, once it waits for the answer of that round and its form is there."""
    for run in runs_of(server, list_id):
        assert run["state"]["type"] not in ("FAILED", "CRASHED"), run["state"]
        if run["state"]["name"] == "Suspended" and run_input(server, run["id"], f"ask-{round_}-description"):
            return run
    return None


def run_input(server: PrefectServer, run: str, key: str) -> Any:
    answer = httpx.get(f"{server.url}/flow_runs/{run}/input/suspended-{key}", timeout=60, trust_env=False)
    return answer.json() if answer.status_code == 200 else None


def resume(server: PrefectServer, run: str, **answer: Any) -> dict[str, Any]:
    """What Prefect's UI sends when one clicks Resume."""
    body = {"run_input": answer} if answer else {}
    url = f"{server.url}/flow_runs/{run}/resume"

    def answered() -> (
        httpx.Response | None
    ):  # SQLite refuses a transaction that another one overtook: try again
        got = httpx.post(url, json=body, timeout=60, trust_env=False)
        return got if got.status_code != 503 else None

    found: dict[str, Any] = wait_for(answered).json()
    return found


def ended(server: PrefectServer, run: str) -> dict[str, Any] | None:
    got = httpx.get(f"{server.url}/flow_runs/{run}", timeout=60, trust_env=False).json()
    found: dict[str, Any] = got["state"]
    return found if found["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None


@pytest.mark.prefect
async def test_a_list_is_asked_until_an_answer_holds(
    server: PrefectServer, office: Office, served: Path
) -> None:
    await sweep(shop="east", config=office.config, now=NOW)
    (listing,) = office.lists("east")
    assert [item.people for item in listing.items] == [1, 1, 2]
    first = wait_for(lambda: suspended(server, listing.id, 1), seconds=300)
    assert first["parent_task_run_id"] is None
    assert first["parameters"]["list_id"] == listing.id

    form = run_input(server, first["id"], "ask-1-schema")
    assert set(form["required"]) == {"decision", "approver"}
    assert "default" not in form["properties"]["decision"]
    assert form["properties"]["decision"]["enum"] == [form_.YES, form_.BUT, form_.NO]
    assert form["properties"]["approver"]["enum"] == ["lin", "wang", "zhao"]
    shown = run_input(server, first["id"], "ask-1-description")
    assert "3 acts · 23.40 CNY · until 2026-03-11 12:00 (Asia/Shanghai)" in shown
    assert "order E-1 · **2.40 CNY** · contact-customer:1 · " in shown
    assert len(json.loads(artifacts(server)[f"approval-{listing.id}"]["data"])) == 3

    assert resume(server, first["id"])["status"] == "REJECT"  # nothing is decided by clicking through
    assert resume(server, first["id"], decision="yes please", approver="lin")["status"] == "REJECT"
    await sweep(shop="east", config=office.config, now=NOW + timedelta(minutes=1))
    assert len(runs_of(server, listing.id)) == 1

    def told(round_: int) -> str:
        """What the form of that round says, once it is there."""
        wait_for(lambda: suspended(server, listing.id, round_), seconds=240)
        return str(run_input(server, first["id"], f"ask-{round_}-description"))

    assert resume(server, first["id"], decision=form_.YES, approver="mallory", code="1")["status"] == "REJECT"
    taken = resume(server, first["id"], decision=form_.YES, approver="lin", code="1")
    assert taken["status"] == "ACCEPT", taken
    assert f"that is not lin's code for list {listing.id}; 4 more tries" in told(2)
    old = office.code(listing.id)
    resume(server, first["id"], decision=form_.BUT, approver="lin", code=old, exceptions="E-2, 4711")
    assert "there is no case '4711'" in told(3)
    resume(server, first["id"], decision=form_.YES, approver="lin")
    assert "a code has been sent to lin by apprise; only the newest counts" in told(4)
    code = office.code(listing.id)
    assert code != old
    resume(server, first["id"], decision=form_.YES, approver="lin", code=old)
    assert "that is not lin's code" in told(5)
    assert not any(item.decided_by for item in office.lists("east")[0].items), "an answer counts whole or not"

    resume(
        server, first["id"], decision=form_.BUT, approver="lin", code=code, exceptions="E-2", note="too much"
    )
    assert "lin said yes already" in told(6)
    assert [item.decision for item in office.lists("east")[0].items] == ["approved", "refused", None]
    enum = run_input(server, first["id"], "ask-6-schema")["properties"]["approver"]["enum"]
    assert enum == ["wang", "zhao"]
    sent = [one["title"] for one in office.notices if listing.id in one["title"]]
    assert sent == [f"Approval wanted: {listing.id}", f"Your code for {listing.id}"]
    assert any(f"/flow-run/{first['id']}" in one["message"] for one in office.notices), "where it is decided"

    resume(server, first["id"], decision=form_.YES, approver="wang", code="green-tea-7")
    state = wait_for(lambda: ended(server, first["id"]), seconds=240)
    assert (state["type"], state["name"]) == ("COMPLETED", "Partly approved"), state
    assert "2 approved, 1 refused, by lin, wang" in state["message"]
    for round_ in range(1, 7):
        assert run_input(server, first["id"], f"ask-{round_}-response") is None, (
            "codes do not stay in Prefect"
        )
    for item in listing.items:
        facts = office.do(chain.load, [item.case])[item.case]
        said = [
            (fact.body.kind, fact.actor)
            for fact in facts
            if isinstance(fact.body, f.Approved | f.ApprovalRefused)
        ]
        assert (
            said
            == {
                "E-1": [("approved", "lin")],
                "E-2": [("approval-refused", "lin")],
                "E-3": [("approved", "lin"), ("approved", "wang")],
            }[item.number]
        )

    await sweep(shop="east", config=office.config, now=NOW + timedelta(minutes=2))
    open_ = office.do(tasks.listing, shop="east")
    to_tell = {task.number for task in open_ if task.kind.startswith("message")}
    assert {"E-1", "E-3"} <= to_tell, "the cases moved on"


@pytest.mark.parametrize(
    ("state", "counts", "name", "told"),
    [
        ("held", (0, 0, 0), "Held", "c-1: nobody decided in time; its cases are held until `amends release`"),
        (
            "expired",
            (0, 0, 0),
            "Expired",
            "c-1 expired undecided; the next sweep asks anew what is still wanted",
        ),
        ("decided", (2, 0, 0), "Approved", "c-1: 2 approved"),
        ("decided", (2, 0, 1), "Partly approved", "c-1: 2 approved, 1 changed meanwhile, asked anew"),
        ("decided", (0, 1, 0), "Rejected", "c-1: 1 refused"),
        ("decided", (0, 0, 1), "Decided", "c-1: 1 changed meanwhile, asked anew"),
    ],
)
def test_how_a_list_ended(state: str, counts: tuple[int, int, int], name: str, told: str) -> None:
    decided = Decided("c-1", state, *counts)
    assert (decided.name, decided.told()) == (name, told)


@pytest.mark.prefect
async def test_a_list_decided_elsewhere_and_one_that_expired_end_their_runs(
    server: PrefectServer, office: Office, served: Path
) -> None:
    ids = {}
    for shop in ("west", "north"):
        await sweep(shop=shop, config=office.config, now=NOW)
        (listing,) = office.lists(shop)
        ids[shop] = (
            listing.id,
            wait_for(lambda one=listing.id: suspended(server, one, 1), seconds=300)["id"],
        )
    await office.say("west", Word("wang", False, "green-tea-7"))
    await sweep(shop="west", config=office.config, now=NOW + timedelta(minutes=1))
    state = wait_for(lambda: ended(server, ids["west"][1]))
    assert (state["type"], state["name"]) == ("COMPLETED", "Rejected")
    assert state["message"] == f"{ids['west'][0]}: 3 refused, by wang"

    # Two people at once: the form's answer comes while the same list is decided on the command line.
    await office.say("north", Word("wang", True, "green-tea-7"))
    resumed = resume(server, ids["north"][1], decision=form_.NO, approver="wang", code="green-tea-7")
    assert resumed["status"] == "ACCEPT"
    wait_for(lambda: suspended(server, ids["north"][0], 2), seconds=240)
    shown = run_input(server, ids["north"][1], "ask-2-description")
    assert "wang has said yes already, or is no approver: another person must answer" in shown
    assert [item.decision for item in office.lists("north")[0].items] == ["approved", "approved", None]
    await sweep(shop="north", config=office.config, now=NOW + timedelta(hours=3))
    (again,) = [
        one for one in office.notices if one["title"] == f"Still waiting for approval: {ids['north'][0]}"
    ]
    assert f"/flow-run/{ids['north'][1]}" in again["message"]
    await sweep(shop="north", config=office.config, now=NOW + timedelta(hours=25))
    state = wait_for(lambda: ended(server, ids["north"][1]))
    assert (state["type"], state["name"]) == ("COMPLETED", "Expired")
