"""What a merchant writes under `[channels.mail]`."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from amends import Duration
from amends_mail.addresses import ascii_address

PORTS = {"starttls": 587, "tls": 465, "none": 25}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MailConfig(BaseModel):
    """One account at one SMTP server, and who the mails are from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int = Field(default=0, ge=0, le=65535, description="0: the usual one for `tls`.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls: begin in the clear and refuse to go on without; tls: from the first byte.",
    )
    ca_file: str = Field(default="", description="PEM file with the authority of the server's certificate.")
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str = Field(description="Address that mails come from.")
    sender_name: str = Field(default="", max_length=100)
    reply_to: str = Field(default="", description="Where answers go; empty: to the sender.")
    helo: str = Field(default="", pattern=r"^[A-Za-z0-9.:\[\]-]*$", description="Empty: the sender's domain.")
    timeout: Duration = Field(default=timedelta(seconds=20), gt=timedelta(0))
    answer_within: Duration = Field(
        default=timedelta(minutes=2),
        gt=timedelta(0),
        description="How long the server may take over a mail that it has got: given up too early, "
        "nobody knows whether it was sent, and a person must find out.",
    )
    connections: int = Field(default=4, ge=1, le=50, description="At once; servers refuse too many.")

    @field_validator("sender", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        found = ascii_address(value)
        if value and not found:
            raise ValueError("is not an e-mail address such as 'service@example.com'")
        return found

    @field_validator("sender_name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of text")
        return value

    @model_validator(mode="after")
    def _complete(self) -> MailConfig:
        if not self.sender:
            raise ValueError("sender is empty; name the address that mails come from")
        if self.username and self.tls == "none" and self.host not in _LOOPBACK:
            raise ValueError('tls = "none" would send the password in the clear; use "starttls" or "tls"')
        return self

    @property
    def at(self) -> int:
        return self.port or PORTS[self.tls]

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]
