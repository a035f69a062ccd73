"""The default compensation policy: a ladder whose rungs give a remedy by delay, amount and round."""

from __future__ import annotations

from collections.abc import Iterator

from amends import PolicySpec, hookimpl

AMENDS_API = ">=1,<2"


@hookimpl
def amends_policies() -> Iterator[PolicySpec]:
    """The policy `ladder`."""
    from amends_ladder.config import LadderConfig
    from amends_ladder.policy import Ladder

    yield PolicySpec(
        name="ladder",
        config=LadderConfig,
        factory=Ladder,
        description="Remedy by delay, amount and round; proposes only, the caps are the ledger's",
    )
