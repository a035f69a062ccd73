"""Acts on the outside world, at most once: planned, marked sent, sent, and written down, window by window.

What a crash or a silent platform leaves open is settled by the operation's declared class: the same key again, a look
first, or a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from amends.cases import facts as f
from amends.cases.decisions import Next
from amends.cases.lateness import State
from amends.cases.moves import approval_name
from amends.cases.stages import Stage, look
from amends.errors import AmendsError, CaseError
from amends.hooks.requests import Message
from amends.ledger import holds, leases, tasks, work
from amends.ledger.crash import crashpoint
from amends.ledger.effects import Change, Draft, Effect, EffectState
from amends.steps import outcomes
from amends.steps.sending import STOPS_SHOP, Act, prepare, send
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, fail, tell_listeners, write

WINDOW = 200
"""Effects at most that are marked sent in one durable transaction."""
MARKED = 0.5
"""Seconds of the platform's quota that are marked sent at once: what a crash then leaves open is little."""
WITHDRAWN = "withdrawn"
"""How the error of an effect begins that was planned, never left, and was taken back."""


async def do(shop: Shop, turns: Sequence[Turn], plans: Sequence[work.Plan]) -> list[Turn]:
    """Plan these effects and carry them out; answers with the turns that the worker still holds afterwards.

    `plans` are in the order of `turns`. A plan that the ledger refuses costs nothing: its case is decided anew.
    """
    if not turns:
        return []
    now = turns[0].now
    for turn, plan in zip(turns, plans, strict=True):
        plan.facts, turn.facts = turn.facts, []
        plan.texts, turn.texts = {**turn.texts, **plan.texts}, {}
        plan.applied, turn.applied = turn.applied, []
    crashpoint("before-plan")
    answers = await shop.ledger.run(work.plan, plans, now)
    crashpoint("after-plan")
    acts: list[Act] = []
    refused: list[Turn] = []
    for turn, plan in zip(turns, plans, strict=True):
        answer = answers[turn.claim.id]
        if isinstance(answer, work.Refusal):
            turn.facts, turn.texts, turn.applied = plan.facts, plan.texts, plan.applied
            refused.append(turn)
            _refused(shop, turn, answer)
            continue
        open_ = [answer[draft.key] for draft in plan.drafts]
        open_ = [e for e in open_ if not e.state.settled and e.state is not EffectState.QUARANTINED]
        for effect in open_:
            acts.append(_act(shop, turn, effect))
            if all(e.key != effect.key for e in turn.claim.effects):
                turn.claim.effects.append(effect)
        if not open_:  # it would be planned again and again: a person must see it
            fail(shop, turn, CaseError(f"{plan.drafts[0].kind} was to be done, but is settled already"))
            refused.append(turn)
    await tell_listeners(shop, [(turn.case, plan.written) for turn, plan in zip(turns, plans, strict=True)])
    held = await write(shop, refused, keep=True)
    return held + await _in_windows(shop, acts, now)


def _refused(shop: Shop, turn: Turn, refusal: work.Refusal) -> None:
    match refusal.kind:
        case "lost":
            turn.lost = True
        case "cap":
            turn.next = None
            _over_cap(shop, turn, refusal.why)
        case _:
            rest(turn, refusal.why)


def rest(turn: Turn, why: str, pause: timedelta = timedelta(minutes=1)) -> None:
    """Let the case be for a moment, whatever was decided."""
    stage = turn.next.stage if turn.next else Stage.VERIFY
    turn.next = Next("wait", why, stage, at=turn.now + pause)


def _over_cap(shop: Shop, turn: Turn, cap: str) -> None:
    """The remedy does not fit under a cap: the explanation goes without it, or a person decides."""
    last = turn.case.last
    if last is None:
        raise AssertionError(f"case {turn.claim.id} has no offer, yet a share of {cap} was asked")
    if last.accepted or shop.terms(turn.claim.playbook).playbook.cap_reached == "ask":
        turn.add(f.Held(why=f"{last.offer.remedy} does not fit under {cap}", by="amends", cause="approval"))
        return
    offer = last.offer.model_copy(
        update={"remedy": None, "why": f"{last.offer.why}; {cap} is used up, so no remedy"}
    )
    turn.add(
        f.Proposed(
            round=last.number, offer=offer, policy=last.policy, notice=last.notice, over_cap=cap,
            state=lateness_state(shop, turn),
        )
    )  # fmt: skip


def lateness_state(shop: Shop, turn: Turn) -> State:
    """How late the case's order is now."""
    lateness = look(turn.case, turn.now, shop.terms(turn.claim.playbook)).lateness
    return lateness.state if lateness else State.UNKNOWN


def _act(shop: Shop, turn: Turn, effect: Effect) -> Act:
    return Act(turn, effect, shop.operation(effect.op, effect.kind, effect.via))


async def resume(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Settle what these cases have under way: effects planned and not sent, sent and not answered, or uncertain."""
    withdrawn = [turn for turn in turns if turn.next is not None and turn.next.what == "withdraw"]
    for turn in withdrawn:
        _withdraw(turn)
        decide_turn(shop, turn)
    turns = [turn for turn in turns if turn not in withdrawn]
    kept = await write(shop, withdrawn, keep=True)
    acts = [
        _act(shop, turn, effect) for turn in turns for effect in turn.claim.effects if _ripe(turn, effect)
    ]
    touched = {act.turn.claim.id for act in acts}
    idle = [turn for turn in turns if turn.claim.id not in touched]
    for turn in idle:
        decide_turn(shop, turn)
    await write(shop, idle)
    return kept + (await _in_windows(shop, acts, turns[0].now) if turns else [])


def _withdraw(turn: Turn) -> None:
    """Take back what was planned and never left: it may be planned anew, should it be wanted again."""
    why = turn.next.why if turn.next else ""
    for effect in list(turn.claim.effects):
        if effect.state is EffectState.PLANNED:  # certainly not done
            turn.change(Change(effect.key, EffectState.REJECTED, error=f"{WITHDRAWN}: {why}"))
            turn.unused.append(approval_name(effect.step, effect.round))
            if effect.op == "message":
                turn.release_rounds.append(effect.round)


def _ripe(turn: Turn, effect: Effect) -> bool:
    if effect.state.settled or effect.state is EffectState.QUARANTINED:
        return False
    return effect.look_at is None or effect.look_at <= turn.now or effect.effect_class == "by-hand"


async def _in_windows(shop: Shop, acts: Sequence[Act], now: datetime) -> list[Turn]:
    """All acts of a case go in the same window, so that a window's outcome frees whole cases.

    While one window's outcomes are written, the next one is on its way.
    """
    if not acts:
        return []
    least, quota = shop.connector_spec.in_flight, shop.pace.within(shop.connector_spec.name, MARKED)
    size = int(max(least, min(WINDOW, quota)))
    windows: list[list[Act]] = [[]]
    by_case: dict[int, list[Act]] = {}
    for act in acts:
        by_case.setdefault(act.turn.claim.id, []).append(act)
    for case in by_case.values():
        if len(windows[-1]) + len(case) > size and windows[-1]:
            windows.append([])
        windows[-1].extend(case)
    if len(windows) == 1:
        return await _window(shop, acts, now)
    under_way = asyncio.Semaphore(shop.lanes)

    async def in_turn(window: list[Act]) -> list[Turn]:
        async with under_way:
            return await _window(shop, window, now)

    done = await asyncio.gather(*map(in_turn, windows), return_exceptions=True)
    for found in done:  # only after every window came to its end: none is left half way
        if isinstance(found, BaseException):
            raise found
    return [turn for found in done if isinstance(found, list) for turn in found]


async def _window(shop: Shop, acts: Sequence[Act], now: datetime) -> list[Turn]:
    now = max(now, shop.clock.now())  # when it is sent: the case may have been claimed minutes ago
    turns = list({act.turn.claim.id: act.turn for act in acts}.values())
    sending = [act for act in acts if await prepare(shop, act, now)]
    going: dict[int, list[Effect]] = {}
    for act in sending:
        going.setdefault(act.turn.claim.id, []).append(act.effect)
    stopped: set[int] = set()
    if going:
        until = leases.last_send()
        claims = [turn.claim for turn in turns if turn.claim.id in going]
        ready = await shop.ledger.run(work.mark_sent, claims, going, now)
        crashpoint("after-sent")
        stopped = set(going) - set(ready)  # lost, held or woken: nothing was sent, its effects stay planned
        acts = [act for act in acts if act.turn.claim.id not in stopped]
        sending = [act for act in sending if act.turn.claim.id in ready]
        await asyncio.gather(
            *(send(shop, act, ready[act.turn.claim.id].values, now, until) for act in sending)
        )
        crashpoint("after-send")
        for act in sending:
            key = ready[act.turn.claim.id].key
            if isinstance(act.request, Message) and key is not None:
                act.digest = key.digest(act.request.text.encode())
    for act in acts:
        _conclude(shop, act, now)
    await _hold_shop(shop, acts, now)
    for turn in turns:
        decide_turn(shop, turn)
        if turn.claim.id in stopped:
            rest(turn, "held, changed or taken over by another worker, just before it was sent")
    crashpoint("before-outcome")
    held = await write(shop, turns, keep=True)
    crashpoint("after-outcome")
    return held


def _conclude(shop: Shop, act: Act, now: datetime) -> None:
    """Turn what happened into changes, facts and tasks of the turn."""
    effect, turn = act.effect, act.turn
    playbook = shop.terms(turn.claim.playbook).playbook
    error = str(act.error) if act.error else ""
    if act.operation.how == "by-hand":
        due = effect.look_at or now + playbook.task_within
        if effect.look_at is None:  # an open task stays as it is: a person may be settling it at this moment
            turn.change(Change(effect.key, EffectState.SENT, look_at=due))
        if effect.key not in {task.effect for task in turn.case.tasks.values()}:
            turn.tasks.append(_task(shop, act, due))
            if effect.op == "legal":
                turn.add(f.Filed(instance="legal", effect=effect.key, ruling_by=due))
        return
    ref = act.receipt.ref if act.receipt else ""
    turn.change(Change(effect.key, act.state, ref=ref, error=error, look_at=act.look_at))
    if act.receipt is not None:
        body = outcomes.confirmed(
            effect, act.receipt, at=now, playbook=playbook, digest=act.digest, sent=act.request
        )
        if body is not None:
            turn.add(body)
    elif act.state is EffectState.REJECTED:
        body = outcomes.rejected(effect, error)
        if body is not None:
            turn.add(body)
        else:  # another way may be tried with the same yes
            turn.unused.append(approval_name(effect.step, effect.round))
    elif act.state is EffectState.QUARANTINED:
        turn.add(f.Uncertain(effect=effect.key, act=effect.kind, why=error, quarantined=True))
        turn.tasks.append(
            tasks.Opening(
                turn.claim.id, turn.claim.shop, turn.claim.number, f"find-out:{effect.kind}", now + playbook.task_within,
                effect=effect.key, place=act.operation.where or "the platform's back office: was it done?",
                choices=("done", "not-done"),
            )
        )  # fmt: skip
    elif act.state is EffectState.UNKNOWN and effect.state is not EffectState.UNKNOWN:
        turn.add(f.Uncertain(effect=effect.key, act=effect.kind, why=error or "sent before a crash"))


def _task(shop: Shop, act: Act, due: datetime) -> tasks.Opening:
    effect, turn = act.effect, act.turn
    choices: tuple[str, ...] = ("done", "not-done")
    if effect.op == "legal":
        choices = ("for-us", "against-us", "withdrawn", "written-off")
    elif effect.via == "call":
        choices = ("told", "accept", "decline", "counter", "cancel", "not-reached")
    elif effect.op == "ruling":
        choices = ("for-us", "against-us", "withdrawn", "none-yet")
    return tasks.Opening(
        turn.claim.id, turn.claim.shop, turn.claim.number, effect.kind, due, effect=effect.key,
        place=act.operation.where, limits=act.operation.limits, choices=choices,
    )  # fmt: skip


async def _hold_shop(shop: Shop, acts: Sequence[Act], now: datetime) -> None:
    """Credentials, permission or risk control: hold the shop for a person, once, with what to do."""
    stop = next((act.error for act in acts if isinstance(act.error, STOPS_SHOP)), None)
    if stop is not None:
        await hold_shop(shop, stop, now)


async def hold_shop(shop: Shop, error: AmendsError, now: datetime) -> None:
    """Hold the shop until a person has done what the error's hint says, and released it: told once, in one message."""
    hint, release = error.hint, f"`amends release --shop {shop.name}`"
    hint = (
        hint.replace("`amends release --shop NAME`", release)
        if "release" in hint
        else f"{hint} Then {release}."
    )
    why = f"{error} ({error.code}). {hint}"
    shop.problems.append(f"{shop.name} is held: {why}")
    await shop.ledger.run(holds.hold, shop=shop.name, step="", by="amends", why=why, at=now)


def draft(
    turn: Turn, shop: Shop, step: f.Step, op: str, kind: str, round_: int, request: str, **more: Any
) -> Draft:
    """A draft of this turn's case, with the effect class that its operation declares."""
    via = more.get("via", "platform")
    operation = shop.operation(op, kind, via)
    klass = (
        "by-hand"
        if operation.how == "by-hand"
        else operation.effect
        if operation.effect != "none"
        else "blind"
    )
    claim = turn.claim
    return Draft(
        claim.id,
        claim.shop,
        claim.number,
        turn.case.generation,
        step,
        round_,
        op,
        kind,
        klass,
        request,
        **more,
    )
