"""The contract of connectors and desks."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from amends.errors import PlatformError
from amends.hooks.requests import Ruling
from amends.testing.contracts.bench import Write, check, expect, perform
from amends.testing.contracts.failing import FailingChecks
from amends.testing.contracts.fakes import FakePlatform
from amends.testing.contracts.reading import ReadingChecks
from amends.testing.contracts.tolerance import ToleranceChecks
from amends.testing.contracts.webhooks import WebhookChecks
from amends.testing.contracts.writing import WritingChecks

DESK_OPS = ("complain", "respond", "arbitrate")


class ConnectorContract(ReadingChecks, ToleranceChecks, WebhookChecks, WritingChecks, FailingChecks):
    """What every connector must keep. Name the spec and the fake:

    class TestCornerShop(ConnectorContract):
        spec = SPEC
        fake = FakeCornerShop
    """

    fake: ClassVar[type[FakePlatform]]
    ops = ("message", "grant", "extend", "note")

    @check
    async def test_one_call_stays_within_the_quota(self) -> None:
        """The declared quota makes sense, and one call sends no more requests than its burst."""
        rate, burst = self.spec.quota
        expect(rate > 0 and burst >= 1 and self.spec.in_flight >= 1, "quota and in_flight must be above zero")
        async with self.bench() as bench:
            for name, call in self.calls(bench):
                bench.wire.clear()
                await call(bench.connect())
                sent = len(bench.wire.sent)
                expect(
                    sent <= burst, f"one call of {name} sends {sent} requests, the quota's burst is {burst}"
                )

    @check
    async def test_closing_twice_is_harmless(self) -> None:
        """`aclose` may be called before anything was sent, and again."""
        async with self.bench() as bench:
            made = bench.connect()
            await made.aclose()
            await made.aclose()


class DeskContract(WritingChecks, FailingChecks):
    """What a desk must keep: filings as writes, and rulings.

    The fake is a `FakePlatform` whose `prepare` opens a dispute and whose `handle` shows `self.rulings`.
    """

    fake: ClassVar[type[FakePlatform]]
    ops = DESK_OPS

    @check
    async def test_a_ruling_is_seen_when_there_is_one(self) -> None:
        """None while the desk has not decided; then the verdict, its time in UTC; trouble raises."""
        self.needs("ruling")
        for verdict in ("for-us", "against-us"):
            for write in self.writes():
                async with self.bench() as bench:
                    order = bench.late_order()
                    receipt = await perform(bench.connect(), bench.write(write, order))
                    expect(receipt.ref, f"{write} answers without the reference by which its ruling is found")
                    none = await bench.connect().ruling(order.number, receipt.ref)
                    expect(none is None, f"{write} was just filed, yet there is a ruling")
                    at = bench.clock.now() + timedelta(days=2)
                    bench.clock.set(at + timedelta(hours=1))
                    bench.platform.rulings[receipt.ref] = Ruling.model_validate(
                        {"verdict": verdict, "at": at}
                    )
                    seen = await bench.connect().ruling(order.number, receipt.ref)
                    expect(isinstance(seen, Ruling), f"{write} was decided, yet no ruling is seen")
                    expect(
                        seen.verdict == verdict,
                        f"{write} was decided {verdict}, the ruling says {seen.verdict}",
                    )
                    expect(seen.at.utcoffset() == timedelta(0), "the time of a ruling is not in UTC")

    @check
    async def test_a_filing_nobody_made_has_no_ruling(self) -> None:
        """An unknown reference is answered with None or a PlatformError, never with a verdict."""
        self.needs("ruling")
        async with self.bench() as bench:
            order = bench.late_order()
            try:
                found = await bench.connect().ruling(order.number, "no-such-filing")
            except PlatformError:
                return
            expect(found is None, "a filing that nobody made has a ruling")

    @check
    async def test_files_reach_the_desk(self) -> None:
        """The content of an evidence file is among the bytes that are sent."""
        self.needs_http()
        for write in self.writes():
            async with self.bench() as bench:
                request = bench.write(write, bench.late_order())
                await perform(bench.connect(), request)
                sent = b"".join(one.request.content for one in bench.wire.sent)
                for file in getattr(request, "files", ()):
                    expect(self.carries(sent, file.content), f"{write} does not send the file {file.name}")

    def carries(self, sent: bytes, content: bytes) -> bool:
        """Whether these bytes hold the file; as it is, in base64 or within JSON."""
        import base64
        import json

        forms = (content, base64.b64encode(content), json.dumps(content.decode("latin-1"))[1:-1].encode())
        return any(form in sent for form in forms)


def has_desk(spec: object) -> bool:
    """Whether a connector's spec declares anything of a desk by API."""
    operations = getattr(spec, "operations", {})
    return any(name in (*DESK_OPS, "ruling") and how.how == "api" for name, how in operations.items())


__all__ = ["DESK_OPS", "ConnectorContract", "DeskContract", "Write", "has_desk"]
