"""What breaks in an author's own code is told with its place, so that nobody has to search for it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from amends.hooks.registry import Registry
from amends.testing.check import plugin_check
from amends.testing.scaffold import new_plugin


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("fake.py", "request.url.params[", "request.url.parms["),
        ("connector.py", "headers = {", "headers = config.no_such_setting or {"),
    ],
)
@pytest.mark.parametrize("installed", ["", "lib/python3/site-packages"])
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, right: str, wrong: str, installed: str
) -> None:
    name = f"slip-{file.partition('.')[0]}-{'in' if installed else 'out'}"
    made = new_plugin("connector", name, tmp_path / installed)
    broken = made.folder / made.package / file
    text = broken.read_text()
    line = text[: text.index(right)].count("\n") + 1
    broken.write_text(text.replace(right, wrong, 1))
    where = made.folder
    if installed:  # as pip leaves it: the package itself stands there
        where = tmp_path / installed
        (made.folder / made.package).rename(where / made.package)
    monkeypatch.syspath_prepend(str(where))
    registry = Registry()
    registry.add(importlib.import_module(made.package), name=name)
    said = "\n".join(plugin_check(name, registry).lines())
    assert f"({file}:{line}, in " in said
    assert "httpx" not in said and "bench.py" not in said
    for module in [one for one in sys.modules if one.startswith(made.package)]:
        del sys.modules[module]
