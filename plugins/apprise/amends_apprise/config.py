"""What a merchant writes under `[channels.apprise]`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class AppriseConfig(BaseModel):
    """Where notices go that name no address of their own, as an approver's `to` does.

    An address holds tokens, so each is a secret: `urls = [{ env = "OPERATORS_URL" }]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    urls: tuple[SecretStr, ...] = Field(
        default=(), description="Addresses as apprise writes them: slack://… …"
    )

    @field_validator("urls")
    @classmethod
    def _known(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if value:
            from amends_apprise.services import service  # apprise is not needed before an address is given

            for place, url in enumerate(value):
                if service(url.get_secret_value()) is None:
                    raise ValueError(f"number {place + 1} is no address that apprise knows")
        return value
