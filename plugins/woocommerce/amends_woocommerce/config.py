"""The `connector_config` of a WooCommerce shop, for merchants who edit TOML."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from amends import Duration, OrderStatus


class WooCommerceConfig(BaseModel):
    """One WooCommerce shop. The API key needs Read/Write rights and a user who may manage the shop.

    WooCommerce has no ship-by of its own. It is, in this order: the date in the order's `ship_by_meta`;
    payment plus `ship_within`; else what the rules say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        description="The shop's address, with its folder where it has one: https://shop.example.invalid"
    )
    consumer_key: SecretStr
    consumer_secret: SecretStr
    auth: Literal["auto", "basic", "oauth1"] = Field(
        default="auto",
        description="auto: Basic over https, OAuth 1.0a over http. oauth1 suits servers that drop headers.",
    )
    webhook_secret: SecretStr | None = None
    webhook_secret_previous: SecretStr | None = Field(
        default=None, description="Still accepted while you change it."
    )

    ship_within: Duration | None = Field(default=None, description="The shop's promise, from payment: '48h'.")
    ship_by_meta: str = Field(default="", description="Order meta key with a promised date or date and time.")
    agreed_meta: str = Field(
        default="_amends_ship_by",
        min_length=1,
        description="Order meta key that keeps a date agreed with the customer.",
    )
    do_not_touch_meta: str = Field(
        default="", description="Order meta key; any value but '', 'no' and '0' keeps us away."
    )
    statuses: dict[str, OrderStatus] = Field(
        default_factory=dict,
        description="Meaning of statuses that plugins add: { awaiting-shipment = 'to-ship' }.",
    )

    coupon_prefix: str = Field(default="sorry-", pattern=r"^[a-z0-9-]{0,20}$")
    coupon_valid: Duration = timedelta(days=90)
    coupon_note: str = Field(
        default="Your coupon: {code}, worth {amount}, for you alone, once, until {until}.",
        description="Sent to the customer as a note; {code}, {amount}, {until}. Empty: tell them yourself.",
    )
    refund_through_gateway: bool = Field(
        default=True,
        description="Let the payment gateway pay it back. False only records the refund: pay by hand.",
    )

    look_back: Duration = Field(default=timedelta(days=30), description="How far the first look goes back.")
    lag: Duration = Field(
        default=timedelta(minutes=2), description="How far behind the clock the list is read."
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How much of the last window is read again."
    )
    page_size: int = Field(default=100, ge=1, le=100)

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the shop's address, such as https://shop.example.invalid")
        if parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("must be an address alone: no credentials, no `?`, no `#`")
        return url.rstrip("/")

    @field_validator("coupon_note")
    @classmethod
    def _fillable(cls, text: str) -> str:
        try:
            text.format(code="", amount="", until="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"may use {{code}}, {{amount}} and {{until}} only ({error})") from None
        return text

    @property
    def oauth1(self) -> bool:
        return self.auth == "oauth1" or (self.auth == "auto" and self.url.startswith("http://"))
