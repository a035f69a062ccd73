"""Runs the demo: sandbox, Prefect's server, sweeps four times a virtual day, a scripted operator, and the judgement."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from amends.clock import FixedClock
from amends.demo import judge
from amends.demo.operator import Operator
from amends.demo.tables import show
from amends.demo.world import CONFIG, SHOP
from amends.errors import AmendsError, InputError, PluginError
from amends.hooks.registry import Registry
from amends.ledger import Ledger
from amends.settings import Settings
from amends.steps.shop import Shop, open_ledger
from amends.testing.control import SandboxControl, launch

EVERY = timedelta(hours=6)
Sweep = Callable[[datetime], Awaitable[Any]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # progress is for whoever watches


@dataclass
class Demo:
    """One demo. `prefect=False` runs the same sweeps without Prefect: for tests that judge the ledger."""

    state: Path
    orders: int = 200
    days: int = 10
    seed: int = 7
    faults: str = "demo"
    prefect: bool = True
    ui: bool = False
    say: Callable[[str], None] = _say
    stop_after: int | None = None  # sweeps, for tests that interrupt
    stories: dict[str, int] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    prefect_url: str = ""

    def run(self) -> dict[str, Any]:
        """Run or resume; answers with the judgement."""
        began = time.monotonic()
        self._prepare()
        registry = Registry.load()
        _check(registry)
        with ExitStack() as stack:
            self.say(
                f"starting the sandbox: {self.orders} orders over {self.days} virtual days, faults: {self.faults}"
            )
            box = stack.enter_context(
                launch(
                    self.state / "sandbox",
                    seed=self.seed,
                    orders=self.orders,
                    days=self.days,
                    faults=self.faults,
                )
            )
            config = self._write_config(box.url)
            if self.prefect:
                self.prefect_url = stack.enter_context(self._server())
            settings = Settings.load(config)
            ledger = open_ledger(settings)
            stack.callback(ledger.close)
            clock = FixedClock(box.control.clock())
            stack.enter_context(_inbox(settings, registry, ledger, clock, box.control))
            asyncio.run(self._sweeps(settings, registry, ledger, clock, box.control))
            result = asyncio.run(self._judge(settings, registry, ledger, clock, box.control, began))
            if self.stop_after is None:
                self._progress(finished=True)
            if self.ui:
                self._leave_open(result)
        return result

    def _prepare(self) -> None:
        """Resume an unfinished state, start clean on a finished one, refuse what is not a demo's folder."""
        mark = self.state / "demo.json"
        if self.state.exists() and any(item.name != "demo.new" for item in self.state.iterdir()):
            if not mark.exists():
                raise InputError(
                    f"{self.state} is not empty and no demo's state", hint="Choose another --state."
                )
            known = json.loads(mark.read_text())
            if known.get("finished"):
                self._clear()
            elif [known[k] for k in ("orders", "days", "seed")] != [self.orders, self.days, self.seed]:
                raise InputError(
                    f"{self.state} holds an unfinished demo of {known['orders']} orders, {known['days']} days, "
                    f"seed {known['seed']}",
                    hint="Finish it with the same options, or choose another --state.",
                )
            else:
                self.say(f"resuming the demo in {self.state}, after {known['done']} sweeps")
        self.state.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            self._progress(done=0)

    def _clear(self) -> None:
        """Remove what a finished demo left, its mark last: killed half-way, the folder is still known as a demo's."""
        mark = self.state / "demo.json"
        for item in self.state.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item != mark:
                item.unlink()
        mark.unlink()

    def _progress(self, **changed: Any) -> None:
        mark = self.state / "demo.json"
        known = {"orders": self.orders, "days": self.days, "seed": self.seed, "done": 0, "finished": False}
        if mark.exists():
            known |= json.loads(mark.read_text())
        fresh = mark.with_suffix(".new")
        fresh.write_text(json.dumps(known | changed))
        fresh.replace(mark)

    @property
    def _done(self) -> int:
        return int(json.loads((self.state / "demo.json").read_text())["done"])

    def _write_config(self, url: str) -> Path:
        config = self.state / "config"
        (config / "base").mkdir(parents=True, exist_ok=True)
        (config / "base" / "demo.toml").write_text(CONFIG.format(url=url))
        return config

    @contextmanager
    def _server(self) -> Iterator[str]:
        from amends.workflows.server import PrefectServer

        with PrefectServer(self.state / "prefect", report=self.say) as server:
            server.use()
            self.say(f"Prefect's UI: {server.ui_url}")
            yield server.ui_url

    async def _sweeps(
        self,
        settings: Settings,
        registry: Registry,
        ledger: Ledger,
        clock: FixedClock,
        control: SandboxControl,
    ) -> None:
        start = datetime.fromisoformat(
            json.loads((self.state / "sandbox" / "world.json").read_text())["start"]
        )
        operator = Operator(ledger, control, SHOP)
        total = self.days * 4 + 1
        sweep = self._flow() if self.prefect else await _direct(settings, registry, ledger, clock)
        for number in range(self._done, total):
            if self.stop_after is not None and number >= self.stop_after:
                return
            now = start + EVERY * number
            control.set_clock(now)
            clock.set(now)
            await sweep(now)
            did = operator.work(now)
            self._progress(done=number + 1)
            self.say(f"day {number / 4 + 1:5.2f}  sweep {number + 1}/{total}  {did} acts by people")

    def _flow(self) -> Sweep:
        from amends.workflows.sweep import sweep

        config = str((self.state / "config").absolute())
        os.environ["AMENDS_CONFIG"] = config

        async def run(now: datetime) -> Any:
            return await sweep(shop=SHOP, config=config, now=now)

        return run

    async def _judge(
        self,
        settings: Settings,
        registry: Registry,
        ledger: Ledger,
        clock: FixedClock,
        control: SandboxControl,
        began: float,
    ) -> dict[str, Any]:
        shop = await Shop.open(settings, SHOP, ledger=ledger, registry=registry, clock=clock)
        found = await ledger.run(judge.gather, SHOP)
        journal = control.journal()
        self.stories = judge.stories(found)
        self.losses = judge.lost(found, journal, clock.now())
        seconds = time.monotonic() - began
        result = judge.judgement(found, journal, shop, seed=self.seed, now=clock.now(), seconds=seconds)
        await shop.aclose()
        return result

    def _leave_open(self, result: dict[str, Any]) -> None:
        show(result, self.stories, self.losses, state=self.state)
        self.say(f"Prefect's UI stays up at {self.prefect_url}; Ctrl-C ends it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            self.say("stopping")


async def _direct(settings: Settings, registry: Registry, ledger: Ledger, clock: FixedClock) -> Sweep:
    from amends.steps.sweep import sweep

    async def run(now: datetime) -> Any:
        del now  # the clock has it
        shop = await Shop.open(settings, SHOP, ledger=ledger, registry=registry, clock=clock)
        try:
            return await sweep(shop)
        finally:
            await shop.aclose()

    return run


@contextmanager
def _inbox(
    settings: Settings, registry: Registry, ledger: Ledger, clock: FixedClock, control: SandboxControl
) -> Iterator[None]:
    """The webhook receiver, in a thread of its own, on a free loopback port."""
    import socket

    import uvicorn

    from amends.inbox.app import webhook_app

    shop = asyncio.run(Shop.open(settings, SHOP, ledger=ledger, registry=registry, clock=clock))
    app = webhook_app(ledger, {SHOP: shop.connector.verify_webhook}, clock)
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])), daemon=True)
    thread.start()
    control.webhook(f"http://127.0.0.1:{sock.getsockname()[1]}/webhooks/{SHOP}")
    try:
        yield
    finally:
        control.webhook("")
        server.should_exit = True
        thread.join(10)


def _check(registry: Registry) -> None:
    """The demo needs three plugins; say what to install where one is absent."""
    wanted: dict[str, Mapping[str, object]] = {"sandbox": registry.connectors, "ladder": registry.policies}
    missing = [name for name, there in wanted.items() if name not in there]
    if not registry.rules:
        missing.append("rules")
    if missing:
        raise PluginError(
            f"the demo needs the plugins {', '.join(missing)}",
            hint="Install them: pip install 'amends[demo]'.",
        )


def run_demo(
    *,
    orders: int = 200,
    days: int = 10,
    seed: int = 7,
    state: Path | None = None,
    json_file: Path | None = None,
    ui: bool = False,
    prefect: bool = True,
) -> int:
    """Run the demo for the command line: tables on stdout, the JSON in a file; 1 where something was lost or done twice."""
    if orders < 1 or days < 1:
        raise InputError("the demo needs at least one order and one day")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    demo = Demo(state or Path(".amends-demo"), orders=orders, days=days, seed=seed, ui=ui, prefect=prefect)
    try:
        result = demo.run()
    except KeyboardInterrupt:
        raise AmendsError(
            "the demo was interrupted",
            hint=f"Run it again with --state {demo.state}: it goes on where it was.",
        ) from None
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if not ui:
        show(result, demo.stories, demo.losses, state=demo.state)
    return 0 if not (result["duplicates"] or result["lost"] or result["evidence"]["broken"]) else 1
