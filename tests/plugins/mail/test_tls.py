"""TLS and login, against a real server with a certificate of its own."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.plugins.mail.conftest import PASSWORD, USER, authenticate, message, serving

from amends import AuthFailed, Unreachable
from amends_mail import MailConfig


async def test_starttls_then_login(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(
        tls_context=tls, require_starttls=True, authenticator=authenticate, auth_required=True
    ) as server:
        channel = server.channel(tls="starttls", ca_file=str(certificate), username=USER, password=PASSWORD)
        await channel.message(message())
        assert server.protocol.session.ssl is not None
    assert len(server.mails) == 1


async def test_tls_from_the_first_byte(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(implicit_tls=tls) as server:
        await server.channel(tls="tls", ca_file=str(certificate)).message(message())
    assert len(server.mails) == 1


async def test_a_wrong_password_holds_the_shop(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(tls_context=tls, authenticator=authenticate, auth_required=True) as server:
        channel = server.channel(
            tls="starttls", ca_file=str(certificate), username=USER, password="wrong-password"
        )
        with pytest.raises(AuthFailed) as caught:
            await channel.message(message())
    assert "amends release" in caught.value.hint
    assert "wrong-password" not in f"{caught.value!r}{channel!r}" and not server.envelopes


async def test_a_check_signs_in_and_sends_nothing(tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(tls_context=tls, authenticator=authenticate, auth_required=True) as server:
        given = {"tls": "starttls", "ca_file": str(certificate), "username": USER}
        await server.channel(**given, password=PASSWORD).check()
        with pytest.raises(AuthFailed):
            await server.channel(**given, password="wrong-password").check()
    assert server.protocol is not None and not server.envelopes


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_stops_it(tls: ssl.SSLContext, mode: str) -> None:
    options: dict[str, Any] = {"implicit_tls": tls} if mode == "tls" else {"tls_context": tls}
    async with serving(**options) as server:
        with pytest.raises(Unreachable, match="certificate") as caught:
            await server.channel(tls=mode).message(message())
    assert "ca_file" in caught.value.hint and not server.envelopes


async def test_no_mail_goes_out_in_the_clear_where_tls_is_wanted() -> None:
    async with serving() as server:
        with pytest.raises(Unreachable, match="no STARTTLS"):
            await server.channel(tls="starttls").message(message())
    assert not server.envelopes


async def test_a_login_where_there_is_none(tls: ssl.SSLContext) -> None:
    async with serving() as server:
        with pytest.raises(Unreachable, match="no login by password"):
            await server.channel(username=USER, password=PASSWORD).message(message())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sender": "nobody"}, "is not an e-mail address"),
        ({"sender": "a@b.example\r\nBcc: c@d.example"}, "is not an e-mail address"),
        ({"sender": ""}, "sender is empty"),
        ({"reply_to": "nobody"}, "is not an e-mail address"),
        ({"sender_name": "Shop\r\nBcc: c@d.example"}, "must be one line"),
        ({"tls": "none", "username": "shop"}, "in the clear"),
        ({"helo": "a b"}, "pattern"),
        ({"timeout": "0s"}, "greater than"),
        ({"pasword": "x"}, "Extra inputs"),
    ],
)
def test_a_config_that_cannot_work_says_why(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MailConfig.model_validate({"host": "mail.example.invalid", "sender": "a@b.example"} | given)


def test_ports_follow_the_kind_of_tls() -> None:
    told = {"host": "mail.example.invalid", "sender": "a@b.example"}
    ports = {mode: MailConfig.model_validate(told | {"tls": mode}).at for mode in ("starttls", "tls", "none")}
    assert ports == {"starttls": 587, "tls": 465, "none": 25}
    assert MailConfig.model_validate(told | {"port": 2525}).at == 2525
