"""Sends messages by Aliyun SMS, and finds again what was sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Http,
    Message,
    Receipt,
    Rejected,
    Unavailable,
    Unsupported,
    clock_off,
    raise_for,
)
from amends_aliyun_sms.config import AliyunSmsConfig, Wording
from amends_aliyun_sms.faults import fault
from amends_aliyun_sms.signing import EMPTY, authorization, encoded

WHO = "aliyun_sms"
VERSION = "2017-05-25"
KEPT = 30  # days that Aliyun shows
PAGE = 50
_ROUND = 10  # days asked for at once
_CHINA = ZoneInfo("Asia/Shanghai")
# Aliyun reads `+` and eleven digits as a number in China: +1 555 010 0017 would reach a stranger there. So
# only what is certainly Chinese passes, and what bears another country's code does not.
_MAINLAND = re.compile(r"(?:\+86|0086|86)?(1[0-9]{10})")


def mainland_mobile(phone: str) -> str:
    """The eleven digits of a mobile number in mainland China; empty for any other, masked or extended ones too."""
    found = _MAINLAND.fullmatch(re.sub(r"[ ()-]", "", phone))
    return found[1] if found else ""


class _WithoutQuery(logging.Filter):
    """httpx logs each address whole; to Aliyun the query holds a phone number and what is said to it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_bare(one) if isinstance(one, httpx.URL) else one for one in record.args)
        return True


def _bare(url: httpx.URL) -> httpx.URL:
    return url.copy_with(query=None) if "PhoneNumber" in url.query.decode("ascii", "replace") else url


_WITHOUT_QUERY = _WithoutQuery()


class AliyunSms:
    """One Aliyun account. Texts are Aliyun's approved templates; ours decide which of them."""

    def __init__(self, config: AliyunSmsConfig, context: Context) -> None:
        self._config, self._clock = config, context.clock
        self._zone = ZoneInfo(context.time_zone)
        self._http = Http(context.client(), who=WHO)
        logging.getLogger("httpx").addFilter(_WITHOUT_QUERY)

    async def message(self, request: Message) -> Receipt:
        """Hand the message over. `Receipt.ref` is the BizId; whether the carrier delivers it is not awaited."""
        wording = self._config.wording(request.template, offered=request.remedy is not None)
        if wording is None:
            name = request.template or "a text without a name"
            raise Rejected(f"{WHO}: no template for {name}", hint="Name one under templates, or a default.")
        asked = {
            "PhoneNumbers": _phone(request),
            "SignName": self._config.sign_name,
            "TemplateCode": wording.code,
            "OutId": request.key,
        }
        if wording.parameters:
            values = self._filled(wording, request)
            asked["TemplateParam"] = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return Receipt(ref=_text(await self._call("SendSms", asked), "BizId"))

    async def find(self, request: AnyRequest) -> Receipt | None:
        """The message with this key among all that were sent to this number in the days that Aliyun shows."""
        if not isinstance(request, Message):
            raise Unsupported(f"{WHO}: only messages are sent here")
        phone, now = _phone(request), self._clock.now()
        sent = request.sent_at or request.reply_by  # before the answer was due, at the latest
        if sent is not None and now - sent > timedelta(days=KEPT - 2):
            # Perhaps on a day that is no longer shown.
            raise Unavailable(
                f"{WHO}: Aliyun shows the last {KEPT} days only; this message may be older",
                hint="Look for it in Aliyun's console.",
            )
        today = now.astimezone(_CHINA).date()
        kept = KEPT
        if request.sent_at is not None:  # and a day more, for a clock that was off
            kept = min(KEPT, (today - request.sent_at.astimezone(_CHINA).date()).days + 2)
        days = [today - timedelta(days=back) for back in range(kept)]
        # Nearly always it was today or yesterday; the rest is looked through to prove that it is absent.
        for first, last in ((0, 2), *((at, at + _ROUND) for at in range(2, KEPT, _ROUND))):
            found = await asyncio.gather(
                *(self._sent_on(day, phone, request.key) for day in days[first:last])
            )
            if any(found):
                return Receipt(ref=request.key)
        return None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _sent_on(self, day: date, phone: str, key: str) -> bool:
        seen, page = 0, 1
        while True:
            asked = {
                "PhoneNumber": phone,
                "SendDate": f"{day:%Y%m%d}",
                "PageSize": str(PAGE),
                "CurrentPage": str(page),
            }
            answer = await self._call("QuerySendDetails", asked)
            details = _field(_field(answer, "SmsSendDetailDTOs", dict), "SmsSendDetailDTO", list)
            if any(isinstance(one, dict) and one.get("OutId") == key for one in details):
                return True
            seen, page = seen + len(details), page + 1
            total = _number(answer, "TotalCount")
            if seen >= total:
                return False
            if not details:
                raise BadAnswer(f"{WHO}: TotalCount is {total}, but only {seen} details are shown")

    async def _call(self, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
        query, now = encoded(asked), self._clock.now()
        headers = {
            "host": self._config.endpoint,
            "x-acs-action": action,
            "x-acs-content-sha256": EMPTY,
            "x-acs-date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": VERSION,
        }
        secret = self._config.access_key_secret.get_secret_value()
        signed = authorization(
            method="POST", query=query, headers=headers, key_id=self._config.access_key_id, secret=secret
        )
        url = f"https://{self._config.endpoint}/?{query}"
        sent = {**headers, "Authorization": signed, "Accept": "application/json"}
        response = await self._http.send("POST", url, headers=sent)
        return _answer(response, off=clock_off(response.headers, now))

    def _filled(self, wording: Wording, request: Message) -> dict[str, str]:
        known = {"order": request.order, "reply_url": request.reply_url, **request.parameters}
        known |= {"new_ship_by": self._date(request.new_ship_by), "reply_by": self._date(request.reply_by)}
        known["name"] = request.personal.name if request.personal else ""
        empty = sorted({source for source in wording.parameters.values() if not known.get(source)})
        if empty:
            raise Rejected(
                f"{WHO}: template {wording.code} needs {', '.join(empty)}, which this message lacks"
            )
        return {variable: known[source] for variable, source in wording.parameters.items()}

    def _date(self, at: datetime | None) -> str:
        return at.astimezone(self._zone).strftime(self._config.date_format) if at else ""


def _phone(request: Message) -> str:
    phone = mainland_mobile(request.personal.phone if request.personal else "")
    if not phone:
        raise Rejected(f"{WHO}: there is no usable mobile number of mainland China")
    return phone


def _answer(response: httpx.Response, *, off: timedelta) -> dict[str, Any]:
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        code = answer.get("Code")
        said, status = str(answer.get("Message", "")), response.status_code
        error = fault(str(code), said, status=status, off=off) if code else None
        if error is not None:
            raise error
    raise_for(response, who=WHO)
    if not isinstance(answer, dict):
        raise BadAnswer(f"{WHO}: the answer is not a JSON object ({len(response.content)} bytes)")
    if answer.get("Code") != "OK":
        raise BadAnswer(f"{WHO}: Code is missing")
    return answer


def _field(answer: Any, name: str, kind: type) -> Any:
    value = answer.get(name)
    if not isinstance(value, kind):
        raise BadAnswer(f"{WHO}: {name} is missing")
    return value


def _text(answer: Mapping[str, Any], name: str) -> str:
    value: str = _field(answer, name, str)
    if not value:
        raise BadAnswer(f"{WHO}: {name} is empty")
    return value


def _number(answer: Mapping[str, Any], name: str) -> int:
    value = answer.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)  # documented as text, sent as a number
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadAnswer(f"{WHO}: {name} is missing")
    return value
