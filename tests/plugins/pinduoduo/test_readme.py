"""The README names every setting and operation with its default, and the host can load what is offered."""

from __future__ import annotations

import tomllib
from pathlib import Path

import amends_pinduoduo
from amends.hooks.registry import Registry

HERE = Path(amends_pinduoduo.__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")


def test_every_setting_and_operation_is_named() -> None:
    fields = set(amends_pinduoduo.PinduoduoConfig.model_fields) - {"router"}  # for tests only
    named = {
        name
        for name in (*fields, *amends_pinduoduo.SPEC.operations)
        if f"`{name}`" in README or f"{name} =" in README
    }
    assert named == fields | set(amends_pinduoduo.SPEC.operations)


def test_defaults_are_as_written() -> None:
    fields = amends_pinduoduo.PinduoduoConfig.model_fields
    assert (fields["backfill"].default.days, fields["page_size"].default) == (30, 100)
    assert fields["lag"].default == fields["overlap"].default
    assert "`5m`" in README
    assert f"`{fields['do_not_touch'].default}`" in README


def test_the_host_loads_it() -> None:
    entry = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["entry-points"]["amends"]
    assert entry == {"pinduoduo": "amends_pinduoduo"}
    provider = Registry().add(amends_pinduoduo, name="pinduoduo")
    assert (provider.state, provider.offers) == ("loaded", ("connector pinduoduo",)), provider.problem
