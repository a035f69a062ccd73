"""Files and mappings that cannot be used: one message each, naming file or key, and what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from amends import InputError
from amends_spreadsheet import load_mapping, preset, read_orders

FILES = Path(__file__).parent / "files"
NOW = datetime(2026, 3, 5, tzinfo=UTC)
FOREIGN = load_mapping(FILES / "foreign.toml")
COLUMNS = '[columns]\nnumber = "a"\namount = "b"\nplaced_at = "c"\n'


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("missing.csv", "no such file", "Check the path"),
        (".", "is a folder", "inside"),
        ("empty.csv", "the file is empty", "Export again"),
        ("old.xls", "an old .xls workbook, or one with a password", "Save it as .xlsx"),
        ("broken.xlsx", "not a workbook that can be read", "Save it as .xlsx"),
        ("not-a-spreadsheet.csv", "not a spreadsheet or text file", "Save it as .xlsx"),
        ("page.xls", "a web page or XML file", "Save it as .xlsx"),
        ("shopify.csv", "columns not found: number (Bestellnummer)", "write a mapping"),
        ("orders.xlsx", "columns not found", "write a mapping"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, says: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        list(read_orders(FILES / name, FOREIGN, now=NOW))
    assert says in str(refused.value)
    assert hint in refused.value.hint
    assert name in str(refused.value) or name == "."


def test_a_header_alone_has_no_orders() -> None:
    assert list(read_orders(FILES / "header-only.csv", FOREIGN, now=NOW)) == []


def test_a_column_that_the_file_lacks_names_those_that_come_close() -> None:
    columns = dict(FOREIGN.columns) | {"shipped_at": ("Versendet",)}
    with pytest.raises(InputError) as refused:
        list(read_orders(FILES / "foreign.csv", FOREIGN.model_copy(update={"columns": columns}), now=NOW))
    assert "shipped_at (Versendet; did you mean 'Versendet am' or 'Versand bis'?)" in str(refused.value)
    assert "Row 1 has: Bestellnummer, Bestellt am, Versand bis" in str(refused.value)


def test_a_file_without_header_shows_no_telephone_number(tmp_path: Path) -> None:
    path = tmp_path / "no-header.csv"
    path.write_text("A-1;Made Up;010101010101;made@up.example\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        list(read_orders(path, FOREIGN, now=NOW))
    assert "Row 1 has: A-1, Made Up, 999999999999, aaaa@aa.aaaaaaa" in str(refused.value)


def test_a_sheet_that_the_workbook_lacks() -> None:
    mapping = load_mapping(FILES / "orders-xlsx.toml").model_copy(update={"sheet": "Order"})
    with pytest.raises(InputError, match="no sheet 'Order'; there are About, Orders"):
        list(read_orders(FILES / "orders.xlsx", mapping, now=NOW))


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("columns = ", "not TOML"),
        (COLUMNS, "say `currency`"),
        ('currency = "USD"\n[columns]\nnumber = "a"\nplaced_at = "b"', "`amount` is missing"),
        ('currency = "USD"\n[columns]\nnumber = "a"\namount = "b"', "`placed_at` (or `paid_at`) is missing"),
        ('currency = "XQQ"\n' + COLUMNS, "'XQQ' is not an ISO 4217 currency code"),
        ('currency = "USD"\ntime_zone = "Mars/Base"\n' + COLUMNS, "'Mars/Base' is not an IANA time zone"),
        ('currency = "USD"\ncurency = "USD"\n' + COLUMNS, "unknown key 'curency'; did you mean 'currency'"),
        ('currency = "USD"\n' + COLUMNS + 'ship_date = "d"', "unknown column 'ship_date' in [columns]"),
        ('currency = "USD"\ndecimal = ","\nthousands = ","\n' + COLUMNS, "are both ','"),
        ('currency = "USD"\nencoding = "utf-9"\n' + COLUMNS, "'utf-9' is no encoding"),
        ('currency = "USD"\n' + COLUMNS + '[status]\n"x" = "gone"', "status.x"),
        ('preset = "shopfy"', "no preset 'shopfy'; did you mean 'shopify'?"),
    ],
)
def test_a_mapping_that_cannot_be_used(tmp_path: Path, toml: str, says: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(toml, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_mapping(path)
    assert says in str(refused.value)
    assert refused.value.hint


def test_a_mapping_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such mapping file"):
        load_mapping(tmp_path / "none.toml")


def test_a_preset_can_be_the_base_of_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "shopify"\npromise_hours = 72\n[columns]\nship_by = "Due"\n', encoding="utf-8")
    mine = load_mapping(path)
    assert mine.promise_hours == 72
    assert mine.columns["number"] == preset("shopify").columns["number"]
    assert (preset("shopify").needs("ship_by"), mine.needs("ship_by")) == (False, True)
