"""One act on its way: looked for where it may have been done, sent, and what its answer means for what is sent next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from amends.deadline import SEND_BEFORE
from amends.errors import AmendsError, AuthFailed, CaseError, NotAllowed, PlatformError, RiskControl
from amends.hooks.requests import AnyRequest, Receipt
from amends.hooks.specs import Operation
from amends.ledger import persons
from amends.ledger.effects import Effect, EffectState
from amends.steps.requests import restore
from amends.steps.shop import BY_HAND, Shop
from amends.steps.turns import Turn, backoff

SAME_KEY_TRIES = 3
PATIENCE = 2.0
"""Seconds that we wait within a sweep for a platform that asks for a pause; longer pauses become a due time."""
STOPS_SHOP = (AuthFailed, NotAllowed, RiskControl)
"""What needs a person before the shop is called again."""


@dataclass(slots=True, eq=False)
class Act:
    """One effect of one turn, on its way."""

    turn: Turn
    effect: Effect
    operation: Operation
    request: AnyRequest | None = None
    receipt: Receipt | None = None
    error: AmendsError | None = None
    state: EffectState = EffectState.SENT
    look_at: datetime | None = None
    digest: str = ""


async def prepare(shop: Shop, act: Act, now: datetime) -> bool:
    """Whether this effect is to be sent now; what must be looked for, or must not be sent again, is settled here."""
    effect, operation = act.effect, act.operation
    if operation.effect == "by-hand" or operation.how == "by-hand":
        act.operation = operation if operation.how == "by-hand" else BY_HAND
        act.state = EffectState.SENT
        return effect.state is EffectState.PLANNED
    if effect.state is EffectState.PLANNED:
        return True
    sent = effect.sent_at or effect.planned_at  # a crash or a silence left it open
    match operation.effect:
        case "idempotent":
            if now - (effect.first_sent_at or sent) < operation.window:
                return True
            _quarantine(act, "the platform's window for the same key has passed")
        case "queryable":
            if now < sent + operation.quiet:
                act.state, act.look_at = EffectState.UNKNOWN, sent + operation.quiet
                return False
            return await _look(shop, act, now)
        case _:
            _quarantine(act, "it was sent, no answer is known, and it must never be sent twice")
    return False


async def _look(shop: Shop, act: Act, now: datetime) -> bool:
    """Look whether it was done; True where it certainly was not, so that it is sent again."""
    try:
        kept = await shop.ledger.run(persons.load, [act.turn.claim.id])
        request = restore(act.effect, kept.get(act.turn.claim.id, {}))
        request = request.model_copy(update={"sent_at": act.effect.first_sent_at})
        found = await _target(shop, act.effect).find(request)
    except AmendsError as error:
        if isinstance(error, PlatformError) and not error.retryable and not error.sure_not_done:
            _quarantine(act, str(error))  # the connector looked, and cannot tell: looking again tells no more
        else:
            _later(shop, act, error, now, state=EffectState.UNKNOWN)
        return False
    except Exception as error:  # a plugin's own fault says nothing about the platform
        _later(shop, act, PlatformError(f"{type(error).__name__}: {error}"), now, state=EffectState.UNKNOWN)
        return False
    if found is None:
        return True
    act.receipt, act.state = found, EffectState.CONFIRMED
    return False


def _target(shop: Shop, effect: Effect) -> Any:
    if effect.op in ("complain", "respond", "arbitrate"):
        return shop.desk
    if effect.via != "platform":
        return shop.channels[effect.via][1]
    return shop.connector


async def send(shop: Shop, act: Act, kept: Mapping[str, bytes], now: datetime, until: float) -> None:
    """Send it, where a plugin does that: in the platform's own time, begun before `until`, and say what came of it."""
    effect, operation = act.effect, act.operation
    if operation.how == "by-hand":
        return
    SEND_BEFORE.set(until)  # for this act's own task
    try:
        act.request = restore(effect, kept)
    except CaseError as erased:
        act.error, act.state = erased, EffectState.REJECTED
        return
    call: Callable[[Any], Awaitable[Receipt]] = getattr(_target(shop, effect), effect.op)
    # Once one attempt may have been done, no later refusal proves the contrary.
    unsure = effect.state is not EffectState.PLANNED and operation.effect == "idempotent"
    tries = 0
    async with shop.gate:
        while True:
            tries += 1
            error = await _try(act, call)
            if error is None:
                return
            unsure = unsure or not error.sure_not_done
            pause = error.retry_after or 0.05 * 2**tries
            again = error.sure_not_done or operation.effect == "idempotent"
            if not (error.retryable and again and tries < SAME_KEY_TRIES and pause <= PATIENCE):
                break
            await asyncio.sleep(pause)
    act.error, now = error, max(now, shop.clock.now())  # whatever it waits for counts from here
    if not unsure and not error.retryable and not isinstance(error, STOPS_SHOP):
        act.state = EffectState.REJECTED
    elif not unsure:
        _later(shop, act, error, now, state=EffectState.PLANNED)
    elif operation.effect == "idempotent":
        _later(shop, act, error, now, state=EffectState.UNKNOWN)
    elif operation.effect == "queryable":
        act.state, act.look_at = EffectState.UNKNOWN, now + operation.quiet
    else:
        _quarantine(act, f"no clear answer ({error}), and it must never be sent twice")


async def _try(act: Act, call: Callable[[Any], Awaitable[Receipt]]) -> PlatformError | None:
    try:
        act.receipt = await call(act.request)
    except PlatformError as error:
        return error
    except Exception as error:  # a plugin's own fault: whether the request left is not known
        return PlatformError(f"{type(error).__name__}: {error}")
    act.state = EffectState.CONFIRMED
    return None


def _later(shop: Shop, act: Act, error: AmendsError, now: datetime, *, state: EffectState) -> None:
    pause = timedelta(seconds=getattr(error, "retry_after", None) or 0)
    act.error, act.state = error, state
    act.look_at = now + max(pause, backoff(shop, act.effect.attempt))


def _quarantine(act: Act, why: str) -> None:
    act.state, act.error = EffectState.QUARANTINED, PlatformError(why)
