"""write-notes: sends the notes that cases left behind, after the cases themselves. No case waits for one.

At most once, as every act: marked before it is sent; what a crash or a silent platform leaves open is sent again under
the same key, or looked for, or left alone. After a while it is given up, whatever the reason.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from amends.errors import AuthFailed, NotAllowed, PlatformError, RiskControl, Throttled, Unreachable
from amends.hooks.requests import Receipt
from amends.ledger import effects, leases, notes
from amends.ledger.effects import NOTE, Change, Effect, EffectState
from amends.steps.requests import restore
from amends.steps.shop import Shop

WINDOW = 50
MOST = 500
"""Notes in one sweep: the next orders must not wait for them."""
GIVEN_UP_AFTER = timedelta(days=3)
_LATER = (AuthFailed, NotAllowed, RiskControl, Throttled, Unreachable)
"""What the shop's other notes would meet too."""


async def write_notes(shop: Shop) -> None:
    """Send what is due of the shop's notes; a problem with them is told, and holds nothing."""
    if not shop.notes:
        return
    operation = shop.operation(NOTE, NOTE)
    for _ in range(MOST // WINDOW):
        now = shop.clock.now()
        window = await shop.ledger.run(
            notes.take, shop.name, now, quiet=max(operation.quiet, shop.playbook.retry), limit=WINDOW
        )
        if not window:
            return
        came = await asyncio.gather(*(_deal_with(shop, note, now) for note in window))
        await shop.ledger.run(effects.change, [change for change, _ in came], now)
        await shop.ledger.run(leases.keep_shop, shop.name, shop.owner)
        errors = [error for _, error in came if error is not None]
        for error in {type(e): e for e in errors if not e.retryable}.values():
            shop.problems.append(f"{shop.name}: a note was not written, the case goes on: {error}")
        if any(isinstance(error, _LATER) for error in errors):
            return


async def _deal_with(shop: Shop, note: Effect, now: datetime) -> tuple[Change, PlatformError | None]:
    """What became of one note, and the trouble there was."""
    request, unsure = restore(note, {}), note.state is not EffectState.PLANNED
    receipt: Receipt | None
    try:
        async with shop.gate:
            if notes.to_be_looked_for(note):
                asked = request.model_copy(update={"sent_at": note.first_sent_at})
                receipt = await shop.connector.find(asked)
            elif unsure and not _may_repeat(shop, note, now):
                return Change(note.key, EffectState.UNKNOWN, error=note.error or "sent before a crash"), None
            else:
                receipt = await shop.connector.note(request)  # type: ignore[arg-type]  # a note is restored as one
    except PlatformError as error:
        return _failed(shop, note, error, now), error
    except Exception as error:  # a plugin's own fault: whether the request left is not known
        fault = PlatformError(f"{type(error).__name__}: {error}")
        return _failed(shop, note, fault, now), fault
    if receipt is not None:
        return Change(note.key, EffectState.CONFIRMED, ref=receipt.ref), None
    if now - note.planned_at > GIVEN_UP_AFTER:
        return Change(note.key, EffectState.REJECTED, error=note.error or "given up"), None
    return Change(note.key, EffectState.PLANNED), None  # proven absent: marked again, then sent again


def _may_repeat(shop: Shop, note: Effect, now: datetime) -> bool:
    began = note.first_sent_at or note.planned_at
    return note.effect_class == "idempotent" and now - began < shop.operation(NOTE, NOTE).window


def _failed(shop: Shop, note: Effect, error: PlatformError, now: datetime) -> Change:
    pause = min(shop.playbook.retry * 2 ** min(note.attempt, 8), shop.playbook.poll)
    later: datetime | None = now + max(pause, timedelta(seconds=error.retry_after or 0))
    if now - note.planned_at > GIVEN_UP_AFTER:
        later = None
    if note.state is not EffectState.PLANNED or not error.sure_not_done:
        repeatable = note.effect_class in ("idempotent", "queryable")
        return Change(note.key, EffectState.UNKNOWN, error=str(error), look_at=later if repeatable else None)
    if later is not None and (error.retryable or isinstance(error, _LATER)):
        return Change(note.key, EffectState.PLANNED, error=str(error), look_at=later)
    return Change(note.key, EffectState.REJECTED, error=str(error))
