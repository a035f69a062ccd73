"""Checks of what a plugin writes: once, under its key, found again where it says so, never repeated."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

from amends.errors import PlatformError, Unsupported
from amends.hooks.specs import READS
from amends.testing.contracts.bench import WAIT, Bench, Contract, Write, check, expect, failure, perform
from amends.testing.contracts.troubles import AFTER, APART, BEFORE, Trouble, play
from amends.testing.contracts.wire import Sent


class WritingChecks(Contract):
    """For connectors, desks and channels: `ops` are the writes to try."""

    @check
    async def test_what_is_declared_can_be_called(self) -> None:
        """Every `api` operation is there as the protocol has it; only writes have an effect class."""
        async with self.bench() as bench:
            made = bench.connect()
            queryable = False
            for name, operation in self.spec.operations.items():
                op = name.partition(":")[0]
                if operation.how != "api":
                    continue
                method = getattr(made, op, None)
                expect(callable(method), f"{name} is declared as api, but there is no {op}()")
                expect(
                    op == "verify_webhook" or inspect.iscoroutinefunction(method),
                    f"{op}() must be an `async def`",
                )
                if op in READS:
                    expect(operation.effect == "none", f"{name} only reads: declare it with Operation.read()")
                else:
                    expect(operation.effect != "none", f"{name} writes: declare its effect class")
                queryable = queryable or operation.effect == "queryable"
            expect(
                not queryable or (self.reads("find") and callable(getattr(made, "find", None))),
                "a queryable write needs `find`, declared with Operation.read()",
            )

    @check
    async def test_a_write_takes_effect_once(self) -> None:
        """One call is one effect, on the right order; a reviewed one answers `requested`."""
        writes = self.writes()
        async with self.bench() as bench:
            order = bench.late_order()
            for write in writes:
                before = bench.effects(write)
                receipt = await perform(bench.connect(), bench.write(write, order))
                made = bench.effects(write) - before
                expect(made == 1, f"{write} was called once and took effect {made} times")
                last = [effect for effect in bench.fake.effects if effect.op == write.op][-1]
                expect(last.order in ("", order.number), f"{write} took effect on another order")
                if write.operation.reviewed:
                    expect(
                        receipt.state == "requested",
                        f"{write} is declared as reviewed, but its receipt says done",
                    )

    @check
    async def test_the_same_key_sends_the_same_bytes(self) -> None:
        """A resend an hour later, by a fresh object, differs only in what the fake calls `volatile`."""
        self.needs_http()
        for write in self.writes():
            bodies = []
            for wait in (timedelta(0), WAIT):
                async with self.bench() as bench:
                    request = bench.write(write, bench.late_order())
                    bench.clock.advance(wait)
                    await perform(bench.connect(), request)
                    bodies.append([sent.stable(self.fake.volatile) for sent in acted(bench)])
            expect(bodies[0] == bodies[1], f"{write}: sent again under the same key, the request differs")

    @check
    async def test_another_key_sends_other_bytes(self) -> None:
        """What is idempotent or queryable carries the key, so that two acts can be told apart."""
        self.needs_http()
        for write in self.writes("idempotent", "queryable"):
            async with self.bench() as bench:
                order = bench.late_order()
                for key in ("first", "second"):
                    await perform(bench.connect(), bench.write(write, order, key=key))
                sent = [one.stable(self.fake.volatile) for one in acted(bench)]
                expect(
                    len(sent) < 2 or sent[0] != sent[1], f"{write}: two different acts send the same bytes"
                )
                expect(
                    bench.effects(write) == 2,
                    f"{write}: two different acts had {bench.effects(write)} effects",
                )

    @check
    async def test_an_idempotent_write_repeated_has_one_effect(self) -> None:
        """Declared idempotent: the same key again, and again after a lost answer, changes nothing more."""
        for write in self.writes("idempotent"):
            async with self.bench() as bench:
                request = bench.write(write, bench.late_order())
                first = await perform(bench.connect(), request)
                second = await perform(bench.connect(), request)
                count = bench.effects(write)
                expect(
                    count == 1,
                    f"{write} is declared idempotent, but the same key sent twice took effect {count} times",
                )
                expect(first.ref == second.ref, f"{write}: the same key gives two references")
            async with self.bench() as bench:
                request = bench.write(write, bench.late_order())
                if await self.lose_answer(bench, write, request) is None:
                    continue
                bench.wire.clear()
                await perform(bench.connect(), request)
                expect(
                    bench.effects(write) == 1, f"{write}: resent after a lost answer, it took effect twice"
                )

    @check
    async def test_a_lost_write_is_found(self) -> None:
        """Declared queryable: after a lost answer, `find` by a fresh object shows the receipt."""
        for write in self.writes("queryable"):
            async with self.bench() as bench:
                order = bench.late_order()
                request = bench.write(write, order)
                if await self.lose_answer(bench, write, request) is None:
                    continue
                bench.wire.clear()
                bench.clock.advance(write.operation.quiet + timedelta(seconds=1))
                found = await bench.connect().find(request)
                expect(
                    found is not None,
                    f"{write} took effect and its answer was lost, but `find` says it is absent",
                )
                other = await bench.connect().find(bench.write(write, order, key="second", round=2))
                expect(other is None, f"{write}: `find` takes another act on the same order for this one")

    @check
    async def test_find_proves_absence_and_never_guesses(self) -> None:
        """`find` answers None only where the platform showed that nothing is there; trouble raises."""
        for write in self.writes("queryable"):
            async with self.bench() as bench:
                request = bench.write(write, bench.late_order())
                bench.clock.advance(write.operation.quiet + timedelta(seconds=1))
                found = await bench.connect().find(request)
                expect(found is None, f"{write} was never sent, but `find` shows a receipt")
                for trouble in (*BEFORE, *AFTER, *APART):
                    if trouble.refusal == "not-found" or not play(bench, trouble):
                        continue
                    await failure(bench.connect().find(request), of=f"find of {write}", under=trouble.name)
                    bench.wire.clear()

    @check
    async def test_a_plugin_never_repeats_a_write_itself(self) -> None:
        """A lost answer: what is not idempotent was sent once, for resending is the host's decision."""
        for write in self.writes("queryable", "blind"):
            async with self.bench() as bench:
                request = bench.write(write, bench.late_order())
                await self.lose_answer(bench, write, request)
                count = bench.effects(write)
                expect(count <= 1, f"{write}: after one lost answer it has been done {count} times")

    @check
    async def test_a_write_that_may_have_happened_is_never_called_undone(self) -> None:
        """It took effect, and the answer is lost, late, broken or an error: not `sure_not_done`."""
        for write in self.writes():
            for trouble in AFTER:
                async with self.bench() as bench:
                    request = bench.write(write, bench.late_order())
                    if not play(bench, trouble, acted_only=True):
                        continue
                    error = await failure(
                        perform(bench.connect(), request), of=str(write), under=trouble.name
                    )
                    if bench.effects(write):
                        expect(
                            not error.sure_not_done,
                            f"{write} took effect; under {trouble.name} it raised {type(error).__name__}, "
                            "which promises that nothing was done",
                        )

    @check
    async def test_a_refused_write_is_called_undone(self) -> None:
        """Refused before it took effect: mapped, `sure_not_done`, and no effect."""
        for write in self.writes():
            for trouble in BEFORE:
                async with self.bench() as bench:
                    request = bench.write(write, bench.late_order())
                    if not play(bench, trouble):
                        continue
                    error = await failure(
                        perform(bench.connect(), request), of=str(write), under=trouble.name
                    )
                    expect(
                        error.sure_not_done,
                        f"{write} under {trouble.name}: {type(error).__name__} leaves it open",
                    )
                    expect(not bench.effects(write), f"{write} under {trouble.name} took effect all the same")

    @check
    async def test_what_is_not_by_api_sends_nothing(self) -> None:
        """A by-hand or undeclared write is absent or raises Unsupported; it never reaches the service."""
        async with self.bench() as bench:
            order, made = bench.late_order(), bench.connect()
            for write in self.not_by_api():
                method = getattr(made, write.op, None)
                if method is None or any(
                    w.op == write.op and w.operation.how == "api" for w in self._declared()
                ):
                    continue
                bench.wire.sent.clear()
                request = bench.write(write, order)
                sent_before = len(bench.fake.effects)
                try:
                    await method(request)
                except (Unsupported, NotImplementedError):
                    pass
                except PlatformError as error:
                    expect(
                        False,
                        f"{write} is {write.operation.how}: raise Unsupported, not {type(error).__name__}",
                    )
                else:
                    expect(
                        False, f"{write} is {write.operation.how}, but calling it answers as if it were done"
                    )
                went = bench.wire.sent or len(bench.fake.effects) > sent_before
                expect(not went, f"{write} is {write.operation.how}, but calling it sends a request")

    async def lose_answer(self, bench: Bench, write: Write, request: Any) -> PlatformError | None:
        """Let the write take effect and lose the answer; None where that cannot be played with this fake."""
        if not play(bench, Trouble.lost_answer(), acted_only=True):
            return None
        error = await failure(perform(bench.connect(), request), of=str(write), under="a lost answer")
        expect(
            bench.effects(write) >= 1,
            f"{write}: the fake noted no effect; call `self.act({write.op!r}, …)` there",
        )
        return error


def acted(bench: Bench) -> list[Sent]:
    return [sent for sent in bench.wire.sent if sent.acted]
