"""What people do: answer for a customer, finish tasks, approve, hold, release, erase. Each is a fact with a name on it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select, update

from amends.cases import facts as f
from amends.cases.moves import approval_name
from amends.cases.offers import Remedy
from amends.cases.playbook import Playbook
from amends.cases.snapshot import Snapshot, fold
from amends.errors import ApprovalError, CaseError
from amends.hooks.requests import Receipt
from amends.ledger import Tx, approvals, budgets, chain, effects, holds, inbox, intake, persons, tasks, work
from amends.ledger.effects import Change, EffectState
from amends.ledger.schema import cases, ticks
from amends.steps import outcomes
from amends.steps.turns import given_back


def reply(
    tx: Tx, case: int, answer: f.Answer, *, by: str, now: datetime, ship_by: datetime | None = None,
    remedy: Remedy | None = None, note: str = "",
) -> f.Fact:  # fmt: skip
    """Record a customer's answer that reached us some other way. Raises `CaseError` where no offer is out."""
    snapshot = _open(tx, case)
    last = snapshot.last
    if last is None or last.contacted_at is None:
        raise CaseError(f"case {case} has no offer that could be answered")
    if last.answer is not None and not last.silent and answer is not f.Answer.CANCEL:
        raise CaseError(f"offer {last.number} of case {case} was already answered: {last.answer.value}")
    texts = {f"reply:by-hand-{snapshot.count}": note.encode()} if note else {}
    persons.store(tx, {case: texts} if texts else {})
    body = f.Replied(
        round=last.number,
        answer=answer,
        event=f"by-hand-{snapshot.count}",
        via="by-hand",
        ship_by=ship_by,
        remedy=remedy,
    )
    return _append(tx, case, [body], by, now)[-1]


def finish_task(
    tx: Tx,
    id_: int,
    outcome: str,
    *,
    by: str,
    now: datetime,
    note: str = "",
    files: Mapping[str, bytes] | None = None,
) -> list[f.Fact]:
    """Finish a task: its effect is settled by what the person says, in one transaction. Answers with the new facts."""
    task = tasks.finish(tx, id_, outcome=outcome, by=by, now=now)
    kept = {
        f"file:{hashlib.sha256(content).hexdigest()[:8]}-{name}": content
        for name, content in (files or {}).items()
    }
    persons.store(tx, {task.case: kept} if kept else {})
    digests = tuple(hashlib.sha256(content).hexdigest() for content in (files or {}).values())
    bodies: list[f.FactBody] = [
        f.TaskDone(task=str(id_), what=task.kind, outcome=outcome, by=by, note=note, files=digests)
    ]
    snapshot = _snapshot(tx, task.case)
    if snapshot.outcome is None:
        bodies += _consequences(tx, task, snapshot, outcome, by=by, note=note, now=now)
    return _append(tx, task.case, bodies, by, now)


def _consequences(
    tx: Tx, task: tasks.Task, snapshot: Snapshot, outcome: str, *, by: str, note: str, now: datetime
) -> list[f.FactBody]:
    if task.kind == "read-reply":
        last = next((r for r in reversed(snapshot.rounds) if r.contacted_at is not None), None)
        if outcome == "nothing" or last is None:
            return []
        event = task.effect.removeprefix("reply:")
        return [f.Replied(round=last.number, answer=f.Answer(outcome), event=event, via="read by a person")]
    effect = effects.by_key(tx, [task.effect]).get(task.effect)
    if effect is None or effect.state.settled:
        return []
    playbook = _playbook(tx, task.case)
    if task.kind.startswith("find-out:"):
        if outcome == "not-done":  # certainly not done: it may be sent as stored
            effects.change(tx, [Change(effect.key, EffectState.PLANNED)], now)
            return [f.Cleared(effect=effect.key, done=False, by=by, note=note)]
        effects.change(tx, [Change(effect.key, EffectState.CONFIRMED, ref=f"by {by}")], now)
        body = outcomes.confirmed(effect, _done(effect, f"by {by}"), at=now, playbook=playbook)
        cleared = f.Cleared(effect=effect.key, done=True, by=by, note=note)
        return [cleared, body] if body is not None else [cleared]
    if effect.op in ("legal", "ruling"):
        effects.change(tx, [Change(effect.key, EffectState.CONFIRMED, ref=note[:80])], now)
        verdict = outcomes.as_verdict(outcome)
        act = snapshot.open_act
        if verdict is None or act is None:
            return []
        return [f.Ruled(instance=act.instance, verdict=verdict, by=by, note=note)]
    if outcome in ("told", "accept", "decline", "counter", "cancel"):  # a telephone call
        effects.change(tx, [Change(effect.key, EffectState.CONFIRMED, ref=f"call by {by}")], now)
        told = outcomes.confirmed(effect, Receipt(ref=f"call by {by}"), at=now, playbook=playbook)
        spoken: list[f.FactBody] = [told] if told is not None else []
        if outcome != "told":
            answer = f.Answer(outcome)
            spoken.append(f.Replied(round=effect.round, answer=answer, event=f"call-{task.id}", via="call"))
        return spoken
    if outcome == "done":
        receipt = _done(effect, note[:80])
        effects.change(tx, [Change(effect.key, EffectState.CONFIRMED, ref=note[:80])], now)
        body = outcomes.confirmed(effect, receipt, at=now, playbook=playbook)
    else:
        effects.change(
            tx, [Change(effect.key, EffectState.REJECTED, error=note or "a person could not do it")], now
        )
        body = outcomes.rejected(effect, note or "a person could not do it")
        if body is None:  # another way may be tried with the same yes
            approvals.give_back(tx, task.case, approval_name(effect.step, effect.round))
    return [body] if body is not None else []


def _done(effect: effects.Effect, ref: str) -> Receipt:
    """What a person saw done. A refund counts as asked for until the order itself shows the money back."""
    return Receipt(state="requested" if effect.kind == "grant:refund" else "done", ref=ref)


def approve(
    tx: Tx, list_id: str, *, by: str, now: datetime, exceptions: Sequence[int] = (), yes: bool = True, why: str = "",
    approvers: Sequence[str] | None = None,
) -> approvals.Decision:  # fmt: skip
    """A named person's yes (but to these cases) or no to a frozen list. Only people named in config may decide."""
    if approvers is not None and by not in approvers:
        raise ApprovalError(f"{by} is not an approver; config names: {', '.join(approvers) or 'nobody'}")
    listing = approvals.get(tx, list_id)
    on_list = {item.case for item in listing.waiting}
    unknown = sorted(set(exceptions) - on_list)
    if unknown:
        raise ApprovalError(f"list {list_id} has no waiting act of case {', '.join(map(str, unknown))}")
    if not exceptions:
        return approvals.decide(tx, list_id, by=by, approve=yes, now=now, why=why)
    rest = sorted(on_list - set(exceptions))
    refused = approvals.decide(
        tx, list_id, by=by, approve=not yes, now=now, only=list(exceptions), why=why or "excepted"
    )
    done = (
        approvals.decide(tx, list_id, by=by, approve=yes, now=now, only=rest, why=why)
        if rest
        else approvals.Decision()
    )
    return approvals.Decision(
        done.approved + refused.approved,
        done.refused + refused.refused,
        done.half + refused.half,
        done.stale + refused.stale,
    )


def hold(
    tx: Tx, *, by: str, why: str, now: datetime, case: int | None = None, shop: str = "", step: str = ""
) -> None:
    """Stop a case, a shop or a step; nothing of it is sent from the next check on."""
    if case is not None:
        _open(tx, case)
        _append(tx, case, [f.Held(why=why, by=by)], by, now)
    else:
        holds.hold(tx, shop=shop, step=step, by=by, why=why, at=now)


def release(
    tx: Tx, *, by: str, now: datetime, case: int | None = None, shop: str = "", step: str = "", why: str = "",
    approvers: Collection[str] = (),
) -> int:  # fmt: skip
    """Let go on what was held; cases that amends held there (a storm, silent approvers …) go on.

    Where config names `approvers`, only they can let a storm go: raises `ApprovalError` for anybody else.
    """
    if case is not None:
        held = _open(tx, case).held
        if held is None:
            raise CaseError(f"case {case} is not held by anybody; what holds it is in `amends case {case}`")
        _may_release(held, by, approvers)
        _append(tx, case, [f.Released(by=by, why=why)], by, now)
        return 1
    found = int(holds.release(tx, shop=shop, step=step))
    where = [cases.c.outcome.is_(None)] + ([cases.c.shop == shop] if shop else [])
    ids = [row.id for row in tx.execute(select(cases.c.id).where(*where, cases.c.stage == "held"))]
    for start in range(0, len(ids), 400) if not step else ():
        part = ids[start : start + 400]
        freed = {}
        for id_, facts in chain.load(tx, part).items():
            held = fold(facts, case=id_).held
            if held is not None and held.cause in ("storm", "backfill", "platform", "undecided"):
                _may_release(held, by, approvers)
                freed[id_] = [chain.New(f.Released(by=by, why=why), now, by)]
        chain.append(tx, freed)
        found += len(freed)
    tx.execute(
        update(cases).where(*where).values(wake=True, due_at=ticks(now))
        if step or shop
        else update(cases).where(*where, cases.c.stage == "held").values(wake=True, due_at=ticks(now))
    )
    return found


def _may_release(held: f.Held, by: str, approvers: Collection[str]) -> None:
    if held.cause in ("storm", "undecided") and approvers and by not in approvers:
        why = "a sudden mass of late orders" if held.cause == "storm" else "what nobody has decided"
        raise ApprovalError(
            f"{why} is let go by an approver; {by} is none, config names: {', '.join(approvers)}"
        )


def erase(tx: Tx, case: int, *, by: str, now: datetime) -> None:
    """Destroy the personal values of a closed case; its facts and their chain stay whole."""
    snapshot = _snapshot(tx, case)
    if snapshot.outcome is None:
        raise CaseError(
            f"case {case} is still open: its customer may yet be owed something",
            hint="Let it close first; `amends case` tells what it waits for.",
        )
    persons.erase(tx, case)
    inbox.forget(tx, snapshot.shop, snapshot.number, now)
    _append(tx, case, [f.Erased(by=by)], by, now)


def _append(tx: Tx, case: int, bodies: Sequence[f.FactBody], by: str, now: datetime) -> list[f.Fact]:
    written = work.append_outside(tx, case, bodies, actor=by, now=now)
    snapshot = _snapshot(tx, case)
    for round_ in sorted({number for body in bodies for number in given_back(snapshot, body)}):
        budgets.release(tx, case, round_, now)
    return written


def _snapshot(tx: Tx, case: int) -> Snapshot:
    row = tx.execute(tx.locked(select(cases).where(cases.c.id == case))).first()
    if row is None:
        raise CaseError(f"there is no case {case}", hint="See `amends cases`.")
    return fold(chain.load(tx, [case])[case], case=case, shop=row.shop, number=row.number)


def _open(tx: Tx, case: int) -> Snapshot:
    snapshot = _snapshot(tx, case)
    if snapshot.outcome is not None:
        raise CaseError(f"case {case} is closed: {snapshot.outcome.value}")
    return snapshot


def _playbook(tx: Tx, case: int) -> Playbook:
    version = tx.execute(select(cases.c.playbook).where(cases.c.id == case)).scalar()
    body = intake.pinned(tx, "playbook").get(version or "")
    return _read(body) if body else Playbook()


@lru_cache(16)
def _read(body: str) -> Playbook:
    """A playbook as it was pinned: a version never changes, and it is frozen."""
    return Playbook.model_validate_json(body)
