"""Sends messages as mails, one SMTP session each, and tells what surely failed from what may have arrived."""

from __future__ import annotations

import asyncio
import ssl

from aiosmtplib import SMTP, SMTPException

from amends import AnyRequest, Context, Message, Receipt, Rejected, Unsupported, in_time
from amends_mail.addresses import ascii_address
from amends_mail.config import MailConfig
from amends_mail.faults import CONNECT, DATA, LOGIN, fault
from amends_mail.letter import compose

_GOODBYE = 2.0
"""Seconds for a farewell that changes nothing."""


class Mail:
    """Mails to one address at a time; a mail is sent once its server has said so."""

    def __init__(self, config: MailConfig, context: Context) -> None:
        self._config, self._clock = config, context.clock
        self._gate = asyncio.Semaphore(config.connections)
        self._trust: ssl.SSLContext | None = None

    async def message(self, request: Message) -> Receipt:
        """Hand the text over to the server. `Receipt.ref` is the Message-ID."""
        to = ascii_address(request.personal.email if request.personal else "")
        if not to:
            raise Rejected("mail: there is no usable e-mail address")
        try:
            mail = compose(request, to, config=self._config, now=self._clock.now())
            content = mail.as_bytes()
        except ValueError:  # its message would show the text
            raise Rejected("mail: the text cannot be written as a mail") from None
        async with self._gate:
            await self._deliver(to, content)
        return Receipt(ref=str(mail["Message-ID"]))

    async def find(self, request: AnyRequest) -> Receipt | None:
        raise Unsupported("mail: no server can be asked whether a mail arrived")

    async def check(self) -> None:
        """Sign in and leave again: nothing is sent. For `amends doctor`."""
        async with self._gate:
            await self._deliver("", b"")

    async def aclose(self) -> None:
        """Nothing stays open between mails."""

    async def _deliver(self, to: str, content: bytes) -> None:
        config, stage = self._config, CONNECT
        try:
            smtp = await self._server()
            try:
                await smtp.connect()
                if config.username:
                    stage = LOGIN
                    await smtp.login(config.username, config.password.get_secret_value())
                if not to:
                    await _quit(smtp)
                    return
                stage = "MAIL"
                await smtp.mail(config.sender)
                stage = "RCPT"
                await smtp.rcpt(to)
                in_time("mail")
                stage = DATA
                await smtp.data(content, timeout=config.answer_within.total_seconds())
                await _quit(smtp)
            finally:
                smtp.close()
        except (SMTPException, OSError, ValueError) as error:
            # `from None`: what the server said may repeat address or text.
            raise fault(stage, error) from None

    async def _server(self) -> SMTP:
        config = self._config
        if self._trust is None and config.tls != "none":
            # In a thread, for it reads files.
            self._trust = await asyncio.to_thread(ssl.create_default_context, cafile=config.ca_file or None)
        return SMTP(
            hostname=config.host,
            port=config.at,
            local_hostname=config.helo or config.domain,
            timeout=config.timeout.total_seconds(),
            use_tls=config.tls == "tls",
            start_tls=config.tls == "starttls",
            tls_context=self._trust,
        )


async def _quit(smtp: SMTP) -> None:
    try:
        await smtp.quit(timeout=_GOODBYE)
    except (SMTPException, OSError):
        pass  # the mail is taken, whatever becomes of the farewell
