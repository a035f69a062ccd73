"""Every plugin of ours passes `amends plugin-check`, and is tried against a fake of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from amends.hooks.registry import Registry
from amends.testing.check import plugin_check

OURS = sorted(file.parent.name for file in Path("plugins").glob("*/pyproject.toml"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def test_every_folder_is_a_plugin_that_is_installed(registry: Registry) -> None:
    assert len(OURS) >= 12
    assert {name: registry.provider(name).state for name in OURS} == dict.fromkeys(OURS, "loaded")


@pytest.mark.parametrize("name", OURS)
def test_it_passes_its_check(name: str, registry: Registry) -> None:
    report = plugin_check(name, registry)
    assert report.ok, "\n".join(report.lines())
    untried = [check.about for check in report.checks if check.title == "contract"]
    assert untried == [], "a spec ships no fake"
    assert report.count("passed") >= (10 if report.capabilities else 3)
