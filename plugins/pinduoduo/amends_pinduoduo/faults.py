"""The platform's error codes as our errors, by table: who can help, and what to do.

Codes and meanings: the API call guide and the error list under every API page (captured 2026-04). 50001 is
the business services' common code; only its `sub_code` and `sub_msg` tell more, and no list of them is
published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amends import (
    AuthFailed,
    NotAllowed,
    NotFound,
    PlatformError,
    Rejected,
    RiskControl,
    Throttled,
    Unavailable,
)

RELEASE = "then `amends release --shop NAME`"
CONSOLE = "open.pinduoduo.com → 控制台 → 应用 (application console)"
REAUTHORISE = (
    "The shop's main account (主账号) must authorise the application again: "
    "`python -m amends_pinduoduo url`, "
    f"then `python -m amends_pinduoduo token`, {RELEASE}."
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table: the error raised, the meaning in words, and the hint."""

    error: type[PlatformError]
    meaning: str
    hint: str = ""
    wait: float | None = None


_BUG = "This is a fault in the connector or in a setting; report it with the request id."
_BUSY = Fault(Throttled, "too many calls for now")
_PARAMETER = Fault(Rejected, "a parameter was refused", _BUG)
_INTERNAL = Fault(Unavailable, "an error inside the platform")
_RISK = "Stop all software of this shop, read the messages in the back office (商家后台 → 消息), "

FAULTS: Mapping[int, Fault] = {
    10000: _PARAMETER,
    10001: _PARAMETER,
    21001: _PARAMETER,
    21002: _PARAMETER,
    10016: Fault(
        AuthFailed,
        "client_id is wrong or the application is offline",
        f"Check client_id in {CONSOLE}, {RELEASE}.",
    ),
    10017: Fault(Rejected, "the API's name is not known", _BUG),
    10018: Fault(Rejected, "target_client_id is wrong or offline", _BUG),
    10019: Fault(AuthFailed, "the shop's authorisation has expired (access_token)", REAUTHORISE),
    20004: Fault(
        AuthFailed,
        "the signature was refused: client_secret is wrong",
        f"Check client_secret against {CONSOLE} (it changes when it is reset), {RELEASE}.",
    ),
    20005: Fault(
        NotAllowed,
        "this machine's IP address is not on the application's white list",
        f"Add the machine's public address in {CONSOLE} → IP 白名单, {RELEASE}.",
    ),
    20031: Fault(
        NotAllowed,
        "the shop has not authorised this API, or the application's package lacks it",
        f"Apply for the permission package (权限包) in {CONSOLE}, let the shop authorise again, {RELEASE}.",
    ),
    20032: Fault(AuthFailed, "access_token and client_id do not belong together", REAUTHORISE),
    20034: Fault(
        NotAllowed,
        "the platform has taken this API offline",
        f"Look for its successor in {CONSOLE}, {RELEASE}.",
    ),
    20035: Fault(
        NotAllowed,
        "this API belongs to another gateway",
        f"Remove `router` from connector_config, {RELEASE}.",
    ),
    30000: Fault(NotAllowed, "no right to call this API", f"Apply for it in {CONSOLE}, {RELEASE}."),
    30001: Fault(
        NotAllowed, "client_id and partner do not match", f"Check the application in {CONSOLE}, {RELEASE}."
    ),
    50000: _INTERNAL,
    50002: _INTERNAL,
    52001: _INTERNAL,
    52002: _INTERNAL,
    52004: Fault(Rejected, "the request is too large", _BUG),
    52101: _BUSY,
    52102: _BUSY,
    52103: _BUSY,
    70031: _BUSY,
    70032: Fault(NotAllowed, "calls are forbidden at present", f"Ask the platform's support why, {RELEASE}."),
    # Maintenance lasts; a minute's wait would only add to the calls.
    70033: Fault(Unavailable, "the API is under maintenance", wait=1800.0),
    70034: Fault(RiskControl, "risk control blocks the shop or the application", f"{_RISK}{RELEASE}."),
    70035: Fault(RiskControl, "risk control blocks the shop or the application", f"{_RISK}{RELEASE}."),
    70036: Fault(
        RiskControl,
        "the application is in test state and its calls are used up",
        f"Put it online (申请上线) in {CONSOLE}, {RELEASE}.",
    ),
}

BUSINESS = 50001
_KEPT = "The platform answers for the shop's own orders of the last 90 days only."
SUB_CODES: Mapping[str, Fault] = {
    # "轨迹不存在 / 该运单暂无轨迹": a waybill that no carrier has seen yet.
    "ISV_TRACK_ERROR": Fault(NotFound, "no trace of this waybill yet"),
}
_WORDS: tuple[tuple[tuple[str, ...], Fault], ...] = (
    (("频繁", "限流"), _BUSY),
    (("稍后", "繁忙", "超时", "系统异常"), _INTERNAL),
    (("不存在", "未找到", "查询不到"), Fault(NotFound, "not known to the platform", _KEPT)),
    (("授权过期", "未授权", "授权失效"), FAULTS[10019]),
)


def fault_of(code: int, sub_code: str, text: str) -> Fault:
    """The row for an error answer. What no table knows is refused where it has a reason, else tried again."""
    if code != BUSINESS:
        found = FAULTS.get(code)
        if found is not None:
            return found
        return Fault(Rejected, "refused") if 10000 <= code < 40000 else Fault(Unavailable, "an unknown error")
    if sub_code in SUB_CODES:
        return SUB_CODES[sub_code]
    if sub_code.isdigit() and int(sub_code) in FAULTS:
        return FAULTS[int(sub_code)]
    for words, row in _WORDS:
        if any(word in text for word in words):
            return row
    return Fault(Rejected, "the business service refused") if sub_code or text else _INTERNAL


def error_from(answer: Mapping[str, Any], *, method: str, hide: tuple[str, ...] = ()) -> PlatformError:
    """The error that an `error_response` stands for; `hide` are secrets that must not appear in its text."""
    code = _integer(answer.get("error_code"))
    sub_code = str(answer.get("sub_code") or "")
    message = str(answer.get("error_msg") or "")
    detail = str(answer.get("sub_msg") or "")
    # The generic message of 50001 says nothing about the case; only the sub-message does.
    fault = fault_of(code, sub_code, detail or ("" if message == "业务服务错误" else message))
    shown = " ".join(dict.fromkeys(part for part in (str(code), sub_code, message, detail) if part))
    for secret in hide:
        shown = shown.replace(secret, "***")
    request = str(answer.get("request_id") or "")
    where = f"{method}, request {request}" if request else method
    error = fault.error(f"pinduoduo: {fault.meaning} ({shown[:300]}; {where})", hint=fault.hint or None)
    error.context = {"error_code": code, "sub_code": sub_code, "method": method, "request_id": request}
    if fault.wait is not None:
        error.retry_after = fault.wait
    return error


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
