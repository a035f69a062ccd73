"""One case in a worker's hands: its snapshot grows with each new fact, and is written when the turn ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from amends.cases import facts as f
from amends.cases.decisions import LOOK_AGAIN, Next, decide
from amends.cases.snapshot import Snapshot, fold
from amends.cases.stages import Stage, look
from amends.errors import AmendsError
from amends.ledger import approvals, chain, effects, tasks, work
from amends.steps import notes
from amends.steps.shop import Shop

R = TypeVar("R")
POISON = 5
"""Failures in a row after which a case waits for a person."""
_MANY = 12
"""Recorded facts in a row (silence, then a close) end well before this; more means that a decision goes in circles."""


def given_back(case: Snapshot, body: f.FactBody) -> list[int]:
    """The rounds whose offers this fact has ended with their remedies neither given nor owed, now that the case knows it:
    their shares of the caps are given back.
    """
    rounds: set[int] = set()
    match body:
        case f.Replied(answer=f.Answer.DECLINE | f.Answer.COUNTER):
            rounds = {body.round}
        case f.Replied(answer=f.Answer.CANCEL):  # ends the newest offer, whichever it answers
            rounds = {body.round, case.last.number if case.last is not None else body.round}
        case f.Silent(means=f.Answer.DECLINE | f.Answer.CANCEL) | f.SettlementRejected() | f.Unreached():
            rounds = {body.round}
    ended = [case.round(number) for number in sorted(rounds)]
    return [r.number for r in ended if r is not None and not r.given and (not r.accepted or r.rejected)]


@dataclass(slots=True, eq=False)  # a turn is itself: sets of turns are looked through often
class Turn:
    """What a worker did with a case since it took it, or since it last wrote."""

    claim: work.Claim
    now: datetime
    facts: list[chain.New] = field(default_factory=list)
    changes: list[effects.Change] = field(default_factory=list)
    tasks: list[tasks.Opening] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    release_rounds: list[int] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # approvals of acts that certainly were not done
    applied: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)  # events saying no more than that the order has changed
    seen_tasks: list[str] = field(default_factory=list)
    next: Next | None = None
    failed: str = ""
    lost: bool = False

    @property
    def case(self) -> Snapshot:
        return self.claim.snapshot

    def add(self, body: f.FactBody, actor: str = "amends") -> None:
        """Append a fact; the snapshot knows it at once."""
        self.facts.append(chain.New(body, self.now, actor))
        fact = f.Fact(seq=self.case.count + 1, at=self.now, actor=actor, body=body)
        self.case.apply(fact)
        self.release_rounds += given_back(self.case, body)

    def change(self, change: effects.Change) -> None:
        """Note what became of an effect; a settled one no longer bears on decisions."""
        self.changes.append(change)
        kept = [e for e in self.claim.effects if e.key != change.key]
        for effect in self.claim.effects:
            if effect.key == change.key and not change.state.settled:
                kept.append(_changed(effect, change))
        self.claim.effects = kept
        self.case.pending = tuple(
            effects.pending(e) for e in kept if e.state is not effects.EffectState.QUARANTINED
        )


def decide_turn(shop: Shop, turn: Turn) -> Next:
    """Decide, taking in what needs no act: silence that speaks, refusals, the end. Sets `turn.next`."""
    terms = shop.terms(turn.claim.playbook)
    for _ in range(_MANY):
        answer = decide(turn.case, turn.now, terms)
        if answer.do in ("record", "close") and answer.body is not None:
            turn.add(answer.body)
            if answer.do == "record":
                continue
        turn.next = answer
        return answer
    raise AssertionError(f"case {turn.claim.id} goes in circles: {turn.next}")


def guarded(shop: Shop, turn: Turn, work_: Callable[[], R]) -> R | None:
    """Do that for one case; a fault concerns this case alone: it rests longer each time, then waits for a person."""
    try:
        return work_()
    except Exception as error:  # whatever is wrong with one case or its plugin must not stop the others
        fail(shop, turn, error)
        return None


def fail(shop: Shop, turn: Turn, error: Exception) -> None:
    """Note that something went wrong with this case."""
    turn.failed = str(error) if isinstance(error, AmendsError) else f"{type(error).__name__}: {error}"
    shop.problems.append(f"case {turn.claim.id}: {turn.failed}")
    stage = turn.next.stage if turn.next else Stage.VERIFY
    if turn.claim.failures + 1 >= POISON:
        why = f"failed {POISON} times: {turn.failed}"
        if turn.case.held is None:
            turn.add(f.Held(why=why, by="amends", cause="poison"))
        # Not by `decide`: that may be just what fails.
        turn.next = Next("person", f"held by amends: {why}", Stage.HELD, at=turn.now + LOOK_AGAIN)
    else:
        at = turn.now + backoff(shop, turn.claim.failures)
        turn.next = Next("wait", f"failed, tried again then: {turn.failed}", stage, at=at)


def ends(shop: Shop, turns: Sequence[Turn], *, keep: bool) -> list[work.End]:
    """How these turns are written: `keep` goes on holding those whose next is a step to be done now."""
    found = []
    for turn in turns:
        answer = turn.next or decide_turn(shop, turn)
        end = work.End(
            turn.claim, facts=turn.facts, changes=turn.changes, tasks=turn.tasks, texts=turn.texts, applied=turn.applied,
            release_rounds=turn.release_rounds, unused=turn.unused, seen_tasks=turn.seen_tasks,
            stage=answer.stage.value, why=answer.why,
            next_step=answer.step.value if answer.step else "", notes=notes.owed(shop, turn.case),
            failures=turn.claim.failures + 1 if turn.failed else 0,
        )  # fmt: skip
        match answer.do:
            case "step":
                end.due_at, end.keep = turn.now, keep
            case "wait" | "person":
                end.due_at = answer.at
            case "ask":
                _ask(shop, turn, end, answer)
            case "close":
                end.outcome, end.stage = turn.case.outcome, "closed"
                lateness = look(turn.case, turn.now, shop.terms(turn.claim.playbook)).lateness
                end.closed_state = lateness.state.value if lateness else ""
            case "nothing":
                end.outcome = turn.case.outcome
            case "record":
                raise AssertionError("a record is taken in before a turn ends")
        found.append(end)
    return found


def _ask(shop: Shop, turn: Turn, end: work.End, answer: Next) -> None:
    approve = shop.terms(turn.claim.playbook).playbook.approve
    two = approve.two_people_over
    amount = answer.amount
    several = two is not None and amount is not None and (amount.currency != two.currency or amount > two)
    expires = turn.now + approve.within
    end.ask = approvals.Item(
        turn.claim.id, answer.what, turn.case.version, answer.why, amount, people=2 if several else 1
    )
    end.ask_expires = end.due_at = expires


def backoff(shop: Shop, failures: int) -> timedelta:
    """How long to let a case rest after that many failures."""
    retry = shop.playbook.retry
    pause: timedelta = retry * 2 ** min(failures, 8)
    return min(pause, shop.playbook.poll)


def _changed(effect: effects.Effect, change: effects.Change) -> effects.Effect:
    return replace(effect, state=change.state, look_at=change.look_at, error=change.error, ref=change.ref)


async def write(shop: Shop, turns: Sequence[Turn], *, keep: bool = False) -> list[Turn]:
    """Write what these turns did. Answers with those that the worker still holds, ready for their next step."""
    turns = [turn for turn in turns if not turn.lost]
    if not turns:
        return []
    now = turns[0].now
    before = [(turn, ending) for turn, ending in zip(turns, ends(shop, turns, keep=keep), strict=True)]
    written, lost = await shop.ledger.run(work.conclude, [ending for _, ending in before], now)
    for turn in turns:
        if turn.claim.id in lost:
            turn.lost = True
    await tell_listeners(shop, [(turn.case, written.get(turn.claim.id, [])) for turn in turns])
    held = [turn for turn, ending in before if ending.keep and not turn.lost]
    for turn in held:
        turn.facts, turn.changes, turn.tasks, turn.texts = [], [], [], {}
        turn.release_rounds, turn.unused, turn.applied, turn.seen_tasks = [], [], [], []
    return held


async def tell_listeners(shop: Shop, changed: Sequence[tuple[Snapshot, Sequence[f.Fact]]]) -> None:
    """Tell plugins that listen which facts these cases have got, and how each stood before them."""
    changed = [(after, facts) for after, facts in changed if facts] if shop.registry.listens else []
    if not changed:
        return
    all_facts = await shop.ledger.run(chain.load, [after.case for after, _ in changed])
    for after, facts in changed:
        earlier = [fact for fact in all_facts[after.case] if fact.seq < facts[0].seq]
        before = fold(earlier, case=after.case, shop=after.shop, number=after.number)
        shop.problems += shop.registry.case_changed(before, after, facts)
