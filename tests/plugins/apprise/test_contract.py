"""apprise keeps the contract of channels, as far as it reaches operators."""

from amends.testing.contracts import ChannelContract
from amends_apprise import SPEC
from amends_apprise.fake import FakeNotices


class TestApprise(ChannelContract):
    spec = SPEC
    fake = FakeNotices
