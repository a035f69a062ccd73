"""Which template goes to which number, with what in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError
from tests.plugins.aliyun_sms.conftest import Account, message

from amends import BadAnswer, Personal, Rejected
from amends_aliyun_sms import AliyunSmsConfig
from amends_aliyun_sms.channel import mainland_mobile
from amends_aliyun_sms.fake import PHONE

TEMPLATES = {
    "first-notice": {
        "code": "SMS_111",
        "parameters": {"no": "order", "gift": "remedy", "date": "new_ship_by"},
        "plain": {"code": "SMS_112", "parameters": {"no": "order"}},
    },
    "default": {"code": "SMS_999", "parameters": {"until": "reply_by", "who": "name"}},
}


def asked(account: Account) -> dict[str, Any]:
    params = dict(account.sent[-1].url.params)
    return params | {"TemplateParam": json.loads(params.get("TemplateParam", "{}"))}


async def test_a_message_goes_out_in_its_template(account: Account) -> None:
    receipt = await account.channel(templates=TEMPLATES).message(message())
    assert receipt.ref == "message-1"
    assert asked(account) == {
        "PhoneNumbers": PHONE,
        "SignName": "示例店铺",
        "TemplateCode": "SMS_111",
        "TemplateParam": {"no": "1001", "gift": "3 元优惠券", "date": "2026-08-22 17:00"},
        "OutId": "amsamplekey0017",
    }
    request = account.sent[-1]
    assert (request.method, request.url.host, request.headers["x-acs-action"]) == (
        "POST",
        "dysmsapi.aliyuncs.com",
        "SendSms",
    )


async def test_where_nothing_is_offered_the_plain_template_goes_out(account: Account) -> None:
    await account.channel(templates=TEMPLATES).message(message(remedy=None, parameters={"remedy": ""}))
    assert (asked(account)["TemplateCode"], asked(account)["TemplateParam"]) == ("SMS_112", {"no": "1001"})


async def test_a_text_without_a_template_of_its_own_uses_the_default(account: Account) -> None:
    await account.channel(templates=TEMPLATES, date_format="%m月%d日").message(message(template="stalled"))
    assert asked(account)["TemplateCode"] == "SMS_999"
    assert asked(account)["TemplateParam"] == {"until": "08月21日", "who": "Sample Customer 0017"}


async def test_a_text_without_any_template_is_refused_and_the_next_channel_tried(account: Account) -> None:
    with pytest.raises(Rejected, match="no template for stalled"):
        await account.channel(templates={"first-notice": TEMPLATES["first-notice"]}).message(
            message(template="stalled")
        )
    assert not account.sent


async def test_an_empty_variable_is_named_and_nothing_is_sent(account: Account) -> None:
    channel = account.channel(
        templates={"default": {"code": "SMS_1", "parameters": {"a": "remedy", "b": "link"}}}
    )
    with pytest.raises(Rejected, match="SMS_1 needs link, remedy"):
        await channel.message(message(parameters={"order": "1001"}))
    assert not account.sent


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("10000000017", "10000000017"), ("+8610000000017", "10000000017"), ("8610000000017", "10000000017"),
        ("008610000000017", "10000000017"), ("100-0000-0017", "10000000017"), ("+86 100 0000 0017", "10000000017"),
        # The United States: without its plus it would be somebody's number in China.
        ("+15550100017", ""), ("0015550100017", ""), ("+10000000017", ""), ("+85200000017", ""),
        ("", ""), ("100****0017", ""), ("10000000017-1234", ""), ("10000000017,10000000018", ""), ("021-00000017", ""),
        ("10000000017\n", ""), ("１００００００００１７", ""),
    ],
)  # fmt: skip
def test_only_certain_mobile_numbers_of_mainland_china_are_used(given: str, used: str) -> None:
    assert mainland_mobile(given) == used


async def test_another_number_is_refused_without_being_shown(account: Account) -> None:
    with pytest.raises(Rejected) as caught:
        await account.channel().message(message(personal=Personal(phone="+15550100017")))
    assert "5550100017" not in str(caught.value) and not account.sent


async def test_an_answer_without_its_number_may_have_been_done(account: Account) -> None:
    account.say(200, "OK")
    with pytest.raises(BadAnswer, match="BizId"):
        await account.channel().message(message())


async def test_neither_number_nor_text_gets_into_logs(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
        await account.channel(templates=TEMPLATES).message(message())
        await account.channel().find(message())
    lines = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert 'HTTP Request: POST https://dysmsapi.aliyuncs.com/ "HTTP/1.1 200 OK"' in lines
    assert PHONE not in caplog.text and "TemplateParam" not in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"templates": {}}, "at least 1"),
        ({"templates": {"default": {"code": "dear customer"}}}, "pattern"),
        ({"access_key_secret": ""}, "is empty"),
        ({"endpoint": "https://elsewhere/"}, "pattern"),
        ({"signname": "x"}, "Extra inputs"),
    ],
)
def test_a_config_that_cannot_work_says_why(account: Account, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AliyunSmsConfig.model_validate({**account.fake.config, **given})
