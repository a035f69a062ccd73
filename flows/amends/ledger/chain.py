"""The hash chains of facts and the signed heads: appends, and finds any changed byte or cut tail.

Each fact's hash covers the one before it. A head row per case signs length and last hash; the totals sign how many
cases and facts there are and a digest of all heads, so that neither a cut tail nor a vanished case goes unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, LargeBinary, bindparam, cast, func, insert, select, update

from amends.cases import facts as f
from amends.errors import LedgerCorrupt
from amends.ledger.database import Tx
from amends.ledger.each import Each
from amends.ledger.many import Many
from amends.ledger.schema import cases, facts, heads, moment, ticks, totals

BUCKETS = 16
_ZERO = bytes(32)
_FIRST = 4_127_002
"""A number that nobody else locks by."""
_CASES = Each(lambda among, locked: locked(select(cases.c.id).where(among(cases.c.id)).order_by(cases.c.id)))
_HEADS = Each(
    lambda among, locked: locked(
        select(heads.c.case_id, heads.c.length, heads.c.head)
        .where(among(heads.c.case_id))
        .order_by(heads.c.case_id)
    )
)
_TOTALS = Each(
    lambda among, locked: locked(select(totals).where(among(totals.c.bucket)).order_by(totals.c.bucket))
)
_FACTS = Each(
    lambda among, locked: (
        select(facts.c.case_id, facts.c.seq, facts.c.at, facts.c.kind, facts.c.actor, facts.c.body)
        .where(among(facts.c.case_id))
        .order_by(facts.c.case_id, facts.c.seq)
    )
)
_INSERT_FACTS, _INSERT_HEADS = Many(lambda tx: insert(facts)), Many(lambda tx: insert(heads))
_MOVE_HEAD = Many(
    lambda tx: (
        update(heads)
        .where(heads.c.case_id == bindparam("c"))
        .values(length=bindparam("length"), head=bindparam("head"), mac=bindparam("mac"))
    )
)
_GROW = Many(
    lambda tx: (
        update(cases).where(cases.c.id == bindparam("c")).values(version=cases.c.version + bindparam("grown"))
    )
)
_INSERT_TOTALS = insert(totals)
_MOVE_TOTAL = (
    update(totals)
    .where(totals.c.bucket == bindparam("b"))
    .values(**{name: bindparam(name) for name in ("cases", "facts", "digest", "mac")})
)
_READ: dict[str, Callable[[str], f.FactBody]] = {
    model.model_fields["kind"].default: model.__pydantic_validator__.validate_json
    for model in f.Body.__subclasses__()
    if "kind" in model.model_fields
}
"""By kind, what reads a body: pydantic's own, without the way through the model, which costs as much again."""


@dataclass(frozen=True, slots=True)
class New:
    """A fact to append."""

    body: f.FactBody
    at: datetime
    actor: str = "amends"


def encode(body: BaseModel) -> str:
    """The canonical JSON of a fact: fields in the model's order, defaults left out."""
    return body.__pydantic_serializer__.to_json(body, exclude_defaults=True).decode()


def decode(kind: str, body: str) -> f.FactBody:
    """The same again, checked."""
    return _READ[kind](body)


def link(previous: bytes, case: int, seq: int, at: int, kind: str, actor: str, body: str) -> bytes:
    """The hash of one fact."""
    head = f"{case}\x1f{seq}\x1f{at}\x1f{kind}\x1f{actor}\x1f{body}"
    return hashlib.sha256(previous + head.encode(errors="surrogateescape")).digest()


def append(tx: Tx, new: Mapping[int, Sequence[New]]) -> dict[int, list[f.Fact]]:
    """Append facts to cases, keep heads and totals signed; answers with the facts as written.

    The case rows must exist. Their `version` counts the material facts.
    """
    new = {case: list(rows) for case, rows in new.items() if rows}
    if not new:
        return {}
    if (
        tx.postgres
    ):  # cases, then heads, then totals: whoever locks them in this order never waits in a circle
        _CASES(tx, new)
    known = {row.case_id: (row.length, row.head) for row in _HEADS(tx, new).all()}
    rows: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []
    material: list[dict[str, Any]] = []
    changes: dict[int, list[Any]] = {}
    written: dict[int, list[f.Fact]] = {}
    for case in sorted(new):
        count, head = known.get(case, (0, _ZERO))
        before = head
        for item in new[case]:
            count += 1
            kind, at, text = item.body.kind, ticks(item.at), encode(item.body)
            head = link(head, case, count, at, kind, item.actor, text)
            rows.append(
                {
                    "case_id": case,
                    "seq": count,
                    "at": at,
                    "kind": kind,
                    "actor": item.actor,
                    "body": text,
                    "hash": head,
                }
            )
            fact = f.Fact(seq=count, at=item.at, actor=item.actor, body=item.body)
            written.setdefault(case, []).append(fact)
        mac = _head_mac(tx, case, count, head)
        (moved if case in known else first).append({"c": case, "length": count, "head": head, "mac": mac})
        grown = sum(f.is_material(w.body.kind) for w in written[case])
        if grown:
            material.append({"c": case, "grown": grown})
        bucket = changes.setdefault(case % BUCKETS, [0, 0, _ZERO])
        bucket[0] += case not in known
        bucket[1] += len(new[case])
        bucket[2] = _xor(bucket[2], _xor(_leaf(case, before) if case in known else _ZERO, _leaf(case, head)))
    _INSERT_FACTS(tx, rows)
    _INSERT_HEADS(tx, [{**m, "case_id": m["c"]} for m in first])
    _MOVE_HEAD(tx, moved)
    _GROW(tx, material)
    _add_up(tx, changes)
    return written


def _add_up(tx: Tx, changes: Mapping[int, Sequence[Any]]) -> None:
    known = {row.bucket: row for row in _TOTALS(tx, changes).all()}
    if tx.postgres and len(known) < len(changes):  # there is no row to lock yet
        tx.execute(select(func.pg_advisory_xact_lock(_FIRST)))
        known = {row.bucket: row for row in _TOTALS(tx, changes).all()}
    moved, first = [], []
    for bucket, (new_cases, new_facts, digest) in sorted(changes.items()):
        row = known.get(bucket)
        sums = (new_cases, new_facts, digest)
        if row is not None:
            sums = (row.cases + new_cases, row.facts + new_facts, _xor(row.digest, digest))
        values = dict(zip(("cases", "facts", "digest"), sums, strict=True))
        values["mac"] = _total_mac(tx, bucket, *sums)
        if row is None:
            first.append({"bucket": bucket, **values})
        else:
            moved.append({"b": bucket, **values})
    if first:
        tx.execute(_INSERT_TOTALS, first)
    if moved:
        tx.execute(_MOVE_TOTAL, moved)


def load(tx: Tx, ids: Sequence[int]) -> dict[int, list[f.Fact]]:
    """The facts of these cases, in order."""
    found: dict[int, list[f.Fact]] = {case: [] for case in ids}
    for case, seq, at, actor, body in told(tx, ids):
        found[case].append(f.Fact(seq, at, actor, body))
    return found


def told(tx: Tx, ids: Sequence[int]) -> Iterator[tuple[int, int, datetime, str, f.FactBody]]:
    """The same one by one, each in its parts with its case before: for whoever does not keep them."""
    for case, seq, at, kind, actor, body in _FACTS(tx, ids).all():
        try:
            yield case, seq, moment(at), actor, decode(kind, body)
        except (KeyError, ValueError, OverflowError) as error:
            raise LedgerCorrupt(f"fact {seq} of case {case} ({kind}) cannot be read") from error


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the evidence does not hold: case, fact (0: the case as a whole) and what is wrong."""

    case: int
    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    chains: int
    facts: int
    breaks: tuple[Break, ...]

    @property
    def broken(self) -> int:
        return len({b.case for b in self.breaks})

    @property
    def verified(self) -> int:
        return self.chains - len({b.case for b in self.breaks if b.case})


def verify(tx: Tx, case: int | None = None) -> Report:
    """Walk every chain (or one) from its first fact and compare it with its signed head and the totals."""
    known = {
        row.case_id: row
        for row in tx.execute(select(heads) if case is None else select(heads).where(heads.c.case_id == case))
    }
    breaks = [Break(id_, 0, "the head is no head") for id_, row in known.items() if not _typed(row)]
    known = {id_: row for id_, row in known.items() if _typed(row)}
    seen: dict[int, tuple[int, bytes]] = {}
    bad: set[int] = set()
    walked = 0
    for id_, seq, at, kind, actor, body, hash_ in _walk(tx, case):
        walked += 1
        count, head = seen.get(id_, (0, _ZERO))
        if id_ not in bad:
            if seq != count + 1:
                bad.add(id_)
                breaks.append(Break(id_, count + 1, f"fact {count + 1} is missing"))
            elif link(head, id_, seq, at, kind, actor, body) != hash_:
                bad.add(id_)
                breaks.append(Break(id_, seq, f"fact {seq} ({ascii(kind)[1:-1]}) was changed"))
        seen[id_] = (seq, hash_)
    for id_, (count, head) in seen.items():
        row = known.get(id_)
        if row is None:
            breaks.append(Break(id_, 0, "the chain has no head"))
        elif row.mac != _head_mac(tx, id_, row.length, row.head):
            breaks.append(Break(id_, 0, "the head's signature is wrong"))
        elif id_ not in bad and (count, head) != (row.length, row.head):
            breaks.append(Break(id_, count, f"cut after fact {count}: the head says {row.length}"))
    breaks += [
        Break(id_, 0, f"all {row.length} facts are gone") for id_, row in known.items() if id_ not in seen
    ]
    if case is None:
        breaks += _verify_totals(tx, known)
    return Report(len(set(seen) | set(known)), walked, tuple(breaks))


def _typed(head: Any) -> bool:
    """Whether a row holds what its columns say: SQLite keeps anything in any column."""
    return isinstance(head.length, int) and isinstance(head.head, bytes) and isinstance(head.mac, bytes)


def _walk(tx: Tx, case: int | None) -> Iterator[Any]:
    texts: tuple[ColumnElement[Any], ...] = (facts.c.kind, facts.c.actor, facts.c.body)
    if not tx.postgres:  # SQLite keeps any bytes as text, and its driver refuses to read some
        texts = tuple(cast(text, LargeBinary) for text in texts)
    query = select(facts.c.case_id, facts.c.seq, facts.c.at, *texts, facts.c.hash)
    if case is not None:
        query = query.where(facts.c.case_id == case)
    for id_, seq, at, *words, hash_ in tx.execute(query.order_by(facts.c.case_id, facts.c.seq)):
        yield (
            id_,
            seq,
            at,
            *(w.decode(errors="surrogateescape") if isinstance(w, bytes) else w for w in words),
            hash_,
        )


def _verify_totals(tx: Tx, known: Mapping[int, Any]) -> Iterator[Break]:
    sums: dict[int, list[Any]] = {}
    for id_, head in known.items():
        part = sums.setdefault(id_ % BUCKETS, [0, 0, _ZERO])
        part[0] += 1
        part[1] += head.length
        part[2] = _xor(part[2], _leaf(id_, head.head))
    rows: dict[int, Any] = {total.bucket: total for total in tx.execute(select(totals))}
    for bucket in sorted(set(sums) | set(rows)):
        row, found = rows.get(bucket), sums.get(bucket, [0, 0, _ZERO])
        where = f"cases numbered {bucket} modulo {BUCKETS}"
        if row is None:
            yield Break(0, 0, f"the ledger's total for {where} is gone")
        elif row.mac != _total_mac(tx, bucket, row.cases, row.facts, row.digest):
            yield Break(0, 0, f"the signature of the ledger's total for {where} is wrong")
        elif [row.cases, row.facts] != found[:2]:
            yield Break(
                0,
                0,
                f"{where}: the ledger once had {row.cases} cases with {row.facts} facts, now {found[0]} with {found[1]}",
            )
        elif row.digest != found[2]:
            yield Break(0, 0, f"{where}: a head was put back to an older state")


def _head_mac(tx: Tx, case: int, count: int, head: bytes) -> bytes:
    return tx.vault.mac(b"head", str(case).encode(), str(count).encode(), head)


def _total_mac(tx: Tx, bucket: int, cases_: int, facts_: int, digest: bytes) -> bytes:
    return tx.vault.mac(b"total", f"{bucket}:{cases_}:{facts_}".encode(), digest)


def _leaf(case: int, head: bytes) -> bytes:
    return hashlib.sha256(b"leaf" + str(case).encode() + b":" + head).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(32, "big")
