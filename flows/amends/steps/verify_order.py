"""verify-order: look at the order and its parcel again, cross-check them, and write down what is seen.

A label without a pick-up is no shipment. Data that cannot be had, or is stale, is tried again later; data that
contradicts itself holds the case. Nothing is guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from amends.cases import facts as f
from amends.cases.lateness import Lateness, contradictions, judge
from amends.cases.money import Money
from amends.cases.orders import AfterSales, Order, with_tracking
from amends.errors import AuthFailed, NotAllowed, PlatformError, RiskControl
from amends.hooks.requests import Extension, Grant, Receipt
from amends.ledger.effects import Change, EffectState
from amends.steps import outcomes
from amends.steps.acts import hold_shop
from amends.steps.intake import as_json, judged, store
from amends.steps.reading import own_faults, patiently
from amends.steps.requests import request_of
from amends.steps.shop import Shop
from amends.steps.turns import Turn, backoff, decide_turn, guarded, write

TRIES = 6
"""Failed looks in a row after which a person is asked, where the platform's answer is final or unreadable."""


async def verify_order(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Observe these cases' orders; answers with the turns that have a step to do now."""
    seen: list[Order | PlatformError] = await asyncio.gather(*(_observe(shop, turn) for turn in turns))
    found = [
        judged(shop, order, turn.now)
        for turn, order in zip(turns, seen, strict=True)
        if isinstance(order, Order)
    ]
    if found:
        await store(shop, found, now=turns[0].now, waking=False)
        stored = iter(found)
        seen = [next(stored).order if isinstance(order, Order) else order for order in seen]
    stop = next((e for e in seen if isinstance(e, (AuthFailed, NotAllowed, RiskControl))), None)
    for turn, order in zip(turns, seen, strict=True):
        if isinstance(order, Order):
            guarded(shop, turn, partial(_saw, shop, turn, order))
            if turn.failed:
                continue
        elif not isinstance(order, (AuthFailed, NotAllowed, RiskControl)):
            _missed(shop, turn, order)
        else:
            turn.add(
                f.Unseen(why=str(order), code=order.code, attempt=1, retry_at=turn.now + shop.playbook.retry)
            )
        decide_turn(shop, turn)
    if stop is not None:
        await hold_shop(shop, stop, turns[0].now)
    going = [turn for turn in turns if _goes_on(turn)]
    return going + await write(shop, [turn for turn in turns if turn not in going], keep=True)


def _goes_on(turn: Turn) -> bool:
    """Whether what was seen is written with the plan of the next step, in one transaction: it is facts and texts only.

    What a crash loses of it is seen again.
    """
    acts = (
        turn.next is not None and turn.next.do == "step" and turn.next.step in (f.Step.CONTACT, f.Step.SETTLE)
    )
    return acts and not (
        turn.failed or turn.changes or turn.tasks or turn.release_rounds or turn.applied or turn.seen_tasks
    )


async def _observe(shop: Shop, turn: Turn) -> Order | PlatformError:
    async with shop.gate:
        try:
            order = await own_faults(shop.connector_spec.name, partial(_look, shop, turn.claim.number))
        except PlatformError as error:
            return error
    age = turn.now - order.observed_at
    fresh = shop.terms(turn.claim.playbook).playbook.fresh_for
    if age > max(fresh, timedelta(minutes=1)):
        stale = PlatformError(f"the platform's data is {int(age.total_seconds() // 60)} minutes old")
        stale.retryable = True
        return stale
    return order


async def _look(shop: Shop, number: str) -> Order:
    order = await patiently(partial(shop.connector.order, number))
    if shop.connector_spec.operation("tracking").how == "api":
        order = with_tracking(order, await patiently(partial(shop.connector.tracking, order)))
    if shop.desk_spec.operation("disputes").how == "api":
        order = await patiently(partial(shop.desk.with_dispute, order))
    return order


def _missed(shop: Shop, turn: Turn, error: PlatformError) -> None:
    earlier = turn.case.unseen
    attempt = 1 if earlier is None else earlier.attempt + 1
    asked = timedelta(seconds=error.retry_after or 0)
    retry_at = turn.now + max(asked, backoff(shop, attempt - 1))
    turn.add(f.Unseen(why=str(error), code=error.code, attempt=attempt, retry_at=retry_at))
    if not error.retryable and attempt >= TRIES:
        turn.add(f.Held(why=f"{attempt} looks failed, the last: {error}", by="amends", cause="platform"))


def _saw(shop: Shop, turn: Turn, order: Order) -> None:
    if order.personal is not None:
        turn.texts["personal"] = as_json(order.personal, exclude_defaults=True)
    turn.applied, turn.hints = turn.applied + turn.hints, []
    public = order.public()
    before = turn.case.order
    if before is not None and before.same_as(public):
        turn.add(f.SeenAgain())
    else:
        bare = f.Observed(
            order=public, lateness=_judged_for(shop, turn, public), contradictions=contradictions(public)
        )
        cost = None
        if bare.lateness.ship_by is not None:
            cost = shop.rules.penalty(public, bare.lateness.ship_by)
        if cost is not None:
            money, rule = cost
            source = f"{rule.platform}/{rule.name.value}: {rule.source} ({rule.confidence.value})"
            bare = bare.model_copy(update={"penalty": money, "penalty_source": source})
        turn.add(bare)
    _sees_acts(shop, turn, public, before)


def _judged_for(shop: Shop, turn: Turn, order: Order) -> Lateness:
    playbook = shop.terms(turn.claim.playbook).playbook
    return judge(order, now=turn.now, rules=shop.rules, warn=playbook.at_risk_before, agreed=turn.case.agreed)


def _sees_acts(shop: Shop, turn: Turn, order: Order, before: Order | None) -> None:
    """What the order's own state proves: a moved deadline, a paid refund, the end of a dispute."""
    playbook = shop.terms(turn.claim.playbook).playbook
    for effect in list(turn.claim.effects):
        if effect.state not in (EffectState.SENT, EffectState.UNKNOWN, EffectState.QUARANTINED):
            continue
        request = request_of(effect)
        done = False
        if isinstance(request, Extension):
            done = any(
                date is not None and date >= request.until for date in (order.agreed_ship_by, order.ship_by)
            )
        elif isinstance(request, Grant):
            refund = request.remedy.kind.value == "refund"
            done = refund and order.paid_back_since(before, request.remedy.amount)
        if done:
            body = outcomes.confirmed(effect, Receipt(ref="seen"), at=turn.now, playbook=playbook, seen=True)
            turn.change(Change(effect.key, EffectState.CONFIRMED, ref="seen"))
            turn.seen_tasks.append(effect.key)
            if effect.key in turn.case.quarantined:
                turn.add(
                    f.Cleared(
                        effect=effect.key, done=True, by="platform", note="seen by the order's own state"
                    )
                )
            if body is not None:
                turn.add(body)
    last = turn.case.last
    if last is not None and last.requested_at is not None and last.owes_remedy(order):
        remedy = last.remedy_due(order)
        if remedy is not None and order.paid_back_since(before, remedy.amount):
            turn.add(f.Settled(round=last.number, remedy=remedy, effect="", seen=True))
        elif remedy is not None and order.after_sales in (AfterSales.REJECTED, AfterSales.CLOSED):
            turn.add(
                f.SettlementRejected(
                    round=last.number,
                    remedy=remedy,
                    effect="",
                    why=f"the platform's review: {order.after_sales.value}",
                )
            )
    response = turn.case.act("response")
    if response is not None and response.open and order.after_sales is not AfterSales.DISPUTED:
        least = Money(minor=1, currency=order.amount.currency)
        if order.paid_back_since(before, least):
            turn.add(f.Ruled(instance="response", verdict="against-us", by="platform", note="seen: refunded"))
        elif order.after_sales in (AfterSales.CLOSED, AfterSales.NONE, AfterSales.REJECTED):
            turn.add(
                f.Ruled(
                    instance="response",
                    verdict="for-us",
                    by="platform",
                    note=f"seen: {order.after_sales.value}",
                )
            )
