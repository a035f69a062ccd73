"""Plugins that lie, made from honest ones: what `new-plugin` writes, with one thing replaced."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from amends import (
    hookimpl,
)
from amends.hooks.registry import Registry
from amends.testing.check import PluginReport, plugin_check
from amends.testing.scaffold import KINDS, new_plugin

SECRET = "made-up-token-0017"


class Room:
    """What `new-plugin` writes for each kind, imported: the honest plugins that liars are made from."""

    def __init__(self, folder: Path) -> None:
        self.modules: dict[str, ModuleType] = {}
        for kind in KINDS:
            made = new_plugin(kind, f"room-{kind}", folder)
            sys.path.insert(0, str(made.folder))
            self.modules[kind] = importlib.import_module(made.package)

    def part(self, kind: str, name: str = "") -> ModuleType:
        return importlib.import_module(f"{self.modules[kind].__name__}.{name or kind}")


def report(
    room: Room, kind: str, *, liar: type[Any] | None = None, fake: Any = None, **changed: Any
) -> PluginReport:
    """What `plugin_check` says of the generated plugin with its class, fake or spec replaced."""
    honest = room.modules[kind]
    if liar is not None:
        changed["factory"] = liar
    spec = replace(honest.SPEC, **changed)
    module = ModuleType(f"liar_{kind}")
    hook = {"channel": "amends_channels", "policy": "amends_policies"}.get(kind, "amends_connectors")
    setattr(module, hook, hookimpl(lambda: [spec]))
    module.amends_contract = (lambda: [fake]) if fake else honest.amends_contract  # type: ignore[attr-defined]
    module.AMENDS_API = ">=1,<2"  # type: ignore[attr-defined]
    registry = Registry()
    assert registry.add(module, name="liar").state == "loaded"
    return plugin_check("liar", registry)


def failed(found: PluginReport) -> set[str]:
    return {check.title for check in found.failed}
