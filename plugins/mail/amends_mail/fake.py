"""A make-believe mail server on loopback for the contract suite; it ships with the plugin for `plugin-check`."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from amends.testing.contracts import FakeChannel

_USER, _PASSWORD = "shop-0017", "made-up-password"  # made up, and only ever sent to loopback
# Long enough for a busy machine, short enough for a suite that waits for it a few times.
_PATIENCE = timedelta(milliseconds=500)

# What is said, or done, at which point of a session instead of what is expected.
_HANG, _CLOSE, _RESET = "(hang)", "(close)", "(reset)"
_TROUBLES = {
    "no connection": ("greeting", _CLOSE),
    "a connection that does not open in time": ("greeting", _HANG),
    "a service that cannot serve now": ("greeting", "421 4.3.2 going down"),
    "wrong credentials": ("AUTH", "535 5.7.8 wrong"),
    "a forbidden request": ("MAIL", "530 5.7.0 authentication required"),
    "throttling": ("RCPT", "450 4.7.1 {line} is greylisted"),
    "a rejected request": ("RCPT", "550 5.1.1 {line}: no such user"),
    "an answer that never comes": ("body", _HANG),
    "a connection reset before the answer": ("body", _RESET),
    "a server that hangs up": ("body", _CLOSE),
    "a truncated answer": ("body", "25(close)"),
    "an answer that is a web page": ("body", "<!doctype html><title>Please wait</title>"),
}


class _HangUp(Exception):
    pass


class FakeMailServer(FakeChannel):
    """Speaks as much SMTP as a client needs to hand over a mail, and notes each that it takes."""

    name = "mail"
    http = False
    config: ClassVar[Mapping[str, Any]] = {
        "host": "127.0.0.1",
        "tls": "none",
        "username": _USER,
        "password": _PASSWORD,
        "sender": "service@shop.example.invalid",
        "sender_name": "Sample Shop",
        "timeout": _PATIENCE,
        "answer_within": _PATIENCE,
    }

    async def start(self) -> None:
        self._trouble: tuple[str, str] | None = None
        self._over = asyncio.Event()
        self._sessions: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()
        self._over.set()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=1)

    def settings(self) -> Mapping[str, Any]:
        return {**self.config, "port": self._server.sockets[0].getsockname()[1]}

    def provoke(self, trouble: str) -> bool:
        self._trouble = _TROUBLES.get(trouble)
        return self._trouble is not None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
        try:
            await self._session(reader, writer)
        except (_HangUp, OSError):
            pass
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = ""
        await self._say(writer, "greeting", "220 mail.example.invalid")
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip():
            verb = line[:4].upper()
            match verb:
                case "EHLO":
                    await self._say(writer, verb, "250-mail.example.invalid\r\n250 AUTH PLAIN")
                case "AUTH":
                    given = base64.b64decode(line.split()[-1]).decode()
                    right = given == f"\0{_USER}\0{_PASSWORD}"
                    await self._say(writer, verb, "235 2.7.0 welcome" if right else "535 5.7.8 wrong")
                case "RCPT":
                    to = line.partition("<")[2].partition(">")[0]
                    await self._say(writer, verb, "250 2.1.5 ok", line)
                case "DATA":
                    await self._say(writer, verb, "354 go on")
                    body = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    found = re.search(r"^Message-ID:\s*<([^@>]*)@", body, re.MULTILINE)
                    self.act("message", "", key=found[1] if found else "", to=to)
                    await self._say(writer, "body", "250 2.0.0 taken")
                case "QUIT":
                    await self._say(writer, verb, "221 2.0.0 bye")
                    return
                case _:
                    await self._say(writer, verb, "250 2.0.0 ok")

    async def _say(self, writer: asyncio.StreamWriter, stage: str, text: str, line: str = "") -> None:
        if self._trouble is not None and self._trouble[0] == stage:
            text, self._trouble = self._trouble[1].format(line=line), None
        if text == _HANG:
            await self._over.wait()
            raise _HangUp
        if text == _RESET:
            writer.transport.abort()
            raise _HangUp
        if text == _CLOSE:
            raise _HangUp
        cut = text.endswith(_CLOSE)
        writer.write(text.removesuffix(_CLOSE).encode() + (b"" if cut else b"\r\n"))
        await writer.drain()
        if cut:
            raise _HangUp
