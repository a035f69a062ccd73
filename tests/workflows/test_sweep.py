"""The sweep and resolve-case flows against a real server: what Prefect shows, and what it never learns."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from tests.workflows.world import World, artifacts, ask, files_with_canaries, run_named, wait_for

from amends.errors import AmendsError, CaseError, ConfigError, LedgerCorrupt, LedgerError, Unavailable
from amends.ledger import leases, persons, views
from amends.ledger.schema import cases
from amends.steps.intake import Found
from amends.steps.shop import Shop
from amends.steps.sweep import Summary
from amends.workflows.faults import told
from amends.workflows.opening import read_settings
from amends.workflows.resolve_case import resolve_case
from amends.workflows.server import PrefectServer
from amends.workflows.sweep import sweep
from amends.workflows.taskruns import run_intake

pytestmark = pytest.mark.prefect

SWEEPS = 12
COLUMNS = {
    "order no.",
    "amount",
    "order time",
    "ship-by",
    "hours late or left",
    "after-sales",
    "penalty at stake",
    "next step",
    "why",
    "case",
}


@pytest.fixture(scope="module")
def swept(server: PrefectServer, world: World) -> list[Summary]:
    """Three virtual days of sweeps, in this process as the demo runs them."""

    async def run() -> list[Summary]:
        return [
            await sweep(shop="demo", config=world.config, now=world.now(number)) for number in range(SWEEPS)
        ]

    return asyncio.run(run())


def task_run_names(server: PrefectServer, flow_run: str) -> list[str]:
    body = {"flow_runs": {"id": {"any_": [flow_run]}}}
    return [one["name"] for one in ask(server, "/task_runs/filter", body)]


def test_a_sweep_opens_and_advances_cases(swept: list[Summary]) -> None:
    assert {one.state for one in swept} == {"done"}
    assert sum(one.opened for one in swept) > 5
    assert swept[-1].steps["verify-order"] > 0


def test_runs_are_named_by_shop_and_local_time(
    server: PrefectServer, world: World, swept: list[Summary]
) -> None:
    run = run_named(server, "sweep-demo 2026-03-02 14:00")
    assert run["state"]["name"] == "Completed"
    assert re.fullmatch(r"\d+ of \d+ orders changed, \d+ cases opened, .*", run["state"]["message"])
    assert set(run["parameters"]) == {"shop", "config", "now"}


def test_each_step_of_a_batch_is_one_named_task_run(
    server: PrefectServer, swept: list[Summary], world: World
) -> None:
    last = run_named(server, f"sweep-demo {world.now(SWEEPS - 1).astimezone(_zone(world)):%Y-%m-%d %H:%M}")
    steps = swept[-1].steps
    names = wait_for(lambda: len(found := task_run_names(server, last["id"])) >= 2 + len(steps) and found)
    assert {"find-orders demo", "read-replies demo"} <= set(names)
    assert {name.partition(" ")[0] for name in names} == {"find-orders", "read-replies", *steps}
    assert f"verify-order demo: {plural(steps['verify-order'])}" in names
    assert all(re.fullmatch(r"[a-z-]+ demo(: \d+ cases?)?", name) for name in names)


def test_the_worklist_shows_what_a_person_needs(
    server: PrefectServer, swept: list[Summary], world: World
) -> None:
    found = artifacts(server)
    assert {"worklist-demo", "tasks-demo", "approvals-demo", "summary-demo"} <= set(found)
    rows = json.loads(found["worklist-demo"]["data"])
    ledger = world.ledger()
    open_cases = ledger.do(views.case_lines, shop="demo", open_only=True)
    ledger.close()
    assert {row["case"] for row in rows} == {str(case.id) for case in open_cases}
    assert all(set(row) >= COLUMNS for row in rows)
    assert all(re.fullmatch(r"\d+\.\d (late|left)", row["hours late or left"]) for row in rows)
    assert all(re.fullmatch(r"\d+\.\d\d CNY", row["amount"]) for row in rows)
    assert all(row["next step"] and row["why"] for row in rows)
    assert [row["ship-by"] for row in rows] == sorted(row["ship-by"] for row in rows)
    assert "| verify-order |" in found["summary-demo"]["data"]


def test_a_sweep_that_moved_something_is_one_event_with_counts(
    server: PrefectServer, swept: list[Summary]
) -> None:
    body = {"filter": {"event": {"name": ["amends.sweep.moved"]}}, "limit": 50}
    moved = [one for one in swept if one.changed or one.opened or one.replies or one.cases or one.expired]
    assert len(moved) < len(swept), "the first sweep finds an empty shop"
    events = wait_for(
        lambda: len(found := ask(server, "/events/filter", body)["events"]) >= len(moved) and found
    )
    assert len(events) == len(moved)
    newest = max(events, key=lambda event: event["occurred"])
    assert newest["payload"]["steps"] == moved[-1].steps
    assert newest["resource"]["prefect.resource.id"] == "amends.shop.demo"


async def test_a_second_sweep_ends_as_already_running(
    server: PrefectServer, world: World, swept: list[Summary]
) -> None:
    ledger = world.ledger()
    other = leases.new_owner()
    await ledger.run(leases.take_shop, "demo", other)
    try:
        state = await sweep(shop="demo", config=world.config, return_state=True)
    finally:
        await ledger.run(leases.free_shop, "demo", other)
        await ledger.aclose()
    assert (state.type.value, state.name) == ("COMPLETED", "Already running")
    assert "another sweep of demo is running" in state.message
    assert (await state.result()).state == "already-running"


def leased_by_the_dead(world: World, case: int) -> None:
    """As a worker leaves a case that was killed a moment ago."""
    code = "from amends.ledger import leases; print(leases.new_owner())"
    gone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ledger = world.ledger()
    ledger.do(
        lambda tx: tx.execute(
            cases.update()
            .where(cases.c.id == case)
            .values(lease_owner=gone.strip(), lease_until=leases.lease_end())
        )
    )
    ledger.close()


async def test_a_case_is_resolved_by_its_order_number(
    server: PrefectServer, world: World, swept: list[Summary]
) -> None:
    ledger = world.ledger()
    lines = ledger.do(views.case_lines, shop="demo", open_only=True)
    ledger.close()
    first = next(line for line in lines if line.due_at is not None)
    now = max(first.due_at or world.start, world.now(SWEEPS))
    world.box.control.set_clock(now)
    leased_by_the_dead(world, first.id)
    found = await resolve_case(case=first.number, config=world.config, now=now)
    assert (found.case, found.order) == (first.id, first.number)
    assert found.steps["verify-order"] >= 1
    assert found.outcome is not None or (found.due_at is not None and found.due_at > now)
    text = artifacts(server)[f"case-{first.id}"]["data"]
    assert "case opened (generation 1)" in text
    run = run_named(server, f"resolve-case-{first.number}")
    names = wait_for(lambda: task_run_names(server, run["id"]))
    assert "verify-order demo: 1 case" in names


async def test_a_wrong_shop_fails_at_once_and_is_not_tried_again(server: PrefectServer, world: World) -> None:
    with pytest.raises(ConfigError, match='there is no shop "demmo"'):
        await sweep(shop="demmo", config=world.config)
    body = {"flow_runs": {"name": {"like_": "sweep-demmo"}}}
    (run,) = ask(server, "/flow_runs/filter", body)
    assert (run["state"]["type"], run["run_count"]) == ("FAILED", 1)
    assert 'there is no shop "demmo"' in run["state"]["message"]


async def test_an_unknown_case_is_told(server: PrefectServer, world: World) -> None:
    with pytest.raises(CaseError, match="there is no case '999999'"):
        await resolve_case(case="999999", config=world.config)


async def test_a_damaged_ledger_fails_the_flow_clearly(
    server: PrefectServer, world: World, tmp_path: Path
) -> None:
    config = another_ledger(world, tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "amends.db").write_bytes(
        b"no database at all, but long enough to be taken for one" * 99
    )
    (tmp_path / "state" / "amends.key").write_bytes((world.folder / "state" / "amends.key").read_bytes())
    state = await sweep(shop="demo", config=config, return_state=True)
    assert state.type.value == "FAILED"
    assert "amends.db is damaged" in state.message
    with pytest.raises(LedgerCorrupt):
        await state.result()


async def test_a_ledger_out_of_reach_is_tried_again_as_a_whole(
    server: PrefectServer, world: World, tmp_path: Path
) -> None:
    config = another_ledger(world, tmp_path)
    (tmp_path / "state" / "amends.db").mkdir(parents=True)
    (tmp_path / "state" / "amends.key").write_bytes((world.folder / "state" / "amends.key").read_bytes())
    impatient = sweep.with_options(retry_delay_seconds=0)
    with pytest.raises(LedgerError, match="cannot be opened"):
        await impatient(shop="demo", config=config, now=world.now(100))
    run = run_named(server, f"sweep-demo {world.now(100).astimezone(_zone(world)):%Y-%m-%d %H:%M}")
    assert (run["state"]["type"], run["run_count"]) == ("FAILED", 3)


@pytest.mark.parametrize(
    "error", [RuntimeError("for Sample Customer 0017"), Unavailable("Sample Customer 0017")]
)
async def test_an_error_that_quotes_a_customer_is_told_by_kind_alone(
    server: PrefectServer, error: Exception
) -> None:
    kind = type(error).__name__

    async def take(shop: Shop) -> Found:
        raise error

    @flow(name="failing", retries=0)
    async def failing() -> None:
        async with told():
            await run_intake("find-orders", take, cast(Shop, SimpleNamespace(name=kind)))

    with pytest.raises(AmendsError) as caught:
        await failing()
    assert kind in str(caught.value)
    body = {"task_runs": {"name": {"any_": [f"find-orders {kind}"]}}}

    def message() -> str:
        """What the task run says; its row and its state are written one after the other."""
        states = [run["state"] for run in ask(server, "/task_runs/filter", body)]
        return str(states[0]["message"]) if states and states[0] and states[0]["type"] == "FAILED" else ""

    assert f"AmendsError: {kind}" in wait_for(message)


async def test_a_secret_may_come_from_a_block(server: PrefectServer, world: World, tmp_path: Path) -> None:
    await Secret(value="the-key").save("amends-shop-key")
    (tmp_path / "a.toml").write_text(
        '[approvers.lin]\nchannel = "mail"\nto = { block = "amends-shop-key" }\n'
    )
    settings = read_settings(str(tmp_path / "a.toml"))
    assert settings.approver_address("lin") == "the-key"  # in the event loop, as plugins ask for it


def test_no_personal_value_reaches_prefect(server: PrefectServer, world: World, swept: list[Summary]) -> None:
    """Last in this file: whatever the tests above made Prefect store is in these files."""
    ledger = world.ledger()
    known = ledger.do(persons.load, [1])[1]
    ledger.close()
    assert any(b"Sample Customer" in value for value in known.values()), (
        "the canaries are in the ledger, encrypted"
    )
    assert (server.home / "prefect.db").stat().st_size > 0
    assert files_with_canaries(server.home) == {}


def another_ledger(world: World, folder: Path) -> str:
    """The same config beside another ledger."""
    base = folder / "config" / "base"
    base.mkdir(parents=True)
    text = (world.folder / "config" / "base" / "demo.toml").read_text(encoding="utf-8")
    (base / "demo.toml").write_text(text, encoding="utf-8")
    return str(folder / "config")


def plural(cases: int) -> str:
    return f"{cases} case{'' if cases == 1 else 's'}"


def _zone(world: World) -> Any:
    return read_settings(world.config).shop("demo").zone
