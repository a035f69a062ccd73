"""Writes the starter configuration for `amends init DIR`: the same files as `config/` of the project."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from amends.errors import ConfigError


def write_starter(folder: Path) -> list[Path]:
    """Copy the starter files to `folder/config`; returns what was written. Refuses where files are there."""
    target = folder / "config"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"{target} already exists; nothing was written",
            hint="Choose another folder, or edit the configuration that is there.",
        )
    written: list[Path] = []
    try:
        for name, text in starter_files().items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {error.filename} ({error.strerror})", hint="Choose a folder that you can write to."
        ) from None
    return written


def starter_files() -> dict[str, str]:
    """The starter files' texts by relative name."""

    def walk(folder: Traversable, at: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in sorted(folder.iterdir(), key=lambda item: item.name):
            name = f"{at}{entry.name}"
            found |= walk(entry, f"{name}/") if entry.is_dir() else {name: entry.read_text(encoding="utf-8")}
        return found

    return walk(files("amends") / "starter", "")
