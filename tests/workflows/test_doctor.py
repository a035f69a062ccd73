"""What `amends doctor` sees on a real server: deployments missing, paused, late, a pool without workers, and all well."""

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.workflows.test_up import long_ago
from tests.workflows.world import ask, wait_for

from amends.cli.findings import Finding
from amends.cli.health_prefect import examine_prefect
from amends.settings import Settings
from amends.workflows import up
from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect
SHOP = '[shops.harbour]\nconnector = "sandbox"\ntime_zone = "Asia/Shanghai"\nschedule = "* * * * *"\n'


def look(settings: Settings) -> dict[str, Finding]:
    return {f"{one.about}/{one.what.partition(':')[0]}": one for one in examine_prefect(settings, (3, 8, 8))}


def test_schedules(server: PrefectServer, tmp_path: Path) -> None:
    (tmp_path / "amends.toml").write_text(SHOP)
    settings = Settings.load(tmp_path / "amends.toml")
    found = look(settings)
    assert found["clock of Prefect/agrees with this machine's"].level == "ok"
    missing = found["schedules/not deployed"]
    assert missing.level == "warning"
    assert "sweep/sweep-harbour" in missing.what and "report/report-harbour" in missing.what
    assert "amends up" in missing.todo

    made = httpx.post(
        f"{server.url}/work_pools/", json={"name": "quay", "type": "process"}, timeout=60, trust_env=False
    )
    assert made.status_code == 201, made.text
    asyncio.run(up.deploy_to(settings, "quay"))
    found = look(settings)
    assert "schedules/not deployed" not in found
    (nobody,) = [one for one in found.values() if one.about == "workers"]
    assert nobody.level == "error" and "prefect worker start --pool quay" in nobody.todo

    body = {"name": "hand", "heartbeat_interval_seconds": 300}
    beat = httpx.post(
        f"{server.url}/work_pools/quay/workers/heartbeat", json=body, timeout=60, trust_env=False
    )
    assert beat.status_code == 204, beat.text
    found = look(settings)
    assert not [one for one in found.values() if one.level in ("warning", "error")], found
    assert any(one.what == "4 deployments, none paused or late" for one in found.values())

    wait_for(lambda: long_ago(server.home / "prefect.db", "harbour", minutes=10), seconds=120)
    late = look(settings)["schedules/runs that nobody starts"]
    assert late.level == "warning" and "sweep/sweep-harbour" in late.what

    (deployed,) = ask(server, "/deployments/filter", {"deployments": {"name": {"any_": ["sweep-harbour"]}}})
    httpx.patch(
        f"{server.url}/deployments/{deployed['id']}", json={"paused": True}, timeout=60, trust_env=False
    )
    paused = look(settings)["schedules/paused"]
    assert paused.level == "warning" and paused.what == "paused: sweep/sweep-harbour"
