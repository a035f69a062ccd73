"""Statements for many rows: the same rows as by SQLAlchemy, on both databases; what the driver would misread is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select, update
from tests.unit.ledger.makers import opened

from amends.ledger import Ledger, Tx
from amends.ledger.many import Many
from amends.ledger.schema import case_keys, cases

MOVE = Many(
    lambda tx: update(case_keys).where(case_keys.c.case_id == bindparam("c")).values(wrapped=bindparam("w"))
)


def test_rows_are_written_as_they_are(ledger: Ledger) -> None:
    one, two = opened(ledger, "A-1", "A-2").values()

    def write(tx: Tx) -> dict[int, bytes]:
        add = Many(lambda tx: insert(case_keys))
        for _ in range(2):  # compiled, then as it was
            add(tx, [{"wrapped": b"\x00\xff", "case_id": one}, {"case_id": two, "wrapped": b"b", "more": 1}])
            MOVE(tx, [{"c": two, "w": b"c"}])
            found = {row.case_id: row.wrapped for row in tx.execute(select(case_keys))}
            tx.execute(case_keys.delete())
        return found

    assert ledger.do(write) == {one: b"\x00\xff", two: b"c"}


def test_no_rows_are_no_statement(ledger: Ledger) -> None:
    ledger.do(Many(lambda tx: insert(None)), [])  # type: ignore[arg-type]  # never asked for


def test_only_some_columns_of_a_table(ledger: Ledger) -> None:
    """The others have what the table says."""
    add = Many(
        lambda tx: insert(cases), "shop", "number", "generation", "opened_at", "stage", "playbook", "policy"
    )
    row = {
        "shop": "s",
        "number": "n",
        "generation": 1,
        "opened_at": 5,
        "stage": "verify",
        "playbook": "p",
        "policy": "l",
    }

    def write(tx: Tx) -> tuple[int, bool]:
        add(tx, [row])
        found = tx.execute(select(cases.c.epoch, cases.c.wake)).one()
        return found.epoch, found.wake

    assert ledger.do(write) == (0, False)


@pytest.mark.parametrize("value", [False, 1], ids=["a truth value", "a value of its own"])
def test_what_would_not_reach_the_driver_as_it_is_is_refused(ledger: Ledger, value: object) -> None:
    """SQLAlchemy would turn a truth value into what the driver knows; a value in the statement would find no place."""
    name, given = ("wake", bindparam("w")) if value is False else ("failures", value)
    odd = Many(lambda tx: update(cases).where(cases.c.id == bindparam("c")).values(**{name: given}))
    with pytest.raises(TypeError, match="would not reach the driver"):
        ledger.do(odd, [{"c": 1, "w": value}])
