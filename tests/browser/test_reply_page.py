"""A customer with a phone opens the link of the message, accepts by a tap, and gets the remedy; also by keyboard alone."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.browser.webdriver import Browser, browser

from amends.cases.orders import Order
from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends.inbox.resident import Resident, bind
from amends.ledger import Ledger, Tx, effects, persons, views
from amends.ledger.schema import orders
from amends.settings import Settings
from amends.steps.shop import Shop, open_ledger
from amends.steps.sweep import sweep
from amends.testing.control import SandboxProcess, launch

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURES = Path(__file__).parents[2] / "docs" / "img"
TAB, ENTER = "\ue004", "\ue007"
CONFIG = """
[shops.teahouse]
connector = "sandbox"
time_zone = "Asia/Shanghai"
language = "{language}"
connector_config = {{ url = "{sandbox}" }}

[playbooks.standard]
rounds = 2
at_risk = "watch"
reply_within = "24h"
storm = {{ orders = 5000, within = "1h" }}

[[policies.ladder.rungs]]
late_over = "0h"
remedy = {{ kind = "coupon", amount = "10 CNY" }}
new_ship_in = "48h"

[inbox]
port = {port}
public_url = "http://127.0.0.1:{port}"
"""


@dataclass
class House:
    """A sandbox, a shop on it with offers out, and the resident inbox in a thread of its own."""

    box: SandboxProcess
    ledger: Ledger
    urls: dict[str, str]
    ended: list[object] = field(default_factory=list)

    def granted(self, number: str) -> list[str]:
        return [
            entry.kind
            for entry in self.box.control.journal()
            if entry.order == number and entry.op == "grant"
        ]

    def wait_for_grant(self, number: str, seconds: float = 10) -> list[str]:
        until = time.monotonic() + seconds
        while not self.granted(number) and time.monotonic() < until:
            time.sleep(0.02)
        return self.granted(number)


@pytest.fixture(params=["en", "zh"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    sock.close()
    with launch(tmp_path / "sandbox", seed=7, orders=120, days=10) as box:
        (tmp_path / "config" / "base").mkdir(parents=True)
        text = CONFIG.format(sandbox=box.url, port=port, language=request.param)
        (tmp_path / "config" / "base" / "shop.toml").write_text(text)
        settings = Settings.load(tmp_path / "config")
        registry, ledger = Registry.load(), open_ledger(settings)
        clock = FixedClock(box.control.clock())
        urls = asyncio.run(_sweep_until_offers(settings, registry, ledger, clock, box, request.param))
        stop: list[Callable[[], object]] = []
        ended: list[object] = []
        thread = threading.Thread(target=_host, args=(settings, registry, ledger, clock, stop, ended))
        thread.start()
        until = time.monotonic() + 20
        while not stop and not ended and time.monotonic() < until:
            time.sleep(0.02)
        assert stop, ended
        yield House(box, ledger, urls)
        stop[0]()
        thread.join(20)
        ledger.close()
        assert not thread.is_alive() and not ended


async def _sweep_until_offers(
    settings: Settings,
    registry: Registry,
    ledger: Ledger,
    clock: FixedClock,
    box: SandboxProcess,
    language: str,
) -> dict[str, str]:
    """The links of offers with a coupon, by order number; the first is of a customer with that language."""
    for _ in range(24):
        shop = await Shop.open(settings, "teahouse", ledger=ledger, registry=registry, clock=clock)
        await sweep(shop)
        await shop.aclose()
        found = await ledger.run(_links)
        for number in found:
            if len(found) >= 2 and (await ledger.run(_order, number)).language.startswith(language):
                return {number: found.pop(number), **found}
        clock.advance(timedelta(hours=6))
        box.control.set_clock(clock.now())
    raise AssertionError("no offers after six days")


def _order(tx: Tx, number: str) -> Order:
    row = tx.execute(select(orders.c.snapshot).where(orders.c.number == number)).one()
    return Order.model_validate_json(row.snapshot)


def _links(tx: Tx) -> dict[str, str]:
    found = {}
    for line in views.case_lines(tx, open_only=True):
        kept = persons.load(tx, [line.id])[line.id]
        for effect in effects.of_cases(tx, [line.id])[line.id]:
            if line.stage == "awaiting-reply" and effect.op == "message" and '"coupon"' in effect.request:
                found[line.number] = json.loads(kept[f"request:{effect.key}"])["reply_url"]
    return found


def _host(
    settings: Settings, registry: Registry, ledger: Ledger, clock: FixedClock, stop: list[Callable[[], object]],
    ended: list[object],
) -> None:  # fmt: skip
    async def run() -> None:
        resident = await Resident.open(settings, registry, ledger, clock=clock)
        ending, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ending.set))
        await resident.run(ending)

    try:
        asyncio.run(run())
    except BaseException as error:
        ended.append(error)


def test_accepted_by_a_tap_and_by_keyboard(house: House, request: pytest.FixtureRequest) -> None:
    language = request.node.callspec.params["house"]
    chinese = language == "zh"
    (number, url), (other, second) = list(house.urls.items())[:2]
    with browser(width=390, height=844, phone=True, language="zh-CN" if chinese else "en-GB") as phone:
        phone.open(url)
        assert phone.run("return document.documentElement.lang") == ("zh-CN" if chinese else "en")
        assert phone.run("return document.documentElement.scrollWidth <= window.innerWidth")
        small = phone.run(
            "return [...document.querySelectorAll('button,summary,header a')].filter(e => e.checkVisibility()"
            " && e.getBoundingClientRect().height < 44).map(e => e.textContent)"
        )
        assert small == []
        assert (
            phone.run("return getComputedStyle(document.querySelector('button')).minHeight") == "48px"
        )  # the style is let in
        assert number not in phone.text() and number[-4:] in phone.text("h1")
        assert ("优惠券" if chinese else "a coupon worth") in phone.text()
        suffix = "-zh" if chinese else ""
        phone.picture(PICTURES / f"reply-page{suffix}.png")
        phone.click("details:nth-of-type(1) summary")
        phone.run("document.querySelectorAll('details')[2].open = true")
        time.sleep(0.5)  # until the mark of the tap has faded
        phone.picture(PICTURES / f"reply-page-choices{suffix}.png")
        phone.click("button[value=accept]")
        _wait(phone, "谢谢您" if chinese else "Thank you")
        assert house.wait_for_grant(number) == ["grant:coupon"]
        phone.picture(PICTURES / f"reply-page-thanks{suffix}.png")
        phone.open(url)
        assert phone.run("return document.querySelectorAll('form').length") == 0

        # A wish that makes no sense: the focus goes to what is wrong, and what was given is still there.
        phone.open(second)
        phone.click("details:nth-of-type(1) summary")
        phone.run("const date = document.getElementById('date'); date.max = ''; date.value = '2039-01-01'")
        phone.click("button[value=counter]")
        _wait_for(phone, "return document.title.includes(': ')")
        assert phone.run("return document.activeElement.id") == "error"
        assert phone.run(
            "const date = document.getElementById('date'); return date.value + date.ariaInvalid"
        ) == ("2039-01-01true")
        assert phone.run("return document.querySelector('details').open")

        # Nothing but the keyboard: the language link, then the first button.
        phone.open(second)
        seen = []
        for _ in range(8):
            phone.keys(TAB)
            seen.append(
                phone.run(
                    "const e = document.activeElement; return e.tagName + ' ' + getComputedStyle(e).outlineStyle"
                )
            )
        assert [one.split()[0] for one in seen[:5]] == ["A", "BUTTON", "SUMMARY", "SUMMARY", "SUMMARY"]
        assert {one.split()[1] for one in seen[:5]} == {"solid"}
        phone.open(second)
        phone.keys(TAB, TAB, ENTER)
        _wait(phone, "谢谢您" if chinese else "Thank you")
        assert house.wait_for_grant(other) == ["grant:coupon"]
    assert house.granted(number) == ["grant:coupon"]


def _wait(phone: Browser, heading: str) -> None:
    until = time.monotonic() + 10
    while heading not in (found := str(phone.run("return document.querySelector('h1')?.textContent"))):
        assert time.monotonic() < until, found
        time.sleep(0.05)


def _wait_for(phone: Browser, script: str) -> None:
    until = time.monotonic() + 10
    while not phone.run(script):
        assert time.monotonic() < until, phone.text()
        time.sleep(0.05)
