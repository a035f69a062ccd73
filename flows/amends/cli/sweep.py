"""`amends sweep`: finds late orders and moves due cases on, shop after shop; or says what it would do."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_registry, open_settings
from amends.cli.options import DAILY, Json, Now, ShopName
from amends.cli.output import many, print_json, progress, say, warn
from amends.clock import FixedClock, SystemClock
from amends.errors import AmendsError, ConfigError, InputError

if TYPE_CHECKING:
    from amends.hooks.registry import Registry
    from amends.ledger import Ledger
    from amends.settings import Settings
    from amends.steps.sweep import Summary

Tell = Callable[[str], None]


def add_to(app: typer.Typer) -> None:
    app.command("sweep", rich_help_panel=DAILY)(sweep)


def sweep(
    ctx: typer.Context,
    shop: ShopName = None,
    here: Annotated[bool, typer.Option("--local", help="Here and now, without Prefect.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done: nothing is written or sent.")
    ] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """Find late orders and move due cases on, one shop after another.

    A shop that fails does not stop the others. Ends with 1 where any shop could do nothing.
    """
    settings = open_settings(ctx)
    names = [shop] if known_shop(settings, shop) and shop else list(settings.shops)
    if not names:
        raise ConfigError(
            "no shop is configured", hint="Add a table [shops.NAME]; `amends init DIR` shows one."
        )
    if dry_run:
        from amends.cli.rehearsal import rehearse_all, show

        found = rehearse_all(settings, open_registry(settings), names, now_of(now, settings, shop))
        if json:
            print_json({"dry_run": True, "shops": found})
        else:
            show(found, settings)
    else:
        at = now_of(now, settings, shop) if now else None
        found = _sweep_here(settings, names, at) if here else _sweep_by_prefect(settings, names, at)
        if json:
            print_json({"shops": found})
        else:
            _show(found)
    if any(_did_nothing(one) for one in found):
        raise typer.Exit(1)


def _did_nothing(found: dict[str, Any]) -> bool:
    """Whether that shop could do nothing: it failed, or had trouble and saw no order and moved no case."""
    moved = any(found.get(name) for name in ("orders", "replies", "cases", "due", "would_open"))
    return found["state"] == "failed" or (bool(found.get("problems")) and not moved)


def failed(name: str, error: Exception) -> dict[str, Any]:
    """The line of a shop that could not be swept."""
    if isinstance(error, AmendsError):
        return {"shop": name, "state": "failed", "error": str(error), "code": error.code, "hint": error.hint}
    text = f"unexpected {type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return {
        "shop": name,
        "state": "failed",
        "error": text,
        "code": "unexpected",
        "hint": "AMENDS_DEBUG=1 shows where.",
    }


def _sweep_here(settings: Settings, names: list[str], now: datetime | None) -> list[dict[str, Any]]:
    clock = FixedClock(now) if now else None
    registry = open_registry(settings)
    with open_ledger(settings, make=True) as ledger, progress("sweeping") as tell:
        return asyncio.run(_one_by_one(settings, registry, ledger, names, clock, tell))


async def _one_by_one(
    settings: Settings,
    registry: Registry,
    ledger: Ledger,
    names: list[str],
    clock: FixedClock | None,
    tell: Tell,
) -> list[dict[str, Any]]:
    found = []
    for name in names:
        try:
            summary = await _sweep_one(settings, registry, ledger, name, clock, tell)
        except Exception as error:  # one shop's failure must not stop the others
            if os.environ.get("AMENDS_DEBUG"):
                raise
            found.append(failed(name, error))
        else:
            found.append(summary.to_json())
    return found


async def _sweep_one(
    settings: Settings, registry: Registry, ledger: Ledger, name: str, clock: FixedClock | None, tell: Tell
) -> Summary:
    from amends.steps.ask_approvers import Asking, ask_approvers
    from amends.steps.shop import Shop
    from amends.steps.sweep import sweep as sweep_shop

    async def run(step_name: str, step: Any, of: Shop, turns: Any) -> Any:
        tell(f"{name}: {step_name}, {len(turns)} cases")
        return await step(of, turns)

    async def take(what: str, took: Any, of: Shop) -> Any:
        tell(f"{name}: {what}")
        return await took(of)

    shop = await Shop.open(settings, name, ledger=ledger, registry=registry, clock=clock or SystemClock())
    try:
        summary = await sweep_shop(shop, run=run, take=take)
        if summary.state == "done":
            tell(f"{name}: approvers")
            summary.problems += await ask_approvers(
                Asking(settings, ledger, shop.clock, lambda: registry), name
            )
        return summary
    finally:
        await shop.aclose()


def _sweep_by_prefect(settings: Settings, names: list[str], now: datetime | None) -> list[dict[str, Any]]:
    """Run the Prefect flow for each shop."""
    with progress("starting Prefect"):
        try:
            flow: Any = import_module("amends.workflows.sweep").sweep
        except ImportError as error:
            raise InputError(
                f"Prefect cannot be used here ({error})",
                hint="`amends sweep --local` needs none; see `amends doctor`.",
            ) from error
    found = []
    for name in names:
        try:
            answer: Any = flow(shop=name, config=str(settings.path), now=now)
            if inspect.isawaitable(answer):
                answer = asyncio.run(_awaited(answer))
        except Exception as error:  # one shop's failure must not stop the others
            if os.environ.get("AMENDS_DEBUG"):
                raise
            found.append(failed(name, error))
        else:
            found.append(_as_summary(name, answer))
    return found


async def _awaited(answer: Any) -> Any:
    return await answer


def _as_summary(name: str, answer: Any) -> dict[str, Any]:
    if hasattr(answer, "to_json"):
        answer = answer.to_json()
    elif hasattr(answer, "__dataclass_fields__"):
        answer = asdict(answer)
    return {"shop": name, "state": "done", **(answer if isinstance(answer, dict) else {})}


def _show(found: list[dict[str, Any]]) -> None:
    for one in found:
        if one["state"] == "failed":
            warn(
                f"{one['shop']}: error: {one['error']}",
                *([f"{one['shop']}: hint: {one['hint']}"] if one["hint"] else []),
            )
            continue
        if one["state"] == "already-running":
            say(f"{one['shop']}: another sweep is at work there; nothing to do")
            continue
        say(
            f"{one['shop']}: {many(one.get('orders', 0), 'order')} seen, "
            f"{one.get('changed', 0)} new or changed; "
            f"{many(one.get('opened', 0), 'case')} opened, {one.get('cases', 0)} advanced, "
            f"{one.get('closed', 0)} closed; "
            f"{one.get('replies', 0)} replies; {one.get('seconds', 0):.1f} s"
        )
        steps = one.get("steps") or {}
        if steps:
            say("  " + ", ".join(f"{step} {count}" for step, count in sorted(steps.items())))
        for problem in dict.fromkeys(one.get("problems") or ()):
            warn(f"  problem: {problem}")
    if any(one.get("cases") or one.get("opened") for one in found):
        say("See `amends overdue`, `amends tasks` and `amends approvals`.")
