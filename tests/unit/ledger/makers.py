"""Orders, cases, worker's hands: short ways to put a ledger into a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from tests.unit.cases.makers import DAY, HOUR, PICKUP_COUNTS, T0, order, yuan

from amends.cases import facts as f
from amends.cases.lateness import State, judge
from amends.cases.money import Money
from amends.cases.orders import Order
from amends.ledger import Ledger, Tx, Vault, chain, effects, intake, work
from amends.ledger.effects import Draft
from amends.ledger.schema import cases

__all__ = [
    "DAY",
    "HOUR",
    "KEY",
    "LATE",
    "SHOP",
    "T0",
    "Money",
    "claim",
    "draft",
    "opening",
    "order",
    "seen",
    "yuan",
]

KEY = Vault(bytes(range(32)))
SHOP = "flagship"
LATE = T0 + 3 * DAY
MINUTE = timedelta(minutes=1)


def seen(number: str = "A-1", *, at: datetime = LATE, **changes: Any) -> intake.Seen:
    """An order as an intake sees it at that time."""
    found = order(**({"number": number, "observed_at": at} | changes))
    return seen_order(found, at)


def seen_order(found: Order, at: datetime = LATE) -> intake.Seen:
    return intake.Seen(found, judge(found, now=at, rules=PICKUP_COUNTS))


def opening(
    number: str = "A-1", *, state: State = State.OVERDUE, due: datetime = LATE, held: f.Held | None = None
) -> intake.Opening:
    return intake.Opening(number, state, "overdue: not shipped", "p1", "l1", due, held)


def opened(ledger: Ledger, *numbers: str, shop: str = SHOP, at: datetime = LATE) -> dict[str, int]:
    """Open a case per number."""
    return ledger.do(intake.open_cases, shop, [opening(n, due=at) for n in numbers or ("A-1",)], at)


def claim(
    ledger: Ledger, owner: str = "w1", *, at: datetime = LATE, limit: int = 100, shop: str = SHOP
) -> list[work.Claim]:
    return ledger.do(work.claim, shop, owner, now=at, limit=limit)


def draft(claim_: work.Claim, kind: str = "message", **more: Any) -> Draft:
    plain: dict[str, Any] = {
        "case": claim_.id, "shop": claim_.shop, "number": claim_.number, "generation": claim_.snapshot.generation,
        "step": f.Step.CONTACT, "round": 1, "op": kind, "kind": kind, "effect_class": "queryable", "request": '{"op":"x"}',
    }  # fmt: skip
    return Draft(**(plain | more))


def conclude(
    ledger: Ledger, claim_: work.Claim, *bodies: f.Body, at: datetime = LATE, **more: Any
) -> set[int]:
    """Let go of a case with these facts; answers with the cases whose lease was lost."""
    end = work.End(
        claim_,
        facts=[chain.New(body, at) for body in bodies],
        stage="contact",
        **({"due_at": at + HOUR} | more),
    )  # type: ignore[arg-type]
    return ledger.do(work.conclude, [end], at)[1]


def close(
    ledger: Ledger,
    claim_: work.Claim,
    outcome: f.Outcome = f.Outcome.SHIPPED,
    at: datetime = LATE,
    **more: Any,
) -> set[int]:
    body = f.Closed(outcome=outcome, why="test")
    return conclude(ledger, claim_, body, at=at, **({"outcome": outcome, "due_at": None} | more))


def planned(ledger: Ledger, claim_: work.Claim, *drafts: Draft, **more: Any) -> Any:
    """What the ledger answers to a plan: effects by key, or a refusal."""
    return ledger.do(work.plan, [work.Plan(claim_, list(drafts), **more)], LATE)[claim_.id]


def row(ledger: Ledger, case: int) -> Any:
    return ledger.do(lambda tx: tx.execute(select(cases).where(cases.c.id == case)).one())


def kinds(ledger: Ledger, case: int) -> list[str]:
    """What has been written down of a case."""
    return [fact.body.kind for fact in ledger.do(chain.load, [case])[case]]


def sql(ledger: Ledger, statement: str, **values: Any) -> Any:
    """Do something behind the ledger's back."""

    def run(tx: Tx) -> Any:
        done = tx.conn.execute(text(statement), values)
        return done.fetchall() if done.returns_rows else None

    return ledger.do(run)


def verified(ledger: Ledger) -> chain.Report:
    return ledger.do(chain.verify)


def in_threads(count: int, work_: Callable[[int], Any]) -> list[Any]:
    """Do it in that many threads at once."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work_, range(count)))


def numbers(count: int) -> Sequence[str]:
    return [f"A-{n}" for n in range(count)]


def effect_of(ledger: Ledger, key: str) -> effects.Effect:
    return ledger.do(effects.by_key, [key])[key]
