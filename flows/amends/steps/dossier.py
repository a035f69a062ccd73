"""Packs a case's evidence: a chronology for people, the facts with their hashes for machines, texts and files beside.

For a platform, an arbitrator or a lawyer. Nothing is left out silently: what is too large fails loudly.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from amends.cases import facts as f
from amends.cases.snapshot import Snapshot, fold
from amends.errors import CaseError
from amends.hooks.requests import File
from amends.ledger import Tx, chain, effects, persons
from amends.ledger.effects import Effect
from amends.ledger.schema import cases, facts
from amends.steps.narrative import tell
from amends.steps.shop import Shop

LARGEST = 5 * 1024 * 1024
"""Bytes of evidence that go with one filing; more must be chosen by a person."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger holds of one case: facts, personal values and texts, effects."""

    facts: Sequence[f.Fact]
    kept: Mapping[str, bytes]
    effects: Sequence[Effect]


def evidence_files(shop: Shop, case: Snapshot, record: Record, instance: str) -> tuple[File, ...]:
    """What goes with a filing: the chronology and the facts, with the texts that were sent and received."""
    zone = shop.settings.shop(shop.name).zone
    files = [
        _file("chronology.txt", "text/plain", chronology(case, record, zone, title=instance).encode()),
        _file("facts.json", "application/json", _facts_json(record)),
    ]
    for name, content in sorted(record.kept.items()):
        if name.startswith("file:"):
            files.append(_file(name.removeprefix("file:"), "application/octet-stream", content))
    size = sum(len(file.content) for file in files)
    if size > LARGEST:
        raise CaseError(
            f"the evidence of case {case.case} has {size} bytes, more than {LARGEST}: choose files by hand"
        )
    return tuple(files)


def chronology(case: Snapshot, record: Record, zone: ZoneInfo, *, title: str) -> str:
    """The case as a person would tell it: one line a fact, in the shop's time, texts included."""
    order = case.order
    lines = [f"{title}: order {case.number} (case {case.case})"]
    if order is not None:
        lines += [f"amount {order.amount}, placed {_local(order.placed_at, zone)}"]
        if order.ship_by is not None:
            lines.append(f"to be shipped by {_local(order.ship_by, zone)}")
    lines.append("")
    texts = _texts(record)
    for fact in record.facts:
        lines.append(f"{_local(fact.at, zone)}  {fact.actor}: {tell(fact)}")
        key = getattr(fact.body, "effect", "")
        if fact.body.kind == "contacted" and key in texts:
            lines += [f"    | {line}" for line in texts[key].splitlines()]
        if fact.body.kind == "replied":
            words = record.kept.get(f"reply:{fact.body.event}", b"").decode()
            lines += [f"    | {line}" for line in words.splitlines()]
    return "\n".join(lines) + "\n"


def _texts(record: Record) -> dict[str, str]:
    found = {}
    for name, value in record.kept.items():
        if name.startswith("request:"):
            found[name.removeprefix("request:")] = str(json.loads(value).get("text", ""))
    return found


def _facts_json(record: Record) -> bytes:
    rows = [
        {
            "seq": fact.seq,
            "at": fact.at.isoformat(),
            "actor": fact.actor,
            "kind": fact.body.kind,
            "body": json.loads(chain.encode(fact.body)),
        }
        for fact in record.facts
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _file(name: str, media_type: str, content: bytes) -> File:
    return File(name=name, media_type=media_type, content=content, sha256=hashlib.sha256(content).hexdigest())


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def gather(tx: Tx, case: int) -> tuple[Snapshot, Record, list[dict[str, Any]], chain.Report]:
    """Everything of one case for its dossier, with the chain as stored and its verification."""
    row = tx.execute(select(cases).where(cases.c.id == case)).first()
    if row is None:
        raise CaseError(f"there is no case {case}", hint="See `amends cases`.")
    loaded = chain.load(tx, [case])[case]
    links = [
        {"seq": r.seq, "at": r.at, "kind": r.kind, "actor": r.actor, "body": r.body, "hash": r.hash.hex()}
        for r in tx.execute(select(facts).where(facts.c.case_id == case).order_by(facts.c.seq))
    ]
    record = Record(loaded, persons.load(tx, [case])[case], effects.of_cases(tx, [case])[case])
    snapshot = fold(loaded, case=case, shop=row.shop, number=row.number)
    return snapshot, record, links, chain.verify(tx, case)


VERIFIER = '''"""Checks chain.json: each fact's hash covers the one before it. Needs nothing but Python."""
import hashlib, json, pathlib, sys

chain = json.loads((pathlib.Path(__file__).parent / "chain.json").read_text(encoding="utf-8"))
previous = bytes(32)
for fact in chain["facts"]:
    head = "\\x1f".join(str(fact[k]) for k in ("seq", "at", "kind", "actor", "body"))
    previous = hashlib.sha256(previous + f"{chain['case']}\\x1f{head}".encode()).digest()
    if previous.hex() != fact["hash"]:
        sys.exit(f"fact {fact['seq']} was changed")
print(f"{len(chain['facts'])} facts, the chain holds")
'''


def pack(tx: Tx, case: int, target: Path, zone: ZoneInfo) -> dict[str, Any]:
    """Write the dossier as a zip with a manifest of hashes; the same case gives the same bytes."""
    snapshot, record, links, report = gather(tx, case)
    contents: dict[str, bytes] = {
        "chronology.txt": chronology(snapshot, record, zone, title="Dossier").encode(),
        "chain.json": json.dumps({"case": case, "facts": links}, ensure_ascii=False, indent=1).encode(),
        "verify.py": VERIFIER.encode(),
    }
    for name, value in sorted(record.kept.items()):
        kind, _, rest = name.partition(":")
        if kind == "file":
            contents[f"files/{_safe(rest)}"] = value
        elif kind in ("request", "reply"):
            text = json.loads(value).get("text", "") if kind == "request" else value.decode()
            contents[f"texts/{_safe(name)}.txt"] = str(text).encode()
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    contents["MANIFEST.sha256"] = "".join(f"{digest}  {name}\n" for name, digest in manifest.items()).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o600 << 16
            archive.writestr(info, contents[name], zipfile.ZIP_DEFLATED)
    target.write_bytes(buffer.getvalue())
    return {
        "case": case,
        "file": str(target),
        "files": len(contents),
        "facts": len(links),
        "verified": not report.breaks,
    }


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name)[:120]
