"""A make-believe Aliyun SMS for the contract suite; it ships with the plugin for `plugin-check`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx

from amends import AnyRequest, Clock, Order, Personal
from amends.testing.contracts import FakeChannel
from amends_aliyun_sms.signing import EMPTY, authorization, encoded

_KEY_ID, _SECRET = "made-up-key-id-0017", "made-up-key-secret-0017"  # made up
_CHINA = ZoneInfo("Asia/Shanghai")
PHONE = "10000000017"  # no mobile number in China begins with 10

_CODES = {
    "unauthorized": (404, "InvalidAccessKeyId.NotFound"),
    "forbidden": (403, "Forbidden.RAM"),
    "not-allowed": (200, "isv.DENY_IP_RANGE"),
    "risk-control": (200, "isv.ACCOUNT_ABNORMAL"),
    "throttled": (400, "Throttling.User"),
    "rejected": (200, "isv.MOBILE_NUMBER_ILLEGAL"),
    "unavailable": (200, "isp.SYSTEM_ERROR"),
}


class FakeAliyunSms(FakeChannel):
    """Takes signed SendSms and QuerySendDetails."""

    name = "aliyun_sms"
    volatile = ("x-acs-date", "x-acs-signature-nonce")
    config: ClassVar[Mapping[str, Any]] = {
        "access_key_id": _KEY_ID,
        "access_key_secret": _SECRET,
        "sign_name": "示例店铺",
        "templates": {
            "default": {
                "code": "SMS_0017",
                "parameters": {"order": "order", "date": "new_ship_by"},
            }
        },
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.details: list[dict[str, Any]] = []
        self.page_size = 50

    def request(self, op: str, variant: str, *, order: Order, key: str, round: int = 1) -> AnyRequest:
        made = super().request(op, variant, order=order, key=key, round=round)
        who = (made.personal or Personal()).model_copy(update={"phone": PHONE})
        return made.model_copy(update={"personal": who})

    def handle(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        if not self._signed(request, asked):
            return _said(400, "SignatureDoesNotMatch")
        match request.headers["x-acs-action"]:
            case "SendSms":
                return self._send(asked)
            case "QuerySendDetails":
                return self._query(asked)
        return _said(404, "InvalidAction.NotFound")

    def refuse(self, why: str, request: httpx.Request) -> httpx.Response | None:
        if why not in _CODES:
            return None
        status, code = _CODES[why]
        # Aliyun's messages name what is wrong, sometimes by repeating it.
        return _said(status, code, message=f"{code}: {request.url.query.decode()}")

    def _signed(self, request: httpx.Request, asked: Mapping[str, str]) -> bool:
        names = [name for name in request.headers if name == "host" or name.startswith("x-acs-")]
        right = authorization(
            method=request.method,
            query=request.url.query.decode(),  # as it went over the wire
            headers={name: request.headers[name] for name in names},
            key_id=_KEY_ID,
            secret=_SECRET,
        )
        whole = (
            request.url.query.decode() == encoded(asked) and request.headers["x-acs-content-sha256"] == EMPTY
        )
        return whole and request.headers.get("authorization") == right

    def _send(self, asked: Mapping[str, str]) -> httpx.Response:
        if not {"PhoneNumbers", "SignName", "TemplateCode"} <= asked.keys():
            return _said(400, "MissingParameter")
        now = self.clock.now().astimezone(_CHINA)
        biz = self.act("message", "", key=asked["OutId"], to=asked["PhoneNumbers"])
        self.detail(asked["PhoneNumbers"], asked["OutId"], now)
        return httpx.Response(200, json={"Code": "OK", "Message": "OK", "RequestId": "R-0017", "BizId": biz})

    def detail(self, phone: str, key: str, at: datetime) -> None:
        """Keep a message as QuerySendDetails shows it."""
        self.details.append(
            {
                "PhoneNum": phone,
                "OutId": key,
                "SendDate": f"{at.astimezone(_CHINA):%Y-%m-%d %H:%M:%S}",
                "SendStatus": 3,
                "TemplateCode": "SMS_0017",
                "ErrCode": "DELIVERED",
            }
        )

    def _query(self, asked: Mapping[str, str]) -> httpx.Response:
        day = datetime.strptime(asked["SendDate"], "%Y%m%d").replace(tzinfo=_CHINA)
        if (self.clock.now().astimezone(_CHINA).date() - day.date()).days >= 30:
            return _said(200, "isv.QUERY_DATE_ILLEGAL")
        found = [
            one
            for one in self.details
            if one["PhoneNum"] == asked["PhoneNumber"] and one["SendDate"].startswith(f"{day:%Y-%m-%d}")
        ]
        size = min(int(asked["PageSize"]), self.page_size)
        start = size * (int(asked["CurrentPage"]) - 1)
        shown = {"SmsSendDetailDTO": found[start : start + size]}
        body = {"Code": "OK", "Message": "OK", "RequestId": "R-0018", "TotalCount": str(len(found))}
        return httpx.Response(200, json={**body, "SmsSendDetailDTOs": shown})


def _said(status: int, code: str, *, message: str = "") -> httpx.Response:
    body = {"Code": code, "Message": message or code, "RequestId": "R-0019"}
    return httpx.Response(status, content=json.dumps(body, ensure_ascii=False).encode())
