"""What a failure at each stage of an SMTP session means: surely not sent, or perhaps sent."""

from __future__ import annotations

import re
import ssl

from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException

from amends import (
    AuthFailed,
    BadAnswer,
    PlatformError,
    Rejected,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)

CONNECT, LOGIN, DATA = "connecting", "AUTH", "DATA"

# RFC 4954, section 6: authentication required, too weak, invalid, needs encryption.
_AUTH = (530, 534, 535, 538)
# RFC 3463: policy and rate (x.7.x), mailbox full or busy (x.2.x).
_SLOW_DOWN = re.compile(r"4\.[27]\.")
_ENHANCED = re.compile(r"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
# RFC 5321, section 4.5.4.1, wants minutes between attempts; servers that greylist insist.
PAUSE = 120.0


def fault(stage: str, error: Exception) -> PlatformError:
    """Our error for what went wrong at `stage`: `connecting`, `AUTH`, `MAIL`, `RCPT` or `DATA`.

    Nothing has been sent before DATA. From then on only an answer of the server proves anything: 4xx and 5xx say
    that it did not take the mail. Never the server's own words: they may repeat the address.
    """
    if isinstance(error, SMTPResponseException):
        return _answered(stage, error)
    name = "no answer in time" if isinstance(error, TimeoutError) else "the connection broke"
    if stage == DATA:
        return TimedOut(f"mail: {name} after the mail had been handed over")
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in (error, error.__cause__)):
        return Unreachable(
            "mail: the server's certificate cannot be trusted",
            hint="Check host and ca_file of the mail channel.",
        )
    if type(error) is SMTPException:  # aiosmtplib's word for an extension that the server does not have
        lacking = "login by password" if stage == LOGIN else "STARTTLS"
        return Unreachable(
            f"mail: the server offers no {lacking}", hint="Check port and tls of the mail channel."
        )
    return Unreachable(f"mail: {name} ({stage}); nothing was sent")


def _answered(stage: str, error: SMTPResponseException) -> PlatformError:
    found = _ENHANCED.match(error.message)
    detail = found[1] if found else ""
    said = f"mail: the server answered {f'{error.code} {detail}'.strip()} ({stage})"
    login = stage == LOGIN or isinstance(error, SMTPAuthenticationError)
    if error.code in _AUTH or (login and 500 <= error.code < 600):
        return AuthFailed(
            said,
            hint="Check username, password and tls of the mail channel, then `amends release --shop NAME`.",
        )
    if 500 <= error.code < 600:
        return Rejected(said)
    if 400 <= error.code < 500:
        if error.code == 450 or _SLOW_DOWN.match(detail):
            return Throttled(said, retry_after=PAUSE)
        later = Unavailable(said)
        later.retry_after = PAUSE
        later.sure_not_done = True  # 4xx: the server did not take it
        return later
    odd = BadAnswer(f"mail: an answer that is no SMTP ({stage})")
    odd.sure_not_done = stage != DATA
    return odd
