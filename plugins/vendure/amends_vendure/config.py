"""The `connector_config` of a Vendure shop, for merchants who edit TOML."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from amends import Duration


class VendureConfig(BaseModel):
    """One Vendure shop: an administrator with ReadOrder, UpdateOrder, ReadPromotion and CreatePromotion.

    Vendure has no ship-by. It is the time of the order plus `ship_within`; without that, what the rules say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="The Admin API's address: https://shop.example.invalid/admin-api")
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
    coupon_note: str = Field(
        default="Your coupon: {code}, worth {amount}, good once, until {until}.",
        description="Shown to the customer as a note; {code}, {amount}, {until}. Empty: tell them yourself.",
    )
    language: str = Field(default="en", description="Language of the promotion's name: one the channel has.")
    settle_refunds: bool = Field(
        default=True,
        description="Settle a refund that the payment handler leaves pending. "
        "False where a person pays those out: it is then a request until somebody settles it.",
    )

    look_back: Duration = Field(default=timedelta(days=30), description="How far the first look goes back.")
    lag: Duration = Field(
        default=timedelta(minutes=2), description="How far behind the clock the list is read."
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How much of the last window is read again."
    )
    page_size: int = Field(default=50, ge=1, le=500)

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "must be the Admin API's address, such as https://shop.example.invalid/admin-api"
            )
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

    @model_validator(mode="after")
    def _one_way_in(self) -> VendureConfig:
        if (self.api_key is None) == (not self.username or self.password is None):
            raise ValueError("give either `api_key`, or `username` and `password`")
        return self
