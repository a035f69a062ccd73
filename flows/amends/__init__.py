"""amends puts late shipments right. This is what a plugin author imports; no Prefect and no httpx at import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amends.cases.durations import Duration as Duration
    from amends.cases.facts import Answer as Answer
    from amends.cases.facts import Fact as Fact
    from amends.cases.facts import Outcome as Outcome
    from amends.cases.facts import Step as Step
    from amends.cases.lateness import (
        Lateness as Lateness,
    )
    from amends.cases.lateness import (
        State as State,
    )
    from amends.cases.lateness import (
        contradictions as contradictions,
    )
    from amends.cases.lateness import (
        judge as judge,
    )
    from amends.cases.lateness import (
        shipped_at as shipped_at,
    )
    from amends.cases.money import Money as Money
    from amends.cases.offers import Offer as Offer
    from amends.cases.offers import Remedy as Remedy
    from amends.cases.offers import RemedyKind as RemedyKind
    from amends.cases.orders import (
        AfterSales as AfterSales,
    )
    from amends.cases.orders import (
        Item as Item,
    )
    from amends.cases.orders import (
        Order as Order,
    )
    from amends.cases.orders import (
        OrderStatus as OrderStatus,
    )
    from amends.cases.orders import (
        Parcel as Parcel,
    )
    from amends.cases.orders import (
        Personal as Personal,
    )
    from amends.cases.orders import (
        Tag as Tag,
    )
    from amends.cases.orders import (
        Tracking as Tracking,
    )
    from amends.cases.rules import (
        Confidence as Confidence,
    )
    from amends.cases.rules import (
        Rule as Rule,
    )
    from amends.cases.rules import (
        RuleBook as RuleBook,
    )
    from amends.cases.rules import (
        RuleName as RuleName,
    )
    from amends.clock import clock_off as clock_off
    from amends.deadline import in_time as in_time
    from amends.errors import (
        AmendsError as AmendsError,
    )
    from amends.errors import (
        AuthFailed as AuthFailed,
    )
    from amends.errors import (
        BadAnswer as BadAnswer,
    )
    from amends.errors import (
        InputError as InputError,
    )
    from amends.errors import (
        NotAllowed as NotAllowed,
    )
    from amends.errors import (
        NotFound as NotFound,
    )
    from amends.errors import (
        PlatformError as PlatformError,
    )
    from amends.errors import (
        Rejected as Rejected,
    )
    from amends.errors import (
        RiskControl as RiskControl,
    )
    from amends.errors import (
        Throttled as Throttled,
    )
    from amends.errors import (
        TimedOut as TimedOut,
    )
    from amends.errors import (
        Unavailable as Unavailable,
    )
    from amends.errors import (
        Unreachable as Unreachable,
    )
    from amends.errors import (
        Unsupported as Unsupported,
    )
    from amends.hooks.hookspecs import API_VERSION as API_VERSION
    from amends.hooks.hookspecs import hookimpl as hookimpl
    from amends.hooks.protocols import (
        CaseView as CaseView,
    )
    from amends.hooks.protocols import (
        Channel as Channel,
    )
    from amends.hooks.protocols import (
        Clock as Clock,
    )
    from amends.hooks.protocols import (
        Connector as Connector,
    )
    from amends.hooks.protocols import (
        Context as Context,
    )
    from amends.hooks.protocols import (
        Desk as Desk,
    )
    from amends.hooks.protocols import (
        Policy as Policy,
    )
    from amends.hooks.protocols import (
        PolicyContext as PolicyContext,
    )
    from amends.hooks.requests import (
        AnyRequest as AnyRequest,
    )
    from amends.hooks.requests import (
        Event as Event,
    )
    from amends.hooks.requests import (
        Extension as Extension,
    )
    from amends.hooks.requests import (
        File as File,
    )
    from amends.hooks.requests import (
        Filing as Filing,
    )
    from amends.hooks.requests import (
        Grant as Grant,
    )
    from amends.hooks.requests import (
        Message as Message,
    )
    from amends.hooks.requests import (
        Note as Note,
    )
    from amends.hooks.requests import (
        OrderPage as OrderPage,
    )
    from amends.hooks.requests import (
        Receipt as Receipt,
    )
    from amends.hooks.requests import (
        Reply as Reply,
    )
    from amends.hooks.requests import (
        ReplyPage as ReplyPage,
    )
    from amends.hooks.requests import (
        Ruling as Ruling,
    )
    from amends.hooks.requests import (
        Unreadable as Unreadable,
    )
    from amends.hooks.specs import (
        ChannelSpec as ChannelSpec,
    )
    from amends.hooks.specs import (
        ConnectorSpec as ConnectorSpec,
    )
    from amends.hooks.specs import (
        Operation as Operation,
    )
    from amends.hooks.specs import (
        PolicySpec as PolicySpec,
    )
    from amends.http import Http as Http
    from amends.http import parse as parse
    from amends.http import raise_for as raise_for
    from amends.http import retry_after as retry_after
    from amends.rows import read_each as read_each
    from amends.shapes import Address as Address
    from amends.shapes import text_with as text_with
    from amends.windows import Polling as Polling
    from amends.windows import Window as Window


_FROM = {
    "amends.clock": ("clock_off",),
    "amends.cases.durations": ("Duration",),
    "amends.cases.facts": ("Answer", "Fact", "Outcome", "Step"),
    "amends.cases.lateness": ("Lateness", "State", "contradictions", "judge", "shipped_at"),
    "amends.cases.money": ("Money",),
    "amends.cases.offers": ("Offer", "Remedy", "RemedyKind"),
    "amends.cases.orders": (
        "AfterSales", "Item", "Order", "OrderStatus", "Parcel", "Personal", "Tag", "Tracking",
    ),
    "amends.cases.rules": ("Confidence", "Rule", "RuleBook", "RuleName"),
    "amends.deadline": ("in_time",),
    "amends.errors": (
        "AmendsError", "AuthFailed", "BadAnswer", "InputError", "NotAllowed", "NotFound", "PlatformError", "Rejected",
        "RiskControl", "Throttled", "TimedOut", "Unavailable", "Unreachable", "Unsupported",
    ),
    "amends.hooks.hookspecs": ("API_VERSION", "hookimpl"),
    "amends.hooks.protocols": (
        "CaseView", "Channel", "Clock", "Connector", "Context", "Desk", "Policy", "PolicyContext",
    ),
    "amends.hooks.requests": (
        "AnyRequest", "Event", "Extension", "File", "Filing", "Grant", "Message", "Note", "OrderPage", "Receipt",
        "Reply", "ReplyPage", "Ruling", "Unreadable",
    ),
    "amends.hooks.specs": ("ChannelSpec", "ConnectorSpec", "Operation", "PolicySpec"),
    "amends.http": ("Http", "parse", "raise_for", "retry_after"),
    "amends.shapes": ("Address", "text_with"),
    "amends.rows": ("read_each",),
    "amends.windows": ("Polling", "Window"),
}  # fmt: skip
_HOME = {name: module for module, names in _FROM.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # built from the table above, which a test compares with the imports


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'amends' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
