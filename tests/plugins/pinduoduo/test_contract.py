"""The contract that every connector keeps, against the fake router; and that the plugin ships that fake."""

from __future__ import annotations

import amends_pinduoduo
from amends.testing.contracts import ConnectorContract
from amends_pinduoduo.fake import FakePinduoduo


class TestPinduoduo(ConnectorContract):
    spec = amends_pinduoduo.SPEC
    fake = FakePinduoduo


def test_plugin_check_finds_the_fake() -> None:
    assert list(amends_pinduoduo.amends_contract()) == [FakePinduoduo]
