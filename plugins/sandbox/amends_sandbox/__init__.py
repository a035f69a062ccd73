"""The sandbox: the marketplace model of `amends.testing` as a platform that `amends` can talk to.

`python -m amends_sandbox --state DIR` serves it; the connector named `sandbox` talks to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from amends import ConnectorSpec, hookimpl

if TYPE_CHECKING:
    from amends_sandbox.connector import SandboxConnector

AMENDS_API = ">=1,<2"


@hookimpl
def amends_connectors() -> Iterable[ConnectorSpec]:
    from amends.testing.operations import OPERATIONS
    from amends_sandbox.config import SandboxConfig

    yield ConnectorSpec(
        name="sandbox",
        config=SandboxConfig,
        factory=_connector,
        operations=OPERATIONS,
        rules="pdd",
        quota=(500.0, 500),
        in_flight=16,
        description="A seeded marketplace on this machine, for demos and tests",
    )


def amends_contract() -> Iterable[Any]:
    """The fake against which `amends plugin-check sandbox` tries this plugin."""
    from amends_sandbox.fake import FakeSandbox

    yield FakeSandbox


def _connector(config: Any, context: Any) -> SandboxConnector:
    from amends_sandbox.connector import SandboxConnector

    return SandboxConnector(config, context)
