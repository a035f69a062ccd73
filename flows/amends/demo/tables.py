"""Prints what a demo came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show(
    result: Mapping[str, Any],
    stories: Mapping[str, int],
    losses: Sequence[str],
    *,
    state: Path,
    console: Console | None = None,
) -> None:
    """Tables of outcomes, stories, money, effects and tasks; the evidence; and where to look next."""
    out = console or Console(highlight=False)
    cases = result["cases"]
    closed = sum(cases["outcomes"].values())
    out.print(
        f"\n[bold]{result['orders']} orders[/bold], {cases['total']} cases: {closed} closed, {cases['total'] - closed} waiting"
        f"  (late now: {result['late']}, at risk: {result['at_risk']}; seed {result['seed']}, {result['seconds']} s)\n"
    )
    out.print(
        _two(
            "How cases ended",
            "outcome",
            cases["outcomes"] | {f"waiting: {k}": v for k, v in cases["stages"].items()},
        )
    )
    out.print(_two("What happened on the way", "story", stories))
    money = Table(title="Money", title_justify="left")
    for column in ("", *sorted({c for by in result["money"].values() for c in by})):
        money.add_column(column, justify="left" if not column else "right")
    currencies = sorted({c for by in result["money"].values() for c in by})
    for what, by in result["money"].items():
        money.add_row(what.replace("_", " "), *(by.get(c, "0") for c in currencies))
    out.print(money)
    acts = Table(title="Acts on the outside world", title_justify="left")
    states = sorted({state for by in result["effects"].values() for state in by})
    acts.add_column("kind")
    for name in states:
        acts.add_column(name, justify="right")
    for kind, by in result["effects"].items():
        acts.add_row(kind, *(str(by.get(name, "")) for name in states))
    out.print(acts)
    out.print(
        _two(
            f"Tasks of people: {result['tasks']['done']} done, {result['tasks']['open']} open",
            "task",
            result["tasks"]["kinds"],
        )
    )
    evidence = result["evidence"]
    out.print(
        f"Against the sandbox's journal: [bold]{result['duplicates']} duplicates, {result['lost']} lost[/bold], "
        f"{result['quarantined']} quarantined on the way. "
        f"Evidence: {evidence['verified']} of {evidence['chains']} chains hold, {evidence['broken']} broken."
    )
    for line in losses[:10]:
        out.print(f"  lost: {line}", style="red")
    config = state / "config"
    out.print("\nLook further:")
    for command, what in (
        (f"amends --config {config} cases", "every case"),
        (f"amends --config {config} case 1", "the story of one, with the why of each decision"),
        (f"amends --config {config} overdue", "the late orders"),
        (f"amends --config {config} evidence verify", "the chains again"),
    ):
        out.print(f"  {command:<60} {what}", soft_wrap=True)


def _two(title: str, what: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", min_width=44)
    table.add_column(what)
    table.add_column("n", justify="right")
    for name, n in counts.items():
        table.add_row(name, str(n))
    return table
