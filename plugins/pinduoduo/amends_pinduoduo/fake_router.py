"""The Open Platform's router as documented, in memory, for tests and `amends plugin-check`.

It refuses what the real one refuses: a wrong signature, a timestamp more than 10 minutes off, windows that
are too wide or end in its future, pages of more than 100. Lists are newest first, and totals move.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

CHINA = timezone(timedelta(hours=8))
SECRET = "made-up-client-secret"  # noqa: S105  # made up, for the fake only
TOKEN = "made-up-access-token"  # noqa: S105  # made up, for the fake only
CLIENT = "made-up-client"

MEANINGS = {
    10000: "参数错误", 10001: "公共参数错误", 10016: "client下线或者clientId不正确",
    10019: "access_token已过期",
    20004: "签名sign校验失败", 20005: "ip无权访问接口，请加入ip白名单",
    20031: "用户没有授权访问此接口",
    20032: "access_token或client_id错误", 50000: "系统内部错误", 50001: "业务服务错误",
    52101: "当前接口被限流，请稍后重试", 70033: "当前接口因系统维护，暂时下线，请稍后再试！",
    70034: "当前用户或应用存在风险，禁止调用！",
}  # fmt: skip


def china(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def stamp(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA).timestamp())


class FakeRouter:
    """One application, one shop. Put rows in `orders` and `refunds`; `fail` decides what goes wrong."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.orders: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.traces: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.carriers = [{"id": 44, "logistics_company": "申通快递", "code": "STO", "available": 1}]
        self.tokens = {TOKEN}
        self.expired: set[str] = set()
        self.codes = {"made-up-code": TOKEN}
        self.fail: Callable[[str], int | None] = lambda method: None
        self.lean = False  # lists show numbers only, as their name promises
        self.calls: Counter[str] = Counter()
        self.log: list[dict[str, str]] = []
        self.after: Callable[[dict[str, str]], None] = lambda parameters: None

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        method = parameters.get("type", "")
        self.calls[method] += 1
        self.log.append(parameters)
        try:
            code = self._refuses(parameters) or self.fail(method)
            body = error(code) if code else self._answer(method, parameters)
        except Refused as refused:
            body = error(refused.code, sub_msg=str(refused), sub_code=refused.sub_code)
        headers = {"date": format_datetime(self.now().astimezone(UTC), usegmt=True)}
        response = httpx.Response(200, json=body, headers=headers)
        self.after(parameters)
        return response

    def _refuses(self, parameters: dict[str, str]) -> int | None:
        if parameters.get("client_id") != CLIENT:
            return 10016
        if abs(int(parameters["timestamp"]) - self.now().timestamp()) > 600:
            return 10001
        body = "".join(k + parameters[k] for k in sorted(parameters) if k != "sign")
        if hashlib.md5(
            f"{SECRET}{body}{SECRET}".encode(), usedforsecurity=False
        ).hexdigest().upper() != parameters.get("sign"):
            return 20004
        if parameters["type"] in ("pdd.time.get", "pdd.pop.auth.token.create"):
            return None
        if parameters.get("access_token") in self.expired:
            return 10019
        return None if parameters.get("access_token") in self.tokens else 20032

    def _answer(self, method: str, p: dict[str, str]) -> dict[str, Any]:
        match method:
            case "pdd.time.get":
                return {"time_get_response": {"time": china(self.now()), "request_id": "1"}}
            case "pdd.pop.auth.token.create":
                if p.get("code") not in self.codes:
                    raise Refused("code已失效")
                ends = int((self.now() + timedelta(days=365)).timestamp())
                token = {"access_token": self.codes.pop(p["code"]), "expires_at": ends, "owner_id": "17"}
                return {"pop_auth_token_create_response": token}
            case "pdd.order.list.get":
                rows = self._window(
                    self.orders.values(), p, "confirm", 24 * 3600, lambda o: o["confirm_time"]
                )
                return {"order_list_get_response": {"order_list": rows[0], "total_count": rows[1]}}
            case "pdd.order.number.list.increment.get":
                self._not_ahead(p)
                page, total = self._window(
                    self.orders.values(), p, "updated", 1800, lambda o: o["updated_at"]
                )
                if self.lean:
                    page = [{"order_sn": row["order_sn"]} for row in page]
                return {"order_sn_increment_get_response": {"order_sn_list": page, "total_count": total}}
            case "pdd.refund.list.increment.get":
                self._not_ahead(p)
                page, total = self._window(
                    self.refunds.values(), p, "updated", 1800, lambda r: r["updated_time"]
                )
                shown = [{**row, "refund_amount": f"{row['refund_amount'] / 100:.2f}"} for row in page]
                return {"refund_increment_get_response": {"refund_list": shown, "total_count": total}}
            case "pdd.order.information.get":
                if p["order_sn"] not in self.orders:
                    raise Refused("订单不存在")
                return {"order_info_get_response": {"order_info": self.orders[p["order_sn"]]}}
            case "pdd.refund.information.get":
                found = self.refunds.get(p["order_sn"])
                if found is None or p.get("after_sales_id") not in (None, str(found["id"])):
                    raise Refused("售后单不存在")
                return dict(found)  # this one has no root key
            case "pdd.logistics.companies.get":
                return {"logistics_companies_get_response": {"logistics_companies": self.carriers}}
            case "pdd.logistics.ordertrace.get":
                events = self.traces.get((p["company_code"], p["mail_no"]))
                if events is None:
                    raise Refused("该运单暂无轨迹", sub_code="ISV_TRACK_ERROR")
                return {"logistics_ordertrace_get_resposne": {"trace_list": events}}
            case "pdd.order.note.update":
                row = self.orders[p["order_sn"]]
                if ("tag" in p) != ("tag_name" in p):
                    raise Refused("tag与tag_name关联，都入参或都不入参", code=10000)
                row.update(
                    remark=p["note"], remark_tag=int(p.get("tag", 0)), remark_tag_name=p.get("tag_name", "")
                )
                return {"response": {"success": True, "error_code": 0, "error_msg": ""}}
        return error(10017)

    def _not_ahead(self, p: dict[str, str]) -> None:
        # The real one would answer, and orders would be missing: here that is a fault at once.
        if int(p["end_updated_at"]) > self.now().timestamp() - 180:
            raise ValueError("a window that ends this near loses orders")

    def _window(
        self, rows: Any, p: dict[str, str], name: str, widest: int, of: Callable[[dict[str, Any]], str]
    ) -> tuple[list[dict[str, Any]], int]:
        start, end = int(p[f"start_{name}_at"]), int(p[f"end_{name}_at"])
        if end - start > widest:
            raise Refused(f"时间跨度不能超过{widest // 60}分钟")
        size, page = int(p["page_size"]), int(p["page"])
        if not 1 <= size <= 100 or page < 1:
            raise Refused("分页参数错误", code=10000)
        inside = [row for row in rows if start <= stamp(of(row)) <= end]
        inside.sort(key=lambda row: (of(row), row["order_sn"]), reverse=True)
        return inside[(page - 1) * size : page * size], len(inside)


class Refused(Exception):
    def __init__(self, message: str, *, code: int = 50001, sub_code: str | None = None) -> None:
        super().__init__(message)
        self.code, self.sub_code = code, sub_code


def error(code: int, *, sub_msg: str = "", sub_code: str | None = None) -> dict[str, Any]:
    said = {
        "error_code": code,
        "error_msg": MEANINGS.get(code, "错误"),
        "sub_msg": sub_msg,
        "sub_code": sub_code,
    }
    return {"error_response": {**said, "request_id": "15440104776643887"}}


def order_row(number: str, now: datetime, **changes: Any) -> dict[str, Any]:
    """An order to ship, changed now, in the shape of the official order page; every value is made up."""
    return {
        "order_sn": number, "mall_id": 17, "order_status": 1, "refund_status": 1, "after_sales_status": 0,
        "confirm_status": 1, "group_status": 1, "created_time": china(now), "pay_time": china(now),
        "confirm_time": china(now), "updated_at": china(now),
        "last_ship_time": china(now + timedelta(hours=48)), "promise_delivery_time": "",
        "shipping_time": "", "receive_time": "", "urge_shipping_time": "",
        "pay_amount": 19.99, "goods_amount": 21.99, "discount_amount": 2.0, "postage": 0.0, "is_pre_sale": 0,
        "pre_sale_time": "", "is_stock_out": 0, "stock_out_handle_status": -1, "risk_control_status": 0,
        "tracking_number": "", "logistics_id": 0, "remark": "", "remark_tag": 0, "remark_tag_name": "",
        "order_tag_list": [{"name": "return_freight_payer", "value": 1}], "open_address_id_2": "made-up-17",
        "receiver_name": "~ciphertext~", "receiver_phone": "$ciphertext$", "receiver_name_mask": "样*",
        "receiver_phone_mask": "1**********",
        "item_list": [{"goods_id": 1, "outer_id": "SKU-0017", "goods_name": "样品", "goods_spec": "红,大",
                       "goods_count": 2}],
    } | changes  # fmt: skip


def refund_row(order: str, now: datetime, status: int, **changes: Any) -> dict[str, Any]:
    """An after-sales request changed now; `refund_amount` in fen, as its detail gives it."""
    return {
        "id": 9001, "order_sn": order, "after_sales_status": status, "after_sales_type": 1,
        "join_or_not": "0", "dispute_refund_status": 0, "expire_time": None, "refund_amount": 1999,
        "refund_operator_role": 0,        "updated_time": china(now), "shipping_status": 0, "images": [],
    } | changes  # fmt: skip
