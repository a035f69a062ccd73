"""What the channel says of each failure, against a real server: surely not sent, or perhaps sent."""

from __future__ import annotations

import asyncio
import pickle
import socket
from datetime import timedelta

import pytest
from tests.plugins.mail.conftest import TO, Server, message, serving

from amends import (
    AuthFailed,
    PlatformError,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
    Unsupported,
)
from amends.deadline import SEND_BEFORE, steady


async def failed(server: Server, **config: object) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        await server.channel(**config).message(message())
    error = caught.value
    assert TO not in f"{error!r}{error.hint}{error.context}" and error.__suppress_context__
    assert pickle.loads(pickle.dumps(error)).sure_not_done == error.sure_not_done  # noqa: S301  # just made
    return error


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", ["550 5.1.1", "551", "552 5.3.4", "553", "554 5.7.1"])
async def test_5xx_is_a_refusal_for_good(server: Server, stage: str, code: str) -> None:
    server.answers[stage] = f"{code} no mail for {TO}"
    error = await failed(server)
    assert type(error) is Rejected and error.sure_not_done and not error.retryable
    assert str(error) == f"mail: the server answered {code} ({stage})"


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("421 4.3.2", Unavailable), ("450", Throttled), ("450 4.2.0", Throttled), ("451 4.3.0", Unavailable),
        ("451 4.7.1", Throttled), ("451", Unavailable), ("452 4.2.2", Throttled), ("452 4.3.1", Unavailable),
        ("421 4.7.0", Throttled),
    ],
)  # fmt: skip
async def test_4xx_is_not_done_and_may_be_tried_later(
    server: Server, stage: str, code: str, kind: type[PlatformError]
) -> None:
    server.answers[stage] = f"{code} {TO}: later"
    error = await failed(server)
    assert (type(error), error.sure_not_done, error.retryable) == (kind, True, True)
    assert error.retry_after == 120.0


async def test_silence_after_the_mail_was_handed_over_is_unknown(server: Server) -> None:
    async def hang(server: Server) -> str:
        await asyncio.sleep(60)
        return "250 OK"

    server.answers["DATA"] = hang
    error = await failed(server, answer_within=timedelta(milliseconds=300))
    assert type(error) is TimedOut and not error.sure_not_done
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_connection_dropped_after_the_mail_was_handed_over_is_unknown(
    server: Server, how: str
) -> None:
    async def drop(server: Server) -> str:
        getattr(server.protocol.transport, how)()
        return "250 OK"

    server.answers["DATA"] = drop
    error = await failed(server)
    assert type(error) is TimedOut and not error.sure_not_done
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
@pytest.mark.parametrize("how", ["close", "hang"])
async def test_a_session_lost_before_data_sent_nothing(server: Server, stage: str, how: str) -> None:
    async def lose(server: Server) -> str:
        if how == "hang":
            await asyncio.sleep(60)
        server.protocol.transport.close()
        return "250 OK"

    server.answers[stage] = lose
    error = await failed(server, timeout=timedelta(milliseconds=300))
    assert type(error) is Unreachable and error.sure_not_done
    assert not server.envelopes and stage in str(error)


async def test_a_connection_lost_during_the_farewell_changes_nothing(server: Server) -> None:
    async def taken(server: Server) -> str:
        asyncio.get_running_loop().call_later(0.01, server.protocol.transport.abort)
        return "250 OK"

    server.answers["DATA"] = taken
    assert (await server.channel().message(message())).ref
    assert len(server.envelopes) == 1


async def test_nobody_listens(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await failed(server, port=free.getsockname()[1])
    assert type(error) is Unreachable and error.sure_not_done


async def test_a_greeting_that_refuses() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 5.7.1 your address is on a list\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    server = Server()
    server.port = listening.sockets[0].getsockname()[1]
    error = await failed(server)
    assert type(error) is Rejected and str(error) == "mail: the server answered 554 5.7.1 (connecting)"
    listening.close()


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
async def test_a_server_that_wants_a_login_says_so() -> None:
    async with serving(auth_required=True, auth_require_tls=False) as server:
        error = await failed(server)
    assert type(error) is AuthFailed and "username" in error.hint


async def test_no_more_sessions_at_once_than_allowed(server: Server) -> None:
    async def count(server: Server) -> str:
        server.sessions += 1
        server.most = max(server.most, server.sessions)
        await asyncio.sleep(0.02)
        server.sessions -= 1
        return "250 OK"

    server.answers["DATA"] = count
    channel = server.channel(connections=2)
    await asyncio.gather(*(channel.message(message(key=f"am{n}")) for n in range(6)))
    assert (server.most, len(server.envelopes)) == (2, 6)


async def test_nothing_is_ever_looked_for(server: Server) -> None:
    with pytest.raises(Unsupported):
        await server.channel().find(message())


async def test_a_worker_that_was_stopped_before_the_text_sends_none(server: Server) -> None:
    async def slow(server: Server) -> str:
        await asyncio.sleep(0.1)
        return "250 OK"

    server.answers["RCPT"] = slow
    token = SEND_BEFORE.set(steady() + 0.05)
    try:
        with pytest.raises(Unreachable, match="lease was running out") as caught:
            await server.channel().message(message())
    finally:
        SEND_BEFORE.reset(token)
    assert caught.value.sure_not_done and all(envelope.content is None for envelope in server.envelopes)
