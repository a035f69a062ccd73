"""What a merchant writes under a Pinduoduo shop's `connector_config`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from amends import Duration

ROUTER = "https://gw-api.pinduoduo.com/api/router"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PinduoduoConfig(BaseModel):
    """One shop's application and authorisation. Give `access_token`, or `token_file` as written by `token`.

    The file has the advantage that a renewed authorisation is used at once, without touching the config.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(min_length=1, description="The application's id at open.pinduoduo.com.")
    client_secret: SecretStr = Field(description="The application's secret: signs every call.")
    access_token: SecretStr | None = Field(default=None, description="The shop's authorisation.")
    access_token_expires_at: AwareDatetime | None = Field(
        default=None, description="When it ends; then the shop is held before a call is wasted."
    )
    token_file: Path | None = Field(
        default=None, description="Written by `python -m amends_pinduoduo token`."
    )
    router: str = Field(default=ROUTER, description="The gateway's address; https, or loopback in tests.")
    backfill: Duration = Field(
        default=timedelta(days=30), description="First run: orders confirmed since then."
    )
    lag: Duration = Field(
        default=timedelta(minutes=5), description="How far lists stay behind the platform's clock."
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How much each window repeats of the last."
    )
    page_size: int = Field(default=100, ge=1, le=100)
    do_not_touch: str = Field(
        default="勿动",
        description="A word in the merchant's order note (备注) that keeps us away; empty: none.",
    )

    @field_validator("router")
    @classmethod
    def _safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("the router must be an https address: the call carries the shop's token")
        return value

    @field_validator("backfill")
    @classmethod
    def _kept(cls, value: timedelta) -> timedelta:
        # The platform answers for the last 90 days only.
        if not timedelta() < value <= timedelta(days=90):
            raise ValueError("backfill must be between 1 second and 90d")
        return value

    @field_validator("lag")
    @classmethod
    def _behind(cls, value: timedelta) -> timedelta:
        # Nearer than 3 minutes the platform's own guide expects lost orders.
        if not timedelta(minutes=3) <= value <= timedelta(hours=1):
            raise ValueError("lag must be between 3m and 1h")
        return value

    @field_validator("overlap")
    @classmethod
    def _inside(cls, value: timedelta) -> timedelta:
        # A window is 30 minutes at most; an overlap near that would never get on.
        if not timedelta(minutes=1) <= value <= timedelta(minutes=20):
            raise ValueError("overlap must be between 1m and 20m")
        return value

    @model_validator(mode="after")
    def _one_token(self) -> PinduoduoConfig:
        if (self.access_token is None) == (self.token_file is None):
            raise ValueError("give either access_token or token_file")
        return self
