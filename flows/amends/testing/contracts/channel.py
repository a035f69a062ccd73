"""The contract of channels."""

from __future__ import annotations

from typing import ClassVar

from amends.cases.orders import Personal
from amends.errors import PlatformError, Rejected
from amends.testing.contracts.bench import Write, check, expect, perform
from amends.testing.contracts.failing import FailingChecks
from amends.testing.contracts.fakes import FakeChannel
from amends.testing.contracts.writing import WritingChecks


class ChannelContract(WritingChecks, FailingChecks):
    """What every channel must keep: a message goes out once, to the right person, its fate told honestly."""

    fake: ClassVar[type[FakeChannel]]
    ops = ("message",)

    @check
    async def test_a_message_goes_to_the_customer(self) -> None:
        """The fake sees one of the customer's own addresses as the receiver, where it notes one."""
        write = self.writes()[0]
        if self.spec.reaches == "operators":
            return
        async with self.bench() as bench:
            request = bench.write(write, bench.late_order())
            await perform(bench.connect(), request)
            to = bench.fake.effects[-1].to
            own = set(request.personal.model_dump().values()) if request.personal else set()
            expect(not to or to in own, "the message went to an address that is not the customer's")

    @check
    async def test_a_customer_without_an_address_is_rejected(self) -> None:
        """Nobody to send to: Rejected, so that the next channel is tried; nothing is sent."""
        write = self.writes()[0]
        if self.spec.reaches == "operators" or not self.fake.unreachable:
            return
        async with self.bench() as bench:
            order = bench.late_order()
            for nobody in (None, Personal()):
                request = bench.write(write, order).model_copy(update={"personal": nobody})
                await self.rejected(bench, write, request, "without an address")

    @check
    async def test_line_breaks_in_an_address_send_nothing_extra(self) -> None:
        """An address with a line break (a forged header) is Rejected, or goes to nobody else."""
        write = self.writes()[0]
        if self.spec.reaches == "operators" or not self.fake.unreachable:
            return
        async with self.bench() as bench:
            order = bench.late_order()
            evil = "sample@example.invalid\r\nBcc: other@example.invalid"
            who = Personal(name=evil, phone=evil, email=evil, address=evil)
            request = bench.write(write, order).model_copy(update={"personal": who})
            await self.rejected(bench, write, request, "with a line break in the address")

    async def rejected(self, bench: object, write: Write, request: object, what: str) -> None:
        from amends.hooks.requests import Message
        from amends.testing.contracts.bench import Bench

        assert isinstance(bench, Bench) and isinstance(request, Message)
        try:
            await perform(bench.connect(), request)
        except Rejected:
            expect(not bench.effects(write), f"a message {what} was refused, and sent all the same")
            return
        except PlatformError as error:
            expect(False, f"a message {what} raised {type(error).__name__} instead of Rejected")
        expect(False, f"a message {what} was answered as if it had been sent")
