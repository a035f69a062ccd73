"""Says what is wrong with a merchant's configuration: file, dotted key, what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from amends.errors import ConfigError

Key = tuple[str | int, ...]
_QUOTED = re.compile(r"'([^']+)'")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct: `str()` is the line that a merchant reads."""

    file: str
    key: str
    what: str
    todo: str = ""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.key) if part)
        return f"{where}: {self.what}" + (f"; {self.todo}" if self.todo else "")


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """All problems as one error, a line each; `error.context["problems"]` holds them as values."""
    lines = [str(problem) for problem in problems]
    message = (
        lines[0] if len(lines) == 1 else f"{len(lines)} problems in the configuration\n" + "\n".join(lines)
    )
    return ConfigError(message, problems=tuple(problems))


@dataclass
class Origins:
    """Which file each key came from."""

    files: dict[Key, Path] = field(default_factory=dict)

    def of(self, key: Key) -> str:
        """The file of that key, or of the nearest table around it, as shown to the merchant."""
        for end in range(len(key), 0, -1):
            found = self.files.get(key[:end])
            if found is not None:
                return _shown(found)
        return ""

    def problem(self, key: Key, what: str, todo: str = "") -> Problem:
        return Problem(file=self.of(key), key=dotted(key), what=what, todo=todo)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def dotted(key: Key) -> str:
    """`shops.flagship.rungs[0]` from its parts, as one would write it in TOML."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            shown = part if re.fullmatch(r"[\w-]+", part) else f'"{part}"'
            text += f".{shown}" if text else shown
    return text


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean "connector"?`, or a list of what there is."""
    names = sorted(known)
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if found:
        return f'did you mean "{found[0]}"?'
    return f"there are: {', '.join(names)}" if names else "nothing can be set here"


def explain(
    error: ValidationError, *, model: Any, raw: Any, at: Key, origins: Origins, hide: Iterable[str] = ()
) -> list[Problem]:
    """A pydantic error as problems. `at` is the key of `raw` in the files; texts in `hide` stay hidden."""
    found = []
    for item in error.errors(include_url=False, include_context=False):
        key = real_key(raw, item["loc"], missing=item["type"] == "missing")
        what, todo = _words(item["type"], item["msg"], item["input"], key, model)
        if item["type"] in ("value_error", "assertion_error"):  # a validator's own words may repeat its input
            for secret in hide:
                what = what.replace(secret, "***")
        found.append(origins.problem((*at, *key), what, todo))
    return list(dict.fromkeys(found))


def _words(kind: str, message: str, value: Any, key: Key, model: Any) -> tuple[str, str]:
    if kind == "extra_forbidden":
        return "unknown key", near(str(key[-1]), _keys(model, key[:-1]))
    if kind == "missing":
        return "is missing", "add this key"
    message = message.removeprefix("Value error, ")
    choices = _QUOTED.findall(message)
    if kind in ("literal_error", "enum") and isinstance(value, str):
        return f'"{value}" is not possible here', near(value, choices)
    if kind in ("string_type", "int_type", "bool_type", "list_type", "dict_type", "tuple_type", "model_type"):
        given = {str: "text", bool: "true or false", int: "a number", dict: "a table", list: "a list"}.get(
            type(value)
        )
        return message.replace("Input should", "should") + (f", and this is {given}" if given else ""), ""
    return message.replace("Input should", "should"), ""


def real_key(raw: Any, loc: Sequence[str | int], *, missing: bool = False) -> Key:
    """The part of a pydantic location that the merchant wrote, without union branches and the like."""
    key: list[str | int] = []
    for place, part in enumerate(loc):
        if isinstance(raw, Mapping) and part in raw:
            raw = raw[str(part)]
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        elif not (missing and place == len(loc) - 1):
            continue
        key.append(part)
    return tuple(key)


def _models(annotation: Any, key: Sequence[str | int]) -> Iterator[Any]:
    """Every type that a value at `key` below `annotation` may have."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(arguments[0], key)
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _models(argument, key)
    elif not key:
        yield annotation
    elif origin is not None and issubclass(origin, Mapping):
        yield from _models(arguments[1], key[1:])
    elif origin in (list, tuple, set, frozenset):
        yield from _models(arguments[0], key[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if key[0] in (name, info.alias):
                yield from _models(info.annotation, key[1:])


def _keys(model: Any, key: Key) -> set[str]:
    names: set[str] = set()
    for found in _models(model, key):
        if isinstance(found, type) and issubclass(found, BaseModel):
            names |= {info.alias or name for name, info in found.model_fields.items()}
    return names


def literal_secrets(annotation: Any, raw: Any, key: Key = ()) -> Iterator[Key]:
    """Where a secret field (`SecretStr`) was given as plain text in the file."""
    if isinstance(raw, str):
        possible = list(_models(annotation, ()))
        if (SecretStr in possible or SecretBytes in possible) and str not in possible:
            yield key
    elif isinstance(raw, Mapping):
        for name, value in raw.items():
            for inner in _models(annotation, (name,)):
                yield from literal_secrets(inner, value, (*key, name))
    elif isinstance(raw, list):
        for place, value in enumerate(raw):
            for inner in _models(annotation, (place,)):
                yield from literal_secrets(inner, value, (*key, place))
