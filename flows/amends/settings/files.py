"""Reads a merchant's configuration files in layers, and remembers which file each key came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amends.errors import ConfigError
from amends.settings.problems import Key, Origins, Problem, dotted

LAYERS = ("base", "local")


@dataclass
class Layered:
    """The merged tables, their origins, and what was wrong with the files themselves."""

    path: Path
    tables: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=Origins)
    problems: list[Problem] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The configuration's folder: relative file names in it are meant from here."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def home(self) -> Path:
        """Where state lies by default: beside the config folder, or beside the single file."""
        return self.folder.parent if self.path.is_dir() else self.folder


def find(path: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Path:
    """The configuration's folder or file: argument, AMENDS_CONFIG or ./config; raises `ConfigError`."""
    if path is not None:
        found, said = Path(path).expanduser().absolute(), "the given path"
    elif env.get("AMENDS_CONFIG"):
        found, said = Path(env["AMENDS_CONFIG"]), "AMENDS_CONFIG"
        if not found.is_absolute():
            raise ConfigError(
                f"AMENDS_CONFIG must be an absolute path, not {str(found)!r}",
                hint=f"Set AMENDS_CONFIG={found.absolute()}",
            )
    else:
        found, said = Path.cwd() / "config", "the default"
    if not found.exists():
        raise ConfigError(
            f"no configuration at {found} ({said})",
            hint="Make one with `amends init DIR`, or name one by --config or AMENDS_CONFIG.",
        )
    return found


def read(path: Path) -> Layered:
    """Every TOML file of that folder (`base/`, then `local/`) or that single file; problems are collected."""
    found = Layered(path)
    if path.is_file():
        _take(found, [path])
        return found
    layers = [path / name for name in LAYERS if (path / name).is_dir()]
    if not layers:
        raise ConfigError(
            f"{path} holds neither base/ nor local/ with TOML files",
            hint="Make a configuration with `amends init DIR`, or name a single .toml file.",
        )
    for layer in layers:
        _take(found, sorted(layer.glob("*.toml")))
    return found


def _take(found: Layered, files: list[Path]) -> None:
    seen: dict[Key, Path] = {}  # keys of this layer: set twice in one layer, nobody knows which wins
    for file in files:
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            what = str(error) if isinstance(error, tomllib.TOMLDecodeError) else _reason(error)
            found.problems.append(Problem(str(file), "", what, "correct the file"))
            continue
        _merge(found, found.tables, tables, (), file, seen)


def _merge(
    found: Layered, into: dict[str, Any], tables: dict[str, Any], at: Key, file: Path, seen: dict[Key, Path]
) -> None:
    for name, value in tables.items():
        key = (*at, name)
        old = into.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and not _is_place(old, value):
            _merge(found, into[name], value, key, file, seen)
            continue
        if key in seen:
            found.problems.append(
                Problem(
                    str(file), dotted(key), f"is already set in {seen[key]}", "keep one, or move it to local/"
                )
            )
            continue
        for inner in [known for known in found.origins.files if known[: len(key)] == key]:
            del found.origins.files[inner]
        into[name] = {} if isinstance(value, dict) else value
        found.origins.files[key] = file
        if isinstance(value, dict):
            _merge(found, into[name], value, key, file, seen)
        else:
            seen[key] = file


def _is_place(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Secrets' places replace each other whole: `{ env = … }` and `{ file = … }` do not merge."""
    places = {"env", "file", "block"}
    return len(old) == len(new) == 1 and old.keys() <= places and new.keys() <= places


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    return f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
