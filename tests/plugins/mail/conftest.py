"""A real SMTP server (aiosmtpd) on a free loopback port, that behaves or misbehaves as told."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from amends import Context, Message, Personal
from amends.clock import FixedClock
from amends_mail import MailConfig
from amends_mail.channel import Mail

NOW = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)
TO = "sample.customer.0017@example.invalid"
USER, PASSWORD = "shop-0017", "made-up-password"
Answer = Callable[["Server"], Awaitable[str]]


class Server:
    """aiosmtpd's handler: keeps what it takes; `answers` replaces its answer at MAIL, RCPT or DATA."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.answers: dict[str, str | Answer] = {}
        self.port = 0
        self.protocol: Any = None
        self.sessions = 0
        self.most = 0

    async def handle_EHLO(
        self, server: Any, session: Session, envelope: Envelope, name: str, responses: list[str]
    ) -> list[str]:
        self.protocol = server
        session.host_name = name
        return responses

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        envelope.mail_from = address
        return await self._answer("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._answer("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return await self._answer("DATA", "250 OK")

    async def _answer(self, stage: str, good: str) -> str:
        told = self.answers.get(stage, good)
        return told if isinstance(told, str) else await told(self)

    @property
    def mails(self) -> list[EmailMessage]:
        return [self.mail(envelope) for envelope in self.envelopes]

    def mail(self, envelope: Envelope) -> EmailMessage:
        content = envelope.content
        assert isinstance(content, bytes)
        found = email.message_from_bytes(content, policy=default)
        assert isinstance(found, EmailMessage)
        return found

    def channel(self, **config: Any) -> Mail:
        told = {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "none",
            "sender": "service@shop.example.invalid",
            "timeout": timedelta(seconds=5),
            "answer_within": timedelta(seconds=5),
        }
        context = Context(shop="sample", time_zone="Europe/Berlin", clock=FixedClock(NOW), http=None)
        return Mail(MailConfig.model_validate(told | config), context)


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def serving(*, implicit_tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Server]:
    handler = Server()

    def session() -> SMTP:
        return SMTP(handler, hostname="mail.example.invalid", loop=asyncio.get_running_loop(), **options)

    listening = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=implicit_tls)
    handler.port = listening.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        listening.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


def message(**more: Any) -> Message:
    told = {
        "key": "amsamplekey0017",
        "order": "1001",
        "personal": Personal(name="Sample Customer 0017", email=TO),
        "subject": "Your order 1001 is late",
        "text": "Dear customer,\nwe are late, and sorry.\n",
        "language": "en",
    }
    return Message.model_validate(told | more)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that vouches for itself, in one file, made for this run."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.invalid")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(17)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    path.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
