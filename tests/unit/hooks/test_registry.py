"""Loading plugins is loud, one by one: what is broken is named and set aside, and the others go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from amends import ChannelSpec, ConnectorSpec, Operation, PolicySpec, hookimpl
from amends.errors import PluginError
from amends.hooks.registry import Provider, Registry


class NoConfig(BaseModel):
    pass


def connector(name: str) -> ConnectorSpec:
    return ConnectorSpec(
        name=name,
        config=NoConfig,
        factory=lambda config, context: SimpleNamespace(),
        operations={"order": Operation.read()},
    )


def plugin(**members: Any) -> ModuleType:
    """A plugin module made of these members; functions named like hooks are marked."""
    module = ModuleType("made_up")
    for name, value in members.items():
        setattr(module, name, hookimpl(value) if callable(value) else value)
    return module


def offering(*specs: Any) -> ModuleType:
    def amends_connectors() -> Iterable[Any]:
        return specs

    return plugin(amends_connectors=amends_connectors)


def test_what_a_plugin_offers_is_found_by_name() -> None:
    registry = Registry()
    provider = registry.add(offering(connector("corner")), name="corner", distribution="amends-corner")
    assert (provider.state, provider.offers) == ("loaded", ("connector corner",))
    assert registry.connector("corner").operation("order").how == "api"
    assert registry.provider("corner") == provider


def test_a_misspelt_hook_is_named() -> None:
    registry = Registry()
    provider = registry.add(plugin(amends_conectors=lambda: ()), name="typo")
    assert provider.state == "broken"
    assert "amends_conectors" in provider.problem
    assert registry.add(offering(connector("corner")), name="corner").state == "loaded"


def test_a_hook_with_a_wrong_argument_is_named() -> None:
    registry = Registry()
    provider = registry.add(plugin(amends_case_changed=lambda befour: None), name="typo")
    assert provider.state == "broken"
    assert "befour" in provider.problem
    assert registry.case_changed(None, SimpleNamespace(), ()) == []  # type: ignore[arg-type]


def test_a_plugin_without_a_marked_hook_says_what_to_do() -> None:
    module = ModuleType("unmarked")
    module.amends_connectors = lambda: [connector("corner")]  # type: ignore[attr-defined]
    assert "@amends.hookimpl" in Registry().add(module, name="unmarked").problem


@pytest.mark.parametrize("error", [RuntimeError("no such file"), SystemExit(3)], ids=repr)
def test_a_plugin_that_raises_is_set_aside_whole(error: BaseException) -> None:
    def amends_connectors() -> Iterator[ConnectorSpec]:
        yield connector("half")
        raise error

    registry = Registry()
    provider = registry.add(plugin(amends_connectors=amends_connectors), name="raising")
    assert provider.state == "broken"
    assert type(error).__name__ in provider.problem
    assert registry.connectors == {}
    assert registry.add(offering(connector("half")), name="other").state == "loaded"


def test_a_hook_that_yields_something_else_is_named() -> None:
    provider = Registry().add(offering("corner"), name="wrong")
    assert provider.problem == "wrong: amends_connectors must yield ConnectorSpec, not str"


def test_two_offers_of_one_name_name_both_plugins() -> None:
    registry = Registry()
    registry.add(offering(connector("corner")), name="first")
    provider = registry.add(offering(connector("other"), connector("corner")), name="second")
    assert provider.state == "broken"
    assert "second and first both offer the connector 'corner'" in provider.problem
    assert sorted(registry.connectors) == ["corner"]


def test_two_plugins_of_one_name_name_both_distributions_and_keep_the_first() -> None:
    registry = Registry()
    registry.add(offering(connector("mail")), name="mail", distribution="amends-mail")
    provider = registry.add(offering(connector("post")), name="mail", distribution="their-mail")
    assert provider.state == "broken"
    assert "amends-mail and their-mail both call their plugin 'mail'" in provider.problem
    assert sorted(registry.connectors) == ["mail"]
    assert registry.provider("mail").distribution == "amends-mail"
    assert registry.plugin("mail") is not None


def test_one_module_under_two_names_is_refused() -> None:
    registry, module = Registry(), offering(connector("corner"))
    registry.add(module, name="one")
    assert "same module as one" in registry.add(module, name="two").problem
    assert sorted(registry.connectors) == ["corner"]


@pytest.mark.parametrize(
    ("fence", "state"),
    [("", "loaded"), (">=1,<2", "loaded"), (" >= 1 , != 7", "loaded"), ("==1", "loaded"), (">1", "broken"),
     ("<1", "broken"), (">=2,<3", "broken"), ("1", "broken"), ("~=1", "broken"), (">=1, banana", "broken")],
)  # fmt: skip
def test_the_version_fence(fence: str, state: str) -> None:
    module = offering(connector("corner"))
    module.AMENDS_API = fence  # type: ignore[attr-defined]
    provider = Registry().add(module, name="fenced")
    assert provider.state == state
    assert state == "loaded" or fence in provider.problem


def test_a_missing_name_tells_what_there_is_and_what_is_broken() -> None:
    registry = Registry()
    registry.add(offering(connector("corner")), name="corner")
    registry.add(offering("nonsense"), name="wrong")
    registry.providers.append(Provider("banned", state="denied"))
    with pytest.raises(PluginError) as caught:
        registry.connector("square")
    assert "'square'" in str(caught.value)
    for said in ("amends-square", "corner", "banned", "wrong", "must yield ConnectorSpec"):
        assert said in caught.value.hint
    with pytest.raises(PluginError, match="no plugin 'square' is installed"):
        registry.provider("square")


def test_a_listener_that_raises_stops_nobody() -> None:
    heard: list[Any] = []

    def raising(before: Any, after: Any, facts: Any) -> None:
        raise ValueError("broken listener")

    def leaving(facts: Any) -> None:
        raise SystemExit(1)

    def hearing(after: Any) -> None:
        heard.append(after)

    registry = Registry()
    for name, listener in (("raising", raising), ("leaving", leaving), ("hearing", hearing)):
        assert registry.add(plugin(amends_case_changed=listener), name=name).offers == ("listens to cases",)
    problems = registry.case_changed(None, "after", ())  # type: ignore[arg-type]
    assert heard == ["after"]
    assert sorted(problems) == ["leaving: SystemExit: 1", "raising: ValueError: broken listener"]


def test_policies_and_channels_come_through_the_same_door() -> None:
    policy = PolicySpec(name="mild", config=NoConfig, factory=lambda config: SimpleNamespace())
    channel = ChannelSpec(name="pigeon", config=NoConfig, factory=lambda config, context: SimpleNamespace())
    registry = Registry()
    module = plugin(amends_policies=lambda: [policy], amends_channels=lambda: [channel])
    assert registry.add(module, name="both").offers == ("channel pigeon", "policy mild")
    assert registry.policy("mild") is policy
    assert registry.channel("pigeon") is channel


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with three installed plugins: one is good, one cannot be imported, one exits."""
    spec = (
        "from amends import ConnectorSpec, hookimpl\nfrom pydantic import BaseModel\n"
        "class C(BaseModel): pass\n"
        "@hookimpl\ndef amends_connectors():\n"
        "    yield ConnectorSpec(name='good-shop', config=C, factory=lambda config, context: None)\n"
    )
    for name, code in (
        ("good", spec),
        ("lost", "import no_such_module_0017"),
        ("exits", "raise SystemExit(2)"),
    ):
        (tmp_path / f"made_up_{name}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"made_up_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[amends]\nmade-up-{name} = made_up_{name}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


NAMES = ("made-up-exits", "made-up-good", "made-up-lost")


def test_an_import_that_fails_is_reported_and_the_rest_loads(installed: Path) -> None:
    registry = Registry.load(allow=NAMES)
    found = {p.name: p for p in registry.providers if p.name in NAMES}
    assert {name: p.state for name, p in found.items()} == {
        "made-up-exits": "broken",
        "made-up-good": "loaded",
        "made-up-lost": "broken",
    }
    assert "no_such_module_0017" in found["made-up-lost"].problem
    assert "SystemExit" in found["made-up-exits"].problem
    good = found["made-up-good"]
    assert (good.distribution, good.version, good.module) == ("made-up-good", "1.2", "made_up_good")


def test_denied_plugins_are_listed_and_not_imported(installed: Path) -> None:
    registry = Registry.load(allow=NAMES, deny=["made-up-lost", "made-up-exits"])
    assert {p.name: p.state for p in registry.providers if p.name in NAMES} == {
        "made-up-exits": "denied",
        "made-up-good": "loaded",
        "made-up-lost": "denied",
    }


def test_an_empty_allow_list_allows_none(installed: Path) -> None:
    registry = Registry.load(allow=[])
    assert {p.state for p in registry.providers} == {"denied"}
    assert len(registry.providers) == len(metadata.entry_points(group="amends"))
