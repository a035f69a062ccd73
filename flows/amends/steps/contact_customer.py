"""contact-customer: an honest explanation, a fair offer, a new ship date and a reply-by, by the shop's ways in order.

The policy's answer and reason become facts before anybody is told. The next way is tried only after the one before
it has certainly refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.offers import Offer
from amends.cases.snapshot import Round
from amends.cases.stages import look
from amends.errors import PluginError
from amends.hooks.protocols import CaseView, PolicyContext
from amends.hooks.requests import Message
from amends.ledger import Tx, budgets, effects, persons, work
from amends.ledger.effects import Effect, EffectState
from amends.steps import acts
from amends.steps.requests import split, text_name
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, guarded, write
from amends.steps.wording import message_text


async def contact_customer(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Propose where nothing is proposed, and send what is proposed; answers with the turns still held."""
    fresh = [turn for turn in turns if _needs_proposal(turn)]
    left = await shop.ledger.run(_left, shop, fresh) if fresh else {}
    for turn in fresh:
        guarded(shop, turn, partial(propose, shop, turn, left[turn.claim.id]))
        if not turn.failed:
            decide_turn(shop, turn)
    sending = [
        t for t in turns if not t.failed and (t not in fresh or (t.next and t.next.step is f.Step.CONTACT))
    ]
    sent_before, personal = (
        await shop.ledger.run(_known, [t.claim.id for t in sending]) if sending else ({}, {})
    )
    plans, going = [], []
    for turn in sending:
        known = (sent_before[turn.claim.id], personal.get(turn.claim.id, {}))
        plan = guarded(shop, turn, partial(_plan, shop, turn, *known))
        if plan is not None:
            plans.append(plan)
            going.append(turn)
    rest = [turn for turn in turns if turn not in going]
    for turn in rest:
        if not turn.failed:
            decide_turn(shop, turn)
    return await write(shop, rest, keep=True) + await acts.do(shop, going, plans)


def _needs_proposal(turn: Turn) -> bool:
    last = turn.case.last
    return last is None or last.contacted_at is not None


def _left(tx: Tx, shop: Shop, turns: Sequence[Turn]) -> dict[int, Mapping[str, Money]]:
    found: dict[int, Mapping[str, Money]] = {}
    for turn in turns:
        order = turn.case.order
        scopes = shop.scopes(turn.claim.number, order.customer, order.amount.currency) if order else []
        found[turn.claim.id] = budgets.left(tx, scopes)
    return found


def _known(tx: Tx, ids: Sequence[int]) -> tuple[dict[int, list[Effect]], dict[int, dict[str, bytes]]]:
    return effects.of_cases(tx, ids), persons.load(tx, ids, ["personal"])


def propose(shop: Shop, turn: Turn, left: Mapping[str, Money]) -> None:
    """Ask the policy for this round's offer and write its answer down, checked."""
    case, order = turn.case, turn.case.order
    terms = shop.terms(turn.claim.playbook)
    now = look(case, turn.now, terms)
    if order is None or now.lateness is None:
        raise AssertionError(f"case {turn.claim.id} has no order to propose for")
    number = len(case.rounds) + 1
    reply_by = turn.now + terms.playbook.reply_within
    state = now.lateness.state
    if state is State.SHIPPED_LATE and terms.playbook.shipped_late == "apologise":
        offer = Offer(why="shipped late: the playbook says to apologise", cause="")
    else:
        last = case.last
        view = CaseView(
            order=order, lateness=now.lateness, round=number, penalty=case.penalty, now=turn.now,
            earlier=tuple(r.offer for r in case.rounds), can=shop.remedies,
            counter_ship_by=last.counter_ship_by if last else None, counter_remedy=last.counter_remedy if last else None,
        )  # fmt: skip
        context = PolicyContext(left=left, reply_by=reply_by, last_round=terms.playbook.rounds)
        offer = _checked(shop, turn, shop.policy(turn.claim.policy).propose(view, context))
        if not offer.none and not offer.agreed:
            offer = offer.model_copy(update={"reply_by": offer.reply_by or reply_by})
    turn.add(
        f.Proposed(
            round=number, offer=offer, policy=turn.claim.policy, state=state, tier=now.lateness.tier,
            notice=_notice(turn, offer),
        )
    )  # fmt: skip


def _checked(shop: Shop, turn: Turn, offer: object) -> Offer:
    """The policy's offer, or a `PluginError` that names what is wrong with it."""
    name, order = shop.policy_spec.name, turn.case.order
    if not isinstance(offer, Offer):
        raise PluginError(f"policy {name} answered with {type(offer).__name__}, not an Offer")
    amount = offer.remedy.amount if offer.remedy else None
    if amount is not None and order is not None:
        if amount.currency != order.amount.currency:
            raise PluginError(f"policy {name} offers {amount} on an order of {order.amount}")
        if amount > order.amount:
            raise PluginError(f"policy {name} offers {amount}, more than the order's {order.amount}")
    if offer.new_ship_by is not None and offer.new_ship_by <= turn.now:
        raise PluginError(
            f"policy {name} promises a ship date that has passed: {offer.new_ship_by:%Y-%m-%d %H:%M} UTC"
        )
    return offer


def _notice(turn: Turn, offer: Offer) -> str:
    if turn.case.rounds:
        return "renewed"
    order = turn.case.order
    if offer.new_ship_by is None or order is None:
        return "first-indefinite"
    first = order.ship_by or turn.now
    return "first-definite" if offer.new_ship_by - first <= timedelta(days=30) else "first-indefinite"


def _plan(
    shop: Shop, turn: Turn, earlier: Sequence[Effect], personal: Mapping[str, bytes]
) -> work.Plan | None:
    """The message to send, by the first way that has not refused; None where none is left."""
    last = turn.case.last
    if last is None:
        raise AssertionError(f"case {turn.claim.id} has nothing proposed")
    approval = turn.case.approvals.get(f"{f.Step.CONTACT.value}:{last.number}")
    if approval is not None and approval.state == "refused" and last.offer.remedy is not None:
        offer = last.offer.model_copy(
            update={"remedy": None, "why": f"{last.offer.why}; the remedy was refused by {approval.by[-1]}"}
        )
        turn.add(
            f.Proposed(
                round=last.number,
                offer=offer,
                policy=last.policy,
                notice=last.notice,
                state=acts.lateness_state(shop, turn),
            )
        )
        return _plan(shop, turn, earlier, personal)
    ways = shop.terms(turn.claim.playbook).playbook.channels
    refused = {
        e.via: e.error
        for e in earlier
        if e.op == "message" and e.round == last.number and e.state is EffectState.REJECTED
    }
    way = next(
        (
            way
            for way in ways
            if way not in refused and shop.operation("message", "message", way).how != "unsupported"
        ),
        None,
    )
    if way is None:
        why = "; ".join(f"{via}: {error}" for via, error in refused.items()) or "no way is configured"
        turn.add(f.Unreached(round=last.number, why=why))
        return None
    return _message(shop, turn, last, way, personal)


def _message(shop: Shop, turn: Turn, last: Round, way: str, personal: Mapping[str, bytes]) -> work.Plan:
    order = turn.case.order
    if order is None:
        raise AssertionError(f"case {turn.claim.id} has no order")
    words = message_text(shop, turn, last, personal)
    request = Message(
        key="", order=order.number, round=last.number, customer=order.customer, text=words.body, subject=words.subject,
        language=words.language, remedy=last.offer.remedy, new_ship_by=last.offer.new_ship_by, reply_by=last.offer.reply_by,
        template=words.template, parameters=words.parameters, reply_url=words.reply_url,
    )  # fmt: skip
    body, apart = split(request)
    detail = "" if way == "platform" else way
    draft = acts.draft(
        turn, shop, f.Step.CONTACT, "message", "message", last.number, body, via=way, detail=detail
    )
    plan = work.Plan(turn.claim, [draft], texts={text_name(draft.key): apart["texts"]})
    amount = last.offer.remedy.amount if last.offer.remedy else None
    if amount is not None:
        plan.share = work.Share(
            last.number, amount, shop.scopes(order.number, order.customer, amount.currency)
        )
        limit = shop.terms(turn.claim.playbook).playbook.approve.remedy_over
        if limit is not None and (amount.currency != limit.currency or amount > limit):
            plan.yes = work.Yes(f"{f.Step.CONTACT.value}:{last.number}", turn.case.version, amount)
    return plan
