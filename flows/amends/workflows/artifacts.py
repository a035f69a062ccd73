"""Publishes a shop's worklist, tasks, approvals and summary, and a case's timeline, as Prefect artifacts.

A key keeps its history: `worklist-<shop>`, `tasks-<shop>`, `approvals-<shop>`, `summary-<shop>`, `case-<number>`, the
shop's name as a slug.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from amends.cases import facts as f
from amends.ledger import Tx
from amends.steps.narrative import tell
from amends.steps.shop import Shop
from amends.steps.sweep import Summary
from amends.workflows import worklists
from amends.workflows.masks import masked, slug, without_words
from amends.workflows.worklists import Table

TIMELINE = 200
"""Facts that a case's artifact shows: the newest."""


async def publish(shop: Shop, summary: Summary) -> None:
    """Publish the four artifacts of a sweep. That Prefect does not take them is logged, and fails nothing."""
    now = shop.clock.now()

    def read(tx: Tx) -> tuple[Table, Table, Table, str]:
        return (
            worklists.worklist(tx, shop, now),
            worklists.open_tasks(tx, shop, now),
            worklists.open_approvals(tx, shop),
            worklists.summary_text(tx, shop, summary, now),
        )

    work, tasks, lists, text = await shop.ledger.run(read)
    of, name = f" of {shop.name}, {worklists.local(shop, now)}", slug(shop.name)
    try:
        for key, table, told in (
            ("worklist", work, work.told("open cases", f"amends cases --open --shop {shop.name}")),
            ("tasks", tasks, tasks.told("open tasks", f"amends tasks --shop {shop.name}")),
            ("approvals", lists, lists.told("open approval lists", "amends approvals")),
        ):
            await acreate_table_artifact(table.rows, key=f"{key}-{name}", description=told + of)
        await acreate_markdown_artifact(
            text, key=f"summary-{name}", description=worklists.counts_text(summary)
        )
    except Exception as error:  # what is shown is a copy; the ledger is whole
        get_run_logger().warning("artifacts of %s were not published: %s", shop.name, type(error).__name__)


def timeline(shop: Shop, case: int, number: str, facts: Sequence[f.Fact]) -> str:
    """A case's facts in plain words, without what a person typed, newest last, in markdown."""
    shown = facts[-TIMELINE:]
    lines = [f"## Case {case} · order {number} · {shop.name}", ""]
    if len(shown) < len(facts):
        lines += [f"The newest {len(shown)} of {len(facts)} facts; all: `amends case {case}`", ""]
    lines += ["| time | who | what |", "|---|---|---|"]
    for fact in shown:
        told = tell(fact._replace(body=without_words(fact.body)))
        lines.append(
            f"| {worklists.local(shop, fact.at)} | {fact.actor} | {masked(told).replace('|', '/')} |"
        )
    return "\n".join(lines)


async def publish_case(shop: Shop, case: int, text: str, told: str) -> None:
    """Publish a case's timeline; `told` says in one line where the case stands."""
    try:
        await acreate_markdown_artifact(text, key=f"case-{case}", description=masked(told))
    except Exception as error:  # as above
        get_run_logger().warning("the timeline of case %s was not published: %s", case, type(error).__name__)
