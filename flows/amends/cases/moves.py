"""The moves that a decision can be, for the deciders: a step, a wait, a question to a person, an end.

Every answer says why; a wait always lies ahead, and nothing is done on what was seen too long ago.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from amends.cases import facts as f
from amends.cases.durations import show_duration
from amends.cases.money import Money
from amends.cases.stages import Now, Stage

LOOK_AGAIN = timedelta(hours=24)
"""How often a case that waits for a person is looked at, so that none is forgotten."""


@dataclass(frozen=True, slots=True)
class Next:
    """One decision. `at` is the due time of a wait; `body` a fact to append; `what` names the act to be approved, or,
    with a step, what of it: what to file before a desk (`complaint`, `legal` …), `look` for a ruling, `withdraw` what
    was planned and has not left."""

    do: Literal["step", "wait", "ask", "person", "close", "record", "nothing"]
    why: str
    stage: Stage
    step: f.Step | None = None
    at: datetime | None = None
    what: str = ""
    amount: Money | None = None
    body: f.FactBody | None = None


def approval_name(step: f.Step, detail: object) -> str:
    """The name under which an act is put to a person: `escalate:legal`, `contact-customer:2`."""
    return f"{step.value}:{detail}"


class Moves:
    """What every decider answers with, for one case at one time."""

    def __init__(self, now: Now, where: Stage) -> None:
        self.now, self.case, self.at, self.where = now, now.case, now.at, where
        self.playbook = now.terms.playbook

    def step(self, step: f.Step, why: str, what: str = "") -> Next:
        """Do that step; where the order was last seen too long ago, look first."""
        case = self.case
        if case.unseen is not None and self.at < case.unseen.retry_at:
            return self.wait(case.unseen.retry_at, f"the order could not be looked at: {case.unseen.why}")
        if step is not f.Step.VERIFY:
            seen = case.observed_at
            if seen is None or self.at - seen > self.playbook.fresh_for:
                ago = "never" if seen is None else f"{show_duration(self.at - seen)} ago"
                return Next("step", f"before {step.value}: last looked {ago}", self.where, step=f.Step.VERIFY)
        return Next("step", why, self.where, step=step, what=what)

    def wait(self, at: datetime, why: str) -> Next:
        if at <= self.at:  # a wait must lie ahead, or the case would spin
            at = self.at + self.playbook.retry
        return Next("wait", why, self.where, at=at)

    def watch(self, until: datetime | None, why: str) -> Next:
        """Wait, looking at the order every `poll`: verify when that time has passed."""
        seen = self.case.observed_at or self.at
        if self.at - seen >= self.playbook.poll or (until is not None and self.at >= until):
            if self.at - seen > self.playbook.fresh_for:
                return self.step(f.Step.VERIFY, why)
        poll = max(seen, self.at - self.playbook.poll) + self.playbook.poll
        return self.wait(min(poll, until) if until is not None and until > self.at else poll, why)

    def person(self, why: str) -> Next:
        return Next("person", why, self.where, at=self.at + LOOK_AGAIN)

    def close(self, outcome: f.Outcome, why: str) -> Next:
        if self.now.owes:  # a late yes, while a complaint ran
            return self.settling()
        return Next("close", why, self.where, body=f.Closed(outcome=outcome, why=why))

    def record(self, body: f.FactBody, why: str) -> Next:
        return Next("record", why, self.where, body=body)

    def ask_or(self, what: str, amount: Money | None, go: Next, refused: Callable[[], Next]) -> Next:
        """`go` once a person has said yes to just this; ask for it, wait for it, or take the other way."""
        asked = self.case.approvals.get(what)
        if asked is not None and asked.version == self.case.version:
            if asked.state == "approved":
                return go
            if asked.state == "refused":
                return refused()
            if self.at < asked.expires_at:
                return self.wait(asked.expires_at, f"{what} waits for a yes on list {asked.list}")
        if go.do != "step" or go.step is f.Step.VERIFY:
            return go  # what is put to a person must be fresh
        return Next(
            "ask",
            f"a person must approve {what}: {go.why}",
            self.where,
            step=go.step,
            what=what,
            amount=amount,
        )

    def settling(self) -> Next:
        """What is owed comes before any end."""
        raise NotImplementedError
