"""The form of one frozen list in Prefect's pages: what it asks, and the acts it shows, without anything personal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prefect.input import RunInput
from pydantic import Field, create_model

from amends.errors import ApprovalError
from amends.ledger import approvals
from amends.settings import Settings
from amends.steps.ask_approvers import able
from amends.steps.decide_list import Word
from amends.workflows.masks import slug

YES, BUT, NO = "approve all", "approve all but the exceptions", "reject all"
ROWS = 50
"""Acts that the form shows; the artifact shows twice as many."""


class Answer(RunInput):
    """What the form asks. Nothing that decides has a default: a run resumed without an answer decides nothing."""

    # Few words: Prefect's dialogue takes their room from the list of acts above them.
    decision: Literal["approve all", "approve all but the exceptions", "reject all"] = Field(title="Decision")
    approver: str = Field(title="Approver")
    code: str = Field(
        default="", title="Code", description="The newest that reached you for this list. Empty: send one."
    )
    exceptions: str = Field(
        default="", title="Exceptions", description="Cases or orders that get a no, commas between."
    )
    note: str = Field(default="", title="Note")

    def word(self) -> Word:
        """What the person says; raises `ApprovalError` where decision and exceptions contradict each other."""
        names = [word for word in re.split(r"[\s,;，；、]+", self.exceptions) if word]
        if self.decision == BUT and not names:
            raise ApprovalError(
                "no exception was named; name the cases that get a no, or choose another decision"
            )
        if self.decision != BUT and names:
            raise ApprovalError(f"exceptions were named, yet the decision was {self.decision!r}")
        return Word(self.approver, self.decision != NO, self.code, names, self.note)


@dataclass(frozen=True, slots=True)
class Asked:
    """A list as it is shown now: what each act is, and whom no code has reached."""

    listing: approvals.Listing
    why: Mapping[tuple[int, str], str]
    unreached: Sequence[str] = ()


def make_form(settings: Settings, asked: Asked) -> type[Answer]:
    """The form of one round: only approvers whose yes is still missing, and the acts as its description."""
    done = said_yes(asked.listing)
    names = [name for name in sorted(able(settings)) if name not in done] or sorted(able(settings))
    choice: Any = Literal[tuple(names)]
    title = Answer.model_fields["approver"].title

    def listed(
        schema: dict[str, Any],
    ) -> None:  # one name alone would be a `const`, which Prefect's pages do not offer
        schema.pop("const", None)
        schema["enum"] = names

    form = create_model(
        "Approval", __base__=Answer, approver=(choice, Field(title=title, json_schema_extra=listed))
    )
    form._description = describe(settings, asked)  # where Prefect's `with_initial_data` puts it
    return form


def said_yes(listing: approvals.Listing) -> set[str]:
    """Who has said yes to all that waits."""
    said = [set(item.decided_by.split(",")) - {""} for item in listing.waiting]
    return set.intersection(*said) if said else set()


def describe(settings: Settings, asked: Asked) -> str:
    """What is to be approved, in markdown."""
    listing, done = asked.listing, said_yes(asked.listing)
    zone = settings.shop(listing.shop).zone
    many = f"{len(listing.waiting)} act{'' if len(listing.waiting) == 1 else 's'}"
    total = "".join(f" · {amount}" for amount in listing.amounts)
    lines = [f"**Asked again: {listing.problem}**", ""] if listing.problem else []
    lines += [
        f"**{listing.kind}** · shop **{listing.shop}** · {many}{total} · "
        f"until {listing.expires_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})",
        "",
    ]
    if any(item.people > 1 for item in listing.waiting):
        gave = f"; {', '.join(sorted(done))} said yes already" if done else ""
        lines += [f"Acts over the second limit need two people{gave}.", ""]
    # A list, not a table: the dialogue of Prefect's pages squeezes a table to nothing.
    for item in listing.waiting[:ROWS]:
        amount = f" · **{item.amount}**" if item.amount else ""
        lines.append(
            f"- case {item.case} · order {item.number}{amount} · {item.what} · {asked.why[item.case, item.what]}"
        )
    if len(listing.waiting) > ROWS:
        rest = len(listing.waiting) - ROWS
        lines.append(f"\nand {rest} more: artifact `{artifact_key(listing.id)}`, or `amends approvals`")
    lines += ["", *(f"No code reached {name}." for name in asked.unreached)]
    return "\n".join(lines).rstrip()


def rows_of(asked: Asked) -> list[dict[str, str]]:
    """The acts as the rows of an artifact's table."""
    return [
        {
            "case": str(item.case), "order": item.number, "act": item.what, "amount": str(item.amount or ""),
            "people needed": str(item.people), "why": asked.why[item.case, item.what],
        }
        for item in asked.listing.waiting[: 2 * ROWS]
    ]  # fmt: skip


def artifact_key(list_id: str) -> str:
    """Where a list's table is found: `approval-<list>`, whose ids are keys already."""
    return f"approval-{list_id}" if re.fullmatch(r"[a-z0-9-]+", list_id) else f"approval-{slug(list_id)}"
