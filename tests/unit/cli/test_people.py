"""People's work: tasks, answers, approvals, holds; each with a name on it, each once."""

import csv
import io
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.cli.merchants import LATER, Merchant

from amends.cli.tasks import safe

CODE = ("--code", "green-tea-7")
NEXT = "2026-03-10T12:10+08:00"


@pytest.fixture
def approver(swept: Merchant) -> Merchant:
    local = swept.folder / "config/local"
    local.mkdir()
    (local / "lin.txt").write_text("green-tea-7\n")
    (local / "people.toml").write_text('[approvers.lin]\ncode = { file = "local/lin.txt" }\n[approvers.mo]\n')
    return swept


def list_id(merchant: Merchant) -> str:
    found = merchant("approvals", "--now", LATER, "--json").json["lists"]
    assert [item["number"] for item in found[0]["items"]] == ["L-1"]
    return str(found[0]["id"])


def test_tasks_as_csv_hold_no_formula(swept: Merchant) -> None:
    rows = list(csv.DictReader(io.StringIO(swept("tasks", "--csv").out)))
    assert [row["order"] for row in rows] == ["L-2", "'=R-3"]
    assert rows[0]["due_at"] == "2026-03-11 12:00"
    assert rows[0]["kind"] == "message"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1"])
def test_cells_that_would_act_are_quoted(cell: str) -> None:
    assert safe(cell) == f"'{cell}"


def test_other_cells_are_left_alone() -> None:
    assert [safe(value) for value in (None, 12, "a=b", "订单")] == ["", "12", "a=b", "订单"]


def test_a_task_is_ready_to_paste(swept: Merchant) -> None:
    answer = swept("task", "show", "1")
    assert "Your order L-2 is late" in answer.out
    assert "amends task done 1 --outcome done|not-done" in answer.out
    told = swept("task", "show", "1", "--json").json
    assert (told["order"], told["kind"], told["choices"]) == ("L-2", "message", ["done", "not-done"])
    assert told["text"] in answer.out  # unbroken, as it is pasted


def test_a_task_is_done_once_and_keeps_its_file(swept: Merchant, tmp_path: Path) -> None:
    proof = tmp_path / "proof.png"
    proof.write_bytes(b"\x89PNG")
    words = [
        "task",
        "done",
        "1",
        "--outcome",
        "done",
        "--note",
        "no 47",
        "--file",
        str(proof),
        "--by",
        "mei",
        "--now",
        NEXT,
    ]
    told = swept(*words, "--json").json
    assert [fact["kind"] for fact in told["facts"]] == ["task-done", "contacted"]
    assert (told["by"], told["files"]) == ("mei", ["proof.png"])
    again = swept(*words)
    assert again.code == 1
    assert "already done by mei" in again.err
    assert [one["task"] for one in swept("tasks", "--json").json["tasks"]] == [2]


def test_by_is_the_environments_then_the_login_name(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_BY", "kim")
    assert swept("task", "done", "1", "--outcome", "done", "--json").json["by"] == "kim"
    monkeypatch.delenv("AMENDS_BY")
    monkeypatch.setenv("LOGNAME", "sam")
    assert swept("task", "done", "2", "--outcome", "done", "--json").json["by"] == "sam"


def test_an_answer_by_telephone(swept: Merchant) -> None:
    swept("task", "done", "1", "--outcome", "done", "--now", NEXT)
    words = [
        "reply",
        "L-2",
        "counter",
        "--ship-by",
        "2026-03-12",
        "--remedy",
        "coupon 5 CNY",
        "--by",
        "mei",
        "--now",
        NEXT,
    ]
    answer = swept(*words)
    assert "customer: counter, by 2026-03-12, wants coupon 5.00 CNY" in answer.out
    again = swept(*words)
    assert again.code == 1
    assert "already answered" in again.err
    fact = swept("case", "L-2", "--json").json["timeline"][-1]
    assert (fact["kind"], fact["actor"]) == ("replied", "mei")


def test_only_an_approver_approves(approver: Merchant) -> None:
    id_ = list_id(approver)
    refused = approver("approve", id_, "--by", "mallory", "--now", LATER)
    assert refused.code == 1
    assert "mallory is not an approver; config names: lin" in refused.err
    wrong = approver("approve", id_, "--as", "lin", "--code", "black-tea-7", "--now", LATER)
    assert wrong.code == 1
    assert f"that is not lin's code for list {id_}; 4 more tries" in wrong.err
    without = approver("approve", id_, "--as", "lin", "--now", LATER)
    assert without.code == 1
    assert f"lin must give a code for list {id_}" in without.err
    nameless = approver("approve", id_, "--as", "mo", "--code", "1", "--now", LATER)
    assert nameless.code == 1
    assert "mo has neither a channel nor a code in config" in nameless.err
    assert list_id(approver) == id_, "nothing of this decided anything"
    told = approver("approve", id_, "--as", "lin", "--code", "green-tea-7", "--now", LATER, "--json").json
    assert told["decision"] == {"approved": 1, "refused": 0, "half": 0, "stale": 0}
    assert approver("approvals", "--now", LATER).out == "Nothing waits for approval.\n"
    assert approver("sweep", "--local", "--now", LATER).code == 0
    assert "L-1" in approver("tasks").out


@pytest.fixture
def door() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A port where notices arrive, and what has arrived."""
    told: list[dict[str, str]] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], told
    server.shutdown()
    server.server_close()


def test_codes_come_through_the_channel(approver: Merchant, door: tuple[int, list[dict[str, str]]]) -> None:
    port, told = door
    people = approver.folder / "config/local/people.toml"
    people.write_text(f'[approvers.lin]\nchannel = "apprise"\nto = "json://127.0.0.1:{port}/made-up-0017"\n')
    assert approver("sweep", "--local", "--now", LATER).code == 0
    id_ = list_id(approver)
    assert [one["title"] for one in told] == [f"Approval wanted: {id_}"]
    assert f"amends approve {id_} --as lin --code " in told[0]["message"]
    answer = approver("approve", id_, "--as", "lin", "--now", LATER)
    assert answer.code == 0
    assert answer.out.startswith("A code was sent to lin by apprise; nothing is decided yet.")
    assert [one["title"] for one in told[1:]] == [f"Your code for {id_}"]
    first, second = (one["message"].rpartition(" ")[2] for one in told)
    words = ["approve", id_, "--as", "lin", "--now", LATER, "--json", "--code"]
    old = approver(*words, first)
    assert old.code == 1 and "that is not lin's code" in old.err
    assert approver(*words, second).json["decision"]["approved"] == 1
    again = approver(*words, second)
    assert again.code == 1 and f"list {id_} is already decided" in again.err
    shown = approver("approvals", "--all", "--now", LATER).out
    assert "told: lin asked 2026-03-10 12:05, code 2026-03-10 12:05" in shown
    assert [line["kind"] for line in approver("approvals", "--all", "--json").json["told"][id_]] == [
        "asked",
        "code",
    ]
    assert len(told) == 2


def test_an_exception_is_refused(approver: Merchant) -> None:
    answer = approver("approve", list_id(approver), "--as", "lin", *CODE, "--except", "L-1", "--now", LATER)
    assert "1 refused" in answer.out


def test_a_list_is_rejected_whole(approver: Merchant) -> None:
    words = ["reject", list_id(approver), "--by", "lin", *CODE, "--why", "no", "--now", LATER]
    assert "1 refused" in approver(*words).out


def test_an_expired_list_cannot_be_approved(approver: Merchant) -> None:
    answer = approver("approve", list_id(approver), "--by", "lin", *CODE, "--now", "2026-04-01")
    assert answer.code == 1
    assert "expired" in answer.err


def test_hold_and_release(swept: Merchant) -> None:
    assert (
        "shop corner, step settle is held: stock"
        in swept("hold", "--shop", "corner", "--step", "settle", "--why", "stock").out
    )
    assert swept("hold", "--case", "L-2", "--why", "wait", "--by", "mei", "--now", NEXT).code == 0
    assert "held by mei: wait" in swept("case", "L-2", "--now", NEXT).out
    assert "step settle is held" in swept("doctor").out
    released = swept("release", "--case", "L-2", "--by", "mei", "--now", NEXT, "--json").json
    assert (released["released"], released["count"], len(released["left"])) == ("case 2", 1, 1)
    assert swept("release", "--shop", "corner", "--step", "settle").code == 0
    assert swept("release", "--shop", "corner", "--step", "settle").code == 1


def test_everything_can_be_held(swept: Merchant) -> None:
    assert swept("hold", "--all", "--why", "fire").out == "everything is held: fire\n"
    assert "everything is held by" in swept("case", "L-1").out


def tamper(merchant: Merchant, statement: str) -> None:
    with sqlite3.connect(merchant.folder / "state/amends.db") as ledger:
        ledger.execute(statement)


def test_evidence_holds(swept: Merchant) -> None:
    found = swept("evidence", "verify", "--json").json
    assert (found["chains"], found["verified"], found["broken"], found["breaks"]) == (3, 3, 0, [])
    assert "1 chain," in swept("evidence", "verify", "L-1").out


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "update facts set body = replace(body, '120.00', '1.00') where case_id = 1 and seq = 2",
            "case 1, fact 2",
        ),
        ("delete from facts where case_id = 2 and seq = 4", "case 2, fact 3: cut after fact 3"),
    ],
)
def test_broken_evidence_names_case_and_fact(swept: Merchant, statement: str, told: str) -> None:
    tamper(swept, statement)
    answer = swept("evidence", "verify")
    assert answer.code == 1
    assert told in answer.out
    found = swept("evidence", "verify", "--json")
    assert (found.code, found.json["broken"]) == (1, 1)


def test_a_dossier_is_private_and_repeatable(swept: Merchant, tmp_path: Path) -> None:
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    told = swept("dossier", "L-2", "-o", str(first), "--json").json
    assert (told["verified"], told["file"]) == (True, str(first))
    assert first.stat().st_mode & 0o077 == 0
    assert swept("dossier", "2", "-o", str(second)).code == 0
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_erased_values_are_gone_and_the_chain_holds(merchant: Merchant) -> None:
    host = merchant.folder / "config/base/host.toml"
    host.write_text(host.read_text().replace("approve", 'shipped_late = "close"\napprove', 1))
    late = "C-6,30.00,2026-03-06 09:00,2026-03-08 09:00,2026-03-08 12:00\n"
    merchant.export.write_text(merchant.export.read_text() + late)
    at = datetime.fromisoformat(LATER).timestamp()
    os.utime(merchant.export, (at, at))
    assert merchant("sweep", "--local", "--now", LATER, "--json").json["shops"][0]["closed"] == 1
    id_ = merchant("case", "C-6", "--json").json["case"]
    erased = merchant("erase", "C-6", "--yes", "--by", "mei", "--json").json
    assert erased == {"case": id_, "erased": True, "by": "mei"}
    assert "personal values erased" in merchant("case", "C-6").out
    assert merchant("evidence", "verify").code == 0
    assert "C-6" not in merchant("overdue", "--now", LATER).out
    assert "none: shipped" in merchant("overdue", "--now", LATER, "--all").out
