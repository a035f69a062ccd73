"""Mail keeps the contract of channels."""

from amends.testing.contracts import ChannelContract
from amends_mail import SPEC
from amends_mail.fake import FakeMailServer


class TestMail(ChannelContract):
    spec = SPEC
    fake = FakeMailServer
