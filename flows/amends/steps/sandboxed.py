"""Where templates come from and what they may use: nothing in one can call, assign, grow without end or reach out.

A merchant's file wins over ours, the language itself over its parent and English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from amends.steps.localised import language_chain

OURS = Path(__file__).parent / "templates"
LONGEST = 1000  # rounds of a loop, and items of a list

NAMES: Mapping[str, int] = {
    "first-notice": 4000, "at-risk": 4000, "stalled": 4000, "shipped-late": 4000, "next-offer": 4000,
    "promise-broken": 4000, "agreed": 4000, "cancelled": 4000,
    "complaint": 20_000, "arbitration": 20_000, "response": 20_000, "legal": 60_000, "task": 60_000,
}  # fmt: skip
"""Every text, with the most characters that it may have."""

PARTS = ("_answer", "_cause", "_date", "_facts", "_greeting", "_offer", "_remedy", "_sign")
"""What texts share by `include`; a merchant may replace these too."""

_FILTERS = (
    "capitalize", "count", "d", "default", "first", "int", "join", "last", "length", "lower", "round",
    "title", "trim", "upper",
)  # fmt: skip
_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Include, nodes.Name,
    nodes.Const, nodes.Getitem, nodes.Getattr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Concat, nodes.List, nodes.Tuple, nodes.Call,
    nodes.Keyword,
)  # fmt: skip


class _Environment(ImmutableSandboxedEnvironment):
    """Puts the parts that a text includes into its place when it is read: one run of a template, not five."""

    whole = True
    loader: _Loader

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        if self.whole:
            tree.body = list(self._put_in(tree.body))
        return tree

    def _put_in(self, body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
        for node in body:
            if isinstance(node, nodes.If):
                node.body = list(self._put_in(node.body))
                node.elif_ = [cast(nodes.If, one) for one in self._put_in(node.elif_)]
                node.else_ = list(self._put_in(node.else_))
            if isinstance(node, nodes.Include) and node.with_context and not node.ignore_missing:
                source, path, _ = self.loader.get_source(self, cast(nodes.Const, node.template).value)
                yield from self._parse(source, None, path).body
            else:
                yield node


class _Loader(BaseLoader):
    """Finds a template: the merchant's before ours, the language itself before its parent and English."""

    def __init__(self, folders: tuple[Path, ...], language: str) -> None:
        self.folders, self.languages = (*folders, OURS), language_chain(language)

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        path = self._find(template)
        read: dict[Path, int] = {}
        source = self._read(cast(_Environment, environment), template, path, read)
        if not read:  # ours change with the release, a merchant's at any time
            return source, str(path), _always
        return source, str(path), lambda: all(_modified(file) == at for file, at in read.items())

    def _find(self, template: str) -> Path:
        if template.removesuffix(".j2") not in {*NAMES, *PARTS}:
            raise TemplateNotFound(template)
        for language in self.languages:
            for folder in self.folders:
                path = folder / language / template
                if path.is_file():
                    return path
        raise TemplateNotFound(template)

    def _read(self, environment: _Environment, template: str, path: Path, read: dict[Path, int]) -> str:
        """Its source, allowed; `read` gets the merchant's files that it is made of, and when they changed."""
        if OURS not in path.parents:
            read[path] = path.stat().st_mtime_ns
        try:
            source = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise TemplateSyntaxError("cannot be read as UTF-8 text", 1, template, str(path)) from None
        tree = Environment._parse(environment, source, template, str(path))
        _allowed(tree, template, str(path))
        for part in tree.find_all(nodes.Include) if environment.whole else ():
            name = cast(nodes.Const, part.template).value
            if part.ignore_missing:
                continue
            inner = self._find(name)
            if OURS not in inner.parents and inner not in read:
                self._read(environment, name, inner, read)
        return source


def _always() -> bool:
    return True


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _allowed(tree: nodes.Node, template: str, file: str, *, loop: bool = False) -> None:
    """Raises `TemplateSyntaxError` for anything that could call, assign, grow without end or reach out."""
    for node in tree.iter_child_nodes():
        why = ""
        if not isinstance(node, _NODES):
            why = f"a template cannot use {type(node).__name__.lower()}"
        elif isinstance(node, nodes.Call) and not (
            isinstance(node.node, nodes.Name) and node.node.name == "range"
        ):
            why = "a template cannot call anything"
        elif isinstance(node, nodes.Getattr) and not (
            isinstance(node.node, nodes.Name) and node.node.name == "loop"
        ):
            why = 'a template cannot look into a value by a dot; write value["name"]'
        elif isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            why = "a template looks into a value by a fixed name only"
        elif isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            why = f"a template cannot use the filter {node.name}; there are: {', '.join(_FILTERS)}"
        elif isinstance(node, nodes.For) and (loop or node.recursive):
            why = "a template cannot have a loop inside a loop"
        elif isinstance(node, nodes.Include) and (loop or not isinstance(node.template, nodes.Const)):
            why = "a template includes by a fixed name, outside of loops"
        if why:
            raise TemplateSyntaxError(why, node.lineno, template, file)
        _allowed(node, template, file, loop=loop or isinstance(node, nodes.For))


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > LONGEST:
        raise SecurityError(f"a range of {len(found)} is too long; {LONGEST} at most")
    return found


@lru_cache(maxsize=64)
def environment_of(language: str, folders: tuple[Path, ...], *, whole: bool = True) -> _Environment:
    environment = _Environment(
        loader=_Loader(folders, language),
        autoescape=False,  # texts are plain, never HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.whole = whole
    environment.globals.clear()
    environment.globals["range"] = _range
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    return environment
