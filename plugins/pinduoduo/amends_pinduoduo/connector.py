"""Pinduoduo's connector and desk for one shop: everything that the Open Platform lets a program see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from amends import (
    AfterSales,
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Filing,
    Grant,
    Message,
    Note,
    NotFound,
    Order,
    OrderPage,
    PlatformError,
    Receipt,
    ReplyPage,
    Ruling,
    Tracking,
    Unavailable,
    Unreadable,
    Unsupported,
)
from amends_pinduoduo import notes
from amends_pinduoduo.aftersales import Refund, state_of, worth_a_look
from amends_pinduoduo.changes import step
from amends_pinduoduo.config import PinduoduoConfig
from amends_pinduoduo.fields import bad, need, when
from amends_pinduoduo.orders import is_whole, read_order
from amends_pinduoduo.router import Router
from amends_pinduoduo.trace import Carriers, track

_T = TypeVar("_T")
_U = TypeVar("_U")
_SETTLES_WITHIN = timedelta(minutes=10)
"""The platform's FAQ: an order may be announced before it can be read; "not found" counts only later."""
_AT_ONCE = 8

log = logging.getLogger("amends.pinduoduo")


class Pinduoduo:
    """One shop. What the spec declares by hand raises `Unsupported` here."""

    def __init__(self, config: PinduoduoConfig, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._router = Router.of(config, context)
        self._carriers = Carriers(self._router)

    async def changed_orders(self, cursor: str) -> OrderPage:
        """Orders whose own state or whose refund changed, oldest first; `changes` says how none is missed."""
        found = await step(self._router, self._config, cursor)
        seen: dict[str, datetime | None] = {}
        rows: dict[str, dict[str, Any]] = {}
        for row in found.rows:
            number = str(need(row, "order_sn", "an order of a list"))
            if found.phase == "refunds":
                seen[number] = when(row, "updated_time", f"the refund of order {number}")
                rows[number] = {"order_sn": number}
            else:
                rows[number] = row

        async def read(number: str) -> Order | Unreadable | None:
            try:
                row = rows[number] if is_whole(rows[number]) else await self._detail(number)
                return await self._order(row, seen.get(number))
            except NotFound as error:
                if not error.context:
                    raise  # not the platform's own word, but some gateway's
                if found.until > await self._router.now() - _SETTLES_WITHIN:
                    raise Unavailable(f"pinduoduo: order {number} is listed but cannot be read yet") from None
                log.warning("pinduoduo: order %s was listed but the platform no longer shows it", number)
                return None
            except BadAnswer as error:
                if "field" not in error.context:
                    raise  # an answer that is none, not an order that is odd
                return Unreadable(order=number, why=str(error))

        found_orders = await _together(read, rows)
        return OrderPage(
            orders=tuple(order for order in found_orders if isinstance(order, Order)),
            unreadable=tuple(order for order in found_orders if isinstance(order, Unreadable)),
            cursor=found.place.dump(),
            more=found.more,
        )

    async def order(self, number: str) -> Order:
        """One order as it stands now, with its refund's deadline and whether the platform stepped in."""
        return await self._order(await self._detail(number))

    async def tracking(self, order: Order) -> Tracking | None:
        """The carrier's word on the order's parcel."""
        return await track(self._router, self._carriers, order, self._clock.now())

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        """The platform's decision on the after-sales request `ref`, as `Order.dispute` names it.

        None for any other reference: decisions on penalty appeals are shown in the back office only.
        """
        if not ref.isdigit():
            return None
        try:
            return (await self._refund(order, ref)).ruling(self._clock.now())
        except NotFound as error:
            if not error.context:
                raise
            return None

    async def note(self, request: Note) -> Receipt:
        """Leave our trace in the order's note for the merchant's people; doing it again is harmless."""
        return await notes.write(self._router, await self._detail(request.order), request.key, request.text)

    async def _detail(self, number: str) -> dict[str, Any]:
        answer = await self._router.call(
            "pdd.order.information.get", "order_info_get_response", order_sn=number
        )
        row = need(answer, "order_info", f"order {number}")
        if not isinstance(row, dict):
            raise bad("order_info", "is not an object", f"order {number}")
        return row

    async def _order(self, row: Mapping[str, Any], seen: datetime | None = None) -> Order:
        number = str(need(row, "order_sn", "an order"))
        state, _ = state_of(row, f"order {number}")
        now = self._clock.now()
        return read_order(
            row,
            observed_at=now,
            refund=await self._look_at(number, state),
            seen=seen,
            carrier=await self._carriers.name(row, now),
            do_not_touch=self._config.do_not_touch,
        )

    async def _look_at(self, order: str, state: AfterSales) -> Refund | None:
        if not worth_a_look(state):
            return None
        try:
            return await self._refund(order)
        except NotFound as error:
            if not error.context:
                raise  # not the platform's own word, but some gateway's
            return None  # no longer kept, or not yet shown: the order's own state counts

    async def _refund(self, order: str, ref: str = "") -> Refund:
        answer = await self._router.call("pdd.refund.information.get", "", order_sn=order, after_sales_id=ref)
        return Refund.read(answer, order)

    async def replies(self, cursor: str) -> ReplyPage:
        self._by_hand("reading the chat")

    async def message(self, request: Message) -> Receipt:
        self._by_hand("a chat message")

    async def grant(self, request: Grant) -> Receipt:
        self._by_hand("granting a remedy")

    async def extend(self, request: Extension) -> Receipt:
        self._by_hand("agreeing a later date")

    async def complain(self, request: Filing) -> Receipt:
        self._by_hand("a penalty appeal")

    async def respond(self, request: Filing) -> Receipt:
        self._by_hand("handing in evidence")

    async def arbitrate(self, request: Filing) -> Receipt:
        self._by_hand("calling the platform in")

    async def find(self, request: AnyRequest) -> Receipt | None:
        self._by_hand("looking for an act done by hand")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        # Its messages come over a WebSocket whose protocol the platform does not publish.
        raise Unsupported("pinduoduo: the platform sends no webhooks")

    def _by_hand(self, what: str) -> NoReturn:
        raise Unsupported(f"pinduoduo: no API for {what}; a person does it in the back office")

    async def aclose(self) -> None:
        await self._router.aclose()


async def _together(work: Callable[[_T], Awaitable[_U]], items: Iterable[_T]) -> list[_U]:
    """The results in the order of the items, a few at a time; the first failure ends the rest."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _T) -> _U:
        async with gate:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except* PlatformError as failed:
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        first = error
    else:
        return [task.result() for task in tasks]
    raise first
