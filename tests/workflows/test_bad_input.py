"""What is wrong in config or in a run's form: one clear message, and nothing half deployed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.workflows.world import ask

from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect

SHOPS = """
[shops.aaa]
connector = "sandbox"
time_zone = "Asia/Shanghai"

[shops.bad]
connector = "sandbox"
time_zone = "{zone}"
schedule = "{cron}"
{more}
"""


def up(server: PrefectServer, folder: Path, *words: str, **values: str) -> subprocess.CompletedProcess[str]:
    """`amends up --work-pool hands` with such a shop beside one that is right."""
    values = {"zone": "Asia/Shanghai", "cron": "*/10 * * * *", "more": "", **values}
    (folder / "amends.toml").write_text(SHOPS.format(**values))
    return subprocess.run(
        [sys.executable, "-m", "amends", "--config", str(folder / "amends.toml"), "up", *words],
        env=server.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def deployed(server: PrefectServer) -> list[Any]:
    body = {"deployments": {"name": {"any_": ["sweep-aaa", "sweep-bad"]}}}
    found: list[Any] = ask(server, "/deployments/filter", body)
    return found


@pytest.fixture(scope="module")
def pool(server: PrefectServer) -> str:
    body = {"name": "late-orders", "type": "process"}
    made = httpx.post(f"{server.url}/work_pools/", json=body, timeout=60, trust_env=False)
    assert made.status_code == 201, made.text
    return "late-orders"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cron": "61 * * * *"}, "is no minute of a schedule"),
        ({"cron": "* * *"}, "has 3 fields; a schedule has five"),
        ({"zone": "Asia/Shangai"}, "Asia/Shangai"),
        ({"more": "shedule = '* * * * *'"}, "shedule"),
    ],
)
def test_a_wrong_shop_deploys_nothing_at_all(
    server: PrefectServer, pool: str, tmp_path: Path, values: dict[str, str], told: str
) -> None:
    done = up(server, tmp_path, "--work-pool", pool, **values)
    assert done.returncode == 1
    assert told in done.stderr and "shops.bad" in done.stderr and "amends.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert deployed(server) == []


def test_an_unknown_pool_deploys_nothing_at_all(server: PrefectServer, tmp_path: Path) -> None:
    done = up(server, tmp_path, "--work-pool", "nobodys")
    assert done.returncode == 1
    assert "knows no work pool 'nobodys'" in done.stderr
    assert "prefect work-pool create nobodys" in done.stderr
    assert deployed(server) == []


def test_a_server_that_is_not_there_is_told_at_once(server: PrefectServer, tmp_path: Path) -> None:
    (tmp_path / "amends.toml").write_text(SHOPS.format(zone="UTC", cron="* * * * *", more=""))
    for words in (["up"], ["up", "--check"], ["up", "--work-pool", "hands"], ["automations", "apply"]):
        done = subprocess.run(
            [sys.executable, "-m", "amends", "--config", str(tmp_path / "amends.toml"), *words],
            env=server.environment() | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stdout
        assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr
        assert "Traceback" not in done.stderr


def ask_run(server: PrefectServer, deployment: str, parameters: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        f"{server.url}/deployments/{deployment}/create_flow_run",
        json={"parameters": parameters}, timeout=60, trust_env=False,
    )  # fmt: skip


def test_a_run_with_wrong_parameters_is_refused(server: PrefectServer, pool: str, tmp_path: Path) -> None:
    done = up(server, tmp_path, "--work-pool", pool)
    assert done.returncode == 0, done.stderr
    (sweep,) = [one for one in deployed(server) if one["name"] == "sweep-aaa"]
    before = len(ask(server, "/flow_runs/filter"))
    for parameters in ({"shop": 7}, {"shop": None}, {"config": []}, {"shopp": "aaa"}):
        answer = ask_run(server, sweep["id"], parameters)
        assert answer.status_code == 409, (parameters, answer.text)
        assert "Validation failed" in answer.text and next(iter(parameters)) in answer.text
    assert len(ask(server, "/flow_runs/filter")) == before
