"""Wraps each step and each intake of a sweep in one Prefect task run, named by step and shop.

A task run is given its label and a count, never an order: what it works on reaches it by a context variable. Prefect
neither caches, stores nor retries it; what was done is in the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, Generic, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from amends.steps.advance import StepFunction
from amends.steps.intake import Found
from amends.steps.shop import Shop
from amends.steps.turns import Turn
from amends.workflows.masks import tellable

T = TypeVar("T")


class _Work(Generic[T]):
    """One piece of work and what came of it, beside the task run that shows it."""

    def __init__(self, do: Callable[[], Awaitable[T]]) -> None:
        self._do = do
        self.begun = False
        self.error: Exception | None = None
        self.result: list[T] = []

    async def do(self) -> None:
        self.begun = True
        try:
            self.result.append(await self._do())
        except Exception as error:
            self.error = error
            raise tellable(error) from None


_work: ContextVar[_Work[Any]] = ContextVar("_work")


@task(task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False, retries=0, log_prints=False)
async def _step(label: str, count: int) -> int:
    """One step of a batch of cases."""
    await _work.get().do()
    return count


@cache
def _named(name: str) -> Task[[str, int], Any]:
    return _step.with_options(name=name)


async def _run(name: str, label: str, count: int, do: Callable[[], Awaitable[T]]) -> T:
    """Do it inside a task run; answers with what it gave, and raises what it raised, not Prefect's copy."""
    work = _Work(do)
    token = _work.set(work)
    try:
        await _named(name)(label, count)
    except Exception as error:
        # Prefect only shows the work: where showing it fails, the work is neither undone nor left out.
        if work.error is None:
            get_run_logger().warning("Prefect could not show %s: %s", label, type(error).__name__)
    finally:
        _work.reset(token)
    if not work.begun:
        return await do()
    if work.error is not None:
        raise work.error
    return work.result[0]


async def run_step(name: str, step: StepFunction, shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """A `Runner` for sweeps: the step as one task run, such as `verify-order flagship: 200 cases`."""
    many = f"{len(turns)} case{'' if len(turns) == 1 else 's'}"
    return await _run(name, f"{name} {shop.name}: {many}", len(turns), lambda: step(shop, turns))


async def run_intake(name: str, take: Callable[[Shop], Awaitable[Found]], shop: Shop) -> Found:
    """A `Taker` for sweeps: the intake as one task run, such as `find-orders flagship`."""
    return await _run(name, f"{name} {shop.name}", 0, lambda: take(shop))
