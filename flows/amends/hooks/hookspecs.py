"""The hooks of the entry-point group `amends`. Hooks offer frozen, named specs; config chooses by name.

A plugin is a module (or object) whose functions are marked with `@hookimpl`:

    from amends import ConnectorSpec, Operation, hookimpl

    @hookimpl
    def amends_connectors():
        yield ConnectorSpec(
            name="corner-shop",
            config=CornerShopConfig,            # a pydantic model: the shop's `connector_config`
            factory=CornerShop,                 # factory(config, context) -> Connector
            operations={"changed_orders": Operation.read(), "message": Operation.queryable()},
        )

and whose distribution says, in `pyproject.toml`:

    [project.entry-points.amends]
    corner-shop = "corner_shop"
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from amends.cases.facts import Fact
    from amends.cases.rules import Rule
    from amends.cases.snapshot import Snapshot
    from amends.hooks.specs import ChannelSpec, ConnectorSpec, PolicySpec

hookspec = pluggy.HookspecMarker("amends")
hookimpl = pluggy.HookimplMarker("amends")

API_VERSION = 1
"""Raised when a hook or protocol changes incompatibly; a plugin may fence itself with `AMENDS_API = ">=1,<2"`."""


@hookspec
def amends_connectors() -> Iterable[ConnectorSpec]:  # type: ignore[empty-body]  # pluggy specs have no body
    """Yield the platforms that this plugin can talk to."""


@hookspec
def amends_channels() -> Iterable[ChannelSpec]:  # type: ignore[empty-body]  # pluggy specs have no body
    """Yield the channels by which this plugin can reach people."""


@hookspec
def amends_policies() -> Iterable[PolicySpec]:  # type: ignore[empty-body]  # pluggy specs have no body
    """Yield compensation policies."""


@hookspec
def amends_rules() -> Iterable[Rule]:  # type: ignore[empty-body]  # pluggy specs have no body
    """Yield dated platform rules, each with its source and confidence."""


@hookspec
def amends_case_changed(before: Snapshot | None, after: Snapshot, facts: Sequence[Fact]) -> None:
    """Told after commit that a case has new facts. A failure here is logged and stops nothing."""
