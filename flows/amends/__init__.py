"""amends puts late shipments right. This is what a plugin author imports; no Prefect and no httpx at import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amends.cases.facts import Answer as Answer, Fact as Fact, Outcome as Outcome, Step as Step
    from amends.cases.lateness import (
        Lateness as Lateness,
        State as State,
        contradictions as contradictions,
        judge as judge,
        shipped_at as shipped_at,
    )
    from amends.cases.money import Money as Money
    from amends.cases.offers import Offer as Offer, Remedy as Remedy, RemedyKind as RemedyKind
    from amends.cases.orders import (
        AfterSales as AfterSales,
        Item as Item,
        Order as Order,
        OrderStatus as OrderStatus,
        Parcel as Parcel,
        Personal as Personal,
        Tag as Tag,
        Tracking as Tracking,
    )
    from amends.cases.durations import Duration as Duration
    from amends.cases.rules import (
        Confidence as Confidence,
        Rule as Rule,
        RuleBook as RuleBook,
        RuleName as RuleName,
    )
    from amends.errors import (
        AmendsError as AmendsError,
        AuthFailed as AuthFailed,
        BadAnswer as BadAnswer,
        InputError as InputError,
        NotAllowed as NotAllowed,
        NotFound as NotFound,
        PlatformError as PlatformError,
        Rejected as Rejected,
        RiskControl as RiskControl,
        Throttled as Throttled,
        TimedOut as TimedOut,
        Unavailable as Unavailable,
        Unreachable as Unreachable,
        Unsupported as Unsupported,
    )
    from amends.hooks.hookspecs import API_VERSION as API_VERSION, hookimpl as hookimpl
    from amends.hooks.protocols import (
        CaseView as CaseView,
        Channel as Channel,
        Clock as Clock,
        Connector as Connector,
        Context as Context,
        Desk as Desk,
        Policy as Policy,
        PolicyContext as PolicyContext,
    )
    from amends.hooks.requests import (
        AnyRequest as AnyRequest,
        Event as Event,
        Extension as Extension,
        File as File,
        Filing as Filing,
        Grant as Grant,
        Message as Message,
        OrderPage as OrderPage,
        Receipt as Receipt,
        Reply as Reply,
        ReplyPage as ReplyPage,
        Ruling as Ruling,
    )
    from amends.hooks.specs import (
        ChannelSpec as ChannelSpec,
        ConnectorSpec as ConnectorSpec,
        Operation as Operation,
        PolicySpec as PolicySpec,
    )
    from amends.http import Http as Http, parse as parse, raise_for as raise_for


_FROM = {
    "amends.cases.durations": ("Duration",),
    "amends.cases.facts": ("Answer", "Fact", "Outcome", "Step"),
    "amends.cases.lateness": ("Lateness", "State", "contradictions", "judge", "shipped_at"),
    "amends.cases.money": ("Money",),
    "amends.cases.offers": ("Offer", "Remedy", "RemedyKind"),
    "amends.cases.orders": (
        "AfterSales", "Item", "Order", "OrderStatus", "Parcel", "Personal", "Tag", "Tracking",
    ),
    "amends.cases.rules": ("Confidence", "Rule", "RuleBook", "RuleName"),
    "amends.errors": (
        "AmendsError", "AuthFailed", "BadAnswer", "InputError", "NotAllowed", "NotFound", "PlatformError", "Rejected",
        "RiskControl", "Throttled", "TimedOut", "Unavailable", "Unreachable", "Unsupported",
    ),
    "amends.hooks.hookspecs": ("API_VERSION", "hookimpl"),
    "amends.hooks.protocols": (
        "CaseView", "Channel", "Clock", "Connector", "Context", "Desk", "Policy", "PolicyContext",
    ),
    "amends.hooks.requests": (
        "AnyRequest", "Event", "Extension", "File", "Filing", "Grant", "Message", "OrderPage", "Receipt", "Reply",
        "ReplyPage", "Ruling",
    ),
    "amends.hooks.specs": ("ChannelSpec", "ConnectorSpec", "Operation", "PolicySpec"),
    "amends.http": ("Http", "parse", "raise_for"),
}  # fmt: skip
_HOME = {name: module for module, names in _FROM.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # noqa: PLE0605  # built from the table above, which a test compares with the imports


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'amends' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
