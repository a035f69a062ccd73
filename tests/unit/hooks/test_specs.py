"""A spec says at once what is wrong with it, in words that name the remedy."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from amends import ConnectorSpec, Operation
from amends.errors import PluginError


class NoConfig(BaseModel):
    """Nothing to set."""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("refund", "a remedy is declared as 'grant:refund'"),
        ("grant:refnd", "names no remedy; there are coupon, points, gift"),
        ("mesage", "there are changed_orders, order"),
    ],
)
def test_a_misspelt_operation(name: str, says: str) -> None:
    with pytest.raises(PluginError, match=says):
        ConnectorSpec("corner", NoConfig, {name: Operation.read()}, factory=lambda config, context: None)  # type: ignore[arg-type, return-value]  # never made


def test_variants_that_are_none_of_ours_stay_allowed() -> None:
    """Only remedies are a closed list: a desk may rule on each of its instances apart."""
    operations = {"ruling:response": Operation.read(), "grant:store-credit": Operation.blind()}
    spec = ConnectorSpec("corner", NoConfig, operations, factory=lambda config, context: None)  # type: ignore[arg-type, return-value]  # never made
    assert spec.operation("ruling", "response").how == "api"
