"""What a platform says, row by row: one that cannot be read holds up no other, and is told without its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from amends.cases.orders import Order
from amends.errors import BadAnswer, place
from amends.hooks.requests import Unreadable


def read_each(
    rows: Iterable[Any], read: Callable[[Any], Order], number: str
) -> tuple[tuple[Order, ...], tuple[Unreadable, ...]]:
    """A page's orders, and those of its rows that cannot be read: one must not hold up the others.

    `number` is the field that names an order. A row without it is the whole page's trouble: `BadAnswer` goes on.
    """
    orders: list[Order] = []
    unreadable: list[Unreadable] = []
    for row in rows:
        of = whole_text(str(row.get(number) or "")) if isinstance(row, Mapping) else ""
        try:
            orders.append(read(row))
            continue
        except BadAnswer as error:
            if not of:
                raise
            why = whole_text(str(error))
        except ValidationError as error:
            why = f"what it says cannot be: {fields_of(error)}"
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            why = f"{type(error).__name__} {place(error)}"
        if not of:
            raise BadAnswer(f"an order without the field {number}: {why}")
        unreadable.append(Unreadable(order=of, why=why))
    return tuple(orders), tuple(unreadable)


def fields_of(error: ValidationError) -> str:
    """The fields that pydantic complains of. Its own words show values, and they may be personal."""
    found = (".".join(map(str, one["loc"])) or one["type"] for one in error.errors(include_input=False))
    return ", ".join(dict.fromkeys(found))


def whole_text(text: str) -> str:
    """With halves of characters replaced: some platforms cut an emoji in two, and no database takes a half one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
