"""settle: give the accepted remedy once, and move the platform's deadline to the agreed date where that can be done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from amends.cases import facts as f
from amends.cases.moves import approval_name
from amends.cases.snapshot import Round
from amends.cases.stages import look
from amends.hooks.requests import Extension, Grant
from amends.ledger import budgets, work
from amends.steps import acts
from amends.steps.requests import split, text_name
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, guarded, write


async def settle(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Plan and carry out what is owed; answers with the turns still held."""
    plans, going, rest = [], [], []
    for turn in turns:
        plan = guarded(shop, turn, partial(_plan, shop, turn))
        if plan is None or not plan.drafts:
            if not turn.failed:
                decide_turn(shop, turn)
            rest.append(turn)
        else:
            plans.append(plan)
            going.append(turn)
    return await write(shop, rest, keep=True) + await acts.do(shop, going, plans)


def _plan(shop: Shop, turn: Turn) -> work.Plan:
    case, last, order = turn.case, turn.case.last, turn.case.order
    if last is None or order is None:
        raise AssertionError(f"case {turn.claim.id} has nothing to settle")
    plan = work.Plan(turn.claim)
    now = look(case, turn.now, shop.terms(turn.claim.playbook))
    remedy = last.remedy_due(order)
    if remedy is not None and last.owes_remedy(order) and last.requested_at is None:
        kind = f"grant:{remedy.kind.value}"
        reason = (
            "the customer cancelled the late order"
            if last.answer is f.Answer.CANCEL
            else "for the late shipment"
        )
        request = Grant(
            key="",
            order=order.number,
            round=last.number,
            customer=order.customer,
            remedy=remedy,
            reason=reason,
        )
        body, _ = split(request)
        cancelled = last.answer is f.Answer.CANCEL
        plan.drafts.append(
            acts.draft(
                turn, shop, f.Step.SETTLE, "grant", kind, last.number, body, amount=remedy.amount,
                detail=_detail(last) if cancelled else "",
            )
        )  # fmt: skip
        if cancelled and now.refund_needs_yes(remedy.amount):
            plan.yes = work.Yes(approval_name(f.Step.SETTLE, last.number), case.version, remedy.amount)
        if not cancelled and remedy.amount is not None:  # held since the offer, unless silence gave it back
            scopes = shop.scopes(order.number, order.customer, remedy.amount.currency)
            plan.share = budgets.Share(turn.claim.id, last.number, remedy.amount, scopes)
    if now.needs_extension and last.offer.new_ship_by is not None:
        extension = Extension(
            key="",
            order=order.number,
            round=last.number,
            until=last.offer.new_ship_by,
            reason="agreed with the customer",
        )
        body, apart = split(extension)
        draft = acts.draft(turn, shop, f.Step.SETTLE, "extend", "extend", last.number, body)
        plan.drafts.append(draft)
        if apart:
            plan.texts[text_name(draft.key)] = apart["texts"]
    return plan


def _detail(last: Round) -> str:
    """Tells a cancel's refund from the one that the same round may have promised, and from one that a review refused."""
    return f"cancel-{last.reviews + 1}" if last.reviews else "cancel"
