"""Order notes: public ones the customer sees with the order, private ones are for administrators alone."""

from __future__ import annotations

from amends import BadAnswer, Receipt
from amends_vendure import documents
from amends_vendure.api import Api


def mark(key: str) -> str:
    """How an effect is recognised again in a text that people read too."""
    return f"(Ref. {key})"


async def add(api: Api, order_id: str, text: str, *, key: str, public: bool) -> Receipt:
    note = f"{text}\n\n{mark(key)}" if public else f"{text} {mark(key)}"
    # Vendure answers with the order, not with the note: the mark is what can be looked for.
    await api.result(
        "addNoteToOrder", documents.ADD_NOTE, input={"id": order_id, "note": note, "isPublic": public}
    )
    return Receipt(ref=f"note {mark(key)}")


async def find(api: Api, order_id: str, *, key: str, public: bool) -> Receipt | None:
    told = any(mark(key) in text for text in await texts(api, order_id, public=public))
    return Receipt(ref=f"note {mark(key)}") if told else None


async def texts(api: Api, order_id: str, *, public: bool) -> list[str]:
    """All notes of one kind on an order, newest first."""
    found: list[str] = []
    skip = 0
    while True:
        order = (await api.ask(documents.NOTES, id=order_id, skip=skip)).get("order")
        history = order.get("history") if isinstance(order, dict) else None
        if not isinstance(history, dict) or not isinstance(history.get("items"), list):
            raise BadAnswer(f"{api.who}: the answer lacks the field order.history.items")
        for entry in history["items"]:
            if not isinstance(entry, dict) or not isinstance(entry.get("data"), dict):
                raise BadAnswer(f"{api.who}: a note lacks the field data")
            if entry.get("isPublic") is public:
                found.append(str(entry["data"].get("note") or ""))
        skip += len(history["items"])
        if not history["items"] or skip >= int(history.get("totalItems") or 0):
            return found
