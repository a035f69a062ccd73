"""`amends overdue`: the late orders, the soonest deadline first, each with its case and next step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import known_shop, now_of, open_ledger, open_registry, open_settings, zone_of
from amends.cli.options import DAILY, Json, Now, ShopName
from amends.cli.output import Column, hours, local, many, print_json, say, table

if TYPE_CHECKING:
    from amends.cases.money import Money
    from amends.cases.orders import Order
    from amends.ledger import Tx
    from amends.ledger.views import CaseLine
    from amends.settings import Settings


def add_to(app: typer.Typer) -> None:
    app.command("overdue", rich_help_panel=DAILY)(overdue)


def overdue(
    ctx: typer.Context,
    shop: ShopName = None,
    at_risk: Annotated[bool, typer.Option("--at-risk", help="Also those that will be late soon.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that left late and whose case is closed.")
    ] = False,
    now: Now = None,
    json: Json = False,
) -> None:
    """List late orders, the soonest deadline first: hours late, penalty at stake, case and next step."""
    settings = open_settings(ctx)
    known_shop(settings, shop)
    at = now_of(now, settings, shop)
    with open_ledger(settings) as ledger:
        seen = ledger.do(_read, [shop] if shop else list(settings.shops), at)
    found = [
        line
        for line in _judged(settings, seen, at)
        if (line["state"].late or at_risk) and (all_ or not _done(line))
    ]
    if json:
        print_json({"now": at, "orders": found, "penalty_at_stake": _sums(found)})
    else:
        _show(found, settings, at)


@dataclass
class Seen:
    """Orders that may be late, by shop and number, and what their newest cases say."""

    orders: dict[tuple[str, str], Order] = field(default_factory=dict)
    cases: dict[tuple[str, str], CaseLine] = field(default_factory=dict)
    agreed: dict[int, datetime] = field(default_factory=dict)


def _read(tx: Tx, shops: Sequence[str], now: datetime) -> Seen:
    """Orders that were late or at risk when last judged, and watched ones whose time has come since."""
    from amends.cases.snapshot import fold
    from amends.ledger import chain, intake, views

    found = Seen()
    for shop in shops:
        found.orders |= {(shop, one.number): one for one in intake.due_orders(tx, shop, now, 1_000_000)}
        lines = views.order_lines(tx, shop=shop, states=(*views.LATE, "at-risk"), now=now)
        found.orders |= {(shop, line.number): line.order for line in lines}
        for case in sorted(views.case_lines(tx, shop=shop), key=lambda one: one.generation):
            if (shop, case.number) in found.orders:
                found.cases[shop, case.number] = case
    ids = [case.id for case in found.cases.values() if case.outcome is None]
    for start in range(0, len(ids), 400):
        for id_, facts in chain.load(tx, ids[start : start + 400]).items():
            date = fold(facts, case=id_).agreed
            if date is not None:
                found.agreed[id_] = date
    return found


def _judged(settings: Settings, seen: Seen, now: datetime) -> list[dict[str, Any]]:
    """Each order as it stands now: what was on time at the last sweep may be late by this time."""
    from amends.cases.lateness import State, judge
    from amends.settings import rule_book

    registry = open_registry(settings)
    rules = {name: rule_book(settings, name, registry) for name in settings.shops}
    warn_at = {name: settings.playbook_of(name).at_risk_before for name in settings.shops}
    found = []
    for (shop, number), order in seen.orders.items():
        case = seen.cases.get((shop, number))
        date = seen.agreed.get(case.id) if case is not None else None
        late = judge(order, now=now, rules=rules[shop], warn=warn_at[shop], agreed=date)
        if not late.state.needs_case:
            continue
        penalty = rules[shop].penalty(order, late.ship_by) if late.ship_by is not None else None
        behind = late.late_by
        if late.state is State.STALLED and order.deliver_by is not None:
            behind = now - order.deliver_by  # what is late is the arrival
        found.append(
            {
                "shop": shop,
                "number": number,
                "amount": order.amount,
                "placed_at": order.placed_at,
                "ship_by": late.ship_by,
                "ship_by_source": late.ship_by_source,
                "hours_late": None if behind is None else round(behind.total_seconds() / 3600, 1),
                "after_sales": order.after_sales,
                "penalty": penalty[0] if penalty else None,
                "state": late.state,
                "why": late.why,
                "case": case.id if case else None,
                "stage": case.stage if case else None,
                "outcome": case.outcome if case else None,
                "next_step": (case.next_step or None) if case else None,
                "next_why": case.why if case else "the next sweep opens a case",
                "due_at": case.due_at if case else None,
            }
        )
    return sorted(found, key=lambda one: (one["ship_by"] is None, one["ship_by"] or now, one["number"]))


def _done(line: dict[str, Any]) -> bool:
    """The goods have left and the case is closed: nothing is to be done about it any more."""
    return line["outcome"] is not None and line["state"].value != "overdue"


def _sums(found: Iterable[dict[str, Any]]) -> dict[str, Money]:
    sums: dict[str, Money] = {}
    for one in found:
        money = one["penalty"]
        if money is not None:
            sums[money.currency] = sums[money.currency] + money if money.currency in sums else money
    return dict(sorted(sums.items()))


def _show(found: list[dict[str, Any]], settings: Settings, now: datetime) -> None:
    if not found:
        say(f"No late orders at {local(now, zone_of(settings))}, as far as the last sweep saw.")
        return
    shops: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        shops[one["shop"]].append(one)
    for name, orders in shops.items():
        zone = settings.shop(name).zone
        stake = ", ".join(str(money) for money in _sums(orders).values()) or "nothing known"
        # One currency is said once, in the title row, so that a line holds all the rest.
        currencies = {one["amount"].currency for one in orders}
        only = currencies.pop() if len(currencies) == 1 else ""
        columns: list[str | Column] = [
            "order",
            Column(f"amount\n{only}".strip(), right=True),
            "ordered",
            "ship by",
            Column("hours", right=True),
            "after\nsales",
            Column(f"at stake\n{only}".strip(), right=True),
            Column("case", right=True),
            Column("next", wide=True),
        ]
        rows = [
            (
                one["number"],
                _amount(one["amount"], only),
                local(one["placed_at"], zone, near=now),
                local(one["ship_by"], zone, near=now),
                hours(one["hours_late"]),
                one["after_sales"].value if one["after_sales"].value != "none" else "",
                _amount(one["penalty"], only),
                one["case"],
                _next(one, zone, now),
            )
            for one in orders
        ]
        title = f"{name}: {many(len(orders), 'order')}, penalties at stake {stake} (times in {zone})"
        table(columns, rows, title=title, gap=1)


def _amount(money: Money | None, only: str) -> str:
    if money is None:
        return ""
    return f"{money.decimal:f}" if money.currency == only else str(money)


def _next(one: dict[str, Any], zone: Any, now: datetime) -> str:
    if one["case"] is None:
        return "open a case"
    if one["outcome"] is not None:
        return f"none: {one['outcome']}"
    due = "now" if one["due_at"] is None or one["due_at"] <= now else local(one["due_at"], zone, near=now)
    what = (one["next_step"] or one["stage"]).replace("-", " ")  # so that a narrow column can break it
    return f"{what}, {due}"
