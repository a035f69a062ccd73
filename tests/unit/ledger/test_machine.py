"""The ledger, the inbox and the approvals against a tiny model, in any order of calls: nothing lost, nothing twice."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select
from tests.unit.ledger.makers import (
    DAY,
    HOUR,
    KEY,
    LATE,
    SHOP,
    claim,
    draft,
    opening,
    row,
    sql,
    yuan,
)

from amends.cases import facts as f
from amends.errors import ApprovalError
from amends.ledger import Ledger, Tx, approvals, chain, effects, inbox, intake, work
from amends.ledger.effects import Change, EffectState
from amends.ledger.schema import cases

NUMBERS = st.sampled_from(["A-1", "A-2", "A-3"])
OWNERS = st.sampled_from(["w1", "w2"])
ANY = st.integers(0, 99)


@dataclass
class Case:
    """What the model knows of one case."""

    number: str
    kinds: list[str] = field(default_factory=lambda: ["opened"])
    open: bool = True
    woken: bool = False
    holder: work.Claim | None = None  # whose lease is good
    sent: dict[str, int] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    @property
    def version(self) -> int:
        return sum(f.is_material(kind) for kind in self.kinds)


@cache
def blank() -> Path:
    """A ledger just made, to be copied: the migrations take longer than a whole walk."""
    path = Path(tempfile.mkdtemp()) / "ledger.db"
    Ledger.open(f"sqlite:///{path}", KEY).close()
    return path


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(blank(), self.folder / "ledger.db")
        self.ledger = self.opened()
        self.now = LATE
        self.cases: dict[int, Case] = {}
        self.claims: list[work.Claim] = []  # good or stale
        self.events: set[str] = set()
        self.waiting: dict[str, list[str]] = {number: [] for number in ("A-1", "A-2", "A-3")}
        self.read: dict[tuple[int, int], list[str]] = {}  # what a worker found waiting, by case and epoch
        self.lists: dict[str, tuple[int, int]] = {}  # open: case, version
        self.approved: dict[int, set[int]] = {}  # unused: case, versions

    def opened(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.folder / 'ledger.db'}", KEY)

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def case_of(self, number: str) -> Case | None:
        return next((c for c in self.cases.values() if c.number == number and c.open), None)

    # orders and events come in

    @initialize()
    def begin(self) -> None:
        self.open_case("A-1")

    @rule(number=NUMBERS)
    def open_case(self, number: str) -> None:
        found = self.ledger.do(intake.open_cases, SHOP, [opening(number, due=self.now)], self.now)
        earlier = [c for c in self.cases.values() if c.number == number]
        assert bool(found) == (not earlier), "one open case per order, and none again for the same trouble"
        for id_ in found.values():
            self.cases[id_] = Case(number)

    @rule(number=NUMBERS, event=st.sampled_from(["ev1", "ev2", "ev3", "ev4", "ev5"]))
    def event_arrives(self, number: str, event: str) -> None:
        name = f"{number}-{event}"
        new = self.ledger.do(inbox.receive, SHOP, [inbox.Arrival(name, number, b"{}")], self.now)
        assert new == (name not in self.events)
        if new:
            self.events.add(name)
            self.waiting[number].append(name)
        case = self.case_of(number)
        if case is not None and new:
            case.woken = True

    @rule(which=ANY)
    def person_adds_a_fact(self, which: int) -> None:
        id_ = sorted(self.cases)[which % len(self.cases)]
        body = f.Held(why="x", by="ana")
        self.ledger.do(lambda tx: work.append_outside(tx, id_, [body], actor="ana", now=self.now))
        self.cases[id_].kinds.append("held")
        self.cases[id_].woken = self.cases[id_].open

    # workers

    @rule(owner=OWNERS, limit=st.integers(1, 3))
    def claim(self, owner: str, limit: int) -> None:
        for held in claim(self.ledger, owner, at=self.now, limit=limit):
            case = self.cases[held.id]
            assert case.open and case.holder is None, "held by another, or closed"
            assert held.snapshot.count == len(case.kinds)
            case.holder, case.woken = held, False
            self.read[held.id, held.epoch] = list(self.waiting[held.number])
            self.claims.append(held)

    @rule()
    def leases_run_out(self) -> None:
        sql(self.ledger, "UPDATE cases SET lease_until = 1 WHERE lease_owner IS NOT NULL")
        for case in self.cases.values():
            case.holder = None

    @rule(by=st.sampled_from([timedelta(minutes=1), HOUR, DAY]))
    def time_passes(self, by: timedelta) -> None:
        self.now += by

    @precondition(lambda self: self.claims)
    @rule(which=ANY, round_=st.integers(1, 2), approving=st.booleans())
    def plan_and_send(self, which: int, round_: int, approving: bool) -> None:
        held = self.claims[which % len(self.claims)]
        case = self.cases[held.id]
        item = draft(held, round=round_)
        version = case.version
        yes = work.Yes("contact", version, yuan("3")) if approving else None
        answer = self.ledger.do(
            work.plan, [work.Plan(held, [item], [chain.New(f.SeenAgain(), self.now)], yes=yes)], self.now
        )[held.id]
        if self.taken_over(held):
            assert isinstance(answer, work.Refusal) and answer.kind == "lost"
            return
        if case.woken:
            assert isinstance(answer, work.Refusal) and answer.kind == "changed"
            return
        fresh = item.key not in case.sent
        if approving and fresh and version not in self.approved.get(held.id, set()):
            assert isinstance(answer, work.Refusal) and answer.kind == "approval"
            return
        assert isinstance(answer, dict)
        if approving and fresh:
            self.approved[held.id].discard(version)
        case.kinds.append("seen-again")
        case.sent.setdefault(item.key, 0)
        if item.key not in case.settled:
            assert set(self.ledger.do(work.mark_sent, [held], {held.id: [item]}, self.now)) == {held.id}
            case.sent[item.key] += 1

    def taken_over(self, held: work.Claim) -> bool:
        """A lease that ran out is still its worker's until another takes the case."""
        found = row(self.ledger, held.id)
        return found.epoch != held.epoch or found.lease_owner is None

    @precondition(lambda self: self.claims)
    @rule(which=ANY, closing=st.booleans(), confirming=st.booleans())
    def conclude(self, which: int, closing: bool, confirming: bool) -> None:
        held = self.claims.pop(which % len(self.claims))
        case = self.cases[held.id]
        lost = self.taken_over(held)
        outcome = f.Outcome.SETTLED if closing else None
        bodies: list[f.FactBody] = [f.Closed(outcome=outcome, why="t")] if outcome else [f.Released(by="ben")]
        keys = [key for key in sorted(case.sent) if key not in case.settled] if confirming else []
        applied = self.read[held.id, held.epoch]
        end = work.End(
            held, facts=[chain.New(b, self.now) for b in bodies], applied=applied, outcome=outcome, stage="contact",
            changes=[Change(key, EffectState.CONFIRMED) for key in keys], due_at=None if outcome else self.now + HOUR,
        )  # fmt: skip
        written, refused = self.ledger.do(work.conclude, [end], self.now)
        assert (held.id in refused) == lost
        if lost:
            return
        stays = closing and case.woken
        case.kinds += [] if stays else [b.kind for b in bodies]
        case.open, case.holder = not closing or stays, None
        self.waiting[held.number] = [e for e in self.waiting[held.number] if e not in applied]
        case.settled |= set(keys)
        assert len(written.get(held.id, [])) == (0 if stays else 1)
        found = row(self.ledger, held.id)
        assert (found.outcome is None) == case.open
        assert not case.open or found.due_at is not None
        case.woken = False

    # people

    @rule(which=ANY)
    def freeze(self, which: int) -> None:
        id_ = sorted(self.cases)[which % len(self.cases)]
        version = self.cases[id_].version
        item = approvals.Item(id_, "contact", version, "why", yuan("3"))
        list_ = self.ledger.do(
            approvals.freeze, SHOP, "contact", [item], now=self.now, expires_at=self.now + DAY
        )
        if self.ledger.do(approvals.get, list_).state == "open":
            self.lists[list_] = (id_, version)

    @precondition(lambda self: self.lists)
    @rule(which=ANY, yes=st.booleans())
    def decide(self, which: int, yes: bool) -> None:
        list_ = sorted(self.lists)[which % len(self.lists)]
        id_, version = self.lists.pop(list_)
        expires = self.ledger.do(approvals.get, list_).expires_at
        try:
            found = self.ledger.do(approvals.decide, list_, by="ana", approve=yes, now=self.now)
        except ApprovalError:
            assert self.now >= expires
            return
        assert self.now < expires
        case = self.cases[id_]
        stale = case.version != version or not case.open
        assert (found.approved, found.refused, found.stale) == (
            int(yes and not stale),
            int(not yes and not stale),
            int(stale),
        )
        if not stale:
            case.kinds.append("approved" if yes else "approval-refused")
        if yes and not stale:
            self.approved.setdefault(id_, set()).add(version)
        case.woken = case.open

    @rule()
    def process_restarts(self) -> None:
        self.ledger.close()
        self.ledger = self.opened()

    # always

    @invariant()
    def the_ledger_is_as_it_was_told(self) -> None:
        self.ledger.do(self.check)

    def check(self, tx: Tx) -> None:
        report = chain.verify(tx)
        assert report.breaks == ()
        found = chain.load(tx, list(self.cases))
        assert report.facts == sum(len(case.kinds) for case in self.cases.values())
        rows = {r.id: r for r in tx.execute(select(cases))}
        waiting = inbox.waiting(tx, SHOP, list(self.cases))
        sent = effects.by_key(tx, [key for case in self.cases.values() for key in case.sent])
        assert sorted(rows) == sorted(self.cases)
        for id_, case in self.cases.items():
            assert [fact.body.kind for fact in found[id_]] == case.kinds
            assert (rows[id_].version, rows[id_].outcome is None, rows[id_].wake) == (
                case.version,
                case.open,
                case.woken,
            )
            assert not case.open or rows[id_].due_at is not None, "an open case without a due time is lost"
            assert sorted(w.event for w in waiting.get(id_, [])) == sorted(
                self.waiting[case.number] if case.open else []
            )
            for key, times in case.sent.items():
                assert (sent[key].attempt, sent[key].state.settled) == (times, key in case.settled)


LedgerMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLedger = LedgerMachine.TestCase
