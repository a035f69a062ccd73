"""Finds plugins and holds what they offer: loud, one by one, a broken one reported and set aside.

Nothing else touches pluggy's manager; every hook is behind a typed method here.
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from amends.cases.rules import Rule
from amends.errors import PluginError
from amends.hooks import hookspecs
from amends.hooks.specs import ChannelSpec, ConnectorSpec, PolicySpec

if TYPE_CHECKING:
    from amends.cases.facts import Fact
    from amends.cases.snapshot import Snapshot

_T = TypeVar("_T")
GROUP = "amends"
_FENCE = re.compile(r"\s*(>=|<=|==|!=|<|>)\s*(\d+)\s*")


@dataclass(frozen=True, slots=True)
class Provider:
    """One plugin as found: where it comes from, what it offers, or why it was set aside."""

    name: str
    distribution: str = ""
    version: str = ""
    module: str = ""
    state: str = "loaded"  # loaded | broken | denied
    problem: str = ""
    offers: tuple[str, ...] = ()


@dataclass
class Registry:
    """What all plugins offer, by name."""

    connectors: dict[str, ConnectorSpec] = field(default_factory=dict)
    channels: dict[str, ChannelSpec] = field(default_factory=dict)
    policies: dict[str, PolicySpec] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)
    _owner: dict[tuple[str, str], str] = field(default_factory=dict)
    _plugins: pluggy.PluginManager = field(default_factory=lambda: _manager())

    @classmethod
    def load(cls, *, allow: Sequence[str] | None = None, deny: Sequence[str] = ()) -> Registry:
        """Every installed plugin, in order of name. `allow=None` allows all, an empty list none."""
        registry = cls()
        points = sorted(metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value))
        for point in points:
            dist = point.dist.name if point.dist else ""
            version = point.dist.version if point.dist else ""
            found = Provider(point.name, distribution=dist, version=version, module=point.value)
            if point.name in deny or (allow is not None and point.name not in allow):
                registry.providers.append(replace(found, state="denied"))
                continue
            try:
                plugin = point.load()
            except BaseException as error:  # a plugin's import can raise anything, SystemExit included
                if isinstance(error, KeyboardInterrupt):
                    raise
                problem = f"cannot be imported: {type(error).__name__}: {error}"
                registry.providers.append(replace(found, state="broken", problem=problem))
                continue
            registry.add(plugin, name=point.name, distribution=dist, version=version, module=point.value)
        return registry

    def add(
        self,
        plugin: ModuleType | object,
        *,
        name: str,
        distribution: str = "",
        version: str = "",
        module: str = "",
    ) -> Provider:
        """Register one plugin; a problem is reported in the returned `Provider`, never raised."""
        found = Provider(name, distribution=distribution, version=version, module=module)
        first = next((p for p in self.providers if p.name == name and p.state == "loaded"), None)
        if first is not None:
            # Before anything of the second is touched, so that the first one keeps working.
            both = " and ".join(p.distribution or p.module or "a plugin" for p in (first, found))
            problem = f"{both} both call their plugin {name!r}; uninstall one of them"
            provider = replace(found, state="broken", problem=problem)
            self.providers.append(provider)
            return provider
        try:
            offers = self._take(plugin, name)
        except (Exception, SystemExit) as error:  # whatever is wrong with one plugin must not stop the others
            self._forget(name)
            problem = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            provider = replace(found, state="broken", problem=problem)
        else:
            provider = replace(found, offers=tuple(offers))
        self.providers.append(provider)
        return provider

    def _take(self, plugin: Any, name: str) -> list[str]:
        fence = str(getattr(plugin, "AMENDS_API", ""))
        if fence and not _inside(fence, hookspecs.API_VERSION):
            raise PluginError(f"{name} is made for plugin API {fence}; this is {hookspecs.API_VERSION}")
        if self._plugins.is_registered(plugin):
            raise PluginError(
                f"{name} is the same module as {self._plugins.get_name(plugin)}; one name is enough"
            )
        self._plugins.register(plugin, name=name)
        self._plugins.check_pending()
        callers = self._plugins.get_hookcallers(plugin) or []
        if not callers:
            raise PluginError(f"{name} implements no hook; mark its functions with @amends.hookimpl")
        offers: list[str] = []
        tables: tuple[tuple[str, type[Any], dict[str, Any]], ...] = (
            ("connector", ConnectorSpec, self.connectors),
            ("channel", ChannelSpec, self.channels),
            ("policy", PolicySpec, self.policies),
        )
        for kind, wanted, table in tables:
            hook = "amends_policies" if kind == "policy" else f"amends_{kind}s"
            for spec in self._offers(plugin, hook):
                if not isinstance(spec, wanted):
                    raise PluginError(
                        f"{name}: {hook} must yield {wanted.__name__}, not {type(spec).__name__}"
                    )
                other = self._owner.get((kind, spec.name))
                if other is not None:
                    raise PluginError(
                        f"{name} and {other} both offer the {kind} {spec.name!r}; deny one of them"
                    )
                self._owner[kind, spec.name] = name
                table[spec.name] = spec
                offers.append(f"{kind} {spec.name}")
        rules = list(self._offers(plugin, "amends_rules"))
        if not all(isinstance(rule, Rule) for rule in rules):
            raise PluginError(f"{name}: amends_rules must yield Rule values")
        self.rules.extend(rules)
        if rules:
            offers.append(f"{len(rules)} rules")
        if any(caller.name == "amends_case_changed" for caller in callers):
            offers.append("listens to cases")
        return offers

    def _offers(self, plugin: Any, hook: str) -> Iterable[Any]:
        for impl in getattr(self._plugins.hook, hook).get_hookimpls():
            if impl.plugin is plugin:
                yield from impl.function() or ()

    def _forget(self, name: str) -> None:
        self._plugins.unregister(name=name) if self._plugins.has_plugin(name) else None
        tables: dict[str, dict[str, Any]] = {
            "connector": self.connectors,
            "channel": self.channels,
            "policy": self.policies,
        }
        for kind, offered in [key for key, owner in self._owner.items() if owner == name]:
            del self._owner[kind, offered]
            tables[kind].pop(offered, None)

    @property
    def listens(self) -> bool:
        """Whether a plugin wants to be told of changed cases."""
        return bool(self._plugins.hook.amends_case_changed.get_hookimpls())

    def case_changed(self, before: Snapshot | None, after: Snapshot, facts: Sequence[Fact]) -> list[str]:
        """Tell every listener, one by one; returns what went wrong, for the log."""
        problems = []
        arguments: Mapping[str, Any] = {"before": before, "after": after, "facts": facts}
        for impl in self._plugins.hook.amends_case_changed.get_hookimpls():
            try:
                impl.function(*(arguments[name] for name in impl.argnames))
            except (Exception, SystemExit) as error:  # a listener never stops a case
                problems.append(f"{impl.plugin_name}: {type(error).__name__}: {error}")
        return problems

    def provider(self, name: str) -> Provider:
        """The plugin of that name as found, whatever its state; raises `PluginError` where there is none."""
        found = [provider for provider in self.providers if provider.name == name]
        if found:
            return next((provider for provider in found if provider.state == "loaded"), found[0])
        there = ", ".join(sorted({provider.name for provider in self.providers})) or "none"
        raise PluginError(
            f"no plugin {name!r} is installed", hint=f"Install amends-{name}, or choose one of: {there}."
        )

    def plugin(self, name: str) -> Any:
        """The loaded plugin's module (or object) itself; None where it is not loaded."""
        return self._plugins.get_plugin(name)

    def connector(self, name: str) -> ConnectorSpec:
        return self._pick("connector", name, self.connectors)

    def channel(self, name: str) -> ChannelSpec:
        return self._pick("channel", name, self.channels)

    def policy(self, name: str) -> PolicySpec:
        return self._pick("policy", name, self.policies)

    def _pick(self, kind: str, name: str, table: Mapping[str, _T]) -> _T:
        if name in table:
            return table[name]
        broken = [p for p in self.providers if p.state == "broken"]
        there = ", ".join(sorted(table)) or "none"
        hint = f"Install amends-{name}, or choose one of: {there}."
        denied = sorted(p.name for p in self.providers if p.state == "denied")
        if denied:
            hint += f" Not allowed by config: {', '.join(denied)}."
        if broken:
            hint += " Set aside as broken: " + "; ".join(f"{p.name} ({p.problem})" for p in broken)
        raise PluginError(f"no plugin offers the {kind} {name!r}", hint=hint)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _inside(fence: str, version: int) -> bool:
    checks = {
        ">=": version.__ge__, "<=": version.__le__, "==": version.__eq__,
        "!=": version.__ne__, "<": version.__lt__, ">": version.__gt__,
    }  # fmt: skip
    parts = [_FENCE.fullmatch(part) for part in fence.split(",")]
    if not all(parts):
        raise PluginError(f"AMENDS_API = {fence!r} is no range of versions such as '>=1,<2'")
    return all(checks[part[1]](int(part[2])) for part in parts if part)
