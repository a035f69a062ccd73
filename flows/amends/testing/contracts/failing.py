"""Checks of what becomes of errors: each mapped into our tree, none swallowed, no secret in any."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from amends.errors import PlatformError, Throttled
from amends.testing.contracts import samples
from amends.testing.contracts.bench import Bench, Contract, check, expect, failure, perform, skip
from amends.testing.contracts.fakes import RETRY_AFTER
from amends.testing.contracts.troubles import AFTER, APART, BEFORE, Trouble, own_ways, plain, play

Call = Callable[[Any], Awaitable[Any]]
LISTS = ("changed_orders", "replies")


class FailingChecks(Contract):
    """For connectors, desks and channels: every api operation, reads and writes."""

    @check
    async def test_every_error_is_mapped(self) -> None:
        """Each kind of trouble raises the error that stands for it, for every api operation."""
        tried = 0
        for trouble in (*BEFORE, *AFTER, *APART):
            async for name, error in self.errors(trouble):
                self.fits(name, trouble, error)
                tried += 1
        if not tried:
            raise skip("is not reached over HTTP, and its fake provokes no trouble")

    @check
    async def test_plain_http_errors_are_mapped_too(self) -> None:
        """A service with error codes of its own also stands behind gateways, which know HTTP's only."""
        async with self.bench() as bench:
            troubles = own_ways(bench.fake)
        if not troubles:
            raise skip("refuses in plain HTTP, which is tried above")
        for trouble in troubles:
            async for name, error in self.errors(trouble, as_http=True):
                self.fits(name, trouble, error)

    @check
    async def test_throttling_says_how_long_to_wait(self) -> None:
        """`Throttled.retry_after` is what the service told, in seconds."""
        self.needs_http()
        trouble = next(one for one in BEFORE if one.refusal == "throttled")
        async for name, error in self.errors(trouble, as_http=True):
            expect(isinstance(error, Throttled), f"{name} under {trouble.name} raised {type(error).__name__}")
            told = error.retry_after
            expect(told == RETRY_AFTER, f"{name}: Retry-After was {RETRY_AFTER} s, the error says {told}")

    @check
    async def test_a_redirect_is_not_followed(self) -> None:
        """An answer that points elsewhere is an error: following it could carry secrets away."""
        import httpx

        self.needs_http()
        async with self.bench() as bench:
            for name, call in self.calls(bench):
                away = httpx.Response(302, headers={"Location": "https://elsewhere.example.invalid/"})
                bench.wire.clear()
                bench.wire.before = lambda request, away=away: away
                await failure(call(bench.connect()), of=name, under="a redirect")
                hosts = {sent.request.url.host for sent in bench.wire.sent}
                expect("elsewhere.example.invalid" not in hosts, f"{name} follows a redirect to another host")

    @check
    async def test_secrets_and_personal_values_stay_hidden(self) -> None:
        """Not in logs, output, `repr`, cursors, nor in any exception: whatever goes wrong."""
        async with self.bench() as bench:
            leaks = bench.leaks()
            short = [
                secret for secret in leaks.hidden if leaks.hidden[secret] == "a secret" and len(secret) < 8
            ]
            expect(not short, "the fake's config holds a secret of fewer than 8 characters: make it longer")
            leaks.look_at("the config", bench.config)
            leaks.look_at("the object", bench.connect())
            for name, call in self.calls(bench):
                with leaks.watch(name):
                    value = await call(bench.connect())
                leaks.look_at(f"what {name} answers", value)
                cursor = getattr(value, "cursor", "")
                leaks.look(f"the cursor of {name}", cursor)
                for order in getattr(value, "orders", ()):
                    leaks.look("the public part of an order", order.public().model_dump_json())
                for trouble in (*BEFORE, *AFTER, *APART):
                    if not play(bench, trouble):
                        continue
                    with leaks.watch(f"{name} under {trouble.name}"):
                        try:
                            await call(bench.connect())
                        except Exception as error:
                            leaks.look_into(f"{name} under {trouble.name}", error)
                    bench.wire.clear()
            expect(not leaks.found, "; ".join(dict.fromkeys(leaks.found)))

    @check
    async def test_config_keeps_secrets_and_refuses_unknown_keys(self) -> None:
        """Secrets are `SecretStr`; a misspelt key in a merchant's file is an error, not silence."""
        from pydantic import ValidationError

        async with self.bench() as bench:
            plain_secrets = [
                name
                for name, field in self.spec.config.model_fields.items()
                if name.endswith(("secret", "password", "token", "api_key", "private_key"))
                and "Secret" not in str(field.annotation)
            ]
            expect(not plain_secrets, f"{', '.join(plain_secrets)} must be a pydantic SecretStr")
            try:
                self.spec.config.model_validate(dict(bench.fake.settings()) | {"no_such_key": 1})
            except ValidationError:
                return
            expect(False, 'the config takes unknown keys; give it model_config = ConfigDict(extra="forbid")')

    def fits(self, name: str, trouble: Trouble, error: PlatformError) -> None:
        # A list has no object that could be unknown: there the status says little.
        if trouble.refusal == "not-found" and name in LISTS:
            return
        wanted = " or ".join(kind.__name__ for kind in trouble.expected)
        expect(
            trouble.fits(error), f"{name} under {trouble.name} raised {type(error).__name__}, not {wanted}"
        )

    async def errors(self, trouble: Trouble, *, as_http: bool = False) -> Any:
        """Each api operation with the error that it raises under that trouble."""
        async with self.bench() as bench:
            for name, call in self.calls(bench):
                if as_http:
                    bench.wire.before = plain(trouble, bench.fake)
                elif not play(bench, trouble):
                    return
                error = await failure(call(bench.connect()), of=name, under=trouble.name)
                bench.wire.clear()
                yield name, error

    def calls(self, bench: Bench) -> Iterator[tuple[str, Call]]:
        """Every api operation with a call of it that succeeds while all is well."""
        order = bench.late_order()
        for name in LISTS:
            if self.reads(name):
                yield name, lambda made, name=name: getattr(made, name)("")  # type: ignore[misc]  # bound in the loop
        if self.reads("order"):
            yield "order", lambda made: made.order(order.number)
        if self.reads("tracking"):
            # Another order, for what has left can no longer be extended.
            number = bench.platform.number(2)
            gone = samples.travelling(number, now=bench.clock.now(), currency=bench.fake.currency)
            yield "tracking", lambda made: made.tracking(bench.put(gone))
        for count, write in enumerate(self.writes() if any(self._by_api()) else ()):
            request = bench.write(write, order, key=f"call {count}")
            yield str(write), lambda made, request=request: perform(made, request)  # type: ignore[misc]  # as above

    def _by_api(self) -> Iterator[bool]:
        return (write.operation.how == "api" for write in self._declared())
