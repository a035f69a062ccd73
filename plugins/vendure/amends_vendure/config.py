"""The `connector_config` of a Vendure shop, for merchants who edit TOML."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from amends import Address, Duration, Polling, text_with


class VendureConfig(Polling):
    """One Vendure shop: an administrator with ReadOrder, UpdateOrder, ReadPromotion and CreatePromotion.

    Vendure has no ship-by. It is the time of the order plus `ship_within`; without that, what the rules say.
    """

    url: Address = Field(description="The Admin API's address: https://shop.example.invalid/admin-api")
    username: str = ""
    password: SecretStr | None = None
    api_key: SecretStr | None = Field(
        default=None, description="Instead of name and password, where the server's tokenMethod has api-key."
    )
    channel_token: SecretStr | None = Field(
        default=None, description="Of the channel, where it is not the default."
    )

    ship_within: Duration | None = Field(
        default=None, description="The shop's promise, from the order: '48h'."
    )
    precision: int = Field(default=2, ge=0, le=6, description="Decimals of the server's MoneyStrategy.")

    coupon_prefix: str = Field(default="SORRY-", pattern=r"^[A-Z0-9-]{0,20}$")
    coupon_valid: Duration = timedelta(days=90)
    coupon_note: Annotated[str, text_with("code", "amount", "until")] = Field(
        default="Your coupon: {code}, worth {amount}, good once, until {until}.",
        description="Shown to the customer as a note; {code}, {amount}, {until}. Empty: tell them yourself.",
    )
    language: str = Field(default="en", description="Language of the promotion's name: one the channel has.")
    settle_refunds: bool = Field(
        default=True,
        description="Settle a refund that the payment handler leaves pending. "
        "False where a person pays those out: it is then a request until somebody settles it.",
    )

    page_size: int = Field(default=50, ge=1, le=500)

    @model_validator(mode="after")
    def _one_way_in(self) -> VendureConfig:
        if (self.api_key is None) == (not self.username or self.password is None):
            raise ValueError("give either `api_key`, or `username` and `password`")
        return self
