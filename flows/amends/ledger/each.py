"""Statements over many ids, built once for both databases: building one takes longer than running it.

The ids go as one value, a JSON list or an array, so that the statement is the same for one of them and for thousands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Column, ColumnElement, CursorResult, any_, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from amends.ledger.database import Tx

Among = Callable[[Any], ColumnElement[bool]]
Locked = Callable[[Any], Any]

_LIST = text("SELECT value FROM json_each(:each)")


class Each:
    """Call it with a transaction and the ids; `build` is given what says "among these", and what locks on Postgres."""

    def __init__(self, build: Callable[[Among, Locked], Any]) -> None:
        self._sqlite = build(_in_list, lambda query: query)
        self._postgres = build(_in_array, lambda query: query.with_for_update())

    def __call__(self, tx: Tx, ids: Iterable[Any], **more: Any) -> CursorResult[Any]:
        if tx.postgres:
            return tx.execute(self._postgres, {"each": list(ids), **more})
        return tx.execute(self._sqlite, {"each": json.dumps(list(ids), ensure_ascii=False), **more})


def _in_list(column: Column[Any]) -> ColumnElement[bool]:
    return column.in_(_LIST)


def _in_array(column: Column[Any]) -> ColumnElement[bool]:
    return column == any_(bindparam("each", type_=ARRAY(column.type)))
