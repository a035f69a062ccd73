"""Looking for a message whose answer was lost: absence is proven over all days, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from tests.plugins.aliyun_sms.conftest import NOW, Account, message

from amends import BadAnswer, Grant, Money, PlatformError, Remedy, RemedyKind, Unavailable, Unsupported
from amends_aliyun_sms.fake import PHONE


def days(account: Account) -> list[str]:
    return [one.url.params["SendDate"] for one in account.sent]


@pytest.mark.parametrize("back", [0, 1, 2, 9, 12, 29])
async def test_a_message_is_found_on_any_day_that_is_kept(account: Account, back: int) -> None:
    account.fake.detail(PHONE, "amsamplekey0017", NOW - timedelta(days=back))
    found = await account.channel().find(message())
    assert found is not None and found.ref == "amsamplekey0017"


async def test_absence_is_proven_over_thirty_days_in_china(account: Account) -> None:
    account.clock.set(datetime(2026, 8, 20, 17, 0, tzinfo=UTC))  # already the 21st in China
    account.fake.detail(PHONE, "another", NOW)
    account.fake.detail("10000000018", "amsamplekey0017", NOW)
    assert await account.channel().find(message()) is None
    assert len(days(account)) == len(set(days(account))) == 30
    assert (max(days(account)), min(days(account))) == ("20260821", "20260723")


async def test_a_message_of_today_costs_two_looks(account: Account) -> None:
    account.fake.detail(PHONE, "amsamplekey0017", NOW)
    await account.channel().find(message())
    assert sorted(days(account)) == ["20260819", "20260820"]


@pytest.mark.parametrize("place", [0, 6, 7, 16])
async def test_all_pages_of_a_day_are_read(account: Account, place: int) -> None:
    account.fake.page_size = 7
    for n in range(17):
        account.fake.detail(PHONE, "amsamplekey0017" if n == place else f"am{n}", NOW)
    assert await account.channel().find(message()) is not None
    assert await account.channel().find(message(key="amother")) is None


async def test_a_key_is_not_found_by_half_of_it(account: Account) -> None:
    account.fake.detail(PHONE, "amsamplekey00170", NOW)
    assert await account.channel().find(message()) is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"Code": "OK", "TotalCount": "0"}, "SmsSendDetailDTOs"),
        ({"Code": "OK", "TotalCount": "0", "SmsSendDetailDTOs": {}}, "SmsSendDetailDTO "),
        (
            {"Code": "OK", "TotalCount": "0", "SmsSendDetailDTOs": {"SmsSendDetailDTO": None}},
            "SmsSendDetailDTO ",
        ),
        ({"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}, "TotalCount"),
        ({"Code": "OK", "TotalCount": "?", "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}, "TotalCount"),
        ({"Code": "OK", "TotalCount": 9, "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}, "TotalCount"),
        ({"TotalCount": 0, "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}, "Code"),
        ([], "JSON object"),
    ],
)
async def test_half_an_answer_proves_nothing(account: Account, body: object, named: str) -> None:
    account.answer = lambda request: httpx.Response(200, json=body)
    with pytest.raises(BadAnswer) as caught:
        await account.channel().find(message())
    assert named in str(caught.value)


async def test_one_day_that_cannot_be_read_proves_nothing(account: Account) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(502) if request.url.params["SendDate"] == "20260805" else None

    account.answer = answer
    with pytest.raises(PlatformError):
        await account.channel().find(message())


async def test_a_message_older_than_what_is_kept_is_never_called_absent(account: Account) -> None:
    with pytest.raises(Unavailable, match="30 days"):
        await account.channel().find(message(reply_by=NOW - timedelta(days=29)))
    assert not account.sent


async def test_what_was_sent_lately_is_looked_for_in_few_days(account: Account) -> None:
    """The host knows when it was first sent: absence is proven by the days since then."""
    sent = message(sent_at=NOW - timedelta(days=3))
    assert await account.channel().find(sent) is None
    asked = sorted(request.url.params["SendDate"] for request in account.sent)
    first = (NOW - timedelta(days=4)).astimezone(ZoneInfo("Asia/Shanghai"))
    assert asked[0] == f"{first:%Y%m%d}" and len(asked) == 5


async def test_only_messages_are_looked_for(account: Account) -> None:
    remedy = Remedy(kind=RemedyKind.COUPON, amount=Money.of("3.00", "CNY"))
    with pytest.raises(Unsupported):
        await account.channel().find(Grant(key="k", order="1001", remedy=remedy))
