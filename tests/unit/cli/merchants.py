"""A merchant with one shop whose only door is its order export, so that no test needs a network."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from amends.cli import app

NOW = "2026-03-10T12:00+08:00"
LATER = "2026-03-10T12:05+08:00"
ORDERS = """\
number,amount,ordered,ship_by,shipped
L-1,120.00,2026-03-06 09:00,2026-03-08 09:00,
L-2,80.00,2026-03-06 10:00,2026-03-09 10:00,
=R-3,50.00,2026-03-08 10:00,2026-03-10 18:00,
F-4,10.00,2026-03-10 10:00,2026-03-20 10:00,
S-5,10.00,2026-03-06 10:00,2026-03-09 10:00,2026-03-07 10:00
"""
MAPPING = """\
date_formats = ["%Y-%m-%d %H:%M"]
time_zone = "Asia/Shanghai"
currency = "CNY"
platform = "pdd"
[columns]
number = "number"
amount = "amount"
placed_at = "ordered"
ship_by = "ship_by"
shipped_at = "shipped"
"""
SHOPS = """\
[shops.corner]
connector = "spreadsheet"
language = "en"
rules = "pdd"
time_zone = "Asia/Shanghai"
[shops.corner.connector_config]
path = "{path}"
mapping = "{mapping}"
"""


HOST = """\
[playbooks.standard]
approve = { remedy_over = "2 CNY" }
[[policies.ladder.rungs]]
late_over = "0h"
remedy = { kind = "coupon", percent = 2 }
"""


@dataclass
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Merchant:
    """A folder with configuration, export and ledger."""

    folder: Path

    def __call__(self, *words: str) -> Answer:
        return run("--config", str(self.folder / "config"), *words)

    @property
    def export(self) -> Path:
        return self.folder / "orders.csv"


def run(*words: str) -> Answer:
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(words), prog_name="amends")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def merchant_in(folder: Path) -> Merchant:
    """Make the shop in that folder; nothing is swept yet."""
    base = folder / "config/base"
    base.mkdir(parents=True)
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    at = datetime.fromisoformat(NOW).timestamp()
    os.utime(folder / "orders.csv", (at, at))  # an old export says nothing about today
    shops = SHOPS.format(path=folder / "orders.csv", mapping=folder / "mapping.toml")
    (base / "shops.toml").write_text(shops, encoding="utf-8")
    (base / "host.toml").write_text(HOST, encoding="utf-8")
    return Merchant(folder)
