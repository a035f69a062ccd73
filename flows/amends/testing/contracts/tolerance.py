"""Checks of odd answers: unknown fields pass, missing ones are named, nothing is made up in their place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

from amends.cases.orders import Order
from amends.errors import BadAnswer, PlatformError
from amends.hooks.requests import OrderPage
from amends.testing.contracts import samples
from amends.testing.contracts.bench import Bench, Contract, check, expect
from amends.testing.contracts.fakes import FakePlatform
from amends.testing.contracts.wire import change_json

GARBAGE: tuple[Any, ...] = ("?!", "²", "NaN", "-0.001", 10**20, {"odd": [None]})
"""What no platform should say: a digit that is none, a number that is none, one too exact, one too large, another shape."""
Path = tuple[str, ...]
Read = Callable[[Any], Awaitable[Any]]


class ToleranceChecks(Contract):
    """For connectors that list or show orders as JSON."""

    fake: ClassVar[type[FakePlatform]]

    @check
    async def test_unknown_fields_are_ignored(self) -> None:
        """A field that the platform adds tomorrow changes nothing."""
        self.needs_http()
        async with self.bench() as bench:
            for name, read in self.readings(bench):
                before = orders_of(await read(bench.connect()))
                bench.wire.after = lambda request, response, acted: change_json(response, _with_more)
                after = orders_of(await read(bench.connect()))
                bench.wire.clear()
                same = [a.same_as(b) for a, b in zip(before, after, strict=False)]
                expect(len(before) == len(after) and all(same), f"{name}: unknown fields change what is read")

    @check
    async def test_missing_fields_are_named(self) -> None:
        """Each field of an answer, left out: nothing is lost, or BadAnswer names it. Nothing else."""
        await self.without("missing", lambda path: lambda body: _drop(body, path))

    @check
    async def test_nulls_are_no_surprise(self) -> None:
        """Each field of an answer, null: nothing is lost, or a PlatformError. Nothing else."""
        await self.without("null", lambda path: lambda body: _null(body, path))

    @check
    async def test_garbage_is_no_surprise(self) -> None:
        """Each field of an answer, holding something else: an order or a PlatformError. Nothing else."""
        for odd in GARBAGE:
            await self.without("garbled", lambda path, odd=odd: lambda body: _garble(body, path, odd))  # type: ignore[misc]

    @check
    async def test_required_fields_are_required(self) -> None:
        """Without a field that the fake lists as `required`, BadAnswer names it."""
        self.needs_http()
        async with self.bench() as bench:
            expect(
                bench.platform.required,
                "list in the fake's `required` the platform's fields that an order cannot lack",
            )
            for name, read in self.readings(bench):
                present = {path[-1] for path in await self.paths(bench, read)}
                for field in bench.platform.required:
                    if field not in present:
                        continue
                    bench.wire.after = lambda request, response, acted, field=field: change_json(
                        response, lambda body: _drop_named(body, field)
                    )
                    try:
                        await read(bench.connect())
                    except BadAnswer as error:
                        expect(
                            field in str(error),
                            f"{name} without {field!r}: the message does not name it: {error}",
                        )
                    except Exception as error:
                        expect(
                            False, f"{name} without {field!r} raised {type(error).__name__}, not BadAnswer"
                        )
                    else:
                        expect(False, f"{name} without {field!r} goes on as if nothing were missing")
                    bench.wire.clear()

    @check
    async def test_one_odd_order_does_not_hold_up_the_others(self) -> None:
        """Where one order of a page cannot be read, the others arrive, and `unreadable` names it and why."""
        self.needs_http()
        if not self.reads("changed_orders"):
            return
        async with self.bench() as bench:
            (_, read), *_ = self.readings(bench)
            whole = {order.number for order in orders_of(await read(bench.connect()))}
            present = {path[-1] for path in await self.paths(bench, read)}
            tried = 0
            for field in bench.platform.required:
                if field not in present:
                    continue
                odd = OneOdd(field, sorted(whole)[0])
                bench.wire.after = lambda request, response, acted, odd=odd: change_json(response, odd)
                page = await _page_with_orders(bench.connect())
                bench.wire.clear()
                if not odd.changed:
                    continue  # not a field of the order itself
                tried += 1
                found, named = {order.number for order in page.orders}, page.unreadable
                expect(
                    found == whole - {odd.order},
                    f"{field!r} is missing in one order: the others do not arrive",
                )
                expect([one.order for one in named] == [odd.order], f"{field!r}: `unreadable` names {named}")
                expect(
                    field in named[0].why, f"{field!r}: `unreadable` does not say which field: {named[0].why}"
                )
            expect(
                tried > 0, "no field that the fake lists as `required` stands in an order beside its number"
            )

    async def without(self, how: str, change: Callable[[Path], Callable[[Any], Any]]) -> None:
        self.needs_http()
        async with self.bench() as bench:
            leaks = bench.leaks()
            for name, read in self.readings(bench):
                whole = orders_of(await read(bench.connect()))
                for path in await self.paths(bench, read):
                    if path[-1] in bench.platform.spare:
                        continue
                    bench.wire.after = lambda request, response, acted, path=path: change_json(
                        response, change(path)
                    )
                    where = f"{name} with {'.'.join(path)} {how}"
                    try:
                        found = orders_of(await read(bench.connect()))
                    except BadAnswer as error:
                        said = str(error)
                        leaks.look_into(where, error)
                        expect(
                            how != "missing" or _names(said, path),
                            f"{where}: the message does not name it: {said}",
                        )
                    except PlatformError as error:
                        leaks.look_into(where, error)
                    except Exception as error:
                        expect(False, f"{where} raised {type(error).__name__}: {str(error)[:120]}")
                    else:
                        if how != "garbled":  # a garbled number is a number
                            _nothing_made_up(where, whole, found)
                    bench.wire.clear()
            expect(not leaks.found, "; ".join(dict.fromkeys(leaks.found)))

    def readings(self, bench: Bench) -> Iterator[tuple[str, Read]]:
        """A page of the list and the single order, with one waiting and one travelling order to read."""
        order, now = bench.late_order(), bench.clock.now()
        bench.put(samples.travelling(bench.platform.number(2), now=now, currency=bench.platform.currency))
        if self.reads("changed_orders"):
            yield "changed_orders", _readable_page
        if self.reads("order"):
            yield "order", lambda made: made.order(order.number)

    async def paths(self, bench: Bench, read: Read) -> list[Path]:
        """Where fields are in the answers, lists aside."""
        found: dict[Path, None] = {}

        def note(body: Any) -> Any:
            found.update(dict.fromkeys(_paths(body)))
            return body

        bench.wire.after = lambda request, response, acted: change_json(response, note)
        await read(bench.connect())
        bench.wire.clear()
        return list(found)


async def _page_with_orders(made: Any) -> OrderPage:
    page: OrderPage = await made.changed_orders("")
    for _ in range(4000):
        if page.orders or page.unreadable or not page.more:
            break
        page = await made.changed_orders(page.cursor)
    return page


async def _readable_page(made: Any) -> OrderPage:
    """The same; what it cannot read is raised, as for a single order."""
    page = await _page_with_orders(made)
    if page.unreadable:
        raise BadAnswer("; ".join(one.why for one in page.unreadable))
    return page


class OneOdd:
    """Leaves a field (not its number) out of one order, wherever an answer shows it; `changed` once it has."""

    def __init__(self, field: str, order: str) -> None:
        self.field, self.order, self.changed = field, order, False

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if str(value.get(self.field)) == self.order:
            return value
        if any(str(inner) == self.order for inner in value.values()):
            less = _drop_named(value, self.field)
            self.changed = self.changed or less != value
            return less
        return {name: self(inner) for name, inner in value.items()}


def orders_of(value: Any) -> list[Order]:
    return [value] if isinstance(value, Order) else list(value.orders)


def _nothing_made_up(where: str, whole: list[Order], found: list[Order]) -> None:
    known = {order.number: order for order in whole}
    lost = set(known) - {order.number for order in found}
    expect(not lost, f"{where}: {len(lost)} orders are silently left out")
    for order in found:
        true = known.get(order.number)
        expect(true is not None, f"{where}: an order with a made-up number")
        if true is not None:
            expect(order.amount == true.amount, f"{where}: the amount {order.amount} is made up")
            expect(order.placed_at == true.placed_at, f"{where}: placed_at is made up")


def _paths(value: Any, under: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*under, name)
            yield from _paths(inner, (*under, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, under)


def _at(value: Any, path: Path, act: Callable[[dict[str, Any], str], None]) -> Any:
    if isinstance(value, list):
        for inner in value:
            _at(inner, path, act)
    elif isinstance(value, dict) and path[0] in value:
        if len(path) == 1:
            act(value, path[0])
        else:
            _at(value[path[0]], path[1:], act)
    return value


def _drop(body: Any, path: Path) -> Any:
    return _at(body, path, lambda found, name: found.pop(name) and None)


def _null(body: Any, path: Path) -> Any:
    return _at(body, path, lambda found, name: found.update({name: None}))


def _garble(body: Any, path: Path, odd: Any) -> Any:
    return _at(body, path, lambda found, name: found.update({name: odd}))


def _drop_named(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _drop_named(inner, name) for key, inner in value.items() if key != name}
    return [_drop_named(inner, name) for inner in value] if isinstance(value, list) else value


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_more(inner) for key, inner in value.items()} | {
            "new_tomorrow": {"nested": [1, None]}
        }
    return [_with_more(inner) for inner in value] if isinstance(value, list) else value


def _names(said: str, path: Path) -> bool:
    """The message names the field, or one around it."""
    return any(part in said for part in path)
