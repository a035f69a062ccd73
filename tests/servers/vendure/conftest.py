"""A real Vendure server from npm, three days behind our clock, so that its new orders are old ones.

Its few files are reference data kept beside the project, not part of it: without them, and without node and
npm, these tests skip and say why. What npm installs is kept in ~/.cache/amends-tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from amends import Context
from amends.clock import SystemClock
from amends_vendure.config import VendureConfig
from amends_vendure.connector import Vendure

ROOT = Path(__file__).resolve().parents[3]
PLACES = (ROOT.parent / "shared/servers/vendure", Path("/work/shared/servers/vendure"))
CACHE = Path.home() / ".cache/amends-tests"
DAYS_BEHIND = 3


def files() -> Path:
    given = os.environ.get("AMENDS_VENDURE_FILES")
    for place in [Path(given)] if given else PLACES:
        if (place / "server.cjs").is_file():
            return place
    pytest.skip("no files of a Vendure server beside the project (AMENDS_VENDURE_FILES names another folder)")


def installed() -> Path:
    """The folder with the server's files and packages; installed once, whoever comes first."""
    source = files()
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"a Vendure server needs {command}")
    package = (source / "package.json").read_bytes()
    folder = CACHE / f"vendure-{hashlib.sha256(package).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "server.cjs", "shift.cjs"):
            (folder / name).write_bytes((source / name).read_bytes())
        if not (folder / "installed").exists():
            command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            run = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=400, check=False
            )
            assert run.returncode == 0, f"npm install failed in {folder}:\n{run.stderr[-2000:]}"
            (folder / "installed").touch()
    return folder


class Server:
    """The server as its owner and its customers use it, beside the connector under test."""

    user, password = "superadmin", "superadmin"

    def __init__(self, base: str) -> None:
        self.base = base
        self.admin = Caller(f"{base}/admin-api")
        self.admin("mutation($u:String!){login(username:$u,password:$u){__typename}}", u=self.user)
        tax = self.admin("{taxCategories{items{id}}}")["taxCategories"]["items"][0]["id"]
        product = self.admin(
            'mutation{createProduct(input:{enabled:true,translations:[{languageCode:en,name:"Cup",slug:"cup",'
            'description:"a cup"}]}){id}}'
        )["createProduct"]["id"]
        variant = {
            "productId": product, "sku": "CUP-1", "price": 5000, "taxCategoryId": tax, "stockOnHand": 1000,
            "translations": [{"languageCode": "en", "name": "Cup, blue"}],
        }  # fmt: skip
        made = "mutation($i:[CreateProductVariantInput!]!){createProductVariants(input:$i){id}}"
        self.variant = self.admin(made, i=[variant])["createProductVariants"][0]["id"]

    def place(self, *, number: int = 17, coupon: str = "") -> Bought:
        shop = Caller(f"{self.base}/shop-api")
        shop("mutation($v:ID!){addItemToOrder(productVariantId:$v,quantity:2){__typename}}", v=self.variant)
        person = {
            "emailAddress": f"sample{number:04}@example.invalid", "firstName": "Sample",
            "lastName": f"Customer {number:04}",
        }  # fmt: skip
        shop("mutation($i:CreateCustomerInput!){setCustomerForOrder(input:$i){__typename}}", i=person)
        address = {"streetLine1": "1 Made Up Street", "countryCode": "GB"}
        shop("mutation($i:CreateAddressInput!){setOrderShippingAddress(input:$i){__typename}}", i=address)
        says = ""
        if coupon:
            text = "mutation($c:String!){applyCouponCode(couponCode:$c){... on ErrorResult{errorCode}}}"
            says = shop(text, c=coupon)["applyCouponCode"].get("errorCode", "")
        method = shop("{eligibleShippingMethods{id}}")["eligibleShippingMethods"][0]["id"]
        shop("mutation($m:[ID!]!){setOrderShippingMethod(shippingMethodId:$m){__typename}}", m=[method])
        shop('mutation{transitionOrderToState(state:"ArrangingPayment"){__typename}}')
        pay = shop("{eligiblePaymentMethods{code}}")["eligiblePaymentMethods"][0]["code"]
        order = shop(
            "mutation($i:PaymentInput!){addPaymentToOrder(input:$i){__typename "
            "... on Order{id code totalWithTax lines{id}}}}",
            i={"method": pay, "metadata": {}},
        )["addPaymentToOrder"]
        return Bought(order["id"], order["code"], order["totalWithTax"], order["lines"][0]["id"], says, shop)

    def ship(self, bought: Bought, *states: str) -> None:
        handler = {
            "code": "manual-fulfillment",
            "arguments": [{"name": "method", "value": "SF"}, {"name": "trackingCode", "value": "T1"}],
        }
        made = self.admin(
            "mutation($i:FulfillOrderInput!){addFulfillmentToOrder(input:$i){... on Fulfillment{id}}}",
            i={"lines": [{"orderLineId": bought.line, "quantity": 2}], "handler": handler},
        )["addFulfillmentToOrder"]
        for state in states:
            move = "mutation($i:ID!,$s:String!){transitionFulfillmentToState(id:$i,state:$s){__typename}}"
            self.admin(move, i=made["id"], s=state)

    def promotions(self, code: str) -> list[dict[str, Any]]:
        query = "query($c:String!){promotions(options:{filter:{couponCode:{eq:$c}}}){items{id usageLimit}}}"
        found: list[dict[str, Any]] = self.admin(query, c=code)["promotions"]["items"]
        return found

    def refunds(self, bought: Bought) -> list[dict[str, Any]]:
        query = "query($i:ID!){order(id:$i){payments{refunds{id state total}}}}"
        payments = self.admin(query, i=bought.id)["order"]["payments"]
        return [refund for payment in payments for refund in payment["refunds"]]


class Bought:
    """An order as its customer knows it."""

    def __init__(self, id: str, code: str, total: int, line: str, coupon_says: str, shop: Caller) -> None:
        self.id, self.code, self.total, self.line, self.coupon_says, self.shop = (
            id,
            code,
            total,
            line,
            coupon_says,
            shop,
        )

    def notes_seen(self) -> list[str]:
        query = "query($c:String!){orderByCode(code:$c){history{items{type data}}}}"
        entries = self.shop(query, c=self.code)["orderByCode"]["history"]["items"]
        return [entry["data"]["note"] for entry in entries if entry["type"] == "ORDER_NOTE"]


class Caller:
    """Asks one of the server's two APIs, and keeps its session."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=30)

    def __call__(self, query: str, **variables: Any) -> dict[str, Any]:
        response = self.client.post("", json={"query": query, "variables": variables})
        token = response.headers.get("vendure-auth-token")
        if token:
            self.client.headers["authorization"] = f"Bearer {token}"
        body = response.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = installed()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "SHIFT_S": str(-DAYS_BEHIND * 86400), "PORT": str(port), "DB": "sqljs"}
    log = tmp_path_factory.mktemp("vendure") / "server.log"
    with log.open("wb") as out:
        command = ["node", "-r", "./shift.cjs", "server.cjs"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        patience = time.monotonic() + 90
        while b"READY" not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < patience, log.read_text()[-3000:]
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture
def connect(server: Server) -> Callable[..., Vendure]:
    def make(**changes: Any) -> Vendure:
        values = {
            "url": f"{server.base}/admin-api", "username": server.user, "password": server.password,
            "ship_within": "48h", "lag": "1s", **changes,
        }  # fmt: skip
        clock = SystemClock()
        context = Context(shop="corner", time_zone="Europe/London", clock=clock, http=httpx.AsyncClient)
        return Vendure(VendureConfig.model_validate(values), context)

    return make
