"""Looks for secrets and personal values where none may be: logs, output, `repr`, exceptions, cursors."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretBytes, SecretStr

from amends.errors import AmendsError
from amends.testing.contracts.samples import PERSONAL

PERSONAL_VALUES = tuple(value for value in PERSONAL.model_dump().values() if value)


def secrets_of(value: Any) -> tuple[str, ...]:
    """Every secret in a config, however deep."""
    if isinstance(value, SecretStr):
        return (value.get_secret_value(),)
    if isinstance(value, SecretBytes):
        return (value.get_secret_value().decode("utf-8", "replace"),)
    if isinstance(value, BaseModel):
        return secrets_of(list(value.__dict__.values()))
    if isinstance(value, dict):
        return secrets_of(list(value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(secret for one in value for secret in secrets_of(one))
    return ()


class Leaks:
    """What was written and shown during a check, and whether anything in it should not be there."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self.hidden = {
            form: "a secret" for secret in secrets for form in (secret, quote(secret), quote_plus(secret))
        }
        for value in PERSONAL_VALUES:
            for form in (value, quote(value), quote_plus(value)):
                self.hidden.setdefault(form, "a customer's personal value")
        self.found: list[str] = []

    def look(self, where: str, text: str) -> None:
        for value, what in self.hidden.items():
            if value in text:
                # Never the value itself: this report is read in logs, too.
                self.found.append(f"{what} is in {where}")
                return

    def look_at(self, where: str, *values: Any) -> None:
        for value in values:
            self.look(f"the repr of {where}", repr(value))
            self.look(f"the text of {where}", str(value))

    def look_into(self, where: str, error: BaseException) -> None:
        """An exception and all that a traceback would print of its causes."""
        seen: BaseException | None = error
        while seen is not None:
            name = f"{type(seen).__name__}, raised by {where}"
            self.look(f"the message of {name}", f"{seen} {seen!r} {getattr(seen, '__notes__', '')}")
            if isinstance(seen, AmendsError):
                self.look(f"the context or hint of {name}", f"{seen.hint} {seen.context!r}")
            seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)

    @contextmanager
    def watch(self, where: str) -> Iterator[None]:
        """Take in all logs (from DEBUG up), output and warnings of what runs inside."""
        lines: list[str] = []
        warned: list[warnings.WarningMessage] | None = None
        handler = _Lines(lines)
        root, output = logging.getLogger(), io.StringIO()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            with (
                redirect_stdout(output),
                redirect_stderr(output),
                warnings.catch_warnings(record=True) as warned,
            ):
                warnings.simplefilter("always")
                yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)
            self.look(f"the log of {where}", "\n".join(lines))
            self.look(f"the output of {where}", output.getvalue())
            self.look(f"a warning of {where}", "\n".join(str(one.message) for one in warned or ()))


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.lines.append(
            repr({k: v for k, v in record.__dict__.items() if k not in ("msg", "args", "exc_info")})
        )
        if record.exc_info and record.exc_info[1] is not None:
            self.lines.append("".join(traceback.format_exception(record.exc_info[1])))
