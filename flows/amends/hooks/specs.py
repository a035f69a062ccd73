"""The frozen, named values that hooks yield: what a plugin offers. Config chooses among them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from amends.cases.offers import RemedyKind
from amends.errors import PluginError

if TYPE_CHECKING:
    from amends.hooks.protocols import Channel, Connector, Context, Policy

How = Literal["api", "by-hand", "unsupported"]
EffectClass = Literal["idempotent", "queryable", "blind", "by-hand", "none"]

READS = ("changed_orders", "order", "tracking", "replies", "find", "verify_webhook", "ruling", "disputes")
WRITES = ("message", "grant", "extend", "complain", "respond", "arbitrate", "note")
_REMEDIES = tuple(kind.value for kind in RemedyKind)


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation is done.

    `effect` says what may be done after an unknown outcome: resend the same key (`idempotent`, inside `window`), look
    first after `quiet` (`queryable`), never resend (`blind`), or a person does it anyway (`by-hand`). A write that
    declares nothing is blind. `where`, `limits` tell a person what to do by hand.
    """

    how: How = "unsupported"
    effect: EffectClass = "blind"
    window: timedelta = timedelta(hours=24)
    quiet: timedelta = timedelta(minutes=5)
    where: str = ""
    limits: str = ""
    reviewed: bool = False  # the platform reviews it first: the answer is a request whose state is watched

    @classmethod
    def read(cls) -> Operation:
        return cls(how="api", effect="none")

    @classmethod
    def idempotent(cls, *, window: timedelta = timedelta(hours=24), reviewed: bool = False) -> Operation:
        return cls(how="api", effect="idempotent", window=window, reviewed=reviewed)

    @classmethod
    def queryable(cls, *, quiet: timedelta = timedelta(minutes=5), reviewed: bool = False) -> Operation:
        return cls(how="api", effect="queryable", quiet=quiet, reviewed=reviewed)

    @classmethod
    def blind(cls, *, reviewed: bool = False) -> Operation:
        return cls(how="api", effect="blind", reviewed=reviewed)

    @classmethod
    def by_hand(cls, where: str, *, limits: str = "", reviewed: bool = False) -> Operation:
        return cls(how="by-hand", effect="by-hand", where=where, limits=limits, reviewed=reviewed)


UNSUPPORTED = Operation()


@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    config: type[BaseModel]
    operations: Mapping[str, Operation] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        for name, operation in self.operations.items():
            base, _, variant = name.partition(":")
            if base not in READS + WRITES:
                known = ", ".join(READS + WRITES)
                there = (
                    f"a remedy is declared as 'grant:{name}'" if name in _REMEDIES else f"there are {known}"
                )
                raise PluginError(f"{self.name}: unknown operation {name!r}; {there}")
            if base == "grant" and variant and variant not in _REMEDIES:
                known = ", ".join(_REMEDIES)
                raise PluginError(f"{self.name}: {name} names no remedy; there are {known}")
            if operation.how == "by-hand" and not operation.where:
                raise PluginError(f"{self.name}: {name} is by hand, so it must say `where` a person does it")
        if getattr(self, "factory", None) is None:
            raise PluginError(f"{self.name}: a spec needs its `factory`")

    def operation(self, name: str, variant: str = "") -> Operation:
        """How `name` is done; `grant` may be declared per remedy kind as `grant:refund`."""
        if variant:
            found = self.operations.get(f"{name}:{variant}")
            if found is not None:
                return found
        return self.operations.get(name, UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class ConnectorSpec(_Spec):
    """A platform (and perhaps its dispute desk). `factory(config, context)` makes the live object for one shop.

    `rules` names the rule set of that platform (`pdd`), or tells it from the shop's config; `quota` is requests per
    second, as (rate, burst); `in_flight` bounds requests under way at once.
    """

    factory: Callable[[Any, Context], Connector] | None = None
    rules: str | Callable[[Any], str] = ""
    quota: tuple[float, int] = (50.0, 50)
    in_flight: int = 8


@dataclass(frozen=True, slots=True)
class ChannelSpec(_Spec):
    """A way to reach a customer or an operator outside the platform."""

    factory: Callable[[Any, Context], Channel] | None = None
    reaches: Literal["customers", "operators", "both"] = "customers"


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A compensation policy. It proposes only; caps and approvals are the ledger's."""

    name: str
    config: type[BaseModel]
    factory: Callable[[Any], Policy]
    description: str = ""
