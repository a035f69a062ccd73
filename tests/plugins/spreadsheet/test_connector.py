"""The connector: an export as a platform, found through the registry like any other."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

import amends_spreadsheet
from amends import Context, InputError, NotFound, Unavailable
from amends.clock import FixedClock
from amends.hooks.registry import Registry
from amends_spreadsheet import Mapping, Spreadsheet, SpreadsheetConfig
from amends_spreadsheet import connector as connector_module

FILES = Path(__file__).parent / "files"
NOW = datetime(2017, 10, 6, 12, tzinfo=UTC)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    shutil.copy(FILES / "duplicates.csv", path)
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return path


def connect(path: Path, **own: object) -> Spreadsheet:
    spec = Registry()
    spec.add(amends_spreadsheet, name="spreadsheet")
    offered = spec.connector("spreadsheet")
    config = offered.config.model_validate({"path": path, "mapping": FILES / "foreign.toml", **own})
    assert offered.factory is not None
    made = offered.factory(
        config, Context(shop="s", time_zone="Europe/Berlin", clock=FixedClock(NOW), http=None)
    )
    assert isinstance(made, Spreadsheet)
    return made


def test_reads_are_reads_and_every_act_is_a_persons() -> None:
    registry = Registry()
    assert registry.add(amends_spreadsheet, name="spreadsheet").state == "loaded"
    spec = registry.connector("spreadsheet")
    by_hand = {name for name, operation in spec.operations.items() if operation.how == "by-hand"}
    assert by_hand == {"message", "grant", "extend", "complain", "respond", "arbitrate"}
    assert all(spec.operations[name].where for name in by_hand)
    assert spec.operations["order"].how == "api"


async def test_a_changed_file_gives_each_order_once(export: Path) -> None:
    sheet = connect(export)
    page = await sheet.changed_orders("")
    assert [order.number for order in page.orders] == ["B-1", "B-2", "B-3"]
    assert page.orders[0].shipped_at is None  # the first row of a number counts
    assert not page.more
    again = await sheet.changed_orders(page.cursor)
    assert (again.orders, again.cursor) == ((), page.cursor)


async def test_a_file_touched_but_not_changed_gives_nothing(export: Path) -> None:
    sheet = connect(export)
    page = await sheet.changed_orders("")
    os.utime(export, (NOW.timestamp() + 60, NOW.timestamp() + 60))
    again = await sheet.changed_orders(page.cursor)
    assert again.orders == ()
    assert again.cursor != page.cursor


async def test_pages_go_on_where_they_stopped_also_in_another_process(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_module, "PAGE", 2)
    sheet = connect(export)
    first = await sheet.changed_orders("")
    assert first.more
    for reader in (sheet, connect(export)):
        second = await reader.changed_orders(first.cursor)
        assert [order.number for order in second.orders] == ["B-3"]
        assert not second.more


async def test_a_file_replaced_between_pages_starts_again(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_module, "PAGE", 2)
    sheet = connect(export)
    first = await sheet.changed_orders("")
    shutil.copy(FILES / "foreign.csv", export)
    second = await sheet.changed_orders(first.cursor)
    assert [order.number for order in second.orders] == ["B-1", "B-2"]


async def test_one_order_from_the_file_as_it_is_now(export: Path) -> None:
    sheet = connect(export)
    assert (await sheet.order("B-2")).ship_by == datetime(2017, 10, 4, 8, 56, tzinfo=UTC)
    with pytest.raises(NotFound):
        await sheet.order("B-5")
    shutil.copy(FILES / "foreign.csv", export)
    os.utime(export, (NOW.timestamp() + 1, NOW.timestamp() + 1))
    assert (await sheet.order("B-5")).observed_at == NOW


async def test_an_old_or_missing_export_says_nothing_about_today(export: Path) -> None:
    sheet = connect(export, stale_after="2h")
    os.utime(export, ((NOW - timedelta(hours=3)).timestamp(),) * 2)
    with pytest.raises(Unavailable, match="3 h old"):
        await sheet.order("B-2")
    os.remove(export)  # noqa: PTH107  # pathlib's unlink counts as blocking here
    with pytest.raises(Unavailable):
        await sheet.changed_orders("")


async def test_unreadable_rows_are_told_without_their_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "orders.csv"
    shutil.copy(FILES / "bad-rows.csv", path)
    assert len((await connect(path).changed_orders("")).orders) == 2
    assert "13 rows cannot be read" in caplog.text
    assert "verschollen" not in caplog.text


def test_the_zone_is_the_configs_then_the_mappings_then_the_shops() -> None:
    mapping = Mapping.model_validate(
        {"columns": {"number": "a", "amount": "b", "placed_at": "c"}, "currency": "USD"}
    )
    path = Path("x.csv")
    assert SpreadsheetConfig(path=path, mapping=mapping).resolved("Asia/Tokyo").time_zone == "Asia/Tokyo"
    assert SpreadsheetConfig(path=path, preset="taobao").resolved("Asia/Tokyo").time_zone == "Asia/Shanghai"
    own = SpreadsheetConfig(path=path, preset="taobao", time_zone="UTC")
    assert own.resolved("Asia/Tokyo").time_zone == "UTC"
    with pytest.raises(InputError, match="Nowhere"):
        SpreadsheetConfig(path=path, preset="taobao", time_zone="Nowhere").resolved()


@pytest.mark.parametrize(
    "wrong", [{}, {"preset": "taobao", "mapping": "m.toml"}, {"preset": "taobao", "pth": 1}]
)
def test_a_config_says_one_way_to_read(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SpreadsheetConfig.model_validate({"path": "x.csv", **wrong})


def test_importing_the_plugin_imports_no_workbook_reader() -> None:
    code = (
        "import amends_spreadsheet, sys; sys.exit('python_calamine' in sys.modules or 'httpx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
