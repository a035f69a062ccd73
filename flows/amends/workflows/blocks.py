"""Prefect blocks for credentials, so that `{ block = "name" }` in config names one that says what it is for.

    AmendsSecret(value="…", purpose="Shopify admin token of flagship").save("flagship-token")

`amends up` registers the types; Prefect's pages then offer them. Values are encrypted by Prefect's server with
PREFECT_SERVER_ENCRYPTION_KEY, which `amends up` sets for its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

_PAGE = "https://docs.prefect.io/v3/concepts/blocks"
_LOGO = (  # the one that Prefect's own Secret shows: a picture must lie on the web
    "https://cdn.sanity.io/images/3ugk85nk/production/c6f20e556dd16effda9df16551feecfb5822092b-48x48.png"
)


class AmendsSecret(Block):
    """
    One credential of a connector, desk, channel or approver, and what it is for.

    Attributes:
        value: The credential itself, such as an API token.
        purpose: What it opens, for whoever renews it.

    Example:
        Store a token, and name it in config as `token = { block = "flagship-token" }`:
        ```python
        from amends.workflows.blocks import AmendsSecret

        AmendsSecret(value="…", purpose="Shopify admin token of flagship").save("flagship-token")
        token = AmendsSecret.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "amends secret"
    _block_type_slug = "amends-secret"
    _description = "One credential of a connector, desk, channel or approver, and what it is for."
    _documentation_url = _PAGE  # type: ignore[assignment]  # pydantic makes an address of it
    _logo_url = _LOGO  # type: ignore[assignment]  # as above

    value: SecretStr = Field(description="The credential itself, such as an API token.")
    purpose: str = Field(default="", description="What it opens, for whoever renews it.")

    @field_validator("value")
    @classmethod
    def _some(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise PydanticCustomError("empty", "the value is empty")
        return value

    def get(self) -> str:
        """The credential in clear."""
        return self.value.get_secret_value()


class AmendsLogin(Block):
    """
    An account name and its password or secret, such as an app key with its secret.

    Attributes:
        account: The public half, such as an app key or a login name.
        password: The secret half, such as an app secret or a password.
        purpose: What it opens, for whoever renews it.

    Example:
        Store an app's secret; config names it as `app_secret = { block = "pdd-app" }`:
        ```python
        from amends.workflows.blocks import AmendsLogin

        AmendsLogin(account="app-key", password="…", purpose="Pinduoduo app").save("pdd-app")
        login = AmendsLogin.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "amends login"
    _block_type_slug = "amends-login"
    _description = "An account name and its password or secret, such as an app key with its secret."
    _documentation_url = _PAGE  # type: ignore[assignment]  # pydantic makes an address of it
    _logo_url = _LOGO  # type: ignore[assignment]  # as above

    account: str = Field(description="The public half, such as an app key or a login name.")
    password: SecretStr = Field(description="The secret half, such as an app secret or a password.")
    purpose: str = Field(default="", description="What it opens, for whoever renews it.")

    def get(self) -> str:
        """The secret half in clear."""
        return self.password.get_secret_value()


BLOCKS: tuple[type[Block], ...] = (AmendsSecret, AmendsLogin)
"""The types that `amends up` registers."""


async def aread(name: str) -> str:
    """The text in that block: an `AmendsSecret`, an `AmendsLogin`'s secret half, or Prefect's own `Secret`.

    Raises `ValueError` where none of them has that name.
    """
    missing: Exception | None = None
    kinds: tuple[Any, ...] = (*BLOCKS, Secret)
    for kind in kinds:
        try:
            block = await kind.aload(name)
        except ValueError as error:  # no such block
            missing = error
        else:
            return str(block.get())
    raise ValueError(f"there is no block {name!r} of ours, nor a Secret") from missing


def read_block(name: str) -> str:
    """The same for plain code, also below a running event loop: what settings need."""
    # In a thread: settings read secrets in plain code, below the flow's own event loop.
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, lambda: asyncio.run(aread(name))).result()
