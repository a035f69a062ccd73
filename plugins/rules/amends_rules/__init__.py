"""Dated platform rules as data, for the core's judgement and forecasts: one TOML file per platform.

Rows that contradict each other stay; the host takes by confidence and date. A row says since when and until
when it is certain: "2025-06" in a source becomes the last day of that month for `since`. None of this is
advice; a merchant's own rows (`[rules] overrides`) win over it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from amends import Rule, hookimpl

AMENDS_API = ">=1,<2"


@hookimpl
def amends_rules() -> Iterator[Rule]:
    """Every row, platform by platform, in the order of the files."""
    for platform in platforms():
        yield from rows(platform)


def platforms() -> tuple[str, ...]:
    """The rule sets there are, such as `pdd` and `us_ftc`."""
    names = (entry.name for entry in (files(__name__) / "data").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def rows(platform: str) -> tuple[Rule, ...]:
    """The rows of one platform; raises `FileNotFoundError` for one that has none."""
    text = (files(__name__) / "data" / f"{platform}.toml").read_text(encoding="utf-8")
    return tuple(Rule(platform=platform, **row) for row in tomllib.loads(text)["rule"])
