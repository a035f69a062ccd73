"""The tables of a merchant's configuration, one model each: what can be set, its shape and its default."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
)

from amends.cases.durations import Duration
from amends.cases.facts import Step
from amends.cases.money import Money
from amends.cases.rules import Rule
from amends.settings.cron import check_cron
from amends.settings.secrets import SecretRef, TextOrSecret


class Table(BaseModel):
    """The base of every table: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenTable(BaseModel):
    """A table whose other keys belong to a plugin; `plugin` names it, by default the table's own name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    plugin: str = Field(default="", description="Which plugin; absent: the one called like this table.")

    @property
    def config(self) -> dict[str, Any]:
        """The plugin's own keys, as written."""
        return dict(self.model_extra or {})


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(
            f"{name!r} is not an IANA time zone such as 'Asia/Shanghai' or 'Europe/Berlin'"
        ) from None
    return name


def _language(name: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", name):
        raise ValueError(f"{name!r} is not a language code such as 'zh', 'en' or 'pt-BR'")
    return name


class Quota(Table):
    """How many calls a platform takes from one shop, where the merchant's plan differs from what the connector says."""

    per_second: float = Field(gt=0, allow_inf_nan=False)
    burst: int = Field(default=1, ge=1, description="How many calls may come at once.")


class Shop(Table):
    """One merchant account on one platform."""

    connector: str = Field(min_length=1, description="The plugin that talks to the platform.")
    connector_config: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="The connector's own keys."
    )
    desk: str = Field(default="", description="Where disputes are fought; absent: the connector itself.")
    desk_config: dict[str, Any] = Field(default_factory=dict, repr=False, description="The desk's own keys.")
    playbook: str = "standard"
    policy: str = "ladder"
    language: Annotated[str, AfterValidator(_language)] = "en"
    time_zone: Annotated[str, AfterValidator(_zone)]
    schedule: Annotated[str, AfterValidator(check_cron)] = "*/10 * * * *"
    channels: tuple[str, ...] | None = Field(
        default=None, description="Ways to the customer; absent: the playbook's."
    )
    quota: Quota | None = Field(
        default=None, description="Calls the platform takes; absent: the connector's."
    )
    rules: str = Field(default="", description="Which rule set counts; absent: the connector's own.")
    holds: tuple[Step, ...] = Field(default=(), description="Steps not to be taken in this shop for now.")

    _name: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """The name of the shop's table."""
        return self._name

    @property
    def desk_name(self) -> str:
        return self.desk or self.connector

    @property
    def own_desk(self) -> bool:
        """Whether disputes go to the connector itself, so that one object serves as both."""
        return self.desk_name == self.connector and not self.desk_config

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def _amounts(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _one_per_currency(value: tuple[Money, ...]) -> tuple[Money, ...]:
    currencies = [money.currency for money in value]
    if len(set(currencies)) != len(currencies):
        raise ValueError("two amounts have the same currency")
    if any(money.minor < 0 for money in value):
        raise ValueError("a cap cannot be below zero")
    return value


Amounts = Annotated[tuple[Money, ...], BeforeValidator(_amounts), AfterValidator(_one_per_currency)]
"""One amount, or a list with one amount for each currency."""

CapName = Literal["per_order", "per_customer_month", "per_shop_day"]


class Caps(Table):
    """How much may be given away, whatever a policy proposes. The ledger enforces it."""

    per_order: Amounts = ()
    per_customer_month: Amounts = ()
    per_shop_day: Amounts = ()

    def limit(self, name: CapName, currency: str) -> Money | None:
        """The cap in that currency; None where that cap is not set at all.

        A cap that is set, but not in this currency, is zero: who limits yuan did not mean unlimited dollars.
        """
        amounts: tuple[Money, ...] = getattr(self, name)
        if not amounts:
            return None
        return next((money for money in amounts if money.currency == currency), Money.zero(currency))


class Approver(Table):
    """A person who may say yes or no, and how to reach them."""

    channel: str = Field(default="", description="How they are told, and get their codes.")
    to: TextOrSecret = ""
    code: SecretRef | None = Field(
        default=None,
        description="Without a channel: a code that this person alone knows, good once per list.",
    )

    @property
    def provable(self) -> bool:
        """Whether they can show who they are; who cannot, cannot decide."""
        return bool((self.channel and self.to) or self.code)


class Approvals(Table):
    """Whom a list that waits for a yes is put to, in which order, and what follows where nobody answers."""

    then: tuple[str, ...] = Field(
        default=(), description="Approvers who are asked only later, one after another; the others at once."
    )
    next_after: Duration = Field(
        default=timedelta(hours=8), description="How long after one was asked the next of `then` is."
    )
    remind_after: Duration | None = Field(
        default=None, description="How long after being asked one is reminded, once; absent: never."
    )
    hold_after: Duration | None = Field(
        default=None, description="An undecided list's cases are held after this time; absent: asked anew."
    )
    code_for: Duration = Field(
        default=timedelta(hours=24), description="How long a code is good, within its list's own time."
    )

    @field_validator("next_after", "remind_after", "hold_after", "code_for")
    @classmethod
    def _some(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value <= timedelta():
            raise ValueError("must be longer than nothing")
        return value


class Rules(Table):
    """A merchant's own knowledge of platform rules."""

    overrides: tuple[Rule, ...] = ()

    def for_platform(self, platform: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.overrides if rule.platform == platform)


class Ledger(Table):
    """Where the case database lies, and the key that personal values are encrypted with."""

    folder: str = Field(
        default="state", description="Folder of the ledger; relative to the config folder's parent."
    )
    url: TextOrSecret = Field(
        default="", description="SQLAlchemy address; absent: the SQLite file in `folder`."
    )
    key: SecretRef | None = Field(
        default=None, description="32 bytes as base64; absent: `amends.key` in `folder`."
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | SecretRef) -> str | SecretRef:
        return value if isinstance(value, SecretRef) else check_address(value)


def check_address(url: str) -> str:
    """A ledger's address as it is, or `ValueError`: another database, or a password in a file."""
    if url and not re.match(r"(sqlite|postgresql)(\+\w+)?://", url):
        raise ValueError("should begin with sqlite:// or postgresql://")
    if re.match(r"[^:]+://[^/@]*:[^/@]+@", url):
        raise ValueError(
            'holds a password: put the address in an environment variable and write { env = "NAME" }'
        )
    return url


class Plugins(Table):
    """Which installed plugins are loaded."""

    allow: tuple[str, ...] | None = Field(default=None, description="Only these; absent: all; empty: none.")
    deny: tuple[str, ...] = ()


def _public(url: str) -> str:
    if url and not re.match(r"https://[^/\s?#@]+|http://(localhost|127\.0\.0\.1)\b", url):
        raise ValueError(f"{url!r} should be an https:// address (http:// only for localhost)")
    return url.rstrip("/")


class Inbox(Table):
    """The HTTP app for webhooks and the customer's reply page."""

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_public)] = Field(
        default="", description="How customers and platforms reach it; absent: texts carry no link."
    )


def check_names(names: Iterable[str]) -> list[str]:
    """The names that cannot be a shop's: they appear in file names, addresses and run names."""
    return [name for name in names if not re.fullmatch(r"\w[\w-]{0,63}", name)]
