"""Checks the parts of a configuration that belong to plugins, against the plugins' own models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from amends.cases.rules import RuleBook
from amends.errors import AmendsError, ConfigError, PluginError
from amends.settings.problems import Key, Problem, config_error, explain, literal_secrets, near
from amends.settings.secrets import LITERAL, TODO, SecretMissing, SecretRef, is_ref

if TYPE_CHECKING:
    from amends.hooks.registry import Registry
    from amends.hooks.specs import ChannelSpec, ConnectorSpec, PolicySpec
    from amends.settings import Settings
    from amends.settings.models import OpenTable

_T = TypeVar("_T")


def shop_config(settings: Settings, name: str, registry: Registry) -> BaseModel:
    """The connector's own config of that shop, secrets filled in; raises one `ConfigError` in all."""
    shop = settings.shop(name)
    at = ("shops", name, "connector")
    spec = _spec(settings, at, shop.connector, registry.connectors, registry.connector)
    return _validated(settings, spec.config, shop.connector_config, ("shops", name, "connector_config"))


def desk_config(settings: Settings, name: str, registry: Registry) -> BaseModel:
    """The desk's own config of that shop; the connector's, where the connector is its own desk."""
    shop = settings.shop(name)
    if shop.own_desk:
        return shop_config(settings, name, registry)
    spec = _spec(settings, ("shops", name, "desk"), shop.desk_name, registry.connectors, registry.connector)
    return _validated(settings, spec.config, shop.desk_config, ("shops", name, "desk_config"))


def policy_config(
    settings: Settings, name: str, registry: Registry, *, at: Key = ()
) -> tuple[PolicySpec, BaseModel]:
    """The policy plugin that `[policies.NAME]` means, and its config; without a table, its defaults."""
    plugin, raw, at = _open(settings.policies, "policies", name, at)
    spec = _spec(settings, at, plugin, registry.policies, registry.policy)
    return spec, _validated(settings, spec.config, raw, ("policies", name))


def channel_config(
    settings: Settings, name: str, registry: Registry, *, at: Key = ()
) -> tuple[ChannelSpec, BaseModel]:
    """The channel plugin that `[channels.NAME]` means, and its config; without a table, its defaults."""
    plugin, raw, at = _open(settings.channels, "channels", name, at)
    spec = _spec(settings, at, plugin, registry.channels, registry.channel)
    return spec, _validated(settings, spec.config, raw, ("channels", name))


def customer_channel(
    settings: Settings, name: str, registry: Registry, *, at: Key = ()
) -> tuple[ChannelSpec, BaseModel]:
    """The same for a way to customers; a channel that reaches operators only is refused."""
    spec, config = channel_config(settings, name, registry, at=at)
    if spec.reaches == "operators":
        raise config_error(
            [settings.origins.problem(at or ("channels", name), f"channel {name} reaches operators, not customers",
                                      "name a channel that writes to customers")]
        )  # fmt: skip
    return spec, config


def rule_book(settings: Settings, name: str, registry: Registry) -> RuleBook:
    """The rules that count in that shop: its platform's rows from plugins, the merchant's own rows first."""
    shop = settings.shop(name)
    platform = shop.rules
    if not platform:
        spec: ConnectorSpec | None = registry.connectors.get(shop.connector)
        named = spec.rules if spec else ""
        platform = (
            named(shop_config(settings, name, registry)) if callable(named) else named
        ) or shop.connector
    rows = [rule for rule in registry.rules if rule.platform == platform]
    own = settings.rules.for_platform(platform)
    return RuleBook(rows, platform=platform, overrides=own, zone=ZoneInfo(shop.time_zone))


def check_plugged(settings: Settings, registry: Registry) -> list[Problem]:
    """Every problem that only the plugins can tell: for `amends config check`. An empty list is good news."""
    found: list[Problem] = []
    for check in _checks(settings, registry):
        try:
            check()
        except ConfigError as error:
            problems: tuple[Problem, ...] = error.context.get("problems", ())
            found += problems or (Problem("", "", error.message),)
        except AmendsError as error:
            found.append(Problem("", "", error.message, error.hint))
    return list(dict.fromkeys(found))


def _checks(settings: Settings, registry: Registry) -> Iterator[Callable[[], object]]:
    for name, shop in settings.shops.items():
        yield partial(shop_config, settings, name, registry)
        yield partial(desk_config, settings, name, registry)
        yield partial(policy_config, settings, shop.policy, registry, at=("shops", name, "policy"))
        own = shop.channels is not None
        at: Key = ("shops", name, "channels") if own else ("playbooks", shop.playbook, "channels")
        for channel in settings.playbook_of(name).channels:
            if channel not in ("platform", "call"):
                yield partial(customer_channel, settings, channel, registry, at=at)
    for policy in settings.policies:
        yield partial(policy_config, settings, policy, registry)
    for channel in settings.channels:
        yield partial(channel_config, settings, channel, registry)
    for person, approver in settings.approvers.items():
        if approver.channel:
            at = ("approvers", person, "channel")
            yield partial(channel_config, settings, approver.channel, registry, at=at)
            yield partial(settings.approver_address, person)
        if approver.code is not None:
            yield partial(settings.secret, approver.code, ("approvers", person, "code"))
    yield lambda: settings.ledger_url
    if settings.ledger.key is not None:
        yield settings.ledger_key


def _open(tables: Mapping[str, OpenTable], table: str, name: str, at: Key) -> tuple[str, dict[str, Any], Key]:
    given = tables.get(name)
    if given is None:
        return name, {}, at or (table, name)
    return (
        given.plugin or name,
        given.config,
        (table, name, "plugin") if given.plugin else at or (table, name),
    )


def _spec(settings: Settings, at: Key, name: str, there: Mapping[str, _T], pick: Callable[[str], _T]) -> _T:
    try:
        return pick(name)
    except PluginError as error:
        todo = near(name, there)
        if not todo.startswith("did"):
            todo = error.hint
        raise config_error([settings.origins.problem(at, error.message, todo)]) from error


def _validated(settings: Settings, model: type[BaseModel], raw: dict[str, Any], at: Key) -> BaseModel:
    problems: list[Problem] = []
    known: set[str] = set()

    def filled(value: Any, key: Key) -> Any:
        if is_ref(value):
            try:
                secret = settings.vault.reveal(SecretRef.model_validate(value)).get_secret_value()
            except SecretMissing as error:
                problems.append(settings.origins.problem(key, error.what, error.todo))
                return "missing"
            known.add(secret)
            return secret
        if isinstance(value, dict):
            return {name: filled(inner, (*key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner, (*key, place)) for place, inner in enumerate(value)]
        return value

    literals = [(*at, *key) for key in literal_secrets(model, raw)]
    problems += [settings.origins.problem(key, LITERAL, TODO) for key in literals]
    ready = filled(raw, at)
    missing = {problem.key for problem in problems}
    try:
        config = model.model_validate(ready)
    except ValidationError as error:
        found = explain(error, model=model, raw=raw, at=at, origins=settings.origins, hide=known)
        problems += [problem for problem in found if problem.key not in missing]
    else:
        if not problems:
            return config
    raise config_error(problems)
