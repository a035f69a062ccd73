"""The example automations: made once, changed where config changed, and fired by what they watch for."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from tests.workflows.world import ask, wait_for

from amends.errors import InputError
from amends.settings import Settings
from amends.steps.shop import Shop
from amends.steps.sweep import Summary
from amends.workflows import automations, events
from amends.workflows.server import PrefectServer

pytestmark = pytest.mark.prefect

NO_SWEEP = "amends: no sweep of east"
FIRED = {NO_SWEEP, "amends: storm", "amends: quarantined act", "amends: task overdue"}
NAMES = FIRED | {"amends: a run's process is gone"}  # fires in tests/servers/scale, where a process is killed


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "a.toml").write_text('[shops.east]\nconnector = "sandbox"\ntime_zone = "Asia/Shanghai"\n')
    return Settings.load(tmp_path / "a.toml")


def fired(server: PrefectServer) -> set[str]:
    """The automations that have fired."""
    body = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}, "limit": 50}
    found: list[dict[str, Any]] = ask(server, "/events/filter", body)["events"]
    return {one["resource"]["prefect.resource.name"] for one in found}


async def test_they_are_made_once_and_fire(server: PrefectServer, settings: Settings) -> None:
    quiet = timedelta(seconds=10)
    first = await automations.apply(settings, quiet=quiet)
    assert {(one.name, one.state) for one in first} == {(name, "created") for name in NAMES}
    again = await automations.apply(settings, quiet=quiet)
    assert {one.state for one in again} == {"same"}

    alarms = [
        events.Alarm("amends.shop.storm", "1", "storm", "storm in east", {"held": 9}),
        events.Alarm("amends.case.quarantined", "2", "case.2", "case 2", {"case": 2}),
        events.Alarm("amends.task.overdue", "3", "task.3", "task 3", {"task": 3}),
    ]
    events.emit(cast(Shop, SimpleNamespace(name="east")), Summary("east"), alarms)
    wait_for(lambda: fired(server) >= FIRED, seconds=90)

    block = cast(Any, SlackWebhook(url="https://example.invalid/hook"))
    await block.save("operators")
    changed = await automations.apply(settings, notify="slack-webhook/operators")
    assert {one.name for one in changed if one.state == "changed"} == FIRED
    with pytest.raises(InputError, match="no block 'slack-webhook/nobody'"):
        await automations.apply(settings, notify="slack-webhook/nobody")
    assert len(ask(server, "/automations/filter")) == len(NAMES)


async def test_people_are_told_by_a_webhook(server: PrefectServer, settings: Settings) -> None:
    told: list[dict[str, str]] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        block = CustomWebhookNotificationBlock(
            name="operators",
            url=f"http://127.0.0.1:{door.server_address[1]}/",
            json_data={"title": "{{subject}}", "text": "{{body}}"},
        )
        await cast(Any, block).save("operators-door")
        await automations.apply(settings, notify="custom-webhook/operators-door", quiet=timedelta(seconds=10))
        alarms = [
            events.Alarm("amends.shop.storm", "told-1", "storm", "storm in east", {"held": 9}),
            events.Alarm("amends.case.quarantined", "told-2", "case.2", "case 2", {"case": 2}),
            events.Alarm("amends.task.overdue", "told-3", "task.3", "task 3", {"task": 3}),
        ]
        events.emit(cast(Shop, SimpleNamespace(name="east")), Summary("east"), alarms)
        wait_for(
            lambda: (
                {one["title"] for one in told} >= {*FIRED - {NO_SWEEP}, "No sweep of east for 0.00277778 h"}
            ),
            seconds=90,
        )
    finally:
        await automations.apply(settings)  # tells nobody
        door.shutdown()
    texts = {one["title"]: one["text"] for one in told}
    assert texts["amends: storm"].startswith("storm in east at 20")
    assert "`amends release --shop NAME`" in texts["amends: storm"]
    assert "case 2 at 20" in texts["amends: quarantined act"]
    assert "task 3 at 20" in texts["amends: task overdue"]


def test_a_shop_is_watched_by_its_own_deployment(settings: Settings) -> None:
    (quiet,) = [one for one in automations.wanted(settings) if "no sweep" in one.name]
    trigger = cast(Any, quiet.trigger)
    assert trigger.match_related["prefect.resource.name"] == ["sweep-east"]
    assert trigger.within == timedelta(hours=2)
