"""Takes due cases, decides, and does one step with those that need the same one, until nothing is due."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from amends.cases import facts as f
from amends.cases.decisions import LOOK_AGAIN, Next
from amends.errors import LedgerError
from amends.hooks.requests import Reply
from amends.ledger import inbox, leases, tasks, work
from amends.ledger.crash import crashpoint
from amends.ledger.effects import EffectState
from amends.steps import acts
from amends.steps.contact_customer import contact_customer
from amends.steps.escalate import escalate
from amends.steps.file_complaint import file_complaint
from amends.steps.settle import settle
from amends.steps.shop import Shop
from amends.steps.turns import Turn, decide_turn, fail, guarded, write
from amends.steps.verify_order import verify_order

StepFunction = Callable[[Shop, Sequence[Turn]], Awaitable[list[Turn]]]
Runner = Callable[[str, StepFunction, Shop, Sequence[Turn]], Awaitable[list[Turn]]]

STEPS: dict[f.Step, StepFunction] = {
    f.Step.VERIFY: verify_order,
    f.Step.CONTACT: contact_customer,
    f.Step.SETTLE: settle,
    f.Step.COMPLAIN: file_complaint,
    f.Step.ESCALATE: escalate,
}
BATCH = 200
"""Cases that a worker holds at once."""
MOVES = 30
"""Moves of one case in one sweep after which it rests: it would go in circles."""


@dataclass(slots=True)
class Moved:
    """What a run of advances did: cases taken, and how often each step was done."""

    cases: int = 0
    closed: int = 0
    steps: dict[str, int] = field(default_factory=dict)


async def directly(name: str, step: StepFunction, shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Run a step here and now: what `--local` does, and what Prefect wraps in a task."""
    del name
    return await step(shop, turns)


async def advance(
    shop: Shop, *, run: Runner = directly, only: Sequence[int] | None = None, limit: int = BATCH
) -> Moved:
    """Advance due cases, batch by batch, until none is due (or those of `only` are not)."""
    moved = Moved()
    limit = shop.pace.at_once(shop.connector_spec.name, limit)
    if not shop.ledger.sqlite:  # other workers want their share of the due cases
        limit = max(1, limit // shop.lanes)
    taken: Counter[int] = Counter()

    async def claimed() -> list[work.Claim]:
        now = shop.clock.now()
        return await shop.ledger.run(work.claim, shop.name, shop.owner, now=now, limit=limit, only=only)

    async def lane(claims: Sequence[work.Claim] | None) -> None:
        if claims is None:
            claims = await claimed()
        while claims:
            async with _kept(shop, claims):
                await _advance_batch(shop, run, moved, claims, taken)
            if only is not None and len(claims) < limit:
                return
            claims = await claimed()

    with collected_seldom():
        first = await claimed()
        if len(first) < limit or shop.lanes == 1:
            await lane(first)
            return moved
        done = await asyncio.gather(
            lane(first), *(lane(None) for _ in range(shop.lanes - 1)), return_exceptions=True
        )
    for failed in done:  # only after every lane came to its end
        if isinstance(failed, BaseException):
            raise failed
    return moved


_seldom: list[tuple[int, int, int]] = []


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Look for garbage seldom: a batch is hundreds of thousands of things that live as long as it does, and looking
    through them again and again took a quarter of the time.
    """
    _seldom.append(gc.get_threshold())
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*_seldom.pop())


@asynccontextmanager
async def _kept(shop: Shop, claims: Sequence[work.Claim]) -> AsyncIterator[None]:
    """Prolong the leases on these cases while they are worked on: on a slow platform two workers would else take the same
    cases from each other for ever. A worker that was stopped prolongs nothing.
    """

    async def prolong() -> None:
        while True:
            await asyncio.sleep(leases.LEASE.total_seconds() / 3)
            with suppress(LedgerError):  # the work's own transactions will tell
                await shop.ledger.run(leases.keep_cases, shop.owner, [claim.id for claim in claims])

    task = asyncio.create_task(prolong())
    try:
        yield
    finally:
        task.cancel()


async def _advance_batch(
    shop: Shop, run: Runner, moved: Moved, claims: Sequence[work.Claim], taken: Counter[int]
) -> None:
    now = shop.clock.now()
    crashpoint("after-claim")
    turns = [Turn(claim, now) for claim in claims]
    events = await shop.ledger.run(inbox.waiting, shop.name, [turn.claim.id for turn in turns])
    for turn in turns:
        for event in events.get(turn.claim.id, ()):
            apply_reply(shop, turn, event)
    held = turns
    for turn in turns:
        guarded(shop, turn, partial(decide_turn, shop, turn))
    while held:
        taken.update(turn.claim.id for turn in held)
        for turn in held:
            if taken[turn.claim.id] > MOVES and turn.next is not None and turn.next.do == "step":
                fail(
                    shop,
                    turn,
                    RuntimeError(f"more than {MOVES} moves in one sweep, the next: {turn.next.why}"),
                )
        groups = _groups(shop, held)
        held = []
        for (name, step), group in groups.items():
            if step is None:
                held += await write(shop, group)
                continue
            moved.steps[name] = moved.steps.get(name, 0) + len(group)
            held += await _run_guarded(name, step, shop, group, run)
    moved.cases += len(turns)
    moved.closed += sum(turn.case.outcome is not None for turn in turns)


async def _run_guarded(
    name: str, step: StepFunction, shop: Shop, group: list[Turn], run: Runner
) -> list[Turn]:
    """A fault of the step itself makes its cases rest; the ledger's own errors stop the sweep."""
    try:
        return await run(name, step, shop, group)
    except LedgerError:
        raise
    except Exception as error:
        for turn in group:
            fail(shop, turn, error)
        await write(shop, group)
        return []


def _groups(shop: Shop, turns: Sequence[Turn]) -> dict[tuple[str, StepFunction | None], list[Turn]]:
    """Cases by what is to be done with them now; those that only wait are written together."""
    groups: dict[tuple[str, StepFunction | None], list[Turn]] = {}
    held_by_config = {step.value for step in shop.settings.shop(shop.name).holds}
    for turn in turns:
        answer = turn.next or decide_turn(shop, turn)
        key: tuple[str, StepFunction | None] = ("", None)
        if answer.do == "step" and answer.step is not None:
            block = turn.claim.held_steps.get(answer.step.value)
            if answer.step.value in held_by_config:
                block = f"{answer.step.value} is held by the shop's config"
            if block is not None:
                turn.next = Next("person", block, answer.stage, at=turn.now + LOOK_AGAIN)
            elif answer.step is not f.Step.VERIFY and _open_effects(turn):
                key = (answer.step.value, acts.resume)
            else:
                key = (answer.step.value, STEPS[answer.step])
        groups.setdefault(key, []).append(turn)
    return groups


def _open_effects(turn: Turn) -> bool:
    return any(not e.state.settled and e.state is not EffectState.QUARANTINED for e in turn.claim.effects)


def apply_reply(shop: Shop, turn: Turn, event: inbox.Waiting) -> None:
    """Turn a customer's answer into a fact; one that a person must read becomes a task."""
    before = turn.case.opened_at is not None and event.received_at < turn.case.opened_at
    if (
        not event.body and not before
    ):  # only word that something changed: applied once the order is seen again
        turn.case.outdated = True
        turn.hints.append(event.event)
        return
    turn.applied.append(event.event)
    if before:
        return  # said before this generation began: it answers nothing of ours
    reply = Reply.model_validate_json(event.body)
    contacted = [r for r in turn.case.rounds if r.contacted_at is not None]
    number = reply.round if reply.round is not None else contacted[-1].number if contacted else None
    known = next((r for r in contacted if r.number == number), None)
    if reply.answer is None or known is None:
        due = turn.now + shop.terms(turn.claim.playbook).playbook.task_within
        turn.texts[f"reply:{event.event}"] = reply.text.encode()
        turn.tasks.append(
            tasks.Opening(
                turn.claim.id, shop.name, turn.claim.number, "read-reply", due, effect=f"reply:{event.event}",
                place="the customer's words are with this task", choices=("accept", "decline", "counter", "cancel", "nothing"),
            )
        )  # fmt: skip
        return
    if reply.text:
        turn.texts[f"reply:{event.event}"] = reply.text.encode()
    turn.add(
        f.Replied(
            round=known.number,
            answer=reply.answer,
            event=event.event,
            via="page" if event.event.startswith("page:") else "platform",
            ship_by=reply.ship_by,
            remedy=reply.remedy,
        ),
        actor="customer",
    )
