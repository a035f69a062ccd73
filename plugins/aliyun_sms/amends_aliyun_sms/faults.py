"""What Aliyun's codes mean: a table from its words to our errors, with what to do."""

from __future__ import annotations

import re
from datetime import timedelta

from amends import AuthFailed, NotAllowed, PlatformError, Rejected, RiskControl, Throttled, Unavailable

_Kind = tuple[type[PlatformError], str]

_RELEASE = "then `amends release --shop NAME`."
_KEY = (AuthFailed, f"Check access_key_id and access_key_secret, {_RELEASE}")
_CLOCK = (AuthFailed, f"Set this machine's clock: Aliyun takes times up to 15 minutes off; {_RELEASE}")
_RAM = (NotAllowed, f"Grant the RAM user dysms:SendSms and dysms:QuerySendDetails, {_RELEASE}")
_MONEY = (NotAllowed, f"Top up the Aliyun account or buy a package, {_RELEASE}")
_OPEN = (NotAllowed, f"Open the SMS service in Aliyun's console, {_RELEASE}")
_ACCOUNT = (RiskControl, f"Ask Aliyun's support what is wrong with the account, {_RELEASE}")
_BUSY: _Kind = (Throttled, "")
_UNSURE: _Kind = (Unavailable, "")

# Source: help.aliyun.com, "API错误码" of the SMS service, and the gateway's common codes.
CODES: dict[str, _Kind] = {
    "InvalidAccessKeyId": _KEY,
    "InvalidAccessKeyId.NotFound": _KEY,
    "InvalidAccessKeyId.Inactive": _KEY,
    "SignatureDoesNotMatch": _KEY,
    "IncompleteSignature": _KEY,
    "InvalidTimeStamp.Expired": _CLOCK,
    "InvalidTimeStamp.Format": _CLOCK,
    "Forbidden": _RAM,
    "Forbidden.RAM": _RAM,
    "NoPermission": _RAM,
    "isp.RAM_PERMISSION_DENY": _RAM,
    "isv.RAM_CHECK_FAILED": _RAM,
    "isv.DENY_IP_RANGE": (NotAllowed, f"Send from an address that Aliyun takes, {_RELEASE}"),
    "isv.OUT_OF_SERVICE": _MONEY,
    "isv.AMOUNT_NOT_ENOUGH": _MONEY,
    "isv.PRODUCT_UNSUBSCRIBE": _OPEN,
    "isv.PRODUCT_UN_SUBSCRIPT": _OPEN,
    "isv.ACCOUNT_NOT_EXISTS": _OPEN,
    "isv.ACCOUNT_ABNORMAL": _ACCOUNT,
    "isv.SMS_SIGNATURE_ILLEGAL": (Rejected, "sign_name must be an approved signature of this account."),
    "isv.SMS_TEMPLATE_ILLEGAL": (Rejected, "The template's code must be an approved one of this account."),
    "isv.TEMPLATE_MISSING_PARAMETERS": (Rejected, "Name every variable of the template under parameters."),
    "isv.PARAM_NOT_SUPPORT_URL": (
        Rejected,
        "A variable must hold no address: put the domain into the template.",
    ),
    "Throttling": _BUSY,
    "Throttling.User": _BUSY,
    "Throttling.Api": _BUSY,
    "ServiceUnavailable": _UNSURE,
    "InternalError": _UNSURE,
    # Something on the way sent the same request twice: the first one may have been taken.
    "SignatureNonceUsed": _UNSURE,
}

LIMIT = "isv.BUSINESS_LIMIT_CONTROL"
# So many to one number in a minute, an hour, a day. Tomorrow is too late, so a day's limit refuses.
_LIMITS = ((("分钟", "minute"), 60.0), (("小时", "hour"), 3600.0))
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,79}")


def fault(code: str, message: str, *, status: int, off: timedelta = timedelta()) -> PlatformError | None:
    """Our error for a code of Aliyun's; None where the HTTP status alone must tell. `off`: our clock, ahead of theirs.

    Of `message` only the word for the limit is used: the rest may repeat what we sent.
    """
    if not _CODE.fullmatch(code) or code == "OK":
        return None
    said = f"aliyun_sms: refused with {code}"
    if code == LIMIT:
        for words, seconds in _LIMITS:
            if any(word in message.lower() for word in words):
                return Throttled(said, retry_after=seconds)
        return Rejected(said, hint="This number has had as many messages as Aliyun allows for a day.")
    if code in CODES:
        kind, hint = CODES[code]
        if CODES[code] is _CLOCK and off:
            said += f": this machine's clock is {off.total_seconds() / 60:+.0f} minutes off"
        return kind(said, hint=hint or None)
    if code.startswith("isp."):  # Aliyun's own trouble, as against isv: ours
        return Unavailable(said)
    if status < 300 or status == 400 or code.startswith("isv."):
        return Rejected(said)
    return None
