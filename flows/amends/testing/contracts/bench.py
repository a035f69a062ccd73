"""What contract suites stand on: a check, and a bench with a fake, a wire, a clock and plugin objects."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, cast
from unittest import SkipTest

import httpx

from amends.cases.orders import Order
from amends.clock import FixedClock
from amends.errors import PlatformError
from amends.hooks.protocols import Context
from amends.hooks.requests import AnyRequest, Receipt
from amends.hooks.specs import Operation
from amends.http import new_client
from amends.testing.contracts import samples
from amends.testing.contracts.fakes import Fake, FakePlatform
from amends.testing.contracts.leaks import Leaks, secrets_of
from amends.testing.contracts.wire import Wire

LIMIT = 20.0
"""Seconds that one check may take."""

_HOST, _PYTHON = Path(__file__).parents[2], Path(asyncio.__file__).parents[1]
_LIBRARIES = ("httpx", "httpcore", "anyio", "aiohttp", "pydantic", "pluggy")
_C = TypeVar("_C", bound="Contract")


class BrokenContract(AssertionError):
    """A plugin does not do what its spec says; the message says which part, and what was seen."""


def expect(truth: object, message: str) -> None:
    """Raise `BrokenContract` unless it is so."""
    if not truth:
        raise BrokenContract(message)


def skip(reason: str) -> SkipTest:
    """For `raise skip(...)`: the plugin does not declare what this check is about."""
    return SkipTest(reason)


def check(body: Callable[[_C], Awaitable[None]]) -> Callable[[_C], None]:
    """Make an async check a plain test, so that an author's project needs no plugin for pytest."""

    def test(self: _C) -> None:
        asyncio.run(asyncio.wait_for(_awaited(body(self)), LIMIT))

    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    return test


async def _awaited(work: Awaitable[None]) -> None:
    await work


@dataclass(frozen=True, slots=True)
class Write:
    """A write that a spec declares: `op` with its variant (`grant:coupon`), and how it is done."""

    op: str
    variant: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.op}:{self.variant}" if self.variant else self.op


class Bench:
    """One fake service, its wire, a clock that stands still, and plugin objects built over them."""

    def __init__(self, spec: Any, fake: type[Fake]) -> None:
        self.spec = spec
        self.clock = FixedClock(samples.START)
        self.fake = fake(self.clock)
        self.wire = Wire(self.fake)
        self._open: list[Any] = []

    @property
    def config(self) -> Any:
        return self.spec.config.model_validate(dict(self.fake.settings()))

    @property
    def platform(self) -> FakePlatform:
        """The fake of a connector or desk, which holds orders, replies and rulings."""
        expect(isinstance(self.fake, FakePlatform), f"{type(self.fake).__name__} must be a FakePlatform")
        return cast("FakePlatform", self.fake)

    def leaks(self) -> Leaks:
        return Leaks(secrets_of(self.config))

    def connect(self) -> Any:
        """A fresh connector or channel, as after a restart: it shares nothing with earlier ones."""
        context = Context(shop="sample", time_zone=self.fake.time_zone, clock=self.clock, http=self._client)
        made = self.spec.factory(self.config, context)
        self._open.append(made)
        return made

    def _client(self, **options: Any) -> httpx.AsyncClient:
        options.pop("limit", None)
        return new_client(**(options | {"transport": self.wire}))

    async def close(self) -> None:
        for made in self._open:
            await made.aclose()
        self._open.clear()

    def put(self, order: Order) -> Order:
        self.fake.orders[order.number] = order
        return order

    def late_order(self) -> Order:
        number = getattr(self.fake, "number", lambda n: f"S-{n}")(1)
        return self.put(samples.late(number, now=self.clock.now(), currency=self.fake.currency))

    def write(self, write: Write, order: Order, *, key: str = "first", round: int = 1) -> AnyRequest:
        name = samples.key(f"{write} {order.number} {key}")
        return self.fake.request(write.op, write.variant, order=order, key=name, round=round)

    def effects(self, write: Write) -> int:
        return sum(effect.op == write.op for effect in self.fake.effects)


async def perform(made: Any, request: AnyRequest) -> Receipt:
    """Do a write, and see that it answers with a receipt."""
    receipt = await getattr(made, request.op)(request)
    expect(
        isinstance(receipt, Receipt), f"{request.op} must answer with a Receipt, not {type(receipt).__name__}"
    )
    return receipt  # type: ignore[no-any-return]  # checked above; the plugin's own types are unknown here


async def failure(work: Awaitable[Any], *, of: str, under: str) -> PlatformError:
    """The `PlatformError` that this must raise: a value is a swallowed error."""
    try:
        value = await work
    except PlatformError as error:
        return error
    except Exception as error:
        raise BrokenContract(
            f"{of} under {under} raised {type(error).__name__}, no PlatformError: {str(error)[:200]}{place(error)}"
        ) from error
    raise BrokenContract(f"{of} under {under} swallowed the error and answered with a {type(value).__name__}")


def place(error: BaseException) -> str:
    """Where in the author's own code an error came from, as ` (fake.py:27, in handle)`; empty for elsewhere."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if _theirs(frame.filename):
            found = f" ({Path(frame.filename).name}:{frame.lineno}, in {frame.name})"
    return found


def _theirs(file: str) -> bool:
    path = Path(file)
    if file.startswith("<") or path.is_relative_to(_HOST):
        return False
    if "site-packages" in path.parts:  # where an installed plugin is, beside the libraries
        return path.parts[path.parts.index("site-packages") + 1] not in _LIBRARIES
    return not path.is_relative_to(_PYTHON)


class Contract:
    """The base of all suites. A test class inherits a suite and names the spec and the fake."""

    spec: ClassVar[Any]
    fake: ClassVar[type[Fake]]
    ops: ClassVar[tuple[str, ...]] = ()
    """The writes that this suite tries."""

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        bench = Bench(self.spec, self.fake)
        await bench.fake.start()
        try:
            yield bench
            await bench.close()
        finally:
            await bench.fake.stop()

    def writes(self, *effects: str) -> list[Write]:
        """The declared writes by API (of these effect classes); skips where there are none."""
        found = [write for write in self._declared() if write.operation.how == "api"]
        found = [write for write in found if not effects or write.operation.effect in effects]
        if not found:
            raise skip(f"declares no {' or '.join(effects) or 'api'} write")
        return found

    def not_by_api(self) -> list[Write]:
        """The writes that are a person's work, or nobody's."""
        found = [write for write in self._declared() if write.operation.how != "api"]
        named = {write.op for write in self._declared()}
        return found + [Write(op, "", Operation()) for op in self.ops if op not in named]

    def reads(self, name: str) -> bool:
        return bool(self.spec.operation(name).how == "api")

    def needs(self, name: str) -> None:
        if not self.reads(name):
            raise skip(f"does not declare {name} as api")

    def needs_http(self) -> None:
        if not self.fake.http:
            raise skip("is not reached over HTTP")

    def _declared(self) -> Iterator[Write]:
        for name, operation in self.spec.operations.items():
            op, _, variant = name.partition(":")
            if op not in self.ops:
                continue
            if op == "grant" and not variant and operation.how == "api":
                for kind in self.fake.remedies:
                    if f"grant:{kind}" not in self.spec.operations:
                        yield Write(op, kind, operation)
            else:
                yield Write(op, variant, operation)


@dataclass(frozen=True, slots=True)
class Result:
    """How one check of a suite went."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""
    about: str = ""


def run_suite(suite: type[Any]) -> tuple[Result, ...]:
    """Run every check of a suite without pytest, for `plugin_check`; not from a running event loop."""
    results = []
    for name, test in inspect.getmembers(suite, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        title = name.removeprefix("test_").replace("_", " ")
        about = (inspect.getdoc(test) or "").partition("\n")[0]
        try:
            test(suite())
        except SkipTest as reason:
            results.append(Result(title, "skipped", str(reason), about))
        except BrokenContract as broken:
            results.append(Result(title, "failed", str(broken), about))
        except Exception as error:  # a plugin or its fake can raise anything, and the report must go on
            detail = f"no answer within {LIMIT:g} s" if isinstance(error, TimeoutError) else str(error)[:300]
            results.append(Result(title, "failed", f"{type(error).__name__}: {detail}{place(error)}", about))
        else:
            results.append(Result(title, "passed", "", about))
    return tuple(results)


WAIT = timedelta(hours=1)
"""How far the clock is moved where a check lets time pass."""
