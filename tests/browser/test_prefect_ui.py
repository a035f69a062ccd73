"""A merchant at Prefect's own pages: deployments, a scheduled sweep, the worklist, and an approval given by clicking."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.browser.webdriver import Browser, browser
from tests.workflows.test_approve import MAPPING, SHOP
from tests.workflows.test_up import Up, post
from tests.workflows.world import wait_for

from amends.ledger import tasks
from amends.settings import Settings
from amends.steps.shop import open_ledger

pytestmark = [pytest.mark.browser, pytest.mark.prefect, pytest.mark.slow]

PICTURES = Path(__file__).parents[2] / "docs" / "img"
CONFIG = """\
[playbooks.standard]
approve = {{ remedy_over = "2 CNY", two_people_over = "100 CNY", within = "24h" }}

[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", percent = 2 }}

[approvers.lin]
code = {{ file = "{folder}/wang.txt" }}
[approvers.wang]
code = {{ file = "{folder}/wang.txt" }}

[inbox]
port = 0
"""


@pytest.fixture
def merchant(tmp_path: Path) -> Path:
    """A shop with five late orders, swept every minute; gives its config."""
    base = tmp_path / "config/base"
    base.mkdir(parents=True)
    now = datetime.now(ZoneInfo("Asia/Shanghai"))

    def at(hours: float) -> str:
        return f"{now - timedelta(hours=hours):%Y-%m-%d %H:%M}"

    rows = [f"E-{n},{yuan},{at(96)},{at(12 + n)}," for n, yuan in enumerate((120, 150, 900, 60, 45), 1)]
    lines = ["number,amount,ordered,ship_by,shipped", *rows]
    (tmp_path / "east.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "wang.txt").write_text("green-tea-7")
    text = CONFIG.format(folder=tmp_path) + SHOP.format(name="east", folder=tmp_path)
    (base / "amends.toml").write_text(text.replace("0 3 1 1 *", "* * * * *"), encoding="utf-8")
    return tmp_path / "config"


@pytest.fixture
def up(merchant: Path) -> Iterator[Up]:
    running = Up(merchant)
    try:
        running.wait()
        yield running
    finally:
        if running.process.poll() is None:
            assert running.interrupt() == 0, running.log.read_text()


@pytest.fixture
def page(up: Up) -> Iterator[Browser]:
    with browser(width=1400, height=1200) as found:
        yield found


def shows(page: Browser, *words: str, seconds: float = 60) -> str:
    """The page's text, once all these words are on it."""
    wait_for(lambda: all(word in page.text() for word in words), seconds=seconds)
    return page.text()


def click(page: Browser, kind: str, words: str) -> None:
    """Click the first element of that kind whose text is this."""
    script = """
        for (const found of document.querySelectorAll(arguments[0]))
            if (found.innerText.trim() == arguments[1]) {
                for (const old of document.querySelectorAll('[data-wanted]')) old.removeAttribute('data-wanted');
                found.setAttribute('data-wanted', '');
                return true;
            }
        return false"""
    wait_for(lambda: page.run(script, kind, words))
    page.click("[data-wanted]")


def fill(page: Browser, number: int, text: str) -> None:
    """Fill the dialogue's field of that place: choose from its list, or type."""
    field = f".p-modal .schema-form-properties > :nth-child({number}) "
    if page.run("return !!document.querySelector(arguments[0])", field + "textarea"):
        page.type(field + "textarea", text)
    else:
        page.click(f'{field}option[value="{text}"]')


def picture(page: Browser, name: str) -> None:
    time.sleep(1)  # what slides in has arrived
    page.picture(PICTURES / f"prefect-{name}.png", whole=False)


def runs(api: str, name: str) -> list[dict[str, Any]]:
    body = {"flow_runs": {"name": {"like_": name}}, "sort": "START_TIME_ASC"}
    found: list[dict[str, Any]] = post(api, "/flow_runs/filter", body)
    return found


def first(found: list[dict[str, Any]], good: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    return next((one for one in found if good(one)), None)


def test_an_approval_by_clicking_moves_the_case_on(up: Up, merchant: Path, page: Browser) -> None:
    api = up.wait()
    home = api.removesuffix("/api")

    page.open(f"{home}/deployments")
    shows(page, "approve", "report-east", "resolve-case", "sweep-east", "Every minute every day")
    picture(page, "deployments")

    waiting = wait_for(
        lambda: first(runs(api, "approve-"), lambda run: bool(run["state"]["name"] == "Suspended")),
        seconds=240,
    )
    sweep = wait_for(lambda: first(runs(api, "sweep-east "), lambda run: run["state"]["type"] == "COMPLETED"))
    assert sweep["auto_scheduled"]
    page.open(f"{home}/runs/flow-run/{sweep['id']}")
    shows(page, sweep["name"], "Completed", "4 Task runs")
    click(page, "[role=tab], .p-tab-navigation-tab, .p-tab", "Task Runs")
    shows(page, "find-orders east", "verify-order east: 5 cases", "contact-customer east: 5 cases")
    picture(page, "sweep")

    page.open(f"{home}/artifacts/key/worklist-east")
    shows(page, "5 open cases of east")
    newest = post(api, "/artifacts/filter", {"artifacts": {"key": {"any_": ["worklist-east"]}}})[0]
    page.open(f"{home}/artifacts/artifact/{newest['id']}")
    shows(page, "E-1", "120.00 CNY", "contact-customer")
    picture(page, "worklist")

    page.open(f"{home}/runs/flow-run/{waiting['id']}")
    shows(page, "Suspended", "Resume")
    click(page, "button", "Resume")
    shows(page, "3 acts · 23.40 CNY", "order E-3 · 18.00 CNY")
    click(page, ".p-modal button", "Submit")
    time.sleep(2)
    assert "Resume Flow Run" in page.text(), "nothing is decided by clicking through"
    fill(page, 1, "approve all but the exceptions")
    fill(page, 2, "wang")
    fill(page, 3, "green-tea-7")
    fill(page, 4, "E-2")
    fill(page, 5, "E-2 was promised a call")
    picture(page, "approval")
    click(page, ".p-modal button", "Submit")
    state = wait_for(lambda: ended(api, waiting["id"]), seconds=120)
    assert state["name"] == "Partly approved"
    assert "ERROR" not in shows(page, "Partly approved")
    picture(page, "approved")

    ledger = open_ledger(Settings.load(merchant))
    try:
        told = wait_for(
            lambda: {"E-1", "E-3"} <= {one.number for one in ledger.do(tasks.listing, kind="message")},
            seconds=120,
        )
    finally:
        ledger.close()
    assert told, "the customers of what was approved are to be told"


def ended(api: str, run: str) -> dict[str, Any] | None:
    (found,) = post(api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    state: dict[str, Any] = found["state"]
    return state if state["type"] == "COMPLETED" else None
