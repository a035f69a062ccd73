"""One case's story for `amends case`: read in one transaction, told for people or as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from amends.cases.decisions import Next, decide
from amends.cases.facts import Contacted, Fact, Filed, Replied
from amends.cases.lateness import judge
from amends.cases.playbook import Playbook
from amends.cases.snapshot import Snapshot, fold
from amends.cases.stages import Terms
from amends.cli.opened import open_registry, zone_of
from amends.cli.output import Column, indented, local, say, table
from amends.errors import AmendsError
from amends.ledger import Tx, approvals, chain, effects, holds, inbox, intake, persons, views
from amends.ledger import tasks as ledger_tasks
from amends.ledger.effects import Effect, EffectState
from amends.ledger.views import CaseLine
from amends.settings import Settings, rule_book
from amends.steps.narrative import tell

_UTC = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC")


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger holds of one case."""

    line: CaseLine
    facts: list[Fact]
    snapshot: Snapshot
    effects: list[Effect]
    tasks: list[ledger_tasks.Task]
    approvals: list[tuple[approvals.Listing, approvals.Item]]
    playbook: Playbook
    kept: dict[str, bytes]
    waiting: int  # replies in the inbox that no sweep has taken in


def read(tx: Tx, name: str, settings: Settings) -> Record:
    """Read the case of that number, or of that order; raises `CaseError`."""
    id_ = views.case_id(tx, name)
    line, playbook = views_line(tx, id_)
    facts = chain.load(tx, [id_])[id_]
    done = effects.of_cases(tx, [id_])[id_]
    open_ones = effects.of_cases(tx, [id_], unsettled=True)[id_]
    open_ones = [e for e in open_ones if e.state is not EffectState.QUARANTINED]
    blocked = next((str(hold) for hold in holds.current(tx, line.shop) if not hold.step), "")
    snapshot = fold(
        facts,
        case=id_,
        shop=line.shop,
        number=line.number,
        pending=map(effects.pending, open_ones),
        blocked=blocked,
    )
    body = intake.pinned(tx, "playbook").get(playbook)
    pinned = Playbook.model_validate_json(body) if body else Playbook()
    lists = approvals.listing(tx, shop=line.shop, open_only=True)
    asked = [(one, item) for one in lists for item in one.waiting if item.case == id_]
    open_tasks = [task for task in ledger_tasks.listing(tx, shop=line.shop) if task.case == id_]
    waiting = len(inbox.waiting(tx, line.shop, [id_]).get(id_, ()))
    return Record(
        line, facts, snapshot, done, open_tasks, asked, pinned, persons.load(tx, [id_])[id_], waiting
    )


def views_line(tx: Tx, id_: int) -> tuple[CaseLine, str]:
    """The case's line in the list, and the version of the playbook that it began with."""
    from sqlalchemy import select

    from amends.ledger.schema import cases

    row = tx.execute(select(cases.c.number, cases.c.shop, cases.c.playbook).where(cases.c.id == id_)).one()
    line = next(one for one in views.case_lines(tx, shop=row.shop, number=row.number) if one.id == id_)
    return line, row.playbook


def decided(record: Record, settings: Settings, now: datetime) -> Next | None:
    """What is decided about it at that time; None where config no longer has its shop or plugins."""
    name = record.line.shop
    try:
        shop, registry = settings.shop(name), open_registry(settings)
        desk = registry.connector(shop.desk_name)
        can = {op: found.how for op, found in registry.connector(shop.connector).operations.items()}
        can |= {op: desk.operation(op).how for op in ("complain", "respond", "arbitrate", "ruling")}
        if any(channel != "platform" for channel in settings.playbook_of(name).channels):
            can["message"] = "api"
        able = {op: how for op, how in can.items() if how != "unsupported"}
        return decide(record.snapshot, now, Terms(record.playbook, rule_book(settings, name, registry), able))
    except AmendsError:
        return None


def told(record: Record, settings: Settings, now: datetime, *, texts: bool) -> dict[str, Any]:
    """The story as `amends case --json` prints it."""
    line, snapshot, answer = record.line, record.snapshot, decided(record, settings, now)
    order = snapshot.order
    return {
        "case": line.id,
        "shop": line.shop,
        "number": line.number,
        "generation": line.generation,
        "stage": answer.stage if answer else line.stage,
        "outcome": line.outcome,
        "opened_at": line.opened_at,
        "closed_at": line.closed_at,
        "due_at": line.due_at,
        "order": order.public().model_dump(mode="json", exclude_defaults=True) if order else None,
        "penalty": snapshot.penalty,
        "next": {
            "do": answer.do if answer else "",
            "step": answer.step if answer else line.next_step or None,
            "at": _when(record, answer),
            "why": answer.why if answer else line.why,
        },
        "timeline": [
            {
                "seq": fact.seq,
                "at": fact.at,
                "actor": fact.actor,
                "kind": fact.body.kind,
                "told": tell(fact),
                **({"text": _text(record, fact)} if texts and _text(record, fact) else {}),
            }
            for fact in record.facts
        ],
        "effects": [
            {
                "key": e.key,
                "step": e.step,
                "round": e.round,
                "kind": e.kind,
                "via": e.via,
                "class": e.effect_class,
                "state": e.state,
                "attempt": e.attempt,
                "amount": e.amount,
                "planned_at": e.planned_at,
                "sent_at": e.sent_at,
                "settled_at": e.settled_at,
                "ref": e.ref,
                "error": e.error,
            }
            for e in record.effects
        ],
        "tasks": [
            {"task": t.id, "kind": t.kind, "due_at": t.due_at, "place": t.place, "choices": t.choices}
            for t in record.tasks
        ],
        "approvals": [
            {"list": one.id, "what": item.what, "amount": item.amount, "expires_at": one.expires_at}
            for one, item in record.approvals
        ],
    }


def show(record: Record, settings: Settings, now: datetime, *, texts: bool) -> None:
    """The story for a terminal, times in the shop's zone."""
    line, snapshot = record.line, record.snapshot
    zone = zone_of(settings, line.shop)
    again = f", generation {line.generation}" if line.generation > 1 else ""
    say(f"case {line.id}: order {line.number}, shop {line.shop}{again} (times in {zone})")
    order = snapshot.order
    if order is not None:
        state = judge(order, now=now, rules=_rules(settings, line.shop), agreed=snapshot.agreed)
        after = f", after-sales {order.after_sales.value}" if order.after_sales.value != "none" else ""
        stake = f", at stake {snapshot.penalty}" if snapshot.penalty else ""
        say(
            f"order    {order.amount}, placed {local(order.placed_at, zone)}, "
            f"{order.status.value}{after}{stake}"
        )
        say(
            f"ship by  {local(state.ship_by, zone)} ({state.ship_by_source or 'unknown'}): "
            f"{state.state.value}, {state.why}"
        )
    answer = decided(record, settings, now)
    stage = answer.stage.value if answer else line.stage
    say(f"stage    {stage}" + (f": {line.outcome}, {local(line.closed_at, zone)}" if line.outcome else ""))
    if not line.outcome:
        say(f"next     {_next(record, answer, now, zone)}")
    if record.waiting:
        say(f"         {record.waiting} answers in the inbox wait for the next sweep")
    say("", "What happened")
    for fact in record.facts:
        first, *more = indented(f"{local(fact.at, zone)}  {_line(fact, zone)}", "  ")
        say(first, *("  " + rest for rest in more))
        text = _text(record, fact)
        if text and texts:
            say(*indented(text, "      | "))
    if not texts and any(_text(record, fact) for fact in record.facts):
        say("  (--texts shows what was written and answered)")
    if record.effects:
        rows = [
            (
                e.kind,
                e.round or "",
                e.via,
                e.state.value,
                e.attempt,
                local(e.sent_at, zone),
                e.amount,
                e.error or e.ref,
            )
            for e in record.effects
        ]
        columns: list[str | Column] = [
            "effect",
            Column("round", right=True),
            "via",
            "state",
            Column("tries", right=True),
            "sent",
            Column("amount", right=True),
            Column("reference or error", wide=True),
        ]
        table(columns, rows, title="Effects")
    for task in record.tasks:
        say("", f"task {task.id}: {task.kind}, due {local(task.due_at, zone)}; `amends task show {task.id}`")
    for one, item in record.approvals:
        amount = f" of {item.amount}" if item.amount else ""
        say(
            "",
            f"approval {one.id}: {item.what}{amount}, until {local(one.expires_at, zone)}; "
            f"`amends approve {one.id} --by NAME`",
        )


def _line(fact: Fact, zone: tzinfo) -> str:
    """A fact in words: who, what and why, its times in the shop's zone."""

    def there(match: re.Match[str]) -> str:
        return local(datetime.fromisoformat(match[1]).replace(tzinfo=UTC), zone)

    words = _UTC.sub(there, tell(fact))
    return words if words.startswith(f"{fact.actor}: ") else f"{fact.actor}: {words}"


def _rules(settings: Settings, shop: str) -> Any:
    from amends.cases.rules import RuleBook

    return (
        rule_book(settings, shop, open_registry(settings, quiet=True))
        if shop in settings.shops
        else RuleBook()
    )


def _when(record: Record, answer: Next | None) -> datetime | None:
    return answer.at if answer is not None and answer.at is not None else record.line.due_at


def _next(record: Record, answer: Next | None, now: datetime, zone: Any) -> str:
    """What happens next and when, with the why."""
    at = _when(record, answer)
    when = "the next sweep" if at is None or at <= now else local(at, zone)
    if answer is None:
        return f"{record.line.next_step or record.line.stage}, {when}: {record.line.why}"
    match answer.do:
        case "step":
            return f"{answer.step.value if answer.step else ''} with the next sweep: {answer.why}"
        case "wait":
            return f"waits until {when}: {answer.why}"
        case "person":
            return f"waits for a person: {answer.why}"
        case "ask":
            return f"with the next sweep: {answer.why}"
        case "close" | "record":
            return f"with the next sweep: {answer.why}"
    return answer.why


def _text(record: Record, fact: Fact) -> str:
    """What was written or answered with that fact; empty where there is none, or it was erased."""
    body = fact.body
    if isinstance(body, Replied):
        return record.kept.get(f"reply:{body.event}", b"").decode(errors="replace")
    if isinstance(body, Contacted | Filed):
        stored = record.kept.get(f"request:{body.effect}")
        if stored is not None:
            texts = json.loads(stored)
            return "\n\n".join(str(texts[name]) for name in ("subject", "text") if texts.get(name))
    return ""
