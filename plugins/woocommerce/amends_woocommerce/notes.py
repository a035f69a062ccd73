"""Order notes: to the customer, who gets them by e-mail and in the account, or for the back office alone."""

from __future__ import annotations

from typing import Any

from amends import BadAnswer, Receipt
from amends_woocommerce.api import Api


def mark(key: str) -> str:
    """How an effect is recognised again in a text that people read too."""
    return f"(Ref. {key})"


async def tell(api: Api, order: str, text: str, *, key: str) -> Receipt:
    return await _add(api, order, f"{text}\n\n{mark(key)}", customer=True)


async def remark(api: Api, order: str, text: str, *, key: str) -> Receipt:
    return await _add(api, order, f"{text} {mark(key)}", customer=False)


async def told(api: Api, order: str, *, key: str, kind: str = "customer") -> Receipt | None:
    for row in await _list(api, order, kind):
        if mark(key) in row["note"]:
            return Receipt(ref=_id(api, row))
    return None


async def remarks(api: Api, order: str) -> list[str]:
    return [row["note"] for row in await _list(api, order, "internal")]


async def _add(api: Api, order: str, note: str, *, customer: bool) -> Receipt:
    made = await api.post(f"orders/{order}/notes", {"note": note, "customer_note": customer})
    return Receipt(ref=_id(api, made))


async def _list(api: Api, order: str, kind: str) -> list[dict[str, Any]]:
    # The one list without pages: WooCommerce gives all notes of an order at once.
    rows = await api.get(f"orders/{order}/notes", type=kind)
    if not isinstance(rows, list):
        raise BadAnswer(f"{api.who}: the notes of order {order} are not a list")
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("note"), str):
            raise BadAnswer(f"{api.who}: a note of order {order} lacks the field note")
    return rows


def _id(api: Api, row: object) -> str:
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        raise BadAnswer(f"{api.who}: a note lacks the field id")
    return str(row["id"])
