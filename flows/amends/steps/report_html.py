"""Draws reports as one HTML file: charts as inline SVG, a table under each, Chinese or English, no script, no request.

Every chart has a title and a description for who cannot see it, says nothing by colour alone, and prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from amends.cases.money import Money
from amends.steps.localised import language_chain, shown_money
from amends.steps.report import Amounts, Report
from amends.steps.report_words import WORDS

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 30, 34
ROW = 30
LABELS = 190
"""Pixels left of a bar chart's bars."""


def render(reports: Sequence[Report], language: str = "en") -> str:
    """The whole page. A language that has no words here reads in English."""
    words = _words(language)
    return _template().render(
        reports=reports, w=words, lang=words["lang"], rates=_rates, bars=_bars, money=_money, percent=_percent, span=_span,
        local=_local, word=_word, hours=_hours, funnel=_funnel, causes=_causes, ranked=_ranked,
    )  # fmt: skip


def _words(language: str) -> Mapping[str, str]:
    return next((WORDS[name] for name in language_chain(language) if name in WORDS), WORDS["en"])


@cache
def _template() -> Template:
    source = (Path(__file__).parent / "templates" / "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source)


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart: `note` stands behind the bar, `mark` puts a sign before the label."""

    label: str
    value: int
    note: str = ""
    mark: str = ""


def _rates(report: Report, words: Mapping[str, str], name: str) -> Markup:
    """Late orders per day in per cent, one column a day, and the platform's limit as a dashed line."""
    limit = float(report.limit.percent) if report.limit else None
    highest = max([day.share.rate or 0.0 for day in report.days] + [limit or 0.0, 1.0])
    top = _round_up(highest * 1.08)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = wide / max(len(report.days), 1)
    parts: list[Markup] = []
    values: list[Markup] = []  # over the limit's line

    def y(value: float) -> float:
        return round(TOP + high * (1 - value / top), 1)

    for tick in range(5):
        value = top * tick / 4
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"))
        parts.append(_text(LEFT - 6, y(value) + 4, f"{value:g}%", "tick end"))
    every = max(1, -(-len(report.days) // 12))
    for place, day in enumerate(report.days):
        x = LEFT + place * step
        rate = day.share.rate
        told = words["day_told"].format(
            day=day.day.isoformat(), late=day.share.late, due=day.share.due, rate=_percent(rate)
        )
        if rate:
            over = limit is not None and rate > limit
            parts.append(
                Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>').format(
                    "bar over" if over else "bar", round(x + step * 0.14, 1), y(rate), round(step * 0.72, 1),
                    round(y(0) - y(rate), 1), told,
                )
            )  # fmt: skip
            if len(report.days) <= 16:
                values.append(_text(x + step / 2, y(rate) - 5, f"{rate:.0f}", "value mid"))
        else:
            parts.append(_text(x + step / 2, y(0) - 4, "0" if day.share.due else "–", "tick mid"))
        if place % every == 0:
            parts.append(_text(x + step / 2, HEIGHT - BOTTOM + 18, f"{day.day:%m-%d}", "tick mid"))
    if limit is not None:
        parts.append(_line(LEFT, y(limit), WIDTH - RIGHT, y(limit), "limit"))
        parts.append(
            _text(WIDTH - RIGHT, TOP - 10, words["limit_told"].format(limit=f"{limit:g}%"), "limit-text end")
        )
    described = words["rates_described"].format(
        since=report.since, until=report.until, rate=_percent(report.share.rate), late=report.share.late,
        due=report.share.due,
    )  # fmt: skip
    return _svg(name, HEIGHT, words["rates_title"], described, [*parts, *values])


def _bars(rows: Iterable[Bar], title: str, name: str) -> Markup:
    """Horizontal bars with their numbers, in the order given."""
    shown = list(rows)
    highest = max([row.value for row in shown] + [1])
    wide = WIDTH - LABELS - 170
    parts: list[Markup] = []
    for place, row in enumerate(shown):
        y = 6 + place * ROW
        length = round(wide * row.value / highest, 1)
        label = f"{row.mark} {row.label}".strip()
        parts.append(_text(LABELS - 10, y + 16, _cut(label, 24), "label end", full=label))
        parts.append(
            Markup('<rect class="bar" x="{}" y="{}" width="{}" height="20" rx="2"/>').format(
                LABELS, y, max(length, 1 if row.value else 0)
            )
        )
        told = f"{row.value:,}" + (f"  {row.note}" if row.note else "")
        parts.append(_text(LABELS + length + 8, y + 15, told, "value"))
    described = "; ".join(f"{row.label}: {row.value} {row.note}".strip() for row in shown)
    return _svg(name, 12 + ROW * max(len(shown), 1), title, described, parts)


def _funnel(report: Report, words: Mapping[str, str]) -> list[Bar]:
    opened = report.funnel["opened"]
    return [
        Bar(words[f"funnel_{name}"], count, f"({count / opened:.0%})" if opened else "")
        for name, count in report.funnel.items()
    ]


def _causes(report: Report, words: Mapping[str, str], kind: str) -> list[Bar]:
    return [
        Bar(
            row.name or words["not_stated"],
            row.share.late,
            words["of_due"].format(due=row.share.due, rate=_percent(row.share.rate)),
            "↻" if row.days > 1 else "",
        )
        for row in report.causes.get(kind, [])
    ]


def _svg(name: str, height: int, title: str, described: str, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<div class="chart" tabindex="0" role="group" aria-label="{t}">'
        '<svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d">'
        '<title id="{n}-t">{t}</title><desc id="{n}-d">{d}</desc>{p}</svg></div>'
    ).format(w=WIDTH, h=height, n=name, t=title, d=described, p=Markup("").join(parts))


def _text(x: float, y: float, text: str, css: str, *, full: str = "") -> Markup:
    more = Markup("<title>{}</title>").format(full) if full and full != text else Markup("")
    return Markup('<text class="{}" x="{}" y="{}">{}{}</text>').format(
        css, round(x, 1), round(y, 1), more, text
    )


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(css, x1, y1, x2, y2)


def _cut(text: str, longest: int) -> str:
    """Cut to about that many Latin letters; a Chinese one is as wide as two."""
    room, kept = longest, ""
    for letter in text:
        room -= 2 if ord(letter) > 0x2E7F else 1
        if room < 0:
            return kept.rstrip() + "…"
        kept += letter
    return kept


def _round_up(value: float) -> float:
    """The next height of an axis that four steps divide well."""
    for top in (2, 4, 8, 12, 20, 40, 60, 80):
        if value <= top:
            return float(top)
    return 100.0


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1f}%"


def _hours(hours: float | None, words: Mapping[str, str]) -> str:
    if hours is None:
        return "–"
    return (
        words["days"].format(n=f"{hours / 24:.1f}")
        if hours >= 48
        else words["hours"].format(n=f"{hours:.1f}")
    )


def _money(amounts: Amounts, words: Mapping[str, str]) -> str:
    shown: list[Money] = [amounts[currency] for currency in sorted(amounts)]
    return " + ".join(shown_money(amount, words["lang"]) for amount in shown) or "–"


def _span(since: date, until: date) -> Markup:
    return Markup('<time datetime="{0}">{0}</time> – <time datetime="{1}">{1}</time>').format(since, until)


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _word(words: Mapping[str, str], group: str, name: str) -> str:
    """Our word for a kind or a state; `grant:coupon` is put together, and what has no word stays as it is."""
    if f"{group}_{name}" in words:
        return words[f"{group}_{name}"]
    head, _, rest = name.partition(":")
    if rest:
        inner = "remedy" if head == "grant" else group
        return f"{_word(words, group, head)} · {_word(words, inner, rest)}"
    return name.replace("-", " ")


def _ranked(words: Mapping[str, str], group: str, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Counts with our words, the most first."""
    return [(_word(words, group, name), n) for name, n in sorted(counts.items(), key=lambda pair: -pair[1])]
