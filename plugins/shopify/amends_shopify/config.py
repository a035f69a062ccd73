"""What a merchant writes under `connector_config` for a Shopify shop."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from amends import Duration


def _domain(value: str) -> str:
    name = value.strip().lower().removeprefix("https://").rstrip("/").removesuffix(".myshopify.com")
    if not name.replace("-", "").isalnum():
        raise ValueError("is not a store such as 'my-store.myshopify.com'")
    return f"{name}.myshopify.com"


class ShopifyConfig(BaseModel):
    """One store, and one app that may read and write it.

    The app signs in with a fixed Admin API token (`access_token`), or with `client_id` and `client_secret`,
    for which Shopify lends a token for a day. Scopes: `read_orders`, `write_orders`, `read_customers`,
    `write_merchant_managed_fulfillment_orders`, and for what is used of it `write_discounts`,
    `write_gift_cards`, `write_store_credit_account_transactions`, `read_shopify_payments_disputes`,
    `write_shopify_payments_dispute_evidences`, `write_shopify_payments_dispute_file_uploads`;
    `read_all_orders` to see orders older than 60 days.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: Annotated[str, AfterValidator(_domain)] = Field(
        description="`my-store.myshopify.com`, or `my-store`."
    )
    access_token: SecretStr | None = None
    client_id: str = ""
    client_secret: SecretStr | None = None
    webhook_secret: SecretStr | None = Field(
        default=None, description="Signs webhooks; the client secret, unless given."
    )
    history: Duration = Field(default=timedelta(days=30), description="How far back the first look goes.")
    lag: Duration = Field(
        default=timedelta(minutes=2), description="How far behind the clock we read: the search index lags."
    )
    overlap: Duration = timedelta(minutes=5)
    page_size: int = Field(
        default=10,
        ge=1,
        le=50,
        description="Orders a page. Shopify refuses a query of more than 1000 points.",
    )
    patience: Duration = Field(
        default=timedelta(seconds=5), description="Longest wait for query points before we report throttling."
    )
    personal: bool = Field(
        default=True, description="Read names and addresses; off, where the app may not see them."
    )
    disputes: bool = Field(
        default=True, description="Read Shopify Payments disputes; off, where the shop does not use it."
    )
    ship_unpaid: bool = Field(
        default=False, description="Orders are shipped before payment (cash on delivery, invoice)."
    )
    skip_tag: str = Field(default="amends-skip", description="An order with this tag is left alone.")
    presale_tags: tuple[str, ...] = ("preorder", "pre-order")
    discount_title: str = "Thank you for your patience"
    discount_prefix: str = Field(default="SORRY", pattern=r"^[A-Z0-9]{0,12}$")
    discount_valid: Duration = timedelta(days=90)
    store_credit_valid: Duration | None = None
    gift_card_valid: Duration | None = None

    @model_validator(mode="after")
    def _signs_in(self) -> Self:
        by_app = bool(self.client_id and self.client_secret)
        if not by_app and (self.client_id or self.access_token is None):
            raise ValueError("give `access_token`, or both `client_id` and `client_secret`")
        return self

    @property
    def signing_secret(self) -> SecretStr | None:
        return self.webhook_secret or self.client_secret
