"""The connector of a shop whose only door is its order export: reads the file, and leaves every act to a
person.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from amends import Context, Duration, InputError, NotFound, Order, OrderPage, Unavailable
from amends_spreadsheet.mapping import Mapping, load_mapping, preset
from amends_spreadsheet.rows import Row, Unreadable, read_orders

PAGE = 1000
_log = logging.getLogger(__name__)


class SpreadsheetConfig(BaseModel):
    """A shop's `connector_config`: which file, and how to read it (a preset's name, or a mapping: a file or a
    table).
    """

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="The export; write each new one to the same place.")
    preset: str = ""
    mapping: Path | Mapping | None = None
    time_zone: str = Field(
        default="", description="Instead of the mapping's; the shop's is used where neither says."
    )
    currency: str = Field(default="", description="Instead of the mapping's.")
    stale_after: Duration = Field(
        default=timedelta(hours=24), description="An older file says nothing about today."
    )

    @model_validator(mode="after")
    def _one_mapping(self) -> SpreadsheetConfig:
        if bool(self.preset) == (self.mapping is not None):
            raise ValueError("say either `preset` or `mapping`")
        return self

    def resolved(self, shop_zone: str = "") -> Mapping:
        """The mapping to read with. Raises `InputError` where it cannot be used."""
        if isinstance(self.mapping, Mapping):
            found = self.mapping
        else:
            found = preset(self.preset) if self.mapping is None else load_mapping(self.mapping)
        own = {
            "time_zone": self.time_zone or found.time_zone or shop_zone,
            "currency": self.currency or found.currency,
        }
        try:
            return Mapping.model_validate(found.model_dump() | own)
        except ValueError as error:
            raise InputError(
                f"{self.path}: {error}", hint="Correct time_zone or currency of the shop."
            ) from None


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Which file was read, and up to which order. `at` is -1 once all of it was."""

    mtime: int
    size: int
    digest: str
    at: int = -1

    def __str__(self) -> str:
        return f"{self.mtime}:{self.size}:{self.digest}:{self.at}"

    @classmethod
    def parse(cls, text: str) -> _Cursor | None:
        parts = text.split(":")
        try:
            return cls(int(parts[0]), int(parts[1]), parts[2], int(parts[3])) if len(parts) == 4 else None
        except ValueError:
            return None

    def same_file(self, other: _Cursor) -> bool:
        return (self.size, self.digest) == (other.size, other.digest)


class Spreadsheet:
    """One export as a platform: its orders can be read, and everything else is done by hand elsewhere."""

    def __init__(self, config: SpreadsheetConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self.mapping = config.resolved(context.time_zone)
        self._reading: tuple[_Cursor, Iterator[Order]] | None = None
        self._index: tuple[_Cursor, dict[str, bytes]] | None = None

    @property
    def platform(self) -> str:
        """The rule set that the mapping names, such as `pdd`; empty where it names none."""
        return self.mapping.platform

    def rows(self) -> Iterator[Row | Unreadable]:
        """Every row of the file as it is now, for `amends triage`.

        Raises `InputError` where there is nothing to read.
        """
        return read_orders(self.config.path, self.mapping, now=self.context.clock.now())

    async def changed_orders(self, cursor: str) -> OrderPage:
        """All orders of the file once it has changed, a page at a time; an empty page while it has not."""
        return await asyncio.to_thread(self._changed, _Cursor.parse(cursor))

    async def order(self, number: str) -> Order:
        """The order as the export shows it.

        `NotFound`: not in it. `Unavailable`: the export is missing or too old.
        """
        return await asyncio.to_thread(self._order, number)

    async def aclose(self) -> None:
        self._reading = self._index = None

    def _changed(self, cursor: _Cursor | None) -> OrderPage:
        file = self._file(cursor)
        begin = 0
        if cursor is not None and cursor.same_file(file):
            if cursor.at < 0:
                return OrderPage(orders=(), cursor=str(file))
            begin = cursor.at
        orders = self._from(file, begin)
        page = tuple(itertools.islice(orders, PAGE))
        if len(page) < PAGE:
            self._reading = None
            return OrderPage(orders=page, cursor=str(file))
        after = _Cursor(file.mtime, file.size, file.digest, begin + PAGE)
        self._reading = (after, orders)
        return OrderPage(orders=page, cursor=str(after), more=True)

    def _from(self, file: _Cursor, begin: int) -> Iterator[Order]:
        """The file's orders from that one on: by the reading under way where it stands there."""
        if self._reading is not None and begin:
            at, orders = self._reading
            if at.same_file(file) and at.at == begin:
                return orders
        orders = self._orders()
        for _ in itertools.islice(orders, begin):
            pass
        return orders

    def _orders(self) -> Iterator[Order]:
        """Each order once: of rows with the same number the first counts."""
        seen: set[int] = set()
        unreadable = 0
        for row in self.rows():
            if isinstance(row, Unreadable):
                unreadable += 1
                continue
            key = hash(row.order.number)
            if key not in seen:
                seen.add(key)
                yield row.order
        if unreadable:
            where = self.config.path
            _log.warning("%s: %d rows cannot be read; `amends triage` names them", where, unreadable)

    def _order(self, number: str) -> Order:
        file = self._file(self._index[0] if self._index else None)
        now = self.context.clock.now()
        age = timedelta(seconds=now.timestamp() - file.mtime / 1e9)
        if age > self.config.stale_after:
            hours = int(age.total_seconds() // 3600)
            raise Unavailable(
                f"{self.config.path}: the export is {hours} h old", hint="Export again to the same place."
            )
        if self._index is None or not self._index[0].same_file(file):
            # As JSON text an order takes a tenth of the memory of the object.
            index = {
                one.number: one.model_dump_json(exclude_defaults=True).encode() for one in self._orders()
            }
            self._index = (file, index)
        found = self._index[1].get(number)
        if found is None:
            raise NotFound(f"{self.config.path}: no order {number}")
        return Order.model_validate_json(found).model_copy(update={"observed_at": now})

    def _file(self, known: _Cursor | None) -> _Cursor:
        """The file as it is now. Its content is hashed only where time or size differ from `known`."""
        path = self.config.path
        try:
            stat = path.stat()
            if known is not None and (known.mtime, known.size) == (stat.st_mtime_ns, stat.st_size):
                return _Cursor(known.mtime, known.size, known.digest)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise Unavailable(
                f"{path}: cannot be read ({error.strerror})", hint="Export to that place."
            ) from error
        return _Cursor(stat.st_mtime_ns, stat.st_size, digest)


def make(config: Any, context: Context) -> Any:
    """The factory of the connector.

    It declares no more than it can do, so it is no full `Connector` to a type checker.
    """
    return Spreadsheet(config, context)
