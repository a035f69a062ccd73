"""The sandbox's connector and desk: one object, through `amends.Http`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from amends import (
    AnyRequest,
    BadAnswer,
    Context,
    Event,
    Extension,
    Filing,
    Grant,
    Http,
    Message,
    Note,
    Order,
    OrderPage,
    Receipt,
    Rejected,
    ReplyPage,
    Ruling,
    Tracking,
    Unsupported,
    read_each,
)
from amends.testing.webhooks import verify

if TYPE_CHECKING:
    from amends_sandbox.config import SandboxConfig

M = TypeVar("M", bound=BaseModel)


class SandboxConnector:
    """Talks to one sandbox for one shop. Personal values are never sent: the sandbox has its own."""

    def __init__(self, config: SandboxConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self._secret = config.secret.get_secret_value()
        headers = {"authorization": f"Bearer {self._secret}"}
        self.http = Http(context.client(base_url=config.url.rstrip("/"), headers=headers), who="sandbox")

    async def changed_orders(self, cursor: str) -> OrderPage:
        found = await self._get("/orders", cursor=cursor)
        if not isinstance(found, dict) or not isinstance(found.get("orders"), list):
            raise BadAnswer("sandbox: the answer lacks 'orders'")
        orders, unreadable = read_each(found["orders"], partial(_read, Order), "number")
        page = _read(OrderPage, found | {"orders": ()})
        return page.model_copy(update={"orders": orders, "unreadable": unreadable})

    async def order(self, number: str) -> Order:
        return _read(Order, await self._get(f"/orders/{quote(number, safe='')}"))

    async def tracking(self, order: Order) -> Tracking | None:
        found = await self._get(f"/orders/{quote(order.number, safe='')}/tracking")
        return _optional(Tracking, found, "tracking")

    async def replies(self, cursor: str) -> ReplyPage:
        return _read(ReplyPage, await self._get("/replies", cursor=cursor))

    async def message(self, request: Message) -> Receipt:
        return await self._post("/messages", request)

    async def grant(self, request: Grant) -> Receipt:
        return await self._post("/grants", request)

    async def extend(self, request: Extension) -> Receipt:
        return await self._post("/extensions", request)

    async def note(self, request: Note) -> Receipt:
        return await self._post("/notes", request)

    async def respond(self, request: Filing) -> Receipt:
        return await self._post("/responses", request)

    async def arbitrate(self, request: Filing) -> Receipt:
        return await self._post("/arbitrations", request)

    async def complain(self, request: Filing) -> Receipt:
        raise Unsupported("sandbox: complaints are filed by hand, in the back office")

    async def ruling(self, order: str, ref: str) -> Ruling | None:
        return _optional(Ruling, await self._get("/rulings", order=order, ref=ref), "ruling")

    async def find(self, request: AnyRequest) -> Receipt | None:
        if isinstance(request, Extension):
            raise Unsupported("sandbox: an extension cannot be looked up")
        asked = {"op": request.op, "key": request.key, "order": request.order, "round": str(request.round)}
        return _optional(Receipt, await self._get("/find", **asked), "receipt")

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        verify(self._secret, headers, body, now=self.context.clock.now(), age=self.config.webhook_age)
        try:
            return (Event.model_validate_json(body),)
        except ValidationError:
            raise Rejected("sandbox: the webhook's body is not one of ours") from None

    async def aclose(self) -> None:
        await self.http.aclose()

    async def _get(self, path: str, **params: str) -> Any:
        return await self.http.json("GET", path, params=params)

    async def _post(self, path: str, request: AnyRequest) -> Receipt:
        body = request.model_dump(mode="json", exclude={"personal", "reply_url", "files"}, exclude_none=True)
        if isinstance(request, Filing):
            body["attached"] = [
                {"name": file.name, "sha256": file.sha256, "content": b64encode(file.content).decode()}
                for file in request.files
            ]
        headers = {"idempotency-key": request.key}
        return _read(Receipt, await self.http.json("POST", path, json=body, headers=headers))


def _read(model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadAnswer(f"sandbox: the answer is no {model.__name__}: {where}: {first['msg']}") from None


def _optional(model: type[M], value: Any, name: str) -> M | None:
    """The named part, which is null for "there is none"; an answer without it proves nothing."""
    if not isinstance(value, dict) or name not in value:
        raise BadAnswer(f"sandbox: the answer lacks {name!r}")
    return None if value[name] is None else _read(model, value[name])
