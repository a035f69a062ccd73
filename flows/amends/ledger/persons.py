"""Personal values of cases: names, addresses, texts and files, encrypted under the case's own key, erasable at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select

from amends.errors import LedgerError
from amends.ledger.database import Tx
from amends.ledger.each import Each
from amends.ledger.many import Many
from amends.ledger.schema import case_keys, personal
from amends.ledger.vault import CaseKey

Values = Mapping[str, bytes]
_KEYS = Each(lambda among, locked: select(case_keys).where(among(case_keys.c.case_id)))
_INSERT_KEYS = Many(lambda tx: insert(case_keys))
_STORE = Many(
    lambda tx: (new := tx.upsert(personal)).on_conflict_do_update(
        index_elements=["case_id", "name"], set_={"value": new.excluded.value}
    )
)
_VALUES = Each(lambda among, locked: select(personal).where(among(personal.c.case_id)))


def keys(tx: Tx, ids: Sequence[int], *, make: bool = False) -> dict[int, CaseKey]:
    """The keys of cases; `make` gives a new one to each case that has none."""
    found = {row.case_id: tx.vault.open_case_key(row.wrapped) for row in _KEYS(tx, ids).all()}
    if make:
        rows = []
        for case in ids:
            if case not in found:
                found[case], wrapped = tx.vault.new_case_key()
                rows.append({"case_id": case, "wrapped": wrapped})
        _INSERT_KEYS(tx, rows)
    return found


def store(tx: Tx, values: Mapping[int, Values]) -> None:
    """Keep values by case and name; a name stored again is replaced."""
    values = {case: named for case, named in values.items() if named}
    if not values:
        return
    cipher = keys(tx, sorted(values), make=True)
    rows: list[dict[str, Any]] = [
        {"case_id": case, "name": name, "value": cipher[case].encrypt(name, value)}
        for case, named in sorted(values.items())
        for name, value in named.items()
    ]
    _STORE(tx, rows)


def load(tx: Tx, ids: Sequence[int], names: Sequence[str] | None = None) -> dict[int, dict[str, bytes]]:
    """What is kept of these cases; an erased case has nothing."""
    return _load(tx, ids, keys(tx, ids), names)


def _load(
    tx: Tx, ids: Sequence[int], cipher: Mapping[int, CaseKey], names: Sequence[str] | None = None
) -> dict[int, dict[str, bytes]]:
    found: dict[int, dict[str, bytes]] = {case: {} for case in ids}
    for row in _VALUES(tx, cipher).all():
        if names is not None and row.name not in names:
            continue
        found[row.case_id][row.name] = cipher[row.case_id].decrypt(row.name, row.value)
    return found


class Kept(NamedTuple):
    """What is kept of a case, and its key, for salted hashes; no key where the case was erased."""

    values: dict[str, bytes]
    key: CaseKey | None


def load_with_keys(tx: Tx, ids: Sequence[int]) -> dict[int, Kept]:
    """What is kept of these cases, by case."""
    cipher = keys(tx, ids)
    found = _load(tx, ids, cipher)
    return {case: Kept(found[case], cipher.get(case)) for case in ids}


def digest(tx: Tx, case: int, value: bytes) -> str:
    """The salted hash of a text, for a fact."""
    return keys(tx, [case], make=True)[case].digest(value)


def erase(tx: Tx, case: int) -> None:
    """Destroy the key and every value: what facts and chain hold stays, and says nothing of the person."""
    tx.execute(delete(personal).where(personal.c.case_id == case))
    tx.execute(delete(case_keys).where(case_keys.c.case_id == case))
    if tx.execute(select(case_keys.c.case_id).where(case_keys.c.case_id == case)).first() is not None:
        raise LedgerError(f"case {case} could not be erased")
