"""Measures the time from a customer's reply to the next effect, with many open cases in the ledger.

python -m benchmarks.reply_latency [--cases 100000] [--replies 600] [--rate 5]

A ledger of open cases that wait for replies; the resident inbox on a loopback port; a client in a process of its own that
answers on the page and pushes signed webhooks, in turn. Time runs from before the POST until the platform is asked to give
the remedy; each case is looked at first, as its order was last seen an hour ago (a made-up platform answers after 20 ms).
Two rounds: in peace, and while thousands of other cases fall due at the same moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel
from sqlalchemy import update

from amends import ConnectorSpec, PolicySpec, hookimpl
from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.cases.orders import Order, OrderStatus
from amends.hooks.registry import Registry
from amends.hooks.requests import AnyRequest, Event, OrderPage, Receipt, Reply, ReplyPage
from amends.hooks.specs import Operation
from amends.inbox.customer import Limits
from amends.inbox.limits import RateLimit
from amends.inbox.resident import Resident
from amends.ledger import Ledger, Tx, Vault, chain, intake
from amends.ledger.schema import cases, ticks
from amends.settings import Settings
from amends.steps.intake import judged
from amends.steps.links import Links, Ticket
from amends.steps.shop import Shop
from amends.testing.webhooks import sign, verify

PROMISED = 1.0  # seconds, p99
SHOP, SECRET = "stall", "made up"
COUPON = Remedy(kind=RemedyKind.COUPON, amount=Money.of("10.00", "CNY"))
SLOW = 0.02


class Platform:
    """Answers after a moment, and notes when it was asked to give a remedy."""

    def __init__(self) -> None:
        self.granted: dict[str, float] = {}

    async def order(self, number: str) -> Order:
        await asyncio.sleep(SLOW)
        return order(number, datetime.now(UTC))

    async def changed_orders(self, cursor: str) -> OrderPage:
        return OrderPage(orders=(), cursor="")

    async def replies(self, cursor: str) -> ReplyPage:
        return ReplyPage(replies=(), cursor="")

    async def message(self, request: AnyRequest) -> Receipt:
        return Receipt(ref="m")

    async def grant(self, request: AnyRequest) -> Receipt:
        self.granted.setdefault(request.order, time.monotonic())
        await asyncio.sleep(SLOW)
        return Receipt(ref="g")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        verify(SECRET, headers, body, now=datetime.now(UTC), age=timedelta(minutes=5))
        return (Event.model_validate_json(body),)

    async def aclose(self) -> None:
        pass


class _NoConfig(BaseModel):
    pass


class _Policy:
    def propose(self, case: Any, context: Any) -> Offer:
        return Offer.nothing("one offer is all")


def order(number: str, seen: datetime) -> Order:
    """An order a day past its deadline, as it stood at that time."""
    day = datetime(seen.year, seen.month, seen.day, tzinfo=UTC)
    return Order(
        number=number, amount=Money.of("200.00", "CNY"), placed_at=day - timedelta(days=4), observed_at=seen,
        updated_at=day - timedelta(days=2), ship_by=day - timedelta(days=1), status=OrderStatus.TO_SHIP, customer=f"c{number}",
    )  # fmt: skip


def fill(tx: Tx, shop: Shop, numbers: Sequence[str], now: datetime) -> None:
    """Open these cases and bring them to where an offer is out."""
    seen = [judged(shop, order(number, now - timedelta(hours=1)), now) for number in numbers]
    intake.take(tx, SHOP, seen, now=now)
    openings = [
        intake.Opening(n, State.OVERDUE, "overdue", shop.playbook.version, shop.policy_version, now)
        for n in numbers
    ]
    ids = intake.open_cases(tx, SHOP, openings, now)
    reply_by = now + timedelta(hours=24)
    offer = Offer(remedy=COUPON, new_ship_by=now + timedelta(days=2), reply_by=reply_by, why="late")
    new = {}
    for item in seen:
        new[ids[item.order.number]] = [
            chain.New(f.Observed(order=item.order, lateness=item.lateness), now - timedelta(hours=1)),
            chain.New(f.Proposed(round=1, offer=offer, policy=shop.policy_version, state=State.OVERDUE), now),
            chain.New(f.Contacted(round=1, via="platform", effect="", reply_by=reply_by), now),
        ]
    chain.append(tx, new)
    tx.execute(
        update(cases)
        .where(cases.c.id.in_(list(ids.values())))
        .values(stage="awaiting-reply", due_at=ticks(reply_by))
    )


def fall_due(tx: Tx, above: int, count: int, now: datetime) -> None:
    """Make that many cases due at once."""
    tx.execute(update(cases).where(cases.c.id > above, cases.c.id <= above + count).values(due_at=ticks(now)))


def client(url: str, links: Mapping[str, str], rate: float) -> None:
    """Answer each link in turn by page and webhook at that rate; prints when each POST began."""
    began: dict[str, float] = {}
    codes: dict[str, int] = {}

    async def one(http: httpx.AsyncClient, number: str, token: str, page: bool) -> None:
        began[number] = time.monotonic()
        if page:
            answer = await http.post(f"/r/{token}", data={"answer": "accept"})
        else:
            now = datetime.now(UTC)
            reply = Reply(event=f"r-{number}", order=number, at=now, answer=f.Answer.ACCEPT, round=1)
            body = Event(event=f"w-{number}", order=number, reply=reply).model_dump_json().encode()
            headers = sign(SECRET, f"w-{number}", now, body)
            answer = await http.post(f"/webhooks/{SHOP}", content=body, headers=headers)
        codes[str(answer.status_code)] = codes.get(str(answer.status_code), 0) + 1

    async def all_() -> None:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as http:
            start, asks = time.monotonic(), []
            for turn, (number, token) in enumerate(links.items()):
                await asyncio.sleep(max(0.0, start + turn / rate - time.monotonic()))
                asks.append(asyncio.create_task(one(http, number, token, turn % 2 == 0)))
            await asyncio.gather(*asks)

    asyncio.run(all_())
    json.dump({"began": began, "codes": codes}, sys.stdout)


def plugin(platform: Platform) -> Any:
    operations = {name: Operation.read() for name in ("changed_orders", "order", "replies", "verify_webhook")}
    operations |= {"message": Operation.blind(), "grant": Operation.idempotent(window=timedelta(days=1))}

    class Plugin:
        @hookimpl
        def amends_connectors(self) -> Iterable[ConnectorSpec]:
            yield ConnectorSpec(SHOP, _NoConfig, operations, factory=lambda config, context: platform)

        @hookimpl
        def amends_policies(self) -> Iterable[PolicySpec]:
            yield PolicySpec("one", _NoConfig, lambda config: _Policy())

    return Plugin()


async def measure(folder: Path, count: int, replies: int, rate: float, crowd: int) -> bool:
    platform, registry = Platform(), Registry()
    registry.add(plugin(platform), name=SHOP)
    settings = Settings.model_validate(
        {"shops": {SHOP: {"connector": SHOP, "policy": "one", "time_zone": "Asia/Shanghai"}}}
    )
    vault = Vault(os.urandom(32))
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", vault)
    shop = await Shop.open(settings, SHOP, ledger=ledger, registry=registry)
    began, now = time.monotonic(), datetime.now(UTC)
    for start in range(0, count, 1000):
        numbers = [f"N{n:07d}" for n in range(start, min(count, start + 1000))]
        await ledger.run(fill, shop, numbers, now)
    size = (folder / "ledger.db").stat().st_size / 1e6
    print(f"{count} open cases in {time.monotonic() - began:.0f} s, ledger of {size:.0f} MB", flush=True)
    commits = []
    for _ in range(50):
        at = time.monotonic()
        await ledger.run(fall_due, 0, 0, now)
        await ledger.run(intake.set_cursor, SHOP, "bench", str(at), now)
        commits.append(time.monotonic() - at)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(
        f"one small commit takes {sorted(commits)[25] * 1000:.1f} ms here, at a load of {load:.1f} per core",
        flush=True,
    )
    wide = Limits(RateLimit(10**9), RateLimit(10**9))
    resident = await Resident.open(settings, registry, ledger, port=0, limits=wide)
    stop = asyncio.Event()
    running = asyncio.create_task(resident.run(stop))
    good = True
    step = max(1, count // (2 * replies + 1))
    for number, name in enumerate(("in peace", f"while {crowd} other cases fall due")):
        ids = [1 + step * (2 * n + number) for n in range(replies)]
        links = {f"N{id_ - 1:07d}": Links(vault).token(Ticket(id_, 1, 1), now) for id_ in ids}
        if number:
            await ledger.run(fall_due, count // 2, crowd, datetime.now(UTC))
        good &= await _round(name, resident.url, links, rate, platform)
    stop.set()
    await running
    await shop.aclose()
    await ledger.aclose()
    return good


async def _round(name: str, url: str, links: Mapping[str, str], rate: float, platform: Platform) -> bool:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.reply_latency", "--client", url, "--rate", str(rate),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(json.dumps(links).encode())
    told = json.loads(out)
    until = time.monotonic() + 60
    while not told["began"].keys() <= platform.granted.keys() and time.monotonic() < until:  # noqa: ASYNC110  # a dictionary tells nobody
        await asyncio.sleep(0.05)
    took = sorted(platform.granted[n] - at for n, at in told["began"].items() if n in platform.granted)
    missing = len(told["began"]) - len(took)
    if not took:
        print(f"{name}: nothing was granted; answers {told['codes']}")
        return False
    p50, p90, p99 = (took[min(len(took) - 1, int(len(took) * q))] for q in (0.5, 0.9, 0.99))
    print(
        f"{name}: {len(took)} replies at {rate:g}/s, answers {told['codes']}, without effect {missing}; from reply to effect "
        f"p50 {p50 * 1000:.0f} ms, p90 {p90 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms "
        f"(promised: p99 {PROMISED * 1000:.0f} ms): {'kept' if p99 <= PROMISED and not missing else 'BROKEN'}",
        flush=True,
    )
    return p99 <= PROMISED and not missing


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--replies", type=int, default=600)
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--crowd", type=int, default=5000)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if given.client:
        client(given.client, json.load(sys.stdin), given.rate)
        return 0
    with tempfile.TemporaryDirectory(prefix="inbox-") as folder:
        good = asyncio.run(measure(Path(folder), given.cases, given.replies, given.rate, given.crowd))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
