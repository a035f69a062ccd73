"""Aliyun SMS keeps the contract of channels."""

from amends.testing.contracts import ChannelContract
from amends_aliyun_sms import SPEC
from amends_aliyun_sms.fake import FakeAliyunSms


class TestAliyunSms(ChannelContract):
    spec = SPEC
    fake = FakeAliyunSms
