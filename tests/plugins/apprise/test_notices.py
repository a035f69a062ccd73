"""Notices to operators, to real sockets on loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from amends import Context, Message, Personal, Rejected, Unavailable, Unsupported
from amends.clock import SystemClock
from amends_apprise import SPEC, AppriseConfig
from amends_apprise.channel import Apprise
from amends_apprise.fake import FakeNotices


@pytest.fixture
async def service() -> AsyncIterator[FakeNotices]:
    fake = FakeNotices(SystemClock())
    await fake.start()
    yield fake
    await fake.stop()


def channel(*urls: str) -> Apprise:
    context = Context(shop="sample", time_zone="Europe/Berlin", clock=SystemClock(), http=None)
    return Apprise(AppriseConfig.model_validate({"urls": urls}), context)


def notice(to: str = "", **more: Any) -> Message:
    told = {"key": "amkey", "order": "1001", "subject": "Approval 7 waits", "text": "Two refunds, 40.00 EUR."}
    return Message.model_validate(told | {"personal": Personal(address=to)} | more)


NOBODY = "json://127.0.0.1:1/made-up-token-0017?cto=1&rto=1"  # nobody listens there


async def test_a_notice_arrives(service: FakeNotices) -> None:
    receipt = await channel(service.url).message(notice())
    assert receipt.ref == "json"
    [found] = service.notices
    assert (found["title"], found["message"]) == ("Approval 7 waits", "Two refunds, 40.00 EUR.")


async def test_an_approvers_own_address_wins_over_config(service: FakeNotices) -> None:
    other = FakeNotices(SystemClock())
    await other.start()
    await channel(other.url).message(notice(to=service.url))
    assert (len(service.notices), len(other.notices)) == (1, 0)
    await other.stop()


async def test_what_is_no_address_of_a_service_is_not_one(service: FakeNotices) -> None:
    await channel(service.url).message(notice(to="17 Invented Lane"))
    assert len(service.notices) == 1


async def test_a_slip_in_an_approvers_address_tells_nobody_their_code(service: FakeNotices) -> None:
    with pytest.raises(Rejected, match="none that apprise knows"):
        await channel(service.url).message(notice(to="lin@invented.example"))
    assert not service.notices


async def test_one_of_two_services_is_enough(service: FakeNotices) -> None:
    receipt = await channel(NOBODY, service.url).message(notice())
    assert receipt.ref == "json" and len(service.notices) == 1


async def test_no_yes_is_unknown_never_a_refusal(service: FakeNotices) -> None:
    with pytest.raises(Unavailable, match="json did not say") as caught:
        await channel(NOBODY).message(notice())
    assert not caught.value.sure_not_done


async def test_a_silent_service_is_unknown(service: FakeNotices) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        await channel(f"json://127.0.0.1:{port}/?cto=0.3&rto=0.3").message(notice())
    assert not caught.value.sure_not_done
    silent.close()


@pytest.mark.parametrize(
    ("urls", "changes"),
    [
        ((), {}),
        ((), {"to": "nosuchservice://made-up-token-0017"}),
        (("json://127.0.0.1:1/",), {"subject": "", "text": " "}),
    ],
)
async def test_what_cannot_be_sent_is_refused(urls: tuple[str, ...], changes: dict[str, str]) -> None:
    with pytest.raises(Rejected) as caught:
        await channel(*urls).message(notice(**changes))
    assert "made-up-token-0017" not in f"{caught.value}{caught.value.hint}"


async def test_tokens_and_texts_stay_out_of_logs(
    service: FakeNotices, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = channel(service.url, NOBODY)
        await made.message(notice())
        with pytest.raises(Rejected):
            await made.message(notice(to="nosuchservice://made-up-token-0017"))
        logging.getLogger("apprise").info("somebody else's line")
    assert "made-up-token-0017" not in caplog.text and "40.00" not in caplog.text
    assert "somebody else's line" in caplog.text
    assert "made-up-token" not in f"{made!r}{made._config!r}"


def test_an_address_that_apprise_does_not_know_is_named_by_its_place_only() -> None:
    with pytest.raises(ValidationError) as caught:
        AppriseConfig.model_validate({"urls": ["json://127.0.0.1/", "nosuchservice://made-up-token-0017"]})
    assert "number 2 is no address" in str(caught.value) and "made-up-token-0017" not in str(caught.value)


async def test_it_reaches_operators_only_and_finds_nothing() -> None:
    assert SPEC.reaches == "operators"
    with pytest.raises(Unsupported):
        await channel().find(notice())
