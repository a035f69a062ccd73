"""file-complaint: put a complaint, or the answer to a dispute, before the desk with its evidence, and look for rulings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Literal, get_args

from amends.cases import facts as f
from amends.cases.orders import Order, Tracking
from amends.cases.snapshot import Act
from amends.errors import AmendsError, PlatformError
from amends.hooks.requests import Filing
from amends.ledger import Tx, chain, effects, persons, work
from amends.steps import acts
from amends.steps.dossier import Record, evidence_files
from amends.steps.reading import patiently
from amends.steps.requests import split, text_name
from amends.steps.sending import STOPS_SHOP
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, fail, guarded, write
from amends.steps.wording import filing_text

_OPS: Mapping[str, Literal["complain", "respond", "arbitrate"]] = {
    "complaint": "complain",
    "response": "respond",
    "arbitration": "arbitrate",
}


async def file_complaint(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """File what is not filed, look for a ruling on what is; answers with the turns still held."""
    return await file_or_look(shop, turns, f.Step.COMPLAIN)


async def file_or_look(shop: Shop, turns: Sequence[Turn], step: f.Step) -> list[Turn]:
    """The same for every instance before a desk: `escalate` uses it for arbitration."""
    waiting = [turn for turn in turns if turn.next is not None and turn.next.what == "look"]
    new = [turn for turn in turns if turn not in waiting]
    return await _look(shop, waiting, step) + await _file(shop, new, step)


async def _look(shop: Shop, turns: Sequence[Turn], step: f.Step) -> list[Turn]:
    """Ask the desk for rulings; where it cannot be asked, a person looks."""
    if not turns:
        return []
    by_hand = [turn for turn in turns if _how_ruled(shop, turn) != "api"]
    turns = [turn for turn in turns if turn not in by_hand]
    asked = await acts.do(shop, by_hand, [_ask_person(shop, turn, step) for turn in by_hand])
    gate = asyncio.Semaphore(shop.desk_spec.in_flight)
    stops: list[PlatformError] = []

    async def one(turn: Turn) -> None:
        act = _open_act(turn)
        async with gate:
            try:
                ruling = await patiently(partial(shop.desk.ruling, turn.claim.number, act.ref))
            except PlatformError as error:
                if not error.retryable and not isinstance(error, STOPS_SHOP):
                    fail(shop, turn, error)  # rests longer each time, then waits for a person
                    return
                shop.problems.append(f"case {turn.claim.id}: no look at the ruling: {error}")
                pause = max(shop.playbook.retry, timedelta(seconds=error.retry_after or 0))
                acts.rest(turn, f"no look at the ruling: {error}", pause)
                if isinstance(error, STOPS_SHOP):
                    stops.append(error)
                return
            except Exception as error:  # the desk's own fault: this case alone rests, longer each time
                fail(shop, turn, error)
                return
        if ruling is None:
            turn.add(f.Looked(instance=act.instance))
        else:
            turn.add(
                f.Ruled(
                    instance=act.instance,
                    verdict=ruling.verdict,
                    ref=ruling.ref,
                    by=shop.desk_spec.name,
                    note=ruling.note,
                ),
                actor=shop.desk_spec.name,
            )

    await asyncio.gather(*(one(turn) for turn in turns))
    if stops:
        await acts.hold_shop(shop, stops[0], turns[0].now)
    for turn in turns:
        if turn.next is None or turn.next.do != "wait":
            decide_turn(shop, turn)
    return asked + await write(shop, turns, keep=True)


def _how_ruled(shop: Shop, turn: Turn) -> str:
    return shop.desk_spec.operation("ruling", _open_act(turn).instance).how


def _open_act(turn: Turn) -> Act:
    act = turn.case.open_act
    if act is None:
        raise AssertionError(f"case {turn.claim.id} waits for no ruling")
    return act


def _ask_person(shop: Shop, turn: Turn, step: f.Step) -> work.Plan:
    act = _open_act(turn)
    detail = f"{act.instance}-{act.looks}"
    turn.add(f.Looked(instance=act.instance))
    request = json.dumps({"op": "ruling", "instance": act.instance})
    draft = acts.draft(
        turn, shop, step, "ruling", f"ruling:{act.instance}", len(turn.case.rounds), request, detail=detail
    )
    return work.Plan(turn.claim, [draft])


async def _file(shop: Shop, turns: Sequence[Turn], step: f.Step) -> list[Turn]:
    if not turns:
        return []
    records = await shop.ledger.run(_records, turns)
    plans, going, rest = [], [], []
    for turn in turns:
        plan = guarded(shop, turn, partial(_plan, shop, turn, step, records[turn.claim.id]))
        if plan is None:
            rest.append(turn)
        else:
            plans.append(plan)
            going.append(turn)
    return await write(shop, rest, keep=True) + await acts.do(shop, going, plans)


def _records(tx: Tx, turns: Sequence[Turn]) -> dict[int, Record]:
    """Everything that the evidence of these cases is made of."""
    ids = [turn.claim.id for turn in turns]
    facts, kept, done = chain.load(tx, ids), persons.load(tx, ids), effects.of_cases(tx, ids)
    return {id_: Record(facts[id_], kept[id_], done[id_]) for id_ in ids}


def _tracking(order: Order) -> Tracking | None:
    """The parcel as proof of shipment, where there is one."""
    if not order.tracking_number:
        return None
    return Tracking(
        parcel=order.parcel, carrier=order.carrier, number=order.tracking_number, picked_up_at=order.picked_up_at,
        delivered_at=order.delivered_at, observed_at=order.observed_at,
    )  # fmt: skip


def _last_dispute(record: Record) -> str:
    """The dispute that a ruling ended, perhaps: whoever goes on with it needs its number."""
    seen = (fact.body.order.dispute for fact in reversed(record.facts) if isinstance(fact.body, f.Observed))
    return next(filter(None, seen), "")


def _plan(shop: Shop, turn: Turn, step: f.Step, record: Record) -> work.Plan:
    order = turn.case.order
    if order is None:
        raise AssertionError(f"case {turn.claim.id} has no order to complain about")
    if turn.next is None or turn.next.what not in get_args(f.Instance):
        raise AssertionError(f"case {turn.claim.id}: {step.value} without saying what to file")
    instance: f.Instance = turn.next.what  # type: ignore[assignment]  # checked above
    op = _OPS.get(instance, "legal")
    operation = shop.operation(op, op)
    if operation.how == "unsupported":
        raise AmendsError(
            f"{shop.desk_spec.name} cannot {op}", hint="Name another desk in the shop's config."
        )
    words = filing_text(shop, turn, instance, record.facts)
    files = evidence_files(shop, turn.case, record, instance)
    request = Filing(
        key="", op=_OPS.get(instance, "complain"), order=order.number, round=len(turn.case.rounds),
        customer=order.customer, instance=instance, text=words.body, files=files,
        dispute=order.dispute or _last_dispute(record),
        tracking=_tracking(order),
        refunds=tuple(e.ref for e in record.effects if e.kind == "grant:refund" and e.state == "confirmed" and e.ref),
    )  # fmt: skip
    body, apart = split(request)
    draft = acts.draft(
        turn, shop, step, op, op, len(turn.case.rounds), body, detail=instance if op == "legal" else ""
    )
    plan = work.Plan(turn.claim, [draft], texts={text_name(draft.key): apart["texts"]})
    needed = {"complaint": "complaint", "arbitration": "arbitration", "legal": "legal"}.get(instance)
    approve = shop.terms(turn.claim.playbook).playbook.approve
    if needed is not None and getattr(approve, needed):
        plan.yes = work.Yes(f"{step.value}:{instance}", turn.case.version)
    return plan
