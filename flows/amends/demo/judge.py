"""Judges a demo: compares what the ledger says with what the sandbox's journal says happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from amends.cases import facts as f
from amends.cases.lateness import State, judge
from amends.cases.money import Money
from amends.cases.orders import Order
from amends.cases.snapshot import Snapshot, fold
from amends.cases.stages import look, stage
from amends.ledger import Tx, chain, effects, tasks, views
from amends.ledger.effects import Effect, EffectState
from amends.ledger.schema import orders as orders_table
from amends.steps.shop import Shop
from amends.testing.journal import Entry, duplicates

JUDGED = ("message", "grant", "extend", "complain", "respond", "arbitrate", "note")
"""Acts that the sandbox writes in its journal."""


@dataclass(slots=True)
class Evidence:
    """Everything that a judgement is made from."""

    snapshots: dict[int, Snapshot]
    effects: list[Effect]
    tasks: list[tasks.Task]
    orders: list[Order]
    forgotten: list[int]
    quarantined: int
    chains: chain.Report


def gather(tx: Tx, shop: str) -> Evidence:
    """Read it all in one transaction."""
    lines = views.case_lines(tx, shop=shop)
    facts = chain.load(tx, [line.id for line in lines]) if lines else {}
    snapshots = {line.id: fold(facts[line.id], case=line.id, shop=shop, number=line.number) for line in lines}
    done = effects.of_cases(tx, [line.id for line in lines]) if lines else {}
    known = [
        Order.model_validate_json(r.snapshot)
        for r in tx.execute(select(orders_table).where(orders_table.c.shop == shop))
    ]
    uncertain = (fact.body for case in facts.values() for fact in case if fact.body.kind == "uncertain")
    quarantined = sum(body.quarantined for body in uncertain)
    return Evidence(
        snapshots, [e for case in done.values() for e in case], tasks.listing(tx, shop=shop, open_only=False), known,
        views.forgotten(tx), quarantined, chain.verify(tx),
    )  # fmt: skip


def judgement(
    found: Evidence, journal: Sequence[Entry], shop: Shop, *, seed: int, now: datetime, seconds: float
) -> dict[str, Any]:
    """The demo's result as the command prints it: the same for the same seed, but for `seconds`."""
    states = Counter(
        judge(o, now=now, rules=shop.rules, warn=shop.playbook.at_risk_before).state for o in found.orders
    )
    cases = list(found.snapshots.values())
    stages = Counter(line for line in (_stage(shop, case, now) for case in cases) if line)
    outcomes = Counter(case.outcome.value for case in cases if case.outcome is not None)
    by_kind: dict[str, Counter[str]] = {}
    for effect in found.effects:
        by_kind.setdefault(effect.kind, Counter())[effect.state.value] += 1
    return {
        "orders": len(found.orders),
        "late": sum(n for state, n in states.items() if state.late),
        "at_risk": states[State.AT_RISK],
        "cases": {
            "total": len(cases),
            "outcomes": dict(sorted(outcomes.items())),
            "stages": dict(sorted(stages.items())),
        },
        "effects": {kind: dict(sorted(counts.items())) for kind, counts in sorted(by_kind.items())},
        "duplicates": len(duplicates(list(journal))),
        "lost": len(lost(found, journal, now)),
        "quarantined": found.quarantined,
        "money": _money(cases, found.orders, shop, now),
        "evidence": {
            "chains": found.chains.chains,
            "verified": found.chains.verified,
            "broken": found.chains.broken,
        },
        "tasks": _tasks(found.tasks),
        "seconds": round(seconds, 1),
        "seed": seed,
    }


def lost(found: Evidence, journal: Sequence[Entry], now: datetime) -> list[str]:
    """Acts that one side knows and the other does not, remedies owed and gone, and cases that nobody will look at."""
    there = {(entry.order, entry.kind, entry.round) for entry in journal}
    known = {(e.number, e.kind, e.round): e for e in found.effects if e.op in JUDGED}
    missing = [f"case {case} is open without a due time" for case in found.forgotten]
    for (order, kind, round_), effect in known.items():
        if effect.state is EffectState.CONFIRMED and (order, kind, round_) not in there:
            missing.append(f"{order}: {kind} {round_} is confirmed, but the platform has none")
    for order, kind, round_ in sorted(there):
        settled = known.get((order, kind, round_))
        if settled is None:
            missing.append(f"{order}: the platform has {kind} {round_}, the ledger knows of none")
        elif settled.state in (EffectState.PLANNED, EffectState.REJECTED):
            missing.append(
                f"{order}: the platform has {kind} {round_}, the ledger says {settled.state.value}"
            )
        elif settled.state in (EffectState.SENT, EffectState.UNKNOWN) and (
            settled.look_at is None or settled.look_at < now
        ):
            missing.append(f"{order}: the platform has {kind} {round_}, the ledger never learnt of it")
    for case in found.snapshots.values():
        if case.outcome is None or case.order is None:
            continue
        for offer in case.rounds:
            if offer.owes_remedy(case.order):
                missing.append(f"{case.number}: closed while {offer.remedy_due(case.order)} was owed")
    return missing


def _stage(shop: Shop, case: Snapshot, now: datetime) -> str:
    return "" if case.outcome is not None else stage(look(case, now, shop.terms(""))).value


def _money(
    cases: Sequence[Snapshot], known: Sequence[Order], shop: Shop, now: datetime
) -> dict[str, dict[str, str]]:
    sums: dict[str, dict[str, int]] = {
        "offered": {}, "settled": {}, "paid_back": {}, "penalty_at_stake": {},
    }  # fmt: skip

    def add(what: str, money: Money | None) -> None:
        if money is not None:
            sums[what][money.currency] = sums[what].get(money.currency, 0) + money.minor

    for case in cases:
        for round_ in case.rounds:
            if round_.contacted_at is not None and round_.offer.remedy is not None:
                add("offered", round_.offer.remedy.amount)
            remedy = round_.remedy_due(case.order) if case.order is not None else None
            if round_.settled_at is not None and remedy is not None:
                add("paid_back" if round_.answer is f.Answer.CANCEL else "settled", remedy.amount)
    for order in known:
        late = judge(order, now=now, rules=shop.rules, warn=shop.playbook.at_risk_before)
        cost = (
            shop.rules.penalty(order, late.ship_by) if late.state.late and late.ship_by is not None else None
        )
        add("penalty_at_stake", cost[0] if cost else None)
    return {
        what: {
            currency: str(Money(minor=minor, currency=currency).decimal)
            for currency, minor in sorted(by.items())
        }
        for what, by in sums.items()
    }


def _tasks(found: Sequence[tasks.Task]) -> dict[str, Any]:
    kinds = Counter(task.kind for task in found)
    done = sum(task.done_at is not None for task in found)
    return {
        "opened": len(found),
        "done": done,
        "open": len(found) - done,
        "kinds": dict(sorted(kinds.items())),
    }


def stories(found: Evidence) -> dict[str, int]:
    """How often each of the stories occurred that the demo is to show."""
    count: Counter[str] = Counter()
    for case in found.snapshots.values():
        answers = [r.answer for r in case.rounds]
        acted = {act.instance for act in case.acts if act.filed_at is not None}
        silent = any(r.silent for r in case.rounds)
        messages = sum(r.contacted_at is not None for r in case.rounds)
        accepted = [r for r in case.rounds if r.accepted]
        count["accepted and settled"] += any(r.accepted and r.settled_at is not None for r in case.rounds)
        count["declined, then complained"] += f.Answer.DECLINE in answers and "complaint" in acted
        count["silent"] += silent
        count["countered"] += any(
            r.counter_ship_by is not None or r.counter_remedy is not None for r in case.rounds
        )
        count["arbitration"] += "arbitration" in acted
        count["legal task"] += "legal" in acted
        count["shipped meanwhile, no message"] += case.outcome is f.Outcome.SHIPPED and messages == 0
        count["already refunded, no message"] += case.outcome is f.Outcome.REFUNDED and messages == 0
        saved = case.outcome is f.Outcome.SETTLED and case.opened_why.startswith("at-risk")
        count["at risk, saved by an agreed extension"] += saved and any(r.extended_until for r in case.rounds)
        count["promise broken a second time"] += len(accepted) >= 2 and case.outcome is not f.Outcome.SETTLED
        count["stalled parcel"] += "stalled" in case.opened_why
        count["refund reviewed by the platform"] += any(
            r.requested_at is not None or r.reviews for r in case.rounds
        )
    return dict(count)
