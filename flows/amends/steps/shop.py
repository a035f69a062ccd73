"""Wires one shop up for work: its connector, desk, channels, policy, rules and playbooks, its ledger and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from amends.cases.money import Money
from amends.cases.offers import RemedyKind
from amends.cases.playbook import Playbook
from amends.cases.rules import RuleBook
from amends.cases.stages import Terms
from amends.clock import SystemClock
from amends.hooks.protocols import Channel, Clock, Connector, Context, Desk, Policy
from amends.hooks.registry import Registry
from amends.hooks.specs import UNSUPPORTED, ChannelSpec, ConnectorSpec, Operation, PolicySpec
from amends.ledger import Ledger, Vault, intake, leases
from amends.ledger.budgets import Scope
from amends.settings import Settings, customer_channel, desk_config, policy_config, rule_book, shop_config
from amends.steps.pace import REAL, Pace, Time, paced

BUILT_IN_WAYS = ("platform", "call")
"""Ways to a customer that are no channel plugins."""

BY_HAND = Operation(how="by-hand", effect="by-hand", where="the platform's back office")
"""What is done about a remedy that the connector cannot give: a person does."""


def open_ledger(settings: Settings) -> Ledger:
    """The ledger that the settings name, made or upgraded where needed."""
    url = settings.ledger_url
    if url.startswith("sqlite"):
        settings.prepare_state()
    return Ledger.open(url, Vault(settings.ledger_key()))


CALL = Operation(
    how="by-hand",
    effect="by-hand",
    where="by telephone: say what the text says, and record what the customer answers",
)
"""A telephone call: a way to the customer that every shop has, where a person makes it."""


@dataclass
class Shop:
    """One shop, ready for work. Make it with `Shop.open`, and `aclose` it."""

    name: str
    settings: Settings
    registry: Registry
    ledger: Ledger
    clock: Clock
    playbook: Playbook
    policy_version: str
    rules: RuleBook
    connector: Connector
    connector_spec: ConnectorSpec
    desk: Desk
    desk_spec: ConnectorSpec
    channels: Mapping[str, tuple[ChannelSpec, Channel]]
    policy_spec: PolicySpec
    owner: str = field(default_factory=leases.new_owner)
    problems: list[str] = field(default_factory=list)
    lanes: int = 2
    """Batches of cases, and windows of a batch, that are under way at once: one is written while another is sent."""
    pace: Pace = field(init=False)
    _playbooks: dict[str, Playbook] = field(default_factory=dict)
    _policies: dict[str, Policy] = field(default_factory=dict)
    _terms: dict[str, Terms] = field(default_factory=dict)

    @classmethod
    async def open(
        cls, settings: Settings, name: str, *, ledger: Ledger, registry: Registry, clock: Clock | None = None,
        paced_by: Time = REAL, http: Callable[..., Any] | None = None,
    ) -> Shop:  # fmt: skip
        """Make every live object of the shop; raises `ConfigError` or `PluginError` before anything is touched.

        `clock` is the time that cases live in, `paced_by` the time in which calls are made: a simulator has its own.
        `http` makes the clients of connector, desk and channels, for whoever watches their calls.
        """
        clock = clock or SystemClock()
        given = settings.shop(name)
        spec = registry.connector(given.connector)
        context = Context(shop=name, time_zone=given.time_zone, clock=clock, http=http or _client)
        config = shop_config(settings, name, registry)
        playbook = settings.playbook_of(name)
        policy_spec, policy = policy_config(settings, given.policy, registry)
        connector: Any = _made(spec)(config, context)
        desk, desk_spec = connector, spec
        if not given.own_desk:
            desk_spec = registry.connector(given.desk_name)
            desk = _made(desk_spec)(desk_config(settings, name, registry), context)
        channels = {}
        for channel in playbook.channels:
            if channel not in BUILT_IN_WAYS:
                channel_spec, channel_settings = customer_channel(settings, channel, registry)
                channels[channel] = (channel_spec, _made(channel_spec)(channel_settings, context))
        policy_text = policy.model_dump_json()
        version = f"{policy_spec.name}-{Playbook.version_of(policy_text)}"
        await ledger.run(intake.pin, "playbook", playbook.version, playbook.model_dump_json())
        await ledger.run(intake.pin, "policy", version, policy_text)
        shop = cls(
            name, settings, registry, ledger, clock, playbook, version, rule_book(settings, name, registry), connector, spec,
            desk, desk_spec, channels, policy_spec,
        )  # fmt: skip
        shop._keep_pace(paced_by)
        if paced_by is not REAL:
            shop.lanes = 1  # one thing after the other, so that a simulation is the same each time
        for pinned, body in (await ledger.run(intake.pinned, "playbook")).items():
            shop._playbooks[pinned] = Playbook.model_validate_json(body)
        for pinned, body in (await ledger.run(intake.pinned, "policy")).items():
            if pinned.rpartition("-")[0] == policy_spec.name:
                shop._policies[pinned] = policy_spec.factory(policy_spec.config.model_validate_json(body))
        return shop

    @cached_property
    def gate(self) -> asyncio.Semaphore:
        """Lets as many calls of this process through at once as the connector bears."""
        return asyncio.Semaphore(self.connector_spec.in_flight)

    async def aclose(self) -> None:
        live: list[Any] = [self.connector, self.desk, *(channel for _, channel in self.channels.values())]
        once = {id(one): one for one in live}  # connector and desk may be the same object
        await asyncio.gather(*(one.aclose() for one in once.values()), return_exceptions=True)

    def terms(self, playbook: str) -> Terms:
        """By what a case that began with that playbook is judged."""
        found = self._terms.get(playbook)
        if found is None:
            found = self._terms[playbook] = Terms(
                self._playbooks.get(playbook, self.playbook), self.rules, self.can
            )
        return found

    def policy(self, version: str) -> Policy:
        """The policy as it was when the case began; today's where that plugin is no longer the shop's."""
        return self._policies.get(version) or self._policies[self.policy_version]

    @cached_property
    def can(self) -> Mapping[str, str]:
        """What connector, desk and channels can do: operation → api or by-hand."""
        found = {
            name: op.how for name, op in self.connector_spec.operations.items() if op.how != "unsupported"
        }
        for name in ("complain", "respond", "arbitrate", "ruling"):
            found.pop(name, None)
            operation = self.desk_spec.operation(name)
            if operation.how != "unsupported":
                found[name] = operation.how
        if self.channels:
            found.setdefault("message", "api")
        return found

    @cached_property
    def notes(self) -> bool:
        """Whether our acts leave a line on the order, for the shop's own people.

        Where messages go out by API they can be seen there; what a person does by hand shows nowhere else.
        """
        if self.connector_spec.operation("note").how != "api":
            return False
        by_hand = self.connector_spec.operation("message").how == "by-hand"
        return by_hand if self.playbook.notes is None else self.playbook.notes

    @cached_property
    def remedies(self) -> frozenset[str]:
        """The remedy kinds that the platform or a person there can give."""
        granted = self.connector_spec.operation("grant").how != "unsupported"
        kinds = {kind.value for kind in RemedyKind}
        named = {
            name.partition(":")[2] for name in self.connector_spec.operations if name.startswith("grant:")
        }
        return frozenset(kinds if granted else named & kinds)

    def operation(self, op: str, kind: str, via: str = "platform") -> Operation:
        """How an act is done, and with which effect class."""
        if op in ("legal", "call"):
            return BY_HAND
        if op in ("complain", "respond", "arbitrate", "ruling"):
            return self.desk_spec.operation(op, kind.partition(":")[2])
        if via == "call":
            return CALL
        if via != "platform":
            return self.channels[via][0].operation(op) if via in self.channels else UNSUPPORTED
        found = self.connector_spec.operation(op, kind.partition(":")[2])
        return BY_HAND if op == "grant" and found.how == "unsupported" else found

    def scopes(self, number: str, customer: str, currency: str) -> list[Scope]:
        """The caps that bear on a remedy for that order today."""
        caps = self.settings.caps
        if not (caps.per_order or caps.per_customer_month or caps.per_shop_day):
            return []
        local = self.clock.now().astimezone(self.settings.shop(self.name).zone)
        names = {
            "per_order": f"order:{self.name}:{number}",
            "per_customer_month": f"customer-month:{self.name}:{customer}:{local:%Y-%m}" if customer else "",
            "per_shop_day": f"shop-day:{self.name}:{local:%Y-%m-%d}",
        }
        found = []
        for cap, name in names.items():
            limit: Money | None = self.settings.caps.limit(cap, currency)  # type: ignore[arg-type]  # the keys are CapName
            if name and limit is not None:
                found.append(Scope(name, cap, limit))
        return found

    def _keep_pace(self, by: Time) -> None:
        """Put a pace before every live object, so that no call goes round the quotas of connector and desk.

        Channels have none, yet pause and break as well.
        """
        quotas = {spec.name: spec.quota for spec in (self.desk_spec, self.connector_spec)}
        given = self.settings.shop(self.name).quota
        if given is not None:
            quotas[self.connector_spec.name] = (given.per_second, given.burst)
        self.pace = Pace(self.ledger, self.name, self.clock, quotas, by=by)
        connector: Any = self.connector
        desk: Any = self.desk
        self.connector = front = paced(connector, self.pace, self.connector_spec.name)
        self.desk = front if desk is connector else paced(desk, self.pace, self.desk_spec.name)
        self.channels = {
            name: (spec, paced(channel, self.pace, name)) for name, (spec, channel) in self.channels.items()
        }

    @cached_property
    def template_dirs(self) -> tuple[Path, ...]:
        return self.settings.template_dirs


def _made(spec: Any) -> Any:
    if spec.factory is None:
        raise TypeError(f"{spec.name} has no factory")
    return spec.factory


def _client(**options: Any) -> Any:
    from amends.http import new_client

    return new_client(**options)
