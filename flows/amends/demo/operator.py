"""The demo's people: they do tasks and decide approvals through the same code as the commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from amends.hooks.requests import Extension, Grant
from amends.ledger import Ledger, Tx, approvals, effects, tasks
from amends.steps import people
from amends.steps.requests import request_of
from amends.testing.control import SandboxControl

APPROVERS = ("lin", "chen")


class Operator:
    """Does every open task, and decides every open list, as a diligent person would: looking before acting."""

    def __init__(self, ledger: Ledger, control: SandboxControl, shop: str) -> None:
        self.ledger = ledger
        self.control = control
        self.shop = shop

    def work(self, now: datetime) -> int:
        """One round at the desk; answers with how much was done."""
        done = 0
        for task in self.ledger.do(tasks.listing, shop=self.shop):
            done += self._do(task, now)
        for listing in self.ledger.do(approvals.listing, shop=self.shop, open_only=True):
            if now < listing.expires_at:
                done += self._decide(listing, now)
        return done

    def _decide(self, listing: approvals.Listing, now: datetime) -> int:
        """Yes to everything but refunds of more than 500 in any currency: those are refused."""
        refused = [
            item.case for item in listing.waiting if item.amount is not None and item.amount.decimal > 500
        ]
        people_needed = 2 if any(item.people > 1 for item in listing.waiting) else 1
        for by in APPROVERS[:people_needed]:
            current = self.ledger.do(approvals.get, listing.id)
            if not current.waiting:
                break
            left = [case for case in refused if case in {item.case for item in current.waiting}]
            if left and len(left) == len(current.waiting):
                self.ledger.do(
                    people.approve, listing.id, by=by, now=now, yes=False, why="too much", approvers=APPROVERS
                )
            else:
                self.ledger.do(
                    people.approve, listing.id, by=by, now=now, exceptions=left, approvers=APPROVERS
                )
        return len(listing.waiting)

    def _do(self, task: tasks.Task, now: datetime) -> int:
        outcome, note = self._outcome(task)
        if not outcome:
            return 0
        self.ledger.do(people.finish_task, task.id, outcome, by="operator", now=now, note=note)
        return 1

    def _outcome(self, task: tasks.Task) -> tuple[str, str]:
        effect = self.ledger.do(_effect, task.effect)
        if task.kind == "read-reply":
            return self.control.reading(task.effect.removeprefix("reply:")), "read"
        if effect is None:
            return "", ""
        if task.kind.startswith("find-out:"):
            seen = self.control.seen(task.number, effect.op, round=effect.round)
            return ("done" if seen else "not-done"), "looked in the back office"
        if effect.op == "legal":
            return "written-off", "the lawyer advises against a suit"
        if effect.op == "ruling":
            return "none-yet", "looked"
        return self._by_hand(task, effect)

    def _by_hand(self, task: tasks.Task, effect: effects.Effect) -> tuple[str, str]:
        """Do it in the back office, unless it is there already: a person looks first."""
        request: Any = request_of(effect)
        more: dict[str, Any] = {}
        if isinstance(request, Grant):
            more["remedy"] = request.remedy
        if isinstance(request, Extension):
            more["until"] = request.until
        op = effect.op
        receipt = self.control.act(task.number, op, round=effect.round, **more)  # type: ignore[arg-type]  # one of the journal's ops
        return "done", receipt.ref


def _effect(tx: Tx, key: str) -> effects.Effect | None:
    return effects.by_key(tx, [key]).get(key)
