"""A make-believe service on loopback, reached by apprise's `json://`; it ships for `plugin-check`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from amends.testing.contracts import FakeChannel

_PATH = "/made-up-token-0017"
# The status that is answered, and whether the notice was taken all the same.
_TROUBLES = {
    "a bad gateway": (502, True),
    "a service that cannot serve now": (503, False),
}


class FakeNotices(FakeChannel):
    """Takes notices as JSON over HTTP and notes each."""

    name = "apprise"
    http = False
    unreachable = False

    async def start(self) -> None:
        self._next = (200, True)
        self.notices: list[dict[str, Any]] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"json://127.0.0.1:{port}{_PATH}?cto=2&rto=2"

    def settings(self) -> Mapping[str, Any]:
        return {"urls": [self.url]}

    def provoke(self, trouble: str) -> bool:
        self._next = _TROUBLES.get(trouble, (200, True))
        return trouble in _TROUBLES

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
            body = json.loads(await reader.readexactly(length))
            (status, taken), self._next = self._next, (200, True)
            if taken:
                self.notices.append(body)
                self.act("message", "")
            writer.write(f"HTTP/1.1 {status} .\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side is gone
        finally:
            writer.close()
