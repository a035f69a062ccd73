"""A generated connector, filled in for a platform that nobody thought of, passes `plugin-check`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from amends.hooks.registry import Registry
from amends.testing.check import plugin_check
from amends.testing.scaffold import NewPlugin, new_plugin

# A tea house: amounts in integer cents, times in milliseconds since 1970, its own words for status and for
# errors, which it answers with HTTP 200.
CONNECTOR = [
    ('"to_ship": OrderStatus.TO_SHIP', '"steeping": OrderStatus.TO_SHIP'),
    ('"shipped": OrderStatus.SHIPPED', '"poured": OrderStatus.SHIPPED'),
    ('"bad_token": AuthFailed', '"no_leaf": AuthFailed'),
    ('"account_frozen": RiskControl',
     '"spilt": RiskControl, "no_cup": NotFound, "too_hot": Throttled, "full": Unavailable'),
    ("if status < 300:", "if status < 300 and not error_code(response.content):"),
    ('amount=Money.of(need(found, "paid"), need(found, "currency"))',
     'amount=Money(minor=int(need(found, "cents")), currency=need(found, "currency"))'),
    ("datetime.fromisoformat(text).astimezone(UTC)",
     'datetime.fromtimestamp(float(text) / 1000, UTC) if str(text).replace(".", "").isdigit() '
     "else datetime.fromisoformat(text)"),
]  # fmt: skip
REFUSE = """\
    def refuse(self, why: Any, request: httpx.Request) -> httpx.Response | None:
        words = {"unauthorized": "no_leaf", "risk-control": "spilt", "not-allowed": "address_not_listed"}
        words |= {"not-found": "no_cup", "throttled": "too_hot", "rejected": "cold", "unavailable": "full"}
        return httpx.Response(200, json={"error": words[why]}) if why in words else None

"""
FAKE = [
    ('OrderStatus.TO_SHIP: "to_ship"', 'OrderStatus.TO_SHIP: "steeping"'),
    ('OrderStatus.SHIPPED: "shipped"', 'OrderStatus.SHIPPED: "poured"'),
    ('httpx.Response(401, json={"error": "bad_token"})', 'httpx.Response(200, json={"error": "no_leaf"})'),
    ('httpx.Response(404, json={"error": "no_such_order"})', 'httpx.Response(200, json={"error": "no_cup"})'),
    ('"paid": str(order.amount.decimal)', '"cents": order.amount.minor'),
    ('"number", "paid", "currency"', '"number", "cents", "currency"'),
    ("-> str | None:\n    return at.astimezone(UTC).isoformat() if at else None",
     "-> int | None:\n    return round(at.timestamp() * 1000) if at else None"),
    ("    def webhook(self", REFUSE + "    def webhook(self"),
]  # fmt: skip


def fill_in(path: Path, blanks: list[tuple[str, str]]) -> None:
    text = path.read_text(encoding="utf-8")
    for blank, filled in blanks:
        assert text.count(blank) == 1, blank
        text = text.replace(blank, filled)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def tea_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewPlugin:
    made = new_plugin("connector", "tea-house", tmp_path)
    fill_in(made.folder / made.package / "connector.py", CONNECTOR)
    fill_in(made.folder / made.package / "fake.py", FAKE)
    monkeypatch.syspath_prepend(str(made.folder))
    for name in [name for name in sys.modules if name.startswith(made.package)]:
        monkeypatch.delitem(sys.modules, name)
    return made


def test_a_filled_in_connector_passes_plugin_check(tea_house: NewPlugin) -> None:
    registry = Registry()
    registry.add(importlib.import_module(tea_house.package), name="tea-house", module=tea_house.package)
    report = plugin_check("tea-house", registry)
    assert report.ok, "\n".join(report.lines())
    # Both its own refusals and those of gateways before it were tried.
    assert {"every error is mapped", "plain http errors are mapped too"} <= {
        check.title for check in report.checks if check.outcome == "passed"
    }


def test_half_filled_in_it_fails(tea_house: NewPlugin) -> None:
    connector = tea_house.folder / tea_house.package / "connector.py"
    fill_in(connector, [('"no_leaf": AuthFailed', '"no_leave": AuthFailed')])
    registry = Registry()
    registry.add(importlib.import_module(tea_house.package), name="tea-house", module=tea_house.package)
    failed = {check.title for check in plugin_check("tea-house", registry).failed}
    assert "every error is mapped" in failed
