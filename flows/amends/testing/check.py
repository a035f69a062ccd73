"""Checks an installed plugin from outside: fence, capabilities, and the contract against its own fakes.

A plugin's module may have `amends_contract()`, a plain function (no hook) that yields its fakes: subclasses
of `FakePlatform`, `FakeChannel` and `PolicySamples`, each with the `name` of the spec that it stands for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from amends.errors import PluginError
from amends.hooks.hookspecs import API_VERSION
from amends.hooks.matrix import Capability, capabilities_of
from amends.hooks.registry import Provider, Registry
from amends.testing.contracts.bench import Result, run_suite
from amends.testing.contracts.channel import ChannelContract
from amends.testing.contracts.connector import ConnectorContract, DeskContract, has_desk
from amends.testing.contracts.policy import PolicyContract

Outcome = Literal["passed", "failed", "skipped"]
_T = TypeVar("_T")
_MORE_THAN_A_DESK = ("changed_orders", "order", "replies", "message", "verify_webhook")
_HEAVY = ("httpx", "aiohttp", "sqlalchemy", "prefect")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: `about` is the spec it is about (`connector corner-shop`), or empty."""

    title: str
    outcome: Outcome
    detail: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What `plugin_check` found."""

    plugin: str
    provider: Provider
    checks: tuple[Check, ...]
    capabilities: tuple[Capability, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing failed. What was skipped was not declared, or had no fake to be tried against."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.outcome == "failed")

    def count(self, outcome: Outcome) -> int:
        return sum(check.outcome == outcome for check in self.checks)

    def lines(self) -> list[str]:
        """For a terminal: where it comes from, what it can do, what did not pass, and a summary."""
        found = self.provider
        origin = f"{found.distribution} {found.version}".strip() or found.module or "no distribution"
        offers = ", ".join(found.offers) or found.problem or "nothing offered"
        text = [f"{self.plugin} ({origin}): {offers}"]
        for row in self.capabilities:
            if row.how != "unsupported":
                title = f"{row.operation}: {row.variant}" if row.variant else row.operation
                by_hand = f" ({row.where}{'; ' + row.limits if row.limits else ''})" if row.where else ""
                text.append(f"  {row.name}  {title}  {row.cell}{by_hand}")
        for check in self.checks:
            if check.outcome != "passed":
                where = f"{check.about}: " if check.about else ""
                text.append(f"  {check.outcome.upper()}  {where}{check.title}: {check.detail}")
        text.append(
            f"{self.count('passed')} passed, {self.count('failed')} failed, {self.count('skipped')} skipped"
        )
        return text


def plugin_check(name: str, registry: Registry) -> PluginReport:
    """Check the plugin of that name; raises `PluginError` only where none is installed under it.

    Takes seconds, needs no network, and runs the plugin's own code: `factory` and all that it declares.
    """
    provider = registry.provider(name)
    if provider.state != "loaded":
        detail = provider.problem or "config does not allow it"
        return PluginReport(name, provider, (Check("loads", "failed", detail),))
    plugin = registry.plugin(name)
    checks = [Check("loads", "passed"), _fence(plugin), _light(provider)]
    specs = _specs(provider, registry)
    try:
        fakes = {(fake.kind, fake.name): fake for fake in _fakes(plugin)}
    except Exception as error:  # a plugin's function can raise anything
        checks.append(Check("amends_contract", "failed", f"{type(error).__name__}: {error}"))
        fakes = {}
    for kind_and_name in fakes.keys() - specs.keys():
        detail = f"a fake stands for {' '.join(kind_and_name)}, which this plugin does not offer"
        checks.append(Check("amends_contract", "failed", detail))
    for (kind, spec_name), spec in specs.items():
        about, fake = f"{kind} {spec_name}", fakes.get((kind, spec_name))
        if fake is None and not (kind == "policy" and _needs_nothing(spec)):
            detail = "ships no fake: let `amends_contract()` yield one, then what it declares can be tried"
            checks.append(Check("contract", "skipped", detail, about))
            continue
        for suite in _suites(kind, spec, fake):
            results = _apart(lambda suite=suite: run_suite(suite))  # type: ignore[misc]  # bound in the loop
            checks += [_check(result, about) for result in results]
    table = tuple(
        row for spec in specs.values() if hasattr(spec, "operations") for row in capabilities_of(spec)
    )
    return PluginReport(name, provider, tuple(checks), table)


def _specs(provider: Provider, registry: Registry) -> dict[tuple[str, str], Any]:
    tables: dict[str, Any] = {
        "connector": registry.connectors, "channel": registry.channels, "policy": registry.policies,
    }  # fmt: skip
    found = {}
    for offer in provider.offers:
        kind, _, spec = offer.partition(" ")
        if kind in tables:
            found[kind, spec] = tables[kind][spec]
    return found


def _fence(plugin: Any) -> Check:
    fence = getattr(plugin, "AMENDS_API", "")
    if not fence:
        detail = f'declares no AMENDS_API; add AMENDS_API = ">={API_VERSION},<{API_VERSION + 1}"'
        return Check("version fence", "skipped", detail)
    # One that does not admit this version would not have been loaded.
    return Check("version fence", "passed", f"{fence} admits {API_VERSION}")


def _light(provider: Provider) -> Check:
    """Importing a plugin must not load the network: `amends plugins` imports them all."""
    module = provider.module.partition(":")[0]
    if not module:
        return Check("light import", "skipped", "not loaded from an entry point")
    code = f"import sys, amends, {module}; print(*[n for n in {_HEAVY!r} if n in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if run.returncode:
        return Check(
            "light import", "failed", (run.stderr.strip().splitlines() or ["it ends the interpreter"])[-1]
        )
    loaded = run.stdout.split()
    if loaded:
        return Check(
            "light import", "failed", f"import {module} imports {', '.join(loaded)}; import them where used"
        )
    return Check("light import", "passed")


def _fakes(plugin: Any) -> list[Any]:
    contract: Callable[[], Iterable[Any]] | None = getattr(plugin, "amends_contract", None)
    return list(contract()) if contract is not None else []


def _suites(kind: str, spec: Any, fake: Any) -> list[Any]:
    if kind == "policy":
        members = {"spec": spec} | ({"samples": fake} if fake is not None else {})
        return [type("Policy", (PolicyContract,), members)]
    if kind == "channel":
        return [type("Channel", (ChannelContract,), {"spec": spec, "fake": fake})]
    found: list[Any] = []
    if not has_desk(spec) or any(spec.operation(op, "").how != "unsupported" for op in _MORE_THAN_A_DESK):
        found.append(type("Connector", (ConnectorContract,), {"spec": spec, "fake": fake}))
    if has_desk(spec):
        found.append(type("Desk", (DeskContract,), {"spec": spec, "fake": fake}))
    return found


def _needs_nothing(spec: Any) -> bool:
    """Whether an empty config will do."""
    try:
        spec.config.model_validate({})
    except ValueError:
        return False
    return True


def _check(result: Result, about: str) -> Check:
    return Check(result.name, result.outcome, result.detail, about)


def _apart(work: Callable[[], _T]) -> _T:
    """Run in a thread of its own, where no event loop runs, so that a caller may have one."""
    found: list[_T] = []
    thread = threading.Thread(target=lambda: found.append(work()), name="plugin-check")
    thread.start()
    thread.join()
    if not found:
        raise PluginError("the check itself broke; see the traceback above")
    return found[0]
