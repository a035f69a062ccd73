"""Every error that amends raises, as one tree: each has a stable code, a message and a hint that says what to do.

Business answers ("not late", "nothing to offer") are values, never errors. Errors survive pickling, so that they can
cross process borders unharmed.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any


class AmendsError(Exception):
    """The root of the tree: `code` is stable, `hint` tells the reader what to do next."""

    code = "amends"
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        self.context = context

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)

    def __str__(self) -> str:
        return self.message


def _rebuild(kind: type[AmendsError], message: str, state: dict[str, Any]) -> AmendsError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigError(AmendsError):
    """A setting is missing, unknown or wrong; the message names file and key."""

    code = "config"
    hint = "Correct the named key and run `amends config check`."


class InputError(AmendsError):
    """A file or argument given by the user cannot be used; the message names file, row or option."""

    code = "input"


class PluginError(AmendsError):
    """A plugin is broken, missing, duplicated or made for another version; the message names it."""

    code = "plugin"
    hint = "See `amends plugins`."


class CaseError(AmendsError):
    """A case cannot be found, or refuses what was asked of it."""

    code = "case"


class ApprovalError(AmendsError):
    """An approval is unknown, stale, expired, already decided or not this person's to give."""

    code = "approval"


class LedgerError(AmendsError):
    """The ledger cannot be used; nothing was written."""

    code = "ledger"


class LedgerLocked(LedgerError):
    """Another process keeps the ledger locked for longer than we wait."""

    code = "ledger-locked"
    hint = "Wait for the other process, or use Postgres for several workers."


class LedgerNewer(LedgerError):
    """The ledger was written by a newer amends than this one."""

    code = "ledger-newer"
    hint = "Upgrade amends; an older version must not write this ledger."


class LedgerCorrupt(LedgerError):
    """The ledger's file is damaged."""

    code = "ledger-corrupt"
    hint = "Stop all workers, keep the file, restore the last backup and run `amends evidence verify`."


class LedgerFull(LedgerError):
    """The disk is full: the last transaction was rolled back whole."""

    code = "ledger-full"
    hint = "Free disk space and run again; nothing was lost."


class LostLease(LedgerError):
    """Another worker took the case over while we worked on it; our outcome is refused."""

    code = "lost-lease"


class PlatformError(AmendsError):
    """Something went wrong at a platform, a desk or a channel.

    `sure_not_done` says that a write certainly had no effect; only then may it be sent again as it is.
    `retryable` says that trying later can help without a person.
    """

    code = "platform"
    sure_not_done = False
    retryable = False
    retry_after: float | None = None


class Unreachable(PlatformError):
    """No connection could be made: the request never left."""

    code = "unreachable"
    sure_not_done = True
    retryable = True


class Throttled(PlatformError):
    """The platform asks us to slow down; it did nothing. `retry_after` is in seconds, where told."""

    code = "throttled"
    sure_not_done = True
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, **kw: Any) -> None:
        super().__init__(message, **kw)
        self.retry_after = retry_after


class Unavailable(PlatformError):
    """The platform answered that it cannot serve now (5xx); a write may have happened all the same."""

    code = "unavailable"
    retryable = True


class TimedOut(PlatformError):
    """No answer came in time, or the connection broke after sending: a write may have happened."""

    code = "timed-out"
    retryable = True


class BadAnswer(PlatformError):
    """The answer was truncated, not JSON, or lacks a field that we need; a write may have happened."""

    code = "bad-answer"
    retryable = True


class Rejected(PlatformError):
    """The platform refused the request for good: it was not done and will not be."""

    code = "rejected"
    sure_not_done = True


class NotFound(Rejected):
    """The platform does not know the order or object."""

    code = "not-found"


class AuthFailed(PlatformError):
    """Credentials are wrong, expired or revoked: the shop is held until a person renews them."""

    code = "auth-failed"
    sure_not_done = True
    hint = "Renew the credentials named in the shop's connector_config, then `amends release --shop NAME`."


class NotAllowed(PlatformError):
    """The account may not do this (IP not on the list, missing permission): the shop is held for a person."""

    code = "not-allowed"
    sure_not_done = True
    hint = "Ask the platform's back office for the permission, then `amends release --shop NAME`."


class RiskControl(PlatformError):
    """The platform's risk control blocked us: the shop is held, a person must look."""

    code = "risk-control"
    sure_not_done = True
    hint = "Stop, look into the platform's back office, then `amends release --shop NAME`."


class Unsupported(PlatformError):
    """This connector cannot do that operation at all."""

    code = "unsupported"
    sure_not_done = True


def place(error: BaseException) -> str:
    """Where an error was raised: `in amends/steps/acts.py, line 40`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "of unknown origin"
    last = frames[-1]
    return f"in {'/'.join(Path(last.filename).parts[-3:])}, line {last.lineno}"
