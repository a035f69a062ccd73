"""Contract suites for authors of plugins: a test file inherits one, and names a spec and a fake.

    from amends.testing.contracts import ConnectorContract
    from amends_corner_shop import SPEC
    from amends_corner_shop.fake import FakeCornerShop

    class TestCornerShop(ConnectorContract):
        spec = SPEC
        fake = FakeCornerShop

pytest runs the checks as plain tests. `amends plugin-check` runs the same ones against an installed plugin
whose module has `amends_contract()`, which yields its fakes (and `PolicySamples`).
"""

from __future__ import annotations

from amends.testing.contracts.bench import BrokenContract, Contract, Result, run_suite
from amends.testing.contracts.channel import ChannelContract
from amends.testing.contracts.connector import ConnectorContract, DeskContract
from amends.testing.contracts.fakes import Effect, Fake, FakeChannel, FakePlatform
from amends.testing.contracts.policy import PolicyContract, PolicySamples

__all__ = [
    "BrokenContract",
    "ChannelContract",
    "ConnectorContract",
    "Contract",
    "DeskContract",
    "Effect",
    "Fake",
    "FakeChannel",
    "FakePlatform",
    "PolicyContract",
    "PolicySamples",
    "Result",
    "run_suite",
]
