"""What a forked worker does: sweeps as `amends sweep --local` does, takes webhooks in, and dies where it is told to."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import signal
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.crash.disk import Disk, Op

from amends import ConnectorSpec, hookimpl
from amends import http as platform_http
from amends.cases.offers import Remedy
from amends.clock import FixedClock
from amends.demo.operator import Operator
from amends.demo.world import CONFIG, SHOP
from amends.hooks.registry import Registry
from amends.hooks.requests import Event, Receipt
from amends.hooks.specs import Operation
from amends.inbox.app import webhook_app
from amends.ledger import Ledger, Vault, database, effects, inbox, intake, work
from amends.ledger import crash as points
from amends.ledger.schema import ticks
from amends.settings import Settings
from amends.steps import acts, reading, sending
from amends.steps.pace import Time
from amends.steps.shop import Shop
from amends.steps.sweep import sweep
from amends.testing.journal import Entry
from amends.testing.webhooks import sign

KEY = bytes(range(32))
SECRET = "sandbox"
SILENCE = httpx.Timeout(0.3, connect=5.0)
"""How long a worker waits for an answer: the marketplace answers in milliseconds or, on purpose, never."""
_ready: dict[str, Any] = {}


def prepare() -> None:
    """What all workers share, made once before they are forked."""
    _ready["registry"] = Registry.load(allow=["sandbox", "ladder", "rules"])
    platform_http._certificates()
    platform_http.TIMEOUT = SILENCE
    import aiohttp  # noqa: F401
    import aiosqlite  # noqa: F401  # as the rest: imported once, not by each worker

    import amends_sandbox.connector

    spec = _ready["registry"].connector("sandbox")
    blind = replace(spec, operations={**spec.operations, "message": Operation.blind()})
    _ready["blind"] = Registry.load(allow=["ladder", "rules"])
    _ready["blind"].add(_One(blind), name="sandbox")
    del amends_sandbox


def warm(job: Mapping[str, Any]) -> None:
    """Live through a world in the process that forks, so that workers find everything read, made and compiled."""
    make = database._sqlite_engine
    first: list[Any] = []

    def compiled(path: str) -> Any:
        engine = make(path)
        if first:  # statements are compiled per dialect object, and kept per engine
            engine.dialect = engine.pool._dialect = first[0].dialect
            engine._compiled_cache = first[0]._compiled_cache
        first.append(engine)
        return engine

    database._sqlite_engine = compiled
    carry_out(job)
    del first[1:]


class _One:
    """A plugin with that one connector."""

    def __init__(self, spec: ConnectorSpec) -> None:
        self._spec = spec

    @hookimpl
    def amends_connectors(self) -> Iterable[ConnectorSpec]:
        yield self._spec


def settings_for(url: str) -> Settings:
    tables = tomllib.loads(CONFIG.format(url=url))
    tables["playbooks"]["demo"]["storm"] = {"orders": 100_000, "within": "1h"}
    return Settings.model_validate(tables)


class Virtual:
    """The time in which calls are made: the cases' own, plus what was slept, which takes no time."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock, self._slept = clock, 0.0

    @property
    def time(self) -> Time:
        return Time(self.now, self.sleep, lambda: int(self.now() * 1_000_000))

    def now(self) -> float:
        return ticks(self._clock.now()) / 1_000_000 + self._slept

    async def sleep(self, seconds: float) -> None:
        self._slept += seconds
        await asyncio.sleep(0)


class _Hasty:
    """asyncio whose pauses take no time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


class Control:
    """The marketplace's control side, and the part of its back office that people use."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._place, self._root = (place.hostname or "", place.port), place.path

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(*self._place, timeout=30)
        connection.request(
            method, f"{self._root}/control{path}", json.dumps(body) if body is not None else None
        )
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise AssertionError(f"{path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def set_clock(self, now: datetime) -> None:
        self._ask("POST", "/clock", {"now": now.isoformat()})

    def seen(self, order: str, op: str = "", *, round: int | None = None) -> list[Entry]:
        asked = httpx.QueryParams({"order": order, "op": op, **({} if round is None else {"round": round})})
        return [Entry.model_validate(item) for item in self._ask("GET", f"/seen?{asked}")["entries"]]

    def act(self, order: str, op: str, *, round: int = 0, **more: Any) -> Receipt:
        remedy: Remedy | None = more.pop("remedy", None)
        until: datetime | None = more.pop("until", None)
        body = {
            "order": order, "op": op, "round": round, "look_first": True,
            "remedy": remedy.model_dump(mode="json", exclude_none=True) if remedy else None,
            "until": until.isoformat() if until else None,
        }  # fmt: skip
        return Receipt.model_validate(self._ask("POST", "/act", body))

    def reading(self, event: str) -> str:
        return str(self._ask("GET", f"/reading/{event}")["means"])


def carry_out(job: Mapping[str, Any]) -> None:
    """Do what the job says; see `arena.py`, which writes them."""
    _sabotage(job.get("sabotage", ""))
    _deadly(job.get("crash", ""))
    ledger = Ledger.open(f"sqlite:///{job['ledger']}", Vault(KEY))
    try:
        if job["do"] == "deliver":
            asyncio.run(_deliver(ledger, job))
        else:
            for moment in job["moments"]:
                _live(ledger, job, moment)
    finally:
        ledger.close()


def _live(ledger: Ledger, job: Mapping[str, Any], moment: Mapping[str, Any]) -> None:
    now = datetime.fromisoformat(moment["now"])
    control = Control(job["url"])
    if "platform" in moment:
        control.set_clock(datetime.fromisoformat(moment["platform"]))
    asyncio.run(_sweep(ledger, job, now))
    if moment.get("people"):
        Operator(ledger, control, SHOP).work(now)  # type: ignore[arg-type]  # all that it asks of a control


async def _sweep(ledger: Ledger, job: Mapping[str, Any], now: datetime) -> None:
    sending.asyncio = reading.asyncio = _Hasty()  # type: ignore[assignment]
    clock = FixedClock(now)
    settings = settings_for(job["url"])
    shop = await Shop.open(
        settings, SHOP, ledger=ledger, registry=_registry(job), clock=clock, paced_by=Virtual(clock).time
    )
    try:
        summary = await sweep(shop)
    finally:
        await shop.aclose()
    if summary.state != "done":
        raise AssertionError(f"the killed one's lease still stands: {summary}")


def _registry(job: Mapping[str, Any]) -> Registry:
    found: Registry = _ready["blind" if job.get("blind") else "registry"]
    return found


async def _deliver(ledger: Ledger, job: Mapping[str, Any]) -> None:
    """Take signed webhooks in through the inbox's own application, one after the other."""
    clock = FixedClock(datetime.fromisoformat(job["now"]))
    settings = settings_for(job["url"])
    shop = await Shop.open(settings, SHOP, ledger=ledger, registry=_registry(job), clock=clock)
    app = webhook_app(ledger, {SHOP: shop.connector.verify_webhook}, clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
        for text in job["events"]:
            event = Event.model_validate(text)
            body = event.model_dump_json().encode()
            answer = await client.post(
                f"/webhooks/{SHOP}", content=body, headers=sign(SECRET, event.event, clock.now(), body)
            )
            if answer.status_code != 204:
                raise AssertionError(f"the inbox answered {answer.status_code}")
    points.crashpoint("after-receive")
    await shop.aclose()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Doomed:
    """Dies within the commit of one transaction: `torn` (half a page written), `written`, or `committed`."""

    wanted: str
    stage: str
    going: str = ""
    half: bool = False

    def __call__(self, op: Op) -> int | bytes | None:
        if self.half:
            _die()
        if self.going != self.wanted:
            return None
        if self.stage == "torn" and op.what == "write" and not op.journal:
            self.half = True
            return op.data[: len(op.data) // 2]
        if self.stage == "written" and op.what == "truncate" and op.journal:
            _die()
        if self.stage == "committed" and op.what == "sync" and op.journal and self._cut:
            _die()
        self._cut = op.what == "truncate"
        return None

    _cut: bool = False


_TRANSACTIONS: Mapping[str, tuple[Any, str]] = {
    "intake": (intake, "take"), "inbox": (inbox, "receive"), "claim": (work, "claim"), "plan": (work, "plan"),
    "sent": (work, "mark_sent"), "outcome": (work, "conclude"),
}  # fmt: skip


def _deadly(crash: str) -> None:
    """`after-sent:1` as in AMENDS_CRASH; `commit/plan/torn` dies within that transaction's commit."""
    if not crash:
        return
    if not crash.startswith("commit/"):
        os.environ["AMENDS_CRASH"] = crash
        points._from_environment()
        return
    _, name, stage = crash.split("/")
    doomed = _Doomed(name, stage)
    _ready["disk"] = Disk(doomed)
    where, function = _TRANSACTIONS[name]
    inner: Callable[..., Any] = getattr(where, function)
    passed: set[str] = set()
    points.on_crashpoint(passed.add)

    @wraps(inner)
    def named(*args: Any, **more: Any) -> Any:
        found = inner(*args, **more)
        if name != "outcome" or "before-outcome" in passed:
            doomed.going = name
        return found

    once = Ledger._once

    def whole(self: Ledger, *given: Any) -> Any:
        try:
            return once(self, *given)
        finally:
            doomed.going = ""

    setattr(where, function, named)
    Ledger._once = whole  # type: ignore[method-assign]


def _sabotage(how: str) -> None:
    """Break one safeguard, for tests that the judge sees it."""
    if how == "no-mark-sent":  # an effect leaves without having been written down as sent
        effects.mark_sent = lambda tx, keys, now: None  # type: ignore[assignment]
    elif how == "random-keys":  # each sending draws a key of its own
        restore = sending.restore

        def redrawn(effect: Any, kept: Any) -> Any:
            return restore(effect, kept).model_copy(update={"key": secrets.token_hex(8)})

        sending.restore = redrawn  # type: ignore[attr-defined]
    elif how == "no-look":  # what may have been done is sent again unseen

        async def unseen(shop: Any, act: Any, now: Any) -> bool:
            del shop, act, now
            return True

        sending._look = unseen  # type: ignore[assignment]
    elif how == "blind-again":  # what must never be sent twice is
        prepare = sending.prepare

        async def again(shop: Any, act: Any, now: Any) -> bool:
            return act.operation.effect == "blind" or await prepare(shop, act, now)

        acts.prepare = again  # type: ignore[assignment]
    elif how:
        raise AssertionError(f"no such sabotage: {how}")
