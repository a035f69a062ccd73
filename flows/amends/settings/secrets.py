"""Secrets for settings and plugins: named in config, read from environment, file or block only when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator

BlockResolver = Callable[[str], str]
"""Answers with the value of a block; raises anything where it cannot. Workflows pass one in."""

LITERAL = "is a secret written out in a file"
TODO = 'put it in an environment variable and write { env = "NAME" }'


class SecretRef(BaseModel):
    """Where a secret is: exactly one of `{ env = "NAME" }`, `{ file = "path" }`, `{ block = "name" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str = ""
    file: str = ""
    block: str = ""

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"{LITERAL}; {TODO}")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(map(bool, (self.env, self.file, self.block))) != 1:
            raise ValueError('name one place: { env = "NAME" }, { file = "path" } or { block = "name" }')
        return self

    def __str__(self) -> str:
        if self.env:
            return f"environment variable {self.env}"
        return f"file {self.file}" if self.file else f"block {self.block}"


def text_or_ref(value: Any) -> Any:
    return SecretRef.model_validate(value) if isinstance(value, dict) else value


TextOrSecret = Annotated[str | SecretRef, BeforeValidator(text_or_ref)]
"""A plain text, or the place of one that should not stand in a file."""


class SecretMissing(Exception):
    """A secret is not where config says; caught here in settings and told with file and key."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what, self.todo = what, todo


@dataclass(frozen=True)
class Vault:
    """Looks secrets up: in the environment, in files (relative ones from `folder`), and in blocks."""

    env: Mapping[str, str]
    folder: Path
    blocks: BlockResolver | None = field(default=None, repr=False)

    def reveal(self, ref: SecretRef) -> SecretStr:
        """The secret; raises `SecretMissing`."""
        if ref.env:
            value = self.env.get(ref.env, "")
            if not value:
                state = "is empty" if ref.env in self.env else "is not set"
                raise SecretMissing(f"environment variable {ref.env} {state}", "set it before amends starts")
            return SecretStr(value)
        if ref.file:
            path = self.folder / Path(ref.file).expanduser()
            try:
                value = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
                raise SecretMissing(
                    f"cannot read the secret file {path} ({reason})", "correct path or rights"
                ) from None
            if not value:
                raise SecretMissing(f"the secret file {path} is empty", "write the secret into it")
            return SecretStr(value)
        if self.blocks is None:
            raise SecretMissing(
                f"block {ref.block!r} can only be read inside a Prefect flow",
                'run it there, or write { env = "NAME" }',
            )
        try:
            return SecretStr(self.blocks(ref.block))
        except Exception as error:  # whatever the block's own code raises, the merchant is told which block
            reason = f"{type(error).__name__}"
            raise SecretMissing(
                f"block {ref.block!r} cannot be read ({reason})", "create it in Prefect"
            ) from error


def is_ref(value: Any) -> bool:
    """Whether a raw table names a secret's place."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and next(iter(value)) in ("env", "file", "block")
        and isinstance(next(iter(value.values())), str)
    )
