"""amends puts late shipments right. This is what a plugin author imports; no Prefect and no httpx at import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amends.cases.facts import Answer, Fact, Outcome, Step
    from amends.cases.lateness import Lateness, State, contradictions, judge, shipped_at
    from amends.cases.money import Money
    from amends.cases.offers import Offer, Remedy, RemedyKind
    from amends.cases.orders import AfterSales, Item, Order, OrderStatus, Parcel, Personal, Tag, Tracking
    from amends.cases.durations import Duration
    from amends.cases.rules import Confidence, Rule, RuleBook, RuleName
    from amends.errors import (
        AmendsError,
        AuthFailed,
        BadAnswer,
        InputError,
        NotAllowed,
        NotFound,
        PlatformError,
        Rejected,
        RiskControl,
        Throttled,
        TimedOut,
        Unavailable,
        Unreachable,
        Unsupported,
    )
    from amends.hooks.hookspecs import API_VERSION, hookimpl
    from amends.hooks.protocols import CaseView, Channel, Clock, Connector, Context, Desk, Policy, PolicyContext
    from amends.hooks.requests import (
        AnyRequest,
        Event,
        Extension,
        File,
        Filing,
        Grant,
        Message,
        OrderPage,
        Receipt,
        Reply,
        ReplyPage,
        Ruling,
    )
    from amends.hooks.specs import ChannelSpec, ConnectorSpec, Operation, PolicySpec
    from amends.http import Http

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
    "amends.http": ("Http",),
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
