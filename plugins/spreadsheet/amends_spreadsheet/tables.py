"""Opens an export, whatever it is: finds encoding, delimiter, sheet and header, and streams its rows."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from amends import InputError
from amends_spreadsheet.headers import SEARCHED, Header, Search, header, search
from amends_spreadsheet.mapping import Mapping

Source = str | os.PathLike[str] | IO[bytes]
_SAMPLE = 256 * 1024
_CHUNK = 1024 * 1024
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"  # also what an encrypted workbook is wrapped in
_ZIP = b"PK\x03\x04"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_AS_CSV = "Save it as .xlsx or as CSV (UTF-8) and try again."
_TYPED_SAMPLE = 200


@dataclass(slots=True)
class Table:
    """An open export. `rows` yields (row number from 1, cells); a `str` instead of cells says why there are
    none.

    `timed` are the columns of a workbook that hold times of day, so that a plain date there means its
    midnight.
    """

    name: str
    header: Header
    rows: Iterator[tuple[int, list[Any] | str]]
    timed: frozenset[int] = field(default_factory=frozenset)
    stream: io.TextIOWrapper | None = None


@contextmanager
def open_table(source: Source, mapping: Mapping) -> Iterator[Table]:
    """The export as a table; closes what it opened.

    Raises `InputError` for anything that is no order export.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            file: IO[bytes] = path.open("rb")
        except FileNotFoundError:
            raise InputError(f"{path}: no such file", hint="Check the path of the export.") from None
        except IsADirectoryError:
            raise InputError(f"{path}: is a folder", hint="Name the export inside it.") from None
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror})", hint="Check its permissions."
            ) from error
        with file:
            yield from _opened(file, str(path), mapping)
    else:
        source.seek(0)
        yield from _opened(source, str(getattr(source, "name", "") or "the file"), mapping)


def _opened(file: IO[bytes], name: str, mapping: Mapping) -> Iterator[Table]:
    table = _open(file, name, mapping)
    try:
        yield table
    finally:
        if table.stream is not None:
            table.stream.detach()  # the file is its opener's to close


def _open(file: IO[bytes], name: str, mapping: Mapping) -> Table:
    sample = file.read(_SAMPLE)
    file.seek(0)
    if not sample.strip():
        raise InputError(f"{name}: the file is empty", hint="Export again.")
    if sample.startswith(_OLD_EXCEL):
        raise InputError(
            f"{name}: an old .xls workbook, or one with a password", hint=f"Remove the password. {_AS_CSV}"
        )
    if sample.startswith(_ZIP):
        return _workbook(file, name, mapping)
    return _csv(file, sample, name, mapping)


def _csv(file: IO[bytes], sample: bytes, name: str, mapping: Mapping) -> Table:
    encoding = _encoding(file, sample, name) if mapping.encoding == "auto" else mapping.encoding
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"  # a BOM is no part of the first header
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
    if text.lstrip()[:9].lower().startswith(("<html", "<!doctype", "<table", "<?xml")):
        raise InputError(f"{name}: a web page or XML file, not a spreadsheet", hint=_AS_CSV)
    delimiter, found = _sniff(text, mapping)
    place = header(found, mapping, name)
    stream = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    return Table(name, place, _csv_rows(stream, delimiter, place), stream=stream)


def _csv_rows(
    stream: io.TextIOWrapper, delimiter: str, place: Header
) -> Iterator[tuple[int, list[Any] | str]]:
    reader = csv.reader(stream, delimiter=delimiter)
    first, width = place.row, place.width
    number = 0
    while True:
        try:
            for cells in reader:
                number += 1
                if number <= first:
                    continue
                if len(cells) == width:
                    yield number, cells
                    continue
                while len(cells) > width and not cells[-1].strip():
                    cells.pop()
                if len(cells) > width:
                    yield (
                        number,
                        f"{len(cells)} cells, but the header has {width}: a {delimiter!r} without quotes?",
                    )
                elif any("\n" in cell for cell in cells):
                    lost = sum(cell.count("\n") for cell in cells)
                    yield number, f"a quotation mark that is never closed swallowed the {lost} lines after it"
                elif any(cells):
                    yield number, cells + [""] * (width - len(cells))
            return
        except csv.Error as error:
            number += 1
            until = f"up to line {reader.line_num} of the file"
            yield number, f"cannot be split into cells ({error}): a quotation mark never closed, {until}?"


def _sniff(text: str, mapping: Mapping) -> tuple[str, Search | None]:
    """The delimiter under which most of our columns are found, then the one that gives most cells."""
    best: tuple[tuple[bool, int, int], str, Search | None] | None = None
    for delimiter in (",", ";", "\t", "|") if mapping.delimiter == "auto" else (mapping.delimiter,):
        deepest = SEARCHED if mapping.header_row == "auto" else mapping.header_row
        rows: list[list[str]] = []
        try:
            rows.extend(
                itertools.islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), deepest)
            )
        except csv.Error:
            pass  # the rows before it may hold the header
        found = search(rows, mapping)
        score = (
            found is not None and not found.missing,
            found.found if found else 0,
            found.header.width if found else 0,
        )
        if best is None or score > best[0]:
            best = (score, delimiter, found)
    return (best[1], best[2]) if best else (",", None)


def _encoding(file: IO[bytes], sample: bytes, name: str) -> str:
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding
    if b"\0" in sample:
        hint = 'If it is text in UTF-16, say encoding = "utf-16-le" in the mapping. ' + _AS_CSV
        raise InputError(f"{name}: not a spreadsheet or text file", hint=hint)
    # A wrong guess would garble every word, so the whole file is looked at: about a gigabyte a second.
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    beyond_ascii = 0
    before = b""
    try:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            before = chunk
            text = decoder.decode(chunk)
            if beyond_ascii < 8 and not text.isascii():
                beyond_ascii += sum(not one.isascii() for one in text)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        valid = before[: max(0, error.start)].decode("utf-8", "ignore")
        # A few damaged bytes in a file that is UTF-8 all the same: GB18030 text fails at its first
        # characters.
        if beyond_ascii + sum(not one.isascii() for one in valid) >= 8:
            return "utf-8"
        return _gb18030(file, name)
    finally:
        file.seek(0)
    return "utf-8"


def _gb18030(file: IO[bytes], name: str) -> str:
    file.seek(0)
    try:
        codecs.getincrementaldecoder("gb18030")("strict").decode(file.read(_CHUNK))
    except UnicodeDecodeError:
        hint = 'Say which in the mapping, such as encoding = "windows-1252", or save it as CSV (UTF-8).'
        raise InputError(f"{name}: neither UTF-8 nor GB18030", hint=hint) from None
    return "gb18030"


def _workbook(file: IO[bytes], name: str, mapping: Mapping) -> Table:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(file)
        sheets = book.sheet_names
        if mapping.sheet and mapping.sheet not in sheets:
            there = ", ".join(sheets)
            raise InputError(
                f"{name}: no sheet {mapping.sheet!r}; there are {there}", hint="Correct `sheet`."
            )
        found: Search | None = None
        where = name
        for one in [mapping.sheet] if mapping.sheet else sheets:
            sheet = book.get_sheet_by_name(one)
            begin = sheet.start
            if begin is None:
                continue
            deepest = SEARCHED if mapping.header_row == "auto" else mapping.header_row
            top = list(itertools.islice(sheet.iter_rows(), deepest))
            here = search(top, mapping)
            if found is None or (
                here is not None and (not here.missing, here.found) > (not found.missing, found.found)
            ):
                found, where = here, f"{name}, sheet {one}"
                if here is not None and not here.missing:
                    return _sheet_rows(sheet.iter_rows(), where, here.header)
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(f"{name}: not a workbook that can be read ({error})", hint=_AS_CSV) from error
    return Table(name, header(found, mapping, where), iter(()))


def _sheet_rows(rows: Iterator[list[Any]], name: str, place: Header) -> Table:
    def numbered() -> Iterator[tuple[int, list[Any] | str]]:
        width = place.width
        for number, cells in enumerate(rows, start=1):
            if number <= place.row:
                continue
            if len(cells) < width:
                cells = cells + [""] * (width - len(cells))
            if any(cell != "" for cell in cells):
                yield number, cells

    stream = numbered()
    ahead = list(itertools.islice(stream, _TYPED_SAMPLE))
    timed = frozenset(
        index for _, cells in ahead for index, cell in enumerate(cells) if isinstance(cell, datetime)
    )
    return Table(name, place, itertools.chain(ahead, stream), timed)
