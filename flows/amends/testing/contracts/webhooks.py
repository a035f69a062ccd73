"""Checks of webhooks: a genuine one is read, a forged, changed or old one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from amends.errors import PlatformError, Rejected
from amends.hooks.requests import Event
from amends.testing.contracts.bench import Contract, check, expect
from amends.testing.contracts.fakes import FakePlatform


class WebhookChecks(Contract):
    """For connectors that declare `verify_webhook`."""

    fake: ClassVar[type[FakePlatform]]

    @check
    async def test_a_genuine_webhook_is_read(self) -> None:
        """It names its order, keeps its event id, and headers may come in any case."""
        self.needs("verify_webhook")
        async with self.bench() as bench:
            order, made = bench.late_order(), bench.connect()
            body = bench.platform.webhook(order)
            headers = dict(bench.platform.sign(body, bench.clock.now()))
            first = made.verify_webhook(headers, body)
            expect(first and all(isinstance(e, Event) for e in first), "a genuine webhook brings no Event")
            expect(first[0].order == order.number, "the event names another order")
            lower = made.verify_webhook({name.lower(): value for name, value in headers.items()}, body)
            expect(
                [e.event for e in lower] == [e.event for e in first], "sent again, the event has another id"
            )

    @check
    async def test_a_forged_webhook_is_refused(self) -> None:
        """A changed body, another body's signature, a changed signature, no headers: Rejected."""
        self.needs("verify_webhook")
        async with self.bench() as bench:
            order, made, now = bench.late_order(), bench.connect(), bench.clock.now()
            other = bench.put(order.model_copy(update={"number": bench.platform.number(2)}))
            body = bench.platform.webhook(order)
            headers = dict(bench.platform.sign(body, now))
            refused(made, headers, body + b" ", "a changed body")
            refused(
                made,
                dict(bench.platform.sign(bench.platform.webhook(other), now)),
                body,
                "another body's signature",
            )
            refused(made, {}, body, "a webhook without headers")
            refused(made, dict.fromkeys(headers, ""), body, "a webhook with empty headers")
            refused(
                made, {name: _turned(value) for name, value in headers.items()}, body, "a changed signature"
            )
            refused(made, dict.fromkeys(headers, "签名"), body, "a signature that is not ASCII")

    @check
    async def test_an_old_webhook_is_refused(self) -> None:
        """A genuine one, kept and sent again a day later: Rejected, where the platform signs the time."""
        self.needs("verify_webhook")
        async with self.bench() as bench:
            window = bench.platform.webhook_window
            body = bench.platform.webhook(bench.late_order())
            headers = dict(bench.platform.sign(body, bench.clock.now()))
            if window is None:
                return  # nothing to refuse it by: the host keeps event ids, so it is read once all the same
            bench.clock.advance(window + timedelta(minutes=1))
            refused(bench.connect(), headers, body, "a webhook that is too old")

    @check
    async def test_a_webhook_that_is_not_json_is_an_error_of_ours(self) -> None:
        """Genuinely signed nonsense raises a PlatformError, or brings no event."""
        self.needs("verify_webhook")
        async with self.bench() as bench:
            made = bench.connect()
            for body in (b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff\xfe"):
                try:
                    headers = dict(bench.platform.sign(body, bench.clock.now()))
                    made.verify_webhook(headers, body)
                except PlatformError:
                    pass
                except Exception as error:
                    expect(False, f"the webhook body {body!r} raised {type(error).__name__}")


def refused(made: Any, headers: Mapping[str, str], body: bytes, what: str) -> None:
    try:
        made.verify_webhook(headers, body)
    except Rejected:
        return
    except Exception as error:
        expect(False, f"{what} raised {type(error).__name__} instead of Rejected")
    expect(False, f"{what} was taken as genuine")


def _turned(value: str) -> str:
    return value[::-1] if value[::-1] != value else value + "0"
