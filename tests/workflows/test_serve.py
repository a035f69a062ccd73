"""Deployments from config; and the smoke test: a real server, served deployments, a scheduled run that completes."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.workflows.world import World, artifacts, ask, wait_for

from amends.errors import ConfigError
from amends.settings import Settings
from amends.workflows.serve import deployment_name, deployments, serve
from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
from amends.settings import Settings
from amends.workflows.serve import serve
serve(Settings.load(sys.argv[1]))
"""
TWO_SHOPS = """
[shops.east]
connector = "sandbox"
time_zone = "Asia/Shanghai"
schedule = "*/15 8-22 * * *"

[shops.generic]
connector = "sandbox"
time_zone = "Europe/Berlin"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "amends.toml").write_text(TWO_SHOPS)
    return Settings.load(tmp_path / "amends.toml")


def test_every_shop_is_swept_by_its_own_schedule_and_clock(settings: Settings, tmp_path: Path) -> None:
    found = {one.name: one for one in deployments(settings)}
    assert set(found) == {
        "sweep-east", "sweep-generic-shop", "report-east", "report-generic-shop", "approve", "resolve-case",
    }  # fmt: skip
    east = found["sweep-east"]
    (schedule,) = east.schedules or ()
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("*/15 8-22 * * *", "Asia/Shanghai")
    assert east.parameters == {"shop": "east", "config": str(tmp_path / "amends.toml")}
    assert east.entrypoint == "amends.workflows.sweep.sweep"
    assert east.tags == ["amends", "east"]
    assert not found["resolve-case"].schedules


def test_a_served_name_is_never_one_of_prefect_yaml() -> None:
    generic = {one["name"] for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    shops = [name.partition("-")[2] for name in generic]
    assert generic & {deployment_name(shop, of) for shop in shops for of in ("sweep", "report")} == set()


def test_a_config_without_shops_is_told(tmp_path: Path) -> None:
    (tmp_path / "amends.toml").write_text("")
    with pytest.raises(ConfigError, match="no shop to sweep"):
        serve(Settings.load(tmp_path / "amends.toml"))


def test_smoke_a_scheduled_sweep_appears_and_completes(
    server: PrefectServer, world: World, tmp_path: Path
) -> None:
    # Newer fastapi answers 422 to these nulls, which `prefect deploy` sends.
    assert ask(server, "/flows/filter", {"limit": None, "offset": None}) is not None
    began = time.monotonic()
    with (tmp_path / "serve.log").open("wb") as log:
        serving = subprocess.Popen(
            [sys.executable, "-c", SERVE, world.config],
            cwd=tmp_path,
            env=server.environment(),
            stdout=log,
            stderr=log,
        )
    try:
        run = wait_for(lambda: ended_run(server, serving, tmp_path / "serve.log"), seconds=150)
    finally:
        serving.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            serving.wait(20)
        serving.kill()
        serving.wait()
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Completed"), run["state"]
    assert run["auto_scheduled"]
    assert re.fullmatch(r"sweep-demo \d{4}-\d\d-\d\d \d\d:\d\d", run["name"])
    assert run["parameters"] == {"shop": "demo", "config": world.config}
    assert "worklist-demo" in artifacts(server)
    assert time.monotonic() - began < 150
    (deployed,) = ask(server, "/deployments/filter", {"deployments": {"name": {"any_": ["sweep-demo"]}}})
    assert deployed["paused"], "who stops serving leaves no late runs behind"


def ended_run(server: PrefectServer, serving: subprocess.Popen[bytes], log: Path) -> dict[str, Any] | None:
    """The first scheduled run that has ended."""
    assert serving.poll() is None, log.read_text(errors="replace")[-2000:]
    body = {"deployments": {"name": {"any_": ["sweep-demo"]}}, "sort": "START_TIME_ASC"}
    ended = ("COMPLETED", "FAILED", "CRASHED")
    runs: list[dict[str, Any]] = ask(server, "/flow_runs/filter", body)
    return next((run for run in runs if run["state"]["type"] in ended), None)


def test_every_field_of_a_runs_form_says_what_it_is(settings: Settings) -> None:
    for deployment in deployments(settings):
        if deployment.flow_name == "approve":  # started by sweeps
            continue
        fields = deployment._parameter_openapi_schema.properties
        assert fields and all(one.get("description") for one in fields.values()), deployment.name
