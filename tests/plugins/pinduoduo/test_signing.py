"""The signature, with the platform's public vector, and that what is sent is what was signed."""

from __future__ import annotations

import json
from typing import Any

from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import FakeRouter, order_row
from amends_pinduoduo.signing import as_text, sign

VECTOR = {
    "access_token": "asd78172s8ds9a921j9qqwda12312w1w21211",
    "client_id": "1",
    "data_type": "XML",
    "order_status": "1",
    "page": "1",
    "page_size": "10",
    "timestamp": "1480411125",
    "type": "pdd.order.number.list.get",
}


def test_the_public_vector() -> None:
    assert sign(VECTOR, "testSecret") == "E4DE3ED21002510DED352819E7AE6775"


def test_a_sign_parameter_is_not_signed_itself() -> None:
    assert sign({**VECTOR, "sign": "old"}, "testSecret") == sign(VECTOR, "testSecret")


def test_values_become_the_text_that_is_signed() -> None:
    assert as_text(
        {
            "request": {"after_sales_id": 17, "operate_desc": "同意"},
            "codes": ["a", "b"],
            "yes": True,
            "no": False,
            "zero": 0,
            "absent": None,
            "empty": "",
            "none": [],
            "nothing": {},
        }
    ) == {
        "request": '{"after_sales_id":17,"operate_desc":"同意"}',
        "codes": '["a","b"]',
        "yes": "true",
        "no": "false",
        "zero": "0",
    }


async def test_nested_values_arrive_as_they_were_signed(shop: Pinduoduo, router: FakeRouter) -> None:
    """The fake signs the bytes that it got; a value encoded differently for either would be refused."""
    nested: dict[str, Any] = {"param": {"list": [1, {"k": "值 & =+"}], "yes": True}, "flag": False}
    router.orders["P-1"] = order_row("P-1", router.now())
    await shop._router.call("pdd.order.information.get", "order_info_get_response", order_sn="P-1", **nested)
    assert json.loads(router.log[-1]["param"]) == nested["param"]
    assert router.log[-1]["flag"] == "false"
