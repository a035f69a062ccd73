"""Schemathesis against a running inbox: no server error, nothing undescribed, whatever is sent."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from tests.unit.inbox.description import described
from tests.unit.inbox.house import PUBLIC, house

from amends.hooks.requests import Event
from amends.hooks.specs import Operation
from amends.inbox.customer import Limits
from amends.inbox.limits import RateLimit
from amends.inbox.resident import Resident
from amends.testing.webhooks import verify

# Whether an answer is taken depends on the case, not on the form's shape alone; whether a webhook is, on its signature.
load_all_checks()
ASIDE = CHECKS.get_by_names(
    ["positive_data_acceptance", "negative_data_rejection", "missing_required_header"]
)


class Running:
    """An inbox on a real port, in a thread of its own."""

    def __init__(self) -> None:
        self.url, self.tokens, self.failed = "", [], []
        self.ready, self.thread = threading.Event(), threading.Thread(target=self._main)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stop: asyncio.Event | None = None

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.failed.append(error)
            self.ready.set()
            raise

    async def _run(self) -> None:
        numbers = [f"A-{n}" for n in range(40)]
        async with house(orders=numbers, playbook={"rounds": 2}) as inbox:
            shop = inbox.shop
            self.tokens = [inbox.urls(number)[-1].removeprefix(f"{PUBLIC}/r/") for number in numbers]
            found = await Resident.open(
                shop.settings, shop.registry, shop.ledger, clock=shop.clock, port=0,
                limits=Limits(RateLimit(10**6), RateLimit(10**6)),
            )  # fmt: skip
            mine = found.shops["stall"]
            operations = {**mine.connector_spec.operations, "verify_webhook": Operation.read()}
            object.__setattr__(mine.connector_spec, "operations", operations)
            connector: Any = mine.connector

            def check(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
                verify("secret", headers, body, now=shop.clock.now(), age=timedelta(minutes=5))
                return (Event.model_validate_json(body),)

            connector.verify_webhook = check
            self.url, self.loop, self.stop = found.url, asyncio.get_running_loop(), asyncio.Event()
            self.ready.set()
            await found.run(self.stop)
            inbox.shop.check()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running()
    found.thread.start()
    assert found.ready.wait(30) and not found.failed
    yield found
    assert found.loop is not None and found.stop is not None
    found.loop.call_soon_threadsafe(found.stop.set)
    found.thread.join(20)
    assert not found.thread.is_alive() and not found.failed


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(
    ("path", "method"),
    [("/r/{token}", "GET"), ("/r/{token}", "POST"), ("/webhooks/{shop}", "POST"), ("/health", "GET")],
)
def test_whatever_is_sent(running: Running, path: str, method: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_dict(described(running.tokens, "stall"))[path][method]
    statuses: Counter[int] = Counter()

    known = {"token": ["", *running.tokens], "shop": ["", "stall"]}
    (name,) = re.findall(r"{(\w+)}", path) or [""]

    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(known.get(name, [""])))
    @settings(
        max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any, live: str) -> None:
        if live:  # by itself it hardly ever hits upon a signed token
            case.path_parameters[name] = live
        answer = case.call(base_url=running.url, allow_redirects=False, timeout=10)
        statuses[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=ASIDE)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE and path == "/health"  # nothing about it can be wrong
    print(path, method, mode.name, dict(statuses))  # noqa: T201  # shown where it fails
    if (path, method, mode) == ("/r/{token}", "POST", GenerationMode.POSITIVE):
        assert statuses[303] > 0 and statuses[409] > 0 and statuses[422] > 0
