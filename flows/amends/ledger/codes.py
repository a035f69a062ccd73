"""Single-use codes by which approvers show who they are: bound to list and person, expiring, guesses counted.

A code is made just before it leaves, and takes the place of the one before. Only its signature is kept, under a key
that is not in the database, so who reads the ledger's file learns none.
"""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from amends.errors import ApprovalError
from amends.ledger.database import Tx
from amends.ledger.schema import approval_codes, approval_lists, moment, ticks

DIGITS = 8
GUESSES = 5
"""Wrong codes after which a code is void: with `CODES` of them, one guess in a few million hits."""
CODES = 6
"""Codes that one person gets for one list at most."""


def issue(tx: Tx, list_id: str, person: str, *, expires_at: datetime) -> str:
    """A new code for that person and list; the one before counts no more. Raises `ApprovalError` after `CODES`."""
    row = _row(tx, list_id, person)
    if row.number >= CODES:
        raise ApprovalError(
            f"{person} has had {CODES} codes for list {list_id}; no more are sent",
            hint="Another approver can decide; or the list expires, and the next sweep asks anew.",
        )
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    _set(
        tx, list_id, person, number=row.number + 1, hash=_sealed(tx, list_id, person, code), wrong=0, used_at=None,
        expires_at=ticks(expires_at),
    )  # fmt: skip
    return code


def withdraw(tx: Tx, list_id: str, person: str) -> None:
    """The newest code never left: it counts neither as a code nor as one sent."""
    row = _row(tx, list_id, person)
    _set(tx, list_id, person, number=max(0, row.number - 1), hash=None)


def take(tx: Tx, list_id: str, person: str, given: str, *, now: datetime, own: str = "") -> str:
    """Use a code up; answers with why it does not count, and with nothing where it does.

    Call it in the transaction that decides, and commit that also where the code was wrong: the guess is counted in
    it, so that guessing at many places at once gains nothing. `own` is the code that a person without a channel has
    of their own: it is checked instead, and is good once for each list.
    """
    row = _row(tx, list_id, person)
    tries = f"too many wrong codes were given for {person} on list {list_id}"
    if own:
        if row.wrong >= GUESSES:
            return f"{tries}: another approver must decide"
        wanted: bytes = _sealed(tx, list_id, person, plain(own))
    else:
        if row.hash is None:
            return f"no code has been sent to {person} for list {list_id}"
        if row.wrong >= GUESSES:
            return f"{tries}: the code is void; ask for another"
        wanted = row.hash
    if not hmac.compare_digest(wanted, _sealed(tx, list_id, person, plain(given))):
        _set(tx, list_id, person, wrong=row.wrong + 1)
        left = GUESSES - row.wrong - 1
        return (
            f"that is not {person}'s code for list {list_id}; {left} more {'try' if left == 1 else 'tries'}"
        )
    if row.used_at is not None:
        return f"{person}'s code for list {list_id} was used already, at {moment(row.used_at):%Y-%m-%d %H:%M} UTC"
    if not own and ticks(now) >= row.expires_at:
        return f"{person}'s code for list {list_id} expired at {moment(row.expires_at):%Y-%m-%d %H:%M} UTC; ask for another"
    _set(tx, list_id, person, used_at=ticks(now))
    return ""


def plain(code: str) -> str:
    """A code without the blanks and dashes that people put in, in plain digits."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code))


def _row(tx: Tx, list_id: str, person: str) -> Any:
    there = select(approval_lists.c.id).where(approval_lists.c.id == list_id)
    if tx.execute(there).first() is None:
        raise ApprovalError(f"there is no approval list {list_id!r}", hint="See `amends approvals`.")
    tx.execute(tx.upsert(approval_codes).values(list_id=list_id, person=person).on_conflict_do_nothing())
    mine = (approval_codes.c.list_id == list_id) & (approval_codes.c.person == person)
    return tx.execute(tx.locked(select(approval_codes).where(mine))).one()


def _set(tx: Tx, list_id: str, person: str, **values: Any) -> None:
    mine = (approval_codes.c.list_id == list_id) & (approval_codes.c.person == person)
    tx.execute(update(approval_codes).where(mine).values(**values))


def _sealed(tx: Tx, list_id: str, person: str, code: str) -> bytes:
    return tx.vault.mac(b"approval-code", list_id.encode(), person.encode(), code.encode())
