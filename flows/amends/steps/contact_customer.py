"""contact-customer: an honest explanation, a fair offer, a new ship date and a reply-by, by the shop's ways in order.

The policy's answer and reason become facts before anybody is told. The next way is tried only after the one before
it has certainly refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from amends.cases import facts as f
from amends.cases.decisions import Next
from amends.cases.durations import show_duration
from amends.cases.lateness import State
from amends.cases.money import Money
from amends.cases.moves import approval_name
from amends.cases.offers import Offer
from amends.cases.playbook import Playbook
from amends.cases.snapshot import Round
from amends.cases.stages import Stage, look
from amends.errors import PluginError
from amends.hooks.protocols import CaseView, PolicyContext
from amends.hooks.requests import Message
from amends.ledger import Tx, budgets, effects, persons, work
from amends.ledger.effects import Effect, EffectState
from amends.steps import acts
from amends.steps.localised import zone_of
from amends.steps.requests import split, text_name
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, guarded, write
from amends.steps.wording import message_text


async def contact_customer(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Propose where nothing is proposed, and send what is proposed; answers with the turns still held."""
    later = await _who_waits(shop, turns)
    now = [turn for turn in turns if turn not in later]
    fresh = [turn for turn in now if _needs_proposal(turn)]
    left = await shop.ledger.run(_left, shop, fresh) if fresh else {}
    for turn in fresh:
        guarded(shop, turn, partial(propose, shop, turn, left[turn.claim.id]))
        if not turn.failed:
            decide_turn(shop, turn)
    sending = [turn for turn in now if not turn.failed and (turn not in fresh or _goes_out(turn))]
    before, personal = await shop.ledger.run(_known, [t.claim.id for t in sending]) if sending else ({}, {})
    plans, going = [], []
    for turn in sending:
        known = (before[turn.claim.id], personal.get(turn.claim.id, {}))
        plan = guarded(shop, turn, partial(_plan, shop, turn, *known))
        if plan is not None:
            plans.append(plan)
            going.append(turn)
    rest = [turn for turn in now if turn not in going]
    for turn in rest:
        if not turn.failed:
            decide_turn(shop, turn)
    return await write(shop, [*later, *rest], keep=True) + await acts.do(shop, going, plans)


async def _who_waits(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """The cases whose customers are left alone for now; each waits, and its why says for what."""
    busy = [turn for turn in turns if shop.terms(turn.claim.playbook).playbook.at_most is not None]
    sent = await shop.ledger.run(_sent_to, shop, busy) if busy else {}
    waiting = []
    for turn in turns:
        playbook = shop.terms(turn.claim.playbook).playbook
        free = _quiet_until(shop, turn, playbook) or _too_often(turn, playbook, sent.get(_customer(turn), ()))
        if free is not None:
            stage = turn.next.stage if turn.next else Stage.CONTACT
            turn.next = Next("wait", free[1], stage, at=free[0])
            waiting.append(turn)
        elif playbook.at_most is not None and _customer(turn):
            sent.setdefault(_customer(turn), []).append(turn.now)  # counts for the next order of this batch
    return waiting


def _customer(turn: Turn) -> str:
    return turn.case.order.customer if turn.case.order is not None else ""


def _sent_to(tx: Tx, shop: Shop, turns: Sequence[Turn]) -> dict[str, list[datetime]]:
    """When these customers were written to, over all their orders and ways."""
    customers = sorted({_customer(turn) for turn in turns} - {""})
    longest = max(
        (
            p.at_most.within
            for turn in turns
            if (p := shop.terms(turn.claim.playbook).playbook).at_most is not None
        ),
        default=timedelta(),
    )
    return effects.messages_to(tx, shop.name, customers, since=turns[0].now - longest)


def _needs_proposal(turn: Turn) -> bool:
    last = turn.case.last
    anew = turn.next is not None and turn.next.what == "anew"
    return last is None or last.contacted_at is not None or anew


def _goes_out(turn: Turn) -> bool:
    """Whether what was just proposed may be sent at once: nothing to ask, nothing to look at first."""
    return turn.next is not None and turn.next.do == "step" and turn.next.step is f.Step.CONTACT


def _left(tx: Tx, shop: Shop, turns: Sequence[Turn]) -> Mapping[int, Mapping[str, Money]]:
    scopes = {}
    for turn in turns:
        order = turn.case.order
        scopes[turn.claim.id] = (
            shop.scopes(turn.claim.number, order.customer, order.amount.currency) if order else []
        )
    return budgets.left_of(tx, scopes)


def _known(tx: Tx, ids: Sequence[int]) -> tuple[dict[int, list[Effect]], dict[int, dict[str, bytes]]]:
    return effects.of_cases(tx, ids), persons.load(tx, ids, ["personal"])


def propose(shop: Shop, turn: Turn, left: Mapping[str, Money]) -> None:
    """Ask the policy for this round's offer and write its answer down, checked."""
    case, order = turn.case, turn.case.order
    terms = shop.terms(turn.claim.playbook)
    now = look(case, turn.now, terms)
    if order is None or now.lateness is None:
        raise AssertionError(f"case {turn.claim.id} has no order to propose for")
    told = [round_ for round_ in case.rounds if round_.contacted_at is not None]
    number = len(told) + 1
    reply_by = turn.now + terms.playbook.reply_within
    state = now.lateness.state
    if state is State.SHIPPED_LATE and terms.playbook.shipped_late == "apologise":
        offer = Offer(why="shipped late: the playbook says to apologise", cause="")
    else:
        last = told[-1] if told else None
        view = CaseView(
            order=order, lateness=now.lateness, round=number, penalty=case.penalty, now=turn.now,
            earlier=tuple(r.offer for r in told), can=shop.remedies,
            counter_ship_by=last.counter_ship_by if last else None, counter_remedy=last.counter_remedy if last else None,
        )  # fmt: skip
        context = PolicyContext(left=left, reply_by=reply_by, last_round=terms.playbook.rounds)
        offer = _checked(shop, turn, shop.policy(turn.claim.policy).propose(view, context))
        if not offer.none and not offer.agreed:
            offer = offer.model_copy(update={"reply_by": offer.reply_by or reply_by})
    if (
        len(told) < len(case.rounds) and offer.remedy is None
    ):  # proposed anew: the share of before is given back
        turn.release_rounds.append(number)
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
    playbook = shop.terms(turn.claim.playbook).playbook
    ways = playbook.channels
    refused = {
        e.via: e.error
        for e in earlier
        if e.op == "message" and e.round == last.number and _refuses_still(turn, e)
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


def _refuses_still(turn: Turn, effect: Effect) -> bool:
    """Whether a way that refused still counts as refusing: a release asks for another try, a withdrawal is no refusal."""
    if effect.state is not EffectState.REJECTED or effect.error.startswith(acts.WITHDRAWN):
        return False
    released = turn.case.released_at
    return released is None or effect.settled_at is None or effect.settled_at > released


def _quiet_until(shop: Shop, turn: Turn, playbook: Playbook) -> tuple[datetime, str] | None:
    """Until when this customer is left alone now, by the hours of their own day."""
    if playbook.quiet is None:
        return None
    order = turn.case.order
    zone = zone_of(order.time_zone if order else "", shop.settings.shop(shop.name).time_zone)
    end = playbook.quiet.until(turn.now.astimezone(zone))
    lateness = look(turn.case, turn.now, shop.terms(turn.claim.playbook)).lateness
    breaks = lateness.ship_by if lateness else None
    if end is None or (breaks is not None and turn.now < breaks < turn.now + playbook.quiet.unless_within):
        return None
    return end.astimezone(UTC), f"quiet hours of the customer, until {end:%H:%M} there"


def _too_often(turn: Turn, playbook: Playbook, sent: Sequence[datetime]) -> tuple[datetime, str] | None:
    """When this customer may be written to again, by what they got over all orders and ways."""
    if playbook.at_most is None:
        return None
    recent = sorted(at for at in sent if at > turn.now - playbook.at_most.within)
    if len(recent) < playbook.at_most.messages:
        return None
    free = recent[-playbook.at_most.messages] + playbook.at_most.within
    return free, f"the customer got {len(recent)} messages within {show_duration(playbook.at_most.within)}"


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
        scopes = shop.scopes(order.number, order.customer, amount.currency)
        plan.share = budgets.Share(turn.claim.id, last.number, amount, scopes)
        if shop.terms(turn.claim.playbook).playbook.approve.needs(amount):
            plan.yes = work.Yes(approval_name(f.Step.CONTACT, last.number), turn.case.version, amount)
    return plan
