"""What a settled effect means for its case: the fact that follows, for the worker's answers and for a person's."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from amends.cases import facts as f
from amends.cases.playbook import Playbook
from amends.hooks.requests import AnyRequest, Extension, Filing, Grant, Message, Receipt
from amends.ledger.effects import Effect
from amends.steps.requests import request_of


def confirmed(
    effect: Effect,
    receipt: Receipt,
    *,
    at: datetime,
    playbook: Playbook,
    digest: str = "",
    seen: bool = False,
    sent: AnyRequest | None = None,
) -> f.FactBody | None:
    """The fact that follows where the act took place. `sent`: its request, for whoever has just sent it."""
    request = sent if sent is not None else request_of(effect)
    match request:
        case Message():
            return f.Contacted(
                round=effect.round,
                via=effect.via,
                effect=effect.key,
                ref=receipt.ref,
                reply_by=request.reply_by,
                digest=digest,
            )
        case Grant():
            if receipt.state == "requested":
                return f.SettlementRequested(
                    round=effect.round, remedy=request.remedy, effect=effect.key, ref=receipt.ref
                )
            return f.Settled(
                round=effect.round, remedy=request.remedy, effect=effect.key, ref=receipt.ref, seen=seen
            )
        case Extension():
            return f.Extended(round=effect.round, until=request.until, effect=effect.key, seen=seen)
        case Filing():
            due = receipt.due or at + playbook.ruling_within
            return f.Filed(instance=request.instance, effect=effect.key, ref=receipt.ref, ruling_by=due)
    return None


def rejected(effect: Effect, why: str) -> f.FactBody | None:
    """The fact that follows where the act certainly did not take place. A message's fall-back is the step's matter."""
    request = request_of(effect)
    match request:
        case Grant():
            return f.SettlementRejected(round=effect.round, remedy=request.remedy, effect=effect.key, why=why)
        case Extension():
            return f.ExtensionRejected(round=effect.round, effect=effect.key, why=why)
        case Filing():
            return f.FilingRejected(instance=request.instance, effect=effect.key, why=why)
    return None


def as_verdict(outcome: str) -> f.Verdict | None:
    """A person's word for how a ruling or a legal act ended."""
    return next((verdict for verdict in get_args(f.Verdict) if verdict == outcome), None)
