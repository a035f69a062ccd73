"""Hands notices to apprise's services, one by one, and keeps what they log to ourselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import apprise

_ours: ContextVar[bool] = ContextVar("amends_apprise", default=False)
# In one thread, so that what it logs is known to be ours; nothing is kept on disk.
_ASSET = apprise.AppriseAsset(
    app_id="amends", app_desc="amends", async_mode=False, storage_mode="memory", secure_logging=True
)


class _Ours(logging.Filter):
    """Drops what is logged on our account: services log addresses with their tokens, and whole texts."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


_FILTER = _Ours()


@contextmanager
def quiet() -> Iterator[None]:
    """Within, and in threads started with this context, apprise and what it stands on log nothing."""
    for name in ("apprise", "urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_FILTER)
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)


def service(url: str) -> Any | None:
    """apprise's own object for that address; None where it knows none such."""
    with quiet():
        return apprise.Apprise.instantiate(url, asset=_ASSET, suppress_exceptions=True)


def notify(url: str, *, title: str, text: str) -> bool | None:
    """Whether the service said that it took the notice; None where the address is none. Blocks for seconds."""
    with quiet():
        found = service(url)
        if found is None:
            return None
        told = apprise.Apprise(found, asset=_ASSET)
        return bool(told.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT))
