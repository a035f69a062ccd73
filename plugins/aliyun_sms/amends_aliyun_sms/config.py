"""What a merchant writes under `[channels.aliyun_sms]`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

FALLBACK = "default"


class Wording(BaseModel):
    """One approved template, and where its variables come from.

    `parameters` names for each variable of the template the value that goes in: `order`, `remedy`,
    `new_ship_by`, `reply_by`, `reply_url`, `name`, or any other parameter of the message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^SMS_[0-9A-Za-z]+$", description="As the console shows it: SMS_123456789.")
    parameters: dict[str, str] = Field(default_factory=dict)


class Template(Wording):
    """The template of one kind of message; `plain` is used where nothing is offered, so that no variable is empty."""

    plain: Wording | None = None


class AliyunSmsConfig(BaseModel):
    """One Aliyun account, its signature, and the approved template for each of our texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_key_id: str = Field(min_length=1)
    access_key_secret: SecretStr
    sign_name: str = Field(min_length=1, description="The approved signature (签名), without brackets.")
    templates: dict[str, Template] = Field(
        min_length=1, description="By the text's name (`first-notice`); `default` serves those not named."
    )
    date_format: str = Field(
        default="%Y-%m-%d %H:%M", description="How dates are written, in the shop's zone."
    )
    endpoint: str = Field(default="dysmsapi.aliyuncs.com", pattern=r"^[a-z0-9.-]+$")

    @field_validator("access_key_secret")
    @classmethod
    def _filled(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("is empty")
        return value

    def wording(self, text: str, *, offered: bool) -> Wording | None:
        """The template for that text; None where config has none."""
        found = self.templates.get(text) or self.templates.get(FALLBACK)
        return found.plain if found is not None and found.plain is not None and not offered else found
