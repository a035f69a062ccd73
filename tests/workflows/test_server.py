"""Prefect's server as amends starts it: apart from the user's, loud when it fails, gone when its parent is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflows.world import wait_for

from amends.errors import AmendsError
from amends.workflows.server import PrefectServer, environment


def test_a_childs_environment_knows_this_server_only(tmp_path: Path) -> None:
    users = {"PREFECT_API_KEY": "k", "PREFECT_PROFILE": "work", "HOME": "/home/kim", "NO_PROXY": "intranet"}
    found = environment("http://127.0.0.1:1/api", tmp_path, users)
    assert found["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert found["PREFECT_HOME"] == str(tmp_path)
    assert {"PREFECT_API_KEY", "PREFECT_PROFILE"} & set(found) == set()
    assert found["HOME"] == "/home/kim"
    assert found["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert found["DO_NOT_TRACK"] == "1"


def test_this_process_gets_its_environment_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_RUNNER_POLL_FREQUENCY", "7")
    before = dict(os.environ)
    server = PrefectServer(tmp_path)
    server.url = "http://127.0.0.1:1/api"
    server.use()
    server.use()
    os.environ["ANOTHER"] = "set meanwhile"
    assert os.environ["PREFECT_API_URL"] == server.url
    assert os.environ["PREFECT_RUNNER_POLL_FREQUENCY"] == "1"
    server.__exit__(None, None, None)
    assert os.environ.pop("ANOTHER") == "set meanwhile"
    assert dict(os.environ) == before


@pytest.mark.prefect
def test_a_server_that_dies_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"no database at all, but long enough to be taken for one" * 99)
    said: list[str] = []
    with pytest.raises(AmendsError, match=r"(?s)ended before it answered:.*not a database"):
        PrefectServer(tmp_path, report=said.append, ui=False).start()
    assert said[0] == "Prefect's server is starting (0 s)…"
    assert "Prefect's server is starting (1 s)…" in said


@pytest.mark.prefect
def test_a_server_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    server = PrefectServer(tmp_path, ui=False, limit=0.2)
    with pytest.raises(AmendsError, match="did not answer within 0 s"):
        server.start()
    assert server.pid is None


@pytest.mark.prefect
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc")
def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from amends.workflows.server import PrefectServer\n"
        "server = PrefectServer(Path(sys.argv[1]), ui=False); server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), seconds=30)
