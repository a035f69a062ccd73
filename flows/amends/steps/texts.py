"""Turns templates into texts for customers, desks and people: sandboxed, in their language and zone.

Templates see plain values only (text, numbers, lists), made here from money, times and remedies. They may
branch, repeat and include; they cannot call, assign, import or compute: none can run away or reach out.
A merchant's file `templates/LANG/NAME.j2` in `config/local` or `config/base` wins over ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, TemplateNotFound, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Remedy
from amends.errors import ConfigError
from amends.settings.problems import Problem, config_error, near
from amends.steps.localised import language_chain, shown_money, shown_time

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

VALUES: Mapping[str, str] = {
    "order": "the order's number",
    "amount": "what the customer paid",
    "shop": "the shop's name for customers",
    "customer": "the customer's name",
    "state": "at-risk, overdue, stalled or shipped-late",
    "round": "the offer's round",
    "cause": "stock, warehouse, carrier, storm, address or unknown",
    "placed_at": "when it was ordered",
    "ship_by": "the promised ship date",
    "shipped_at": "when it was marked as shipped",
    "agreed_ship_by": "the date agreed before, now broken",
    "picked_up_at": "when the carrier took it",
    "deliver_by": "the promised arrival",
    "carrier": "the carrier",
    "tracking_number": "the parcel's number",
    "remedy": "the remedy in words",
    "remedy_kind": "its kind",
    "remedy_worth": "its amount",
    "remedy_points": "its points",
    "remedy_name": "its name",
    "new_ship_by": "the new ship date",
    "reply_by": "until when to answer",
    "reply_url": "where to answer",
    "refund": "what is paid back",
    "notice": "first-definite, first-indefinite or renewed",
    "silence": "what no answer means: accepted, refused, cancel",
    "cancel_right": "true: state the right to cancel with a full refund",
    "offers": "earlier offers: round, at, what, answer",
    "evidence": "names of attached files",
    "chronology": "events: at, what",
    "dispute": "the desk's number",
    "reason": "what happened",
    "request": "what is asked of the desk",
    "ruling": "the ruling so far",
    "what": "a task's act",
    "where": "where it is done",
    "limits": "what to heed there",
    "due": "until when",
    "note": "a remark",
    "text": "a text to be used as it is",
}
"""What a template may name. A value that is not given is empty."""

_LINES = ("text", "note", "reason", "request", "ruling")  # what may have more than one line
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


@dataclass(frozen=True, slots=True)
class Text:
    """A finished text: one line of subject, a body without trailing blanks, the language it is really in."""

    subject: str
    body: str
    language: str
    template: str = ""
    remedy: str = ""  # in the same words, for channels that take parameters


def render(
    name: str,
    language: str,
    values: Mapping[str, object],
    overrides_dir: Path | Sequence[Path] | None = None,
    *,
    time_zone: str = "UTC",
) -> Text:
    """The text `name` in that language (else its parent, else English), with times in that zone.

    Values: any of `VALUES`, as text, numbers, `Money`, aware datetimes, a `Remedy`, lists or tables of these.
    Raises `ConfigError` with file and line for a template that is broken, reaches out or grows too long.
    """
    if name not in NAMES:
        raise ValueError(f"there is no text {name!r}; {near(name, NAMES)}")
    unknown = values.keys() - VALUES.keys()
    if unknown:
        raise ValueError(f"texts know no value {sorted(unknown)[0]!r}; {near(sorted(unknown)[0], VALUES)}")
    folders = _folders(overrides_dir)
    plain: dict[str, Any] = dict.fromkeys(VALUES, "")
    remedy = values.get("remedy")
    if isinstance(remedy, Remedy):
        plain |= _parts(remedy, language)
    for key, value in values.items():
        plain[key] = _plain(value, language, time_zone, folders)
        if isinstance(value, str) and key not in _LINES:
            plain[key] = " ".join(plain[key].split())
    found, text = _run(f"{name}.j2", language, plain, folders, NAMES[name])
    subject, body = "", text
    first, _, rest = text.lstrip("\n").partition("\n")
    if first.startswith("Subject:"):
        subject, body = " ".join(first.removeprefix("Subject:").split()), rest
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in body.splitlines())).strip()
    return Text(subject=subject, body=body, language=found, template=name, remedy=plain["remedy"])


def remedy_words(
    remedy: Remedy | None, language: str, overrides_dir: Path | Sequence[Path] | None = None
) -> str:
    """`a coupon worth ¥3.00`: a remedy as customers read it; empty for None."""
    if remedy is None:
        return ""
    plain = dict.fromkeys(VALUES, "") | _parts(remedy, language)
    return _run("_remedy.j2", language, plain, _folders(overrides_dir), 1000)[1].strip()


def message_name(state: State, *, round: int = 1, agreed: bool = False, broken: bool = False) -> str:
    """Which text tells a customer of this: `broken` is an agreed date that has passed."""
    if agreed:
        return "agreed"
    if state is State.SHIPPED_LATE:
        return "shipped-late"
    if broken:
        return "promise-broken"
    if round > 1:
        return "next-offer"
    return {State.AT_RISK: "at-risk", State.STALLED: "stalled"}.get(state, "first-notice")


def check_templates(overrides_dir: Path | Sequence[Path] | None) -> list[Problem]:
    """What is wrong with a merchant's templates, before anybody is written to: for `amends config check`."""
    found: list[Problem] = []
    known = {*NAMES, *PARTS}
    for folder in _folders(overrides_dir):
        for file in sorted(folder.glob("*/*")):
            if file.name.startswith("."):
                continue
            if file.suffix != ".j2" or file.stem not in known:
                found.append(Problem(str(file), "", "is no text of amends", near(file.stem, known)))
                continue
            for full in (False, True):
                plain: dict[str, Any] = dict.fromkeys(VALUES, "…" if full else "")
                plain |= dict.fromkeys(("offers", "evidence", "chronology"), ())
                try:
                    _run(file.name, file.parent.name, plain, _folders(overrides_dir), max(NAMES.values()))
                except ConfigError as error:
                    found += error.context.get("problems", ())
    return list(dict.fromkeys(found))


_TROUBLE = (TemplateError, ValueError, TypeError, ArithmeticError, RecursionError, LookupError)


def _folders(given: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, Path) else tuple(given)


def _parts(remedy: Remedy, language: str) -> dict[str, Any]:
    worth = shown_money(remedy.amount, language) if remedy.amount else ""
    return {
        "remedy_kind": remedy.kind.value,
        "remedy_worth": worth,
        "remedy_points": remedy.points or "",
        "remedy_name": _clean(remedy.name),
    }


def _plain(value: object, language: str, zone: str, folders: tuple[Path, ...]) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Money):
        return shown_money(value, language)
    if isinstance(value, datetime):
        return shown_time(value, language, zone)
    if isinstance(value, Remedy):
        return remedy_words(value, language, folders)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, language, zone, folders) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > LONGEST:
            raise ValueError(f"a list of {len(value)} items is too long for a text; {LONGEST} at most")
        return [_plain(inner, language, zone, folders) for inner in value]
    raise TypeError(f"a {type(value).__name__} is no plain value for a text")


def _clean(text: str) -> str:
    """Without control characters and direction marks, which could make a text read otherwise than it is."""
    if text.isascii() and text.isprintable():
        return text
    keep = "\n\t\u200c\u200d"  # the last two join letters and emoji
    return "".join(c for c in str(text) if c in keep or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def _run(
    file: str, language: str, plain: Mapping[str, Any], folders: tuple[Path, ...], limit: int
) -> tuple[str, str]:
    """The language that it is really in, and the text."""
    try:
        return _generate(_environment(language, folders), file, plain, limit)
    except _TROUBLE:
        where = file
    try:  # once more with every part in its own file, which says where the trouble is
        environment = _environment(language, folders, whole=False)
        where = environment.get_template(file).filename or file
        return _generate(environment, file, plain, limit)
    except _TROUBLE as error:
        raise _broken(error, where) from error


def _generate(environment: Environment, file: str, plain: Mapping[str, Any], limit: int) -> tuple[str, str]:
    template = environment.get_template(file)
    pieces, length = [], 0
    for piece in template.generate(plain):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise SecurityError(f"the text is longer than {limit} characters")
    return (template.filename or file).replace("\\", "/").split("/")[-2], "".join(pieces)


def _broken(error: Exception, where: str) -> ConfigError:
    """What is wrong, with the file and line where it is."""
    line = 0
    if isinstance(error, TemplateSyntaxError):
        where, line = error.filename or where, error.lineno
    else:
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.endswith(".j2"):
                where, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            trace = trace.tb_next
    what = str(error).rstrip(".")
    undefined = re.match(r"'(\w+)' is undefined", what)
    if isinstance(error, TemplateNotFound):
        what = f"includes {error.name}, which does not exist"
    elif isinstance(error, RecursionError):
        what = "includes itself"
    todo = near(undefined[1], VALUES) if undefined else "correct or remove this template"
    return config_error([Problem(f"{where}:{line}" if line else where, "", what, todo)])


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
def _environment(language: str, folders: tuple[Path, ...], *, whole: bool = True) -> _Environment:
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
