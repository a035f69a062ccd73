"""Decides a frozen list by a person's word: the same for the form, `amends approve` and `amends reject`.

The person is an approver of config and gives the code that reached them for this list. A word counts whole or not at
all; a wrong code is counted and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from amends.errors import ApprovalError
from amends.ledger import Ledger, Tx, approvals, codes, views
from amends.settings import Settings
from amends.steps import people
from amends.steps.ask_approvers import able


class WrongCode(ApprovalError):
    """The code is not the one that reached this approver for this list, or counts no more; nothing was decided."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says: yes to every waiting act but those of the cases or orders excepted, or no to all."""

    by: str
    yes: bool
    code: str = ""
    exceptions: Sequence[str] = ()
    why: str = ""


def check(tx: Tx, settings: Settings, list_id: str, word: Word, now: datetime) -> list[int]:
    """Whether this word could count, its code apart; answers with the cases that are excepted.

    Raises `ApprovalError` or `CaseError`: unknown person, list, case or order; a list that is decided, held or
    expired; a person who has said yes already.
    """
    if word.by not in settings.approvers:
        raise ApprovalError(
            f"{word.by} is not an approver; config names: {', '.join(settings.approvers) or 'nobody'}"
        )
    if word.by not in able(settings):
        raise ApprovalError(
            f"{word.by} has neither a channel nor a code in config, so that anybody could be {word.by}",
            hint=f"Add `channel` and `to` (or `code`) to [approvers.{word.by}].",
        )
    approvals.must_be_open(tx, list_id, now)
    waiting = approvals.get(tx, list_id).waiting
    excepted = [views.case_id(tx, name) for name in word.exceptions]
    unknown = sorted(set(excepted) - {item.case for item in waiting})
    if unknown:
        raise ApprovalError(f"list {list_id} has no waiting act of case {', '.join(map(str, unknown))}")
    rest = [item for item in waiting if item.case not in excepted]
    if word.yes and any(word.by in item.decided_by.split(",") for item in rest):
        raise ApprovalError(f"{word.by} has already approved; another person must too")
    return excepted


async def decide_list(
    settings: Settings, ledger: Ledger, list_id: str, word: Word, now: datetime
) -> approvals.Decision:
    """Record the word. Raises `WrongCode`, or what `check` raises; then nothing is decided."""
    own = own_code(settings, word.by)
    found = await ledger.run(_decide, settings, list_id, word, now, own)
    if isinstance(found, str):
        raise WrongCode(found)
    return found


def own_code(settings: Settings, name: str) -> str:
    """The code that a person without a channel has of their own; empty for anybody else."""
    approver = settings.approvers.get(name)
    if approver is None or approver.channel or approver.code is None:
        return ""
    return settings.secret(approver.code, ("approvers", name, "code")).strip()


def _decide(
    tx: Tx, settings: Settings, list_id: str, word: Word, now: datetime, own: str
) -> approvals.Decision | str:
    """The decision, or why the code does not count: that is committed too, as the guess is counted in it."""
    excepted = check(tx, settings, list_id, word, now)
    if not codes.plain(word.code):
        raise ApprovalError(f"{word.by} must give a code for list {list_id}")
    wrong = codes.take(tx, list_id, word.by, word.code, now=now, own=own)
    if wrong:
        return wrong
    return people.approve(
        tx, list_id, by=word.by, now=now, exceptions=excepted, yes=word.yes, why=word.why.strip(),
        approvers=list(settings.approvers),
    )  # fmt: skip
