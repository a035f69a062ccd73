"""What a merchant writes under `desk_config` for PayPal."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from amends import Duration


class PayPalConfig(BaseModel):
    """One PayPal REST app of the merchant, and how its payments name our orders.

    A dispute tells the invoice number and the custom text that the shop gave with the payment; one of them
    must hold the order number. `invoice_prefix` is taken off it and `order_prefix` put before the rest:
    invoice `WEB-1001` is order `#1001` with `invoice_prefix = "WEB-"` and `order_prefix = "#"`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str
    client_secret: SecretStr
    sandbox: bool = False
    webhook_id: str = Field(
        default="", description="Id of the webhook in the app's settings; needed to check webhooks."
    )
    order_in: Literal["invoice_number", "custom"] = "invoice_number"
    invoice_prefix: str = ""
    order_prefix: str = ""
    history: Duration = Field(
        default=timedelta(days=60), le=timedelta(days=179), description="PayPal shows 180 days."
    )
    overlap: Duration = timedelta(minutes=10)

    @property
    def base(self) -> str:
        return "https://api-m.sandbox.paypal.com" if self.sandbox else "https://api-m.paypal.com"

    def order(self, told: str) -> str:
        """The order number in an invoice number or custom text; empty where it is not one of this shop's."""
        told = told.strip()
        if not told.startswith(self.invoice_prefix) or told == self.invoice_prefix:
            return ""
        return self.order_prefix + told.removeprefix(self.invoice_prefix)
