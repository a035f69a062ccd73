"""Turns templates into texts for customers, desks and people: sandboxed, in their language and zone.

Templates see plain values only (text, numbers, lists), made here from money, times and remedies. They may
branch, repeat and include; they cannot call, assign, import or compute: none can run away or reach out.
A merchant's file `templates/LANG/NAME.j2` in `config/local` or `config/base` wins over ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError, TemplateNotFound
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Remedy
from amends.errors import ConfigError
from amends.settings.problems import Problem, config_error, near
from amends.steps.localised import shown_money, shown_time
from amends.steps.sandboxed import LONGEST, NAMES, PARTS, environment_of

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
        return _generate(environment_of(language, folders), file, plain, limit)
    except _TROUBLE:
        where = file
    try:  # once more with every part in its own file, which says where the trouble is
        environment = environment_of(language, folders, whole=False)
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
