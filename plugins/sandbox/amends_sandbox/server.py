"""The sandbox over HTTP: a platform's API with faults, and a control side without, for whoever directs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from amends import AmendsError, Extension, Filing, Grant, Message, Note, NotFound, Remedy
from amends.testing.draws import unit
from amends.testing.faults import Fault, Faults
from amends.testing.inprocess import identity
from amends_sandbox.config import SECRET
from amends_sandbox.pushing import Pusher
from amends_sandbox.state import State

_NULL = b"null"


class Dropped(Exception):
    """The connection is to break without an answer; what was asked has been done."""


class Act(BaseModel):
    """What a person does by hand, as the control side is told."""

    model_config = ConfigDict(extra="forbid")

    order: str
    op: Literal["message", "grant", "extend", "complain", "respond", "arbitrate", "legal"]
    round: int = 0
    key: str = ""
    remedy: Remedy | None = None
    until: datetime | None = None
    look_first: bool = True


class Attached(BaseModel):
    """A file of evidence; one that was changed on the way is refused."""

    name: str
    sha256: str
    content: Base64Bytes = Field(repr=False)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if hashlib.sha256(self.content).hexdigest() != self.sha256:
            raise ValueError(f"{self.name} is not the file that its hash says")
        return self


class Filed(Filing):
    """A filing with its files, as it comes over the wire."""

    attached: tuple[Attached, ...] = ()


class Service:
    """Answers requests on one state. Everything that it answers has reached the disk before."""

    def __init__(self, state: State, *, secret: str = SECRET) -> None:
        self.state = state
        self.market = state.market
        self._bearer = f"Bearer {secret}"
        self._pusher = Pusher(secret)

    def app(self) -> ASGIApp:
        platform = {
            ("GET", "/orders"): self._orders,
            ("GET", "/orders/{number}"): self._order,
            ("GET", "/orders/{number}/tracking"): self._tracking,
            ("GET", "/replies"): self._replies,
            ("GET", "/rulings"): self._ruling,
            ("GET", "/find"): self._find,
            ("POST", "/messages"): self._writer(Message, self.market.message),
            ("POST", "/grants"): self._writer(Grant, self.market.grant),
            ("POST", "/extensions"): self._writer(Extension, self.market.extend),
            ("POST", "/notes"): self._writer(Note, self.market.note),
            ("POST", "/responses"): self._writer(Filed, self.market.respond),
            ("POST", "/arbitrations"): self._writer(Filed, self.market.arbitrate),
        }
        control = {
            ("GET", "/control/clock"): self._clock,
            ("POST", "/control/clock"): self._set_clock,
            ("GET", "/control/journal"): self._journal,
            ("GET", "/control/stats"): self._stats,
            ("GET", "/control/fates"): self._fates,
            ("GET", "/control/seen"): self._seen,
            ("POST", "/control/act"): self._act,
            ("GET", "/control/reading/{event}"): self._reading,
            ("POST", "/control/faults"): self._faults,
            ("POST", "/control/webhook"): self._webhook,
        }
        routes = [Route(path, self._guard(work), methods=[m]) for (m, path), work in platform.items()]
        routes += [Route(path, self._answer(work), methods=[m]) for (m, path), work in control.items()]
        return _Droppable(Router(routes))

    # How each request is answered.

    def _guard(self, work: Callable[[Request], Awaitable[bytes]]) -> Callable[[Request], Awaitable[Response]]:
        inner = self._answer(work)

        async def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != self._bearer:
                return _json(401, _error("auth-failed", "wrong secret"))
            faults = self.state.dice.faults
            if faults.delay or faults.latency:
                spread = unit(self.market.seed, "latency", request.url.path, request.url.query)
                await asyncio.sleep((faults.delay + faults.latency * spread).total_seconds())
            return await inner(request)

        return guarded

    def _answer(
        self, work: Callable[[Request], Awaitable[bytes]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                response = _json(200, await work(request))
            except _Faulty as fault:
                response = fault.response
            except NotFound as error:
                response = _json(404, _error(error.code, error.message))
            except ValidationError as error:
                response = _json(422, _error("rejected", str(error.errors()[0]["msg"])))
            except AmendsError as error:
                response = _json(422, _error(error.code, error.message))
            except (KeyError, ValueError) as error:
                response = _json(400, _error("bad-request", str(error)))
            # A refusal or a reading tells of other effects too, so it waits for the disk like a receipt.
            await self.state.log.settled()
            return response

        return answered

    def _before(self, name: str, *, write: bool) -> Fault:
        fault = self.state.dice.roll(name, write=write)
        if fault is Fault.THROTTLED:
            wait = {"retry-after": str(self.state.dice.faults.retry_after)}
            raise _Faulty(_json(429, _error("throttled", "on purpose"), wait))
        if fault is Fault.FAILED:
            raise _Faulty(_json(503, _error("unavailable", "on purpose")))
        return fault

    def _writer(
        self, model: type[Any], commit: Callable[[Any], BaseModel]
    ) -> Callable[[Request], Awaitable[bytes]]:
        async def write(request: Request) -> bytes:
            asked = model.model_validate_json(await request.body())
            fault = self._before(identity(asked), write=True)
            receipt = commit(asked)
            if fault is Fault.FAILED_AFTER:
                raise _Faulty(_json(500, _error("unavailable", "on purpose, after")))
            if fault is Fault.RESET_AFTER:
                await self.state.log.settled()
                raise Dropped
            return receipt.model_dump_json().encode()

        return write

    # The platform's API.

    async def _orders(self, request: Request) -> bytes:
        cursor = request.query_params.get("cursor", "")
        self._before(f"orders {cursor}", write=False)
        return self.market.changed_orders(cursor).model_dump_json().encode()

    async def _order(self, request: Request) -> bytes:
        number = request.path_params["number"]
        self._before(f"order {number}", write=False)
        return self.market.order(number).model_dump_json().encode()

    async def _tracking(self, request: Request) -> bytes:
        number = request.path_params["number"]
        self._before(f"tracking {number}", write=False)
        return _part("tracking", self.market.tracking(number))

    async def _replies(self, request: Request) -> bytes:
        cursor = request.query_params.get("cursor", "")
        self._before(f"replies {cursor}", write=False)
        return self.market.replies(cursor).model_dump_json().encode()

    async def _ruling(self, request: Request) -> bytes:
        order, ref = request.query_params.get("order", ""), request.query_params.get("ref", "")
        self._before(f"ruling {order}", write=False)
        return _part("ruling", self.market.ruling(order, ref))

    async def _find(self, request: Request) -> bytes:
        asked = request.query_params
        op, order = asked.get("op", ""), asked.get("order", "")
        self._before(f"find {op} {order} {asked.get('round', '')}", write=False)
        return _part("receipt", self.market.lookup(op, asked.get("key", ""), order))

    # The control side.

    async def _clock(self, request: Request) -> bytes:
        return _dump({"now": self.market.now.isoformat()})

    async def _set_clock(self, request: Request) -> bytes:
        now = datetime.fromisoformat((await _body(request))["now"])
        if now.tzinfo is None:
            raise ValueError("the time must have a zone")
        events = self.market.set_clock(now)
        self.state.save()
        sent = failed = 0
        if self.state.webhook and events:
            faults, seed = self.state.dice.faults, self.market.seed
            sent, failed = await self._pusher.push(self.state.webhook, events, self.market.now, faults, seed)
        return _dump({"now": self.market.now.isoformat(), "sent": sent, "failed": failed})

    async def _journal(self, request: Request) -> bytes:
        after = int(request.query_params.get("after", "0"))
        return _list("entries", self.market.entries[after:])

    async def _stats(self, request: Request) -> bytes:
        return _dump(self.market.stats())

    async def _fates(self, request: Request) -> bytes:
        return _dump(self.market.fates())

    async def _seen(self, request: Request) -> bytes:
        asked = request.query_params
        round = int(asked["round"]) if "round" in asked else None
        found = self.market.seen(asked["order"], asked.get("op", ""), round=round, key=asked.get("key", ""))
        return _list("entries", found)

    async def _act(self, request: Request) -> bytes:
        act = Act.model_validate_json(await request.body())
        kind = f"grant:{act.remedy.kind}" if act.op == "grant" and act.remedy else act.op
        done = self.market.seen(act.order, kind, round=act.round) if act.look_first else []
        if done:
            return self.market.receipt(done[0]).model_dump_json().encode()
        receipt = self.market.back_office(
            act.order, act.op, round=act.round, key=act.key, remedy=act.remedy, until=act.until
        )
        return receipt.model_dump_json().encode()

    async def _reading(self, request: Request) -> bytes:
        return _dump({"means": self.market.reading(request.path_params["event"])})

    async def _faults(self, request: Request) -> bytes:
        self.state.set_faults(Faults.parse((await _body(request))["faults"]))
        return self.state.dice.faults.model_dump_json().encode()

    async def _webhook(self, request: Request) -> bytes:
        self.state.webhook = str((await _body(request))["url"])
        self.state.save()
        return _dump({"url": self.state.webhook})


class _Faulty(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _Droppable:
    """Breaks the connection where `Dropped` is raised: uvicorn's `send` belongs to what has the transport."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Dropped:
            transport = getattr(getattr(send, "__self__", None), "transport", None)
            if transport is None:  # not on uvicorn: in-process transports see the exception instead
                raise
            transport.abort()
            await receive()  # until the server has noticed, or it would log an answer as missing


async def _body(request: Request) -> dict[str, Any]:
    found = json.loads(await request.body())
    if not isinstance(found, dict):
        raise ValueError("a JSON object is expected")
    return found


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _error(code: str, message: str) -> bytes:
    return _dump({"error": code, "message": message})


def _part(name: str, value: BaseModel | None) -> bytes:
    return b'{"%s":%s}' % (name.encode(), _NULL if value is None else value.model_dump_json().encode())


def _list(name: str, values: list[Any]) -> bytes:
    return b'{"%s":[%s]}' % (name.encode(), b",".join(v.model_dump_json().encode() for v in values))
