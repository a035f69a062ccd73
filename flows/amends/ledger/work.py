"""The transactions of a worker: claim due cases, plan their effects, mark a window sent, conclude.

An outcome under a lost lease is refused: whoever took the case over settles what we left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, false, null, select, update

from amends.cases import facts as f
from amends.cases.money import Money
from amends.cases.snapshot import Snapshot
from amends.ledger import approvals, budgets, chain, effects, holds, inbox, leases, notes, persons, tasks
from amends.ledger.database import Tx
from amends.ledger.each import Each
from amends.ledger.many import Many
from amends.ledger.schema import cases, maybe_ticks, orders, ticks

_DUE = (
    select(cases.c.id)
    .where(
        cases.c.shop == bindparam("of"),
        cases.c.due_at.is_not(None),
        cases.c.due_at <= bindparam("now"),
        leases.FREE,
    )
    .order_by(cases.c.due_at, cases.c.id)
    .limit(bindparam("at_most", type_=Integer))
)
_TAKE = Each(
    lambda among, locked: (
        update(cases)
        .where(among(cases.c.id))
        .values(
            lease_owner=bindparam("owner"),
            lease_until=bindparam("until"),
            epoch=cases.c.epoch + 1,
            wake=False,
        )
        .returning(
            cases.c.id, cases.c.number, cases.c.epoch, cases.c.playbook, cases.c.policy, cases.c.failures
        )
    )
)
_KEEP = Each(
    lambda among, locked: update(cases).where(among(cases.c.id)).values(lease_until=bindparam("until"))
)
_WATCHED = Each(
    lambda among, locked: select(orders.c.number, orders.c.observed_at).where(
        orders.c.shop == bindparam("of"), among(orders.c.number)
    )
)
_LEASED = Each(
    lambda among, locked: locked(
        select(cases.c.id, cases.c.epoch, cases.c.wake)
        .where(among(cases.c.id), cases.c.lease_owner.is_not(None))
        .order_by(cases.c.id)
    )
)
_ENDED = ("stage", "why", "next_step", "failures")
_LET_GO = Many(
    lambda tx: (
        update(cases)
        .where(cases.c.id == bindparam("c"))
        .values(
            **{name: bindparam(name) for name in (*_ENDED, "due_at", "outcome", "closed_at", "closed_state")},
            lease_owner=null(), lease_until=null(), wake=false(),
        )
    )
)  # fmt: skip
_KEEP_ON = Many(
    lambda tx: (
        update(cases)
        .where(cases.c.id == bindparam("c"))
        .values(**{name: bindparam(name) for name in _ENDED}, lease_until=bindparam("until"))
    )
)


@dataclass(slots=True)
class Claim:
    """A case held by this worker: its lease's epoch, its snapshot, its unsettled effects, the versions it began with."""

    id: int
    shop: str
    number: str
    epoch: int
    playbook: str
    policy: str
    failures: int
    snapshot: Snapshot
    effects: list[effects.Effect] = field(default_factory=list)
    held_steps: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Yes:
    """The approval that an effect needs: used up by its plan."""

    what: str
    version: int
    amount: Money | None = None


@dataclass(slots=True)
class Plan:
    """What one case is about to do."""

    claim: Claim
    drafts: list[effects.Draft] = field(default_factory=list)
    facts: list[chain.New] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)  # inbox events that are facts now
    share: budgets.Share | None = None
    yes: Yes | None = None
    written: list[f.Fact] = field(default_factory=list)  # by the plan, once it is written


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan was not written: `lost`, `changed`, `held`, `cap` (with its name) or `approval`."""

    kind: str
    why: str


@dataclass(slots=True)
class End:
    """How one case leaves a worker's hands for now: new facts, changed effects, and when it is due again."""

    claim: Claim
    facts: list[chain.New] = field(default_factory=list)
    changes: list[effects.Change] = field(default_factory=list)
    tasks: list[tasks.Opening] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    release_rounds: list[int] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # approvals of acts that certainly were not done
    applied: list[str] = field(default_factory=list)  # inbox events that are facts now
    seen_tasks: list[str] = field(default_factory=list)  # effects whose tasks the platform's state has done
    notes: list[effects.Draft] = field(default_factory=list)  # for the back office; written once, sent apart
    ask: approvals.Item | None = None
    ask_expires: datetime | None = None
    due_at: datetime | None = None
    stage: str = ""
    why: str = ""
    next_step: str = ""
    outcome: f.Outcome | None = None
    closed_state: str = ""
    failures: int = 0
    keep: bool = False  # the worker goes on with this case: the lease stays


def claim(
    tx: Tx, shop: str, owner: str, *, now: datetime, limit: int, only: Sequence[int] | None = None
) -> list[Claim]:
    """Take a lease on due cases, soonest first, and load what is needed to decide on them."""
    query = _DUE if only is None else _DUE.where(cases.c.id.in_(list(only)))
    if tx.postgres:
        query = query.with_for_update(skip_locked=True)
    ripe = {"of": shop, "now": ticks(now), "real_now": leases.real_ticks(), "at_most": limit}
    ids: list[int] = list(tx.execute(query, ripe).scalars())
    if not ids:
        return []
    rows = {row.id: row for row in _TAKE(tx, ids, owner=owner, until=leases.lease_end()).all()}
    open_effects = effects.of_cases(tx, ids, unsettled=True)
    blocks = holds.current(tx, shop)
    block = next((str(h) for h in blocks if not h.step), "")
    held_steps = {h.step: str(h) for h in blocks if h.step}
    watched = _WATCHED(tx, [row.number for row in rows.values()], of=shop)
    seen: dict[str, int] = dict(iter(watched.tuples()))
    claims = {}
    for id_ in ids:
        _, number, epoch, playbook, policy, failures = rows[id_]
        open_ = open_effects[id_]
        pending = [effects.pending(e) for e in open_ if e.state is not effects.EffectState.QUARANTINED]
        snapshot = Snapshot(id_, shop, number, pending=tuple(pending), blocked=block)
        claims[id_] = Claim(id_, shop, number, epoch, playbook, policy, failures, snapshot, open_, held_steps)
    for id_, seq, at, _, body in chain.told(tx, ids):
        claims[id_].snapshot.take(seq, at, body)
    for item in claims.values():
        looked = item.snapshot.observed_at
        item.snapshot.outdated = looked is not None and seen.get(item.number, 0) > ticks(looked)
    return list(claims.values())


def plan(tx: Tx, plans: Sequence[Plan], now: datetime) -> dict[int, dict[str, effects.Effect] | Refusal]:
    """Write what these cases are about to do: budget, approvals, facts and effects, all or (per case) nothing."""
    if not plans:
        return {}
    state = _leased(tx, [p.claim for p in plans])
    blocks = holds.current(tx, plans[0].claim.shop)
    known = effects.by_key(tx, [draft.key for item in plans for draft in item.drafts])
    till = budgets.Till(tx, [item.share for item in plans if item.share is not None], now)
    answer: dict[int, dict[str, effects.Effect] | Refusal] = {}
    good: list[Plan] = []
    for item in plans:
        claim_ = item.claim
        if claim_.id not in state:
            answer[claim_.id] = Refusal("lost", "another worker has taken the case over")
            continue
        if state[claim_.id]:
            answer[claim_.id] = Refusal(
                "changed", "something about the case came in meanwhile: look again first"
            )
            continue
        steps = {draft.step.value for draft in item.drafts}
        block = next((h for h in blocks for step in steps if h.bears_on(claim_.shop, step)), None)
        if block is not None:
            answer[claim_.id] = Refusal("held", str(block))
            continue
        fresh = any(
            d.key not in known or known[d.key].state is effects.EffectState.REJECTED for d in item.drafts
        )
        refusal = _allow(tx, item, till, fresh, now)
        if refusal is not None:
            answer[claim_.id] = refusal
            continue
        good.append(item)
    till.close()
    epochs = {item.claim.id: item.claim.epoch for item in good}
    stored = effects.plan(tx, [draft for item in good for draft in item.drafts], epochs, now, known=known)
    persons.store(tx, {item.claim.id: item.texts for item in good if item.texts})
    written = chain.append(tx, {item.claim.id: item.facts for item in good})
    for item in good:
        item.written = written.get(item.claim.id, [])
        if item.applied:
            inbox.applied(tx, item.claim.shop, item.applied, item.claim.id, now)
        answer[item.claim.id] = {draft.key: stored[draft.key] for draft in item.drafts}
    return answer


def _allow(tx: Tx, item: Plan, till: budgets.Till, fresh: bool, now: datetime) -> Refusal | None:
    """Use up the yes that a plan needs and take its share of the caps, both or neither; why not, where one is missing."""
    case, yes, share = item.claim.id, item.yes, item.share
    cap = till.refusal(share) if share is not None else ""
    if yes is not None and fresh:
        if cap or not approvals.use(tx, case, yes.what, version=yes.version, amount=yes.amount, now=now):
            return (
                Refusal("cap", cap)
                if cap
                else Refusal("approval", f"no approval fits {yes.what} as it stands")
            )
    if cap:
        return Refusal("cap", cap)
    if share is not None:
        till.take(share)
    return None


def mark_sent(
    tx: Tx,
    claims: Sequence[Claim],
    sending: Mapping[int, Sequence[effects.Effect | effects.Draft]],
    now: datetime,
) -> dict[int, persons.Kept]:
    """Move a window's effects to `sent`; answers with the cases that may go out (leased still, not held, nothing
    about them came in meanwhile), each with
    what is kept for its requests. Their leases begin anew: see `leases.last_send`.
    """
    state = _leased(tx, claims)
    blocks = holds.current(tx, claims[0].shop) if claims else []
    ready = []
    for item in claims:
        steps = {effect.step.value for effect in sending[item.id]}
        if state.get(item.id) is False and not any(
            h.bears_on(item.shop, step) for h in blocks for step in steps
        ):
            ready.append(item.id)
    effects.mark_sent(tx, [effect.key for case in sorted(ready) for effect in sending[case]], now)
    if ready:
        _KEEP(tx, sorted(ready), until=leases.lease_end())
    return persons.load_with_keys(tx, sorted(ready))


def conclude(tx: Tx, ends: Sequence[End], now: datetime) -> tuple[dict[int, list[f.Fact]], set[int]]:
    """Write what came of a window in one go: effects, facts, tasks, budgets given back, due times, freed claims.

    Answers with the facts as written, and the cases whose lease was lost, of which nothing was written.
    """
    state = _leased(tx, [end.claim for end in ends])
    lost = {end.claim.id for end in ends} - set(state)
    kept = [end for end in ends if end.claim.id in state]
    if not kept:
        return {}, lost
    for end in kept:
        if state[end.claim.id] and end.outcome is not None:
            _stay_open(end)
    effects.change(tx, [change for end in kept for change in end.changes], now)
    notes.add(tx, [(draft, end.claim.epoch) for end in kept for draft in end.notes], now)
    persons.store(tx, {end.claim.id: end.texts for end in kept if end.texts})
    for end in kept:
        for opening in end.tasks:
            number = tasks.open_task(tx, opening, now)
            body = f.TaskOpened(
                task=str(number), what=opening.kind, effect=opening.effect, due_at=opening.due_at
            )
            if number not in tasks.known(end.claim.snapshot):
                end.facts.append(chain.New(body, now))
        for effect in end.seen_tasks:
            for number in tasks.drop_for_effect(tx, effect, outcome="seen", now=now):
                done = f.TaskDone(
                    task=str(number), what="", outcome="seen", by="platform", note="seen by its own state"
                )
                end.facts.append(chain.New(done, now))
        for round_ in end.release_rounds:
            budgets.release(tx, end.claim.id, round_, now)
        for what in end.unused:
            approvals.give_back(tx, end.claim.id, what)
        if end.applied:
            inbox.applied(tx, end.claim.shop, end.applied, end.claim.id, now)
    _freeze(tx, kept, now)
    written = chain.append(tx, {end.claim.id: end.facts for end in kept})
    tasks.drop_of_closed(tx, [end.claim.id for end in kept if end.outcome is not None], now)
    let_go, kept_on = [], []
    for end in kept:
        row: dict[str, Any] = {
            "c": end.claim.id, "stage": end.stage, "why": end.why, "next_step": end.next_step, "failures": end.failures,
        }  # fmt: skip
        if end.keep:
            kept_on.append(row)
            continue
        row |= {
            "due_at": ticks(now) if state[end.claim.id] else maybe_ticks(end.due_at),
            "outcome": end.outcome.value if end.outcome else None,
            "closed_at": ticks(now) if end.outcome else None,
            "closed_state": end.closed_state if end.outcome else None,
        }
        let_go.append(row)
    _LET_GO(tx, let_go)
    until = leases.lease_end()
    _KEEP_ON(tx, [row | {"until": until} for row in kept_on])
    return written, lost


def _stay_open(end: End) -> None:
    """Something came in (a cancel, say) after this end was decided: the case is decided anew with it."""
    end.facts = [new for new in end.facts if not isinstance(new.body, f.Closed)]
    end.notes = []  # found again when it is written next
    end.outcome, end.stage, end.why = None, "verify", "something came in just before it was closed"


def _freeze(tx: Tx, ends: Sequence[End], now: datetime) -> None:
    """Put what waits for a yes on lists: one per kind and expiry, so that a person decides many acts at once."""
    lists: dict[tuple[str, str, datetime], list[End]] = {}
    for end in ends:
        if end.ask is not None and end.ask_expires is not None:
            kind = end.ask.what.partition(":")[0]
            detail = end.ask.what.partition(":")[2]
            name = kind if detail.isdigit() else detail
            lists.setdefault((end.claim.shop, name, end.ask_expires), []).append(end)
    for (shop, name, expires), waiting in lists.items():
        items = [end.ask for end in waiting if end.ask is not None]
        list_id = approvals.freeze(tx, shop, name, items, now=now, expires_at=expires)
        for end, item in zip(waiting, items, strict=True):
            body = f.ApprovalAsked(
                what=item.what, list=list_id, amount=item.amount, version=item.version, expires_at=expires
            )
            end.facts.append(chain.New(body, now))


def append_outside(
    tx: Tx, case: int, bodies: Sequence[f.FactBody], *, actor: str, now: datetime
) -> list[f.Fact]:
    """Append what a person or the platform did to a case, and make it due at once, whoever holds its lease."""
    written = chain.append(tx, {case: [chain.New(body, now, actor) for body in bodies]})
    tx.execute(
        update(cases)
        .where(cases.c.id == case, cases.c.outcome.is_(None))
        .values(due_at=ticks(now), wake=True)
    )
    return written.get(case, [])


def _leased(tx: Tx, claims: Sequence[Claim]) -> dict[int, bool]:
    """Which of these leases are still ours (by epoch), each with whether its case was woken meanwhile."""
    epochs = {item.id: item.epoch for item in claims}
    return {row.id: row.wake for row in _LEASED(tx, epochs).all() if row.epoch == epochs[row.id]}
