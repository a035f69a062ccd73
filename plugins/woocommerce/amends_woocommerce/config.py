"""The `connector_config` of a WooCommerce shop, for merchants who edit TOML."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from amends import Address, Duration, OrderStatus, Polling, text_with


class WooCommerceConfig(Polling):
    """One WooCommerce shop. The API key needs Read/Write rights and a user who may manage the shop.

    WooCommerce has no ship-by of its own. It is, in this order: the date in the order's `ship_by_meta`;
    payment plus `ship_within`; else what the rules say.
    """

    url: Address = Field(
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
    coupon_note: Annotated[str, text_with("code", "amount", "until")] = Field(
        default="Your coupon: {code}, worth {amount}, for you alone, once, until {until}.",
        description="Sent to the customer as a note; {code}, {amount}, {until}. Empty: tell them yourself.",
    )
    refund_through_gateway: bool = Field(
        default=True,
        description="Let the payment gateway pay it back. False only records the refund: pay by hand.",
    )

    page_size: int = Field(default=100, ge=1, le=100)

    @property
    def oauth1(self) -> bool:
        return self.auth == "oauth1" or (self.auth == "auto" and self.url.startswith("http://"))
