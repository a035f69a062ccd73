"""What a shop on the sandbox needs to be told."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from amends import Duration

SECRET = "sandbox"  # noqa: S105  # guards nothing: the sandbox listens on loopback and holds made-up data


class SandboxConfig(BaseModel):
    """A shop's `connector_config` for the sandbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Where the sandbox listens, as its sandbox.json says.")
    secret: SecretStr = Field(default=SecretStr(SECRET), description="Sent with requests and signs webhooks.")
    # Hours, not minutes as for a real platform: virtual clocks of two processes jump at different moments.
    webhook_age: Duration = Field(default=timedelta(hours=12), description="How old a webhook may be.")
