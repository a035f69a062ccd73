"""Writes a plugin's distribution that works and passes its tests as it is; blanks are marked `FILL IN`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from amends.errors import InputError

PluginKind = Literal["connector", "desk", "channel", "policy"]
KINDS: tuple[str, ...] = get_args(PluginKind)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HERE = Path(__file__).parent
_SERVICE = {"connector": "platform", "desk": "dispute desk", "channel": "service", "policy": "shop"}
_USAGE = {
    "connector": '[shops.sample]\nconnector = "{name}"',
    "desk": '[shops.sample]\ndesk = "{name}"',
    "channel": '[playbooks.standard]\nchannels = ["{name}"]',
    "policy": '[shops.sample]\npolicy = "{name}"',
}


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """What was written: the folder, its files, and how many blanks are to be filled in."""

    kind: str
    name: str
    distribution: str
    package: str
    folder: Path
    files: tuple[Path, ...]
    blanks: int

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Commands for the author, in order."""
        return (
            f"cd {self.folder}",
            "python -m pytest",
            'grep -rn "FILL IN" .',
            "pip install -e .",
            f"amends plugin-check {self.name}",
        )


def new_plugin(kind: str, name: str, directory: Path) -> NewPlugin:
    """Write the distribution `amends-NAME` into `directory/amends-NAME`.

    Raises `InputError` for an unknown kind, a name that is not lower-case words joined by hyphens, or a
    folder that is there already and not empty.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of plugin; choose one of: {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no plugin name: use lower-case letters, digits and single hyphens")
    if name.startswith("amends-"):
        raise InputError(f"{name!r}: leave out `amends-`, it is put in front by itself")
    package = "amends_" + name.replace("-", "_")
    folder = directory / f"amends-{name}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; nothing was written")
    words = {
        "kind": kind,
        "name": name,
        "distribution": f"amends-{name}",
        "package": package,
        "Class": "".join(part.capitalize() for part in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
        "article": "a",
        "service": _SERVICE[kind],
        "usage": _USAGE[kind].format(name=name),
    }
    # Writes Python and TOML, where HTML's escapes would be wrong.
    pages = Environment(  # noqa: S701  # nothing here becomes HTML
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    texts = {target: pages.get_template(source).render(words) for source, target in _layout(kind, package)}
    files = []
    for target, text in texts.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        files.append(path)
    typed = folder / package / "py.typed"
    typed.touch()
    blanks = sum(text.count("FILL IN") for target, text in texts.items() if target.endswith(".py"))
    return NewPlugin(kind, name, f"amends-{name}", package, folder, (*files, typed), blanks)


def _layout(kind: str, package: str) -> list[tuple[str, str]]:
    """Each template with the place of what it makes."""
    found = []
    for room in ("common", kind):
        for path in sorted((_HERE / room).glob("*.j2")):
            name = path.name.removesuffix(".j2")
            within = "" if room == "common" else "tests/" if name.startswith("test_") else f"{package}/"
            found.append((f"{room}/{path.name}", within + name))
    return found
