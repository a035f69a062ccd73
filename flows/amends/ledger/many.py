"""Statements that are run for many rows at once, compiled once for each database.

SQLAlchemy looks at every value of every row on its way to the driver, which takes longer than the database needs for it.
Here the driver gets the rows as they are: their columns hold what it knows, numbers, texts and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Integer, LargeBinary, String

from amends.ledger.database import Tx

Row = Mapping[str, Any]


class Many:
    """Call it with a transaction and the rows; `build` makes the statement for the transaction's database.

    `columns`: those of an INSERT that gives only some of its table's.
    """

    def __init__(self, build: Callable[[Tx], Any], *columns: str) -> None:
        self._build, self._columns = build, columns or None
        self._ready: dict[bool, tuple[str, Callable[[Row], tuple[Any, ...]]]] = {}

    def __call__(self, tx: Tx, rows: Sequence[Row]) -> None:
        if not rows:
            return
        text, values = self._ready.get(tx.postgres) or self._compiled(tx)
        tx.conn.exec_driver_sql(text, [values(row) for row in rows])

    def _compiled(self, tx: Tx) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
        found = self._build(tx).compile(dialect=tx.conn.dialect, column_keys=self._columns)
        for name, bind in found.binds.items():
            if not bind.required or not isinstance(bind.type, (Integer, String, LargeBinary)):
                raise TypeError(f"{name} would not reach the driver as it is")
        self._ready[tx.postgres] = str(found), itemgetter(*found.positiontup)
        return self._ready[tx.postgres]
