"""The lines of the sheet that was open when a spreadsheet was saved (XLSX, as Excel, LibreOffice, Numbers and Google Sheets write it), as text."""

from __future__ import annotations

import datetime
import re
import zipfile
from pathlib import Path
from typing import Any

from .errors import InputError

LONGEST_CELL_TEXT, LONGEST_FORMAT = 32_767, 255  # characters of a cell and of its number format: Excel's own limits
LARGEST_UNPACKED = 128 * 2**20  # bytes: an XLSX is a ZIP file, and a small one can hold a large one
CURE = "an Excel file (.xlsx) without a password, or a CSV file: in the spreadsheet choose Save As"
# What a number format puts before and behind the digits: "…" as it is written, [$₩-412] the sign of a currency.
# A space and these signs need no quotation marks; _x and *x are room for a character that is not shown.
LITERAL = re.compile(r'"([^"]*)"|\[\$([^\]-]*)[^\]]*\]|\\(.)|[_*].|([ ₩$€£¥￦원%()+/:!-])|\[[^\]]*\]|.', re.DOTALL)
DIGITS = re.compile(r"[#0?][#0?,.]*")


def lines(path: Path, most_lines: int, most_columns: int) -> list[list[str]]:
    """Cells as the sheet shows them, at most `most_lines` lines of `most_columns` cells.

    Numbers keep their separators, decimals, per cent and currency; formulas give the value that was saved last. Raises
    InputError for what is no XLSX file, or a damaged, protected or too large one.
    """
    import openpyxl

    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(entry.file_size for entry in packed.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError("table", path.name, CURE) from error
    if unpacked > LARGEST_UNPACKED:
        raise InputError("table", path.name, f"a file of at most {LARGEST_UNPACKED // 2**20} MB when unpacked")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            sheet = next(s for s in [book.active, *book.worksheets] if hasattr(s, "iter_rows"))
            sheet.reset_dimensions()  # some programs write a size that is wrong
            rows = sheet.iter_rows(max_row=most_lines, max_col=most_columns)
            return [_without_end([shown(cell.value, cell.number_format) for cell in row]) for row in rows]
        finally:
            book.close()
    except Exception as error:  # a damaged file raises whatever its first wrong byte leads to
        raise InputError("table", path.name, CURE) from error


def _without_end(cells: list[str]) -> list[str]:
    """`cells` up to the last that is not empty."""
    filled = [place for place, cell in enumerate(cells) if cell.strip()]
    return cells[: filled[-1] + 1] if filled else []


def shown(value: Any, number_format: str | None = None) -> str:
    """A cell's value as text, by its number format ('#,##0"원"': 12,900원; '0%': 50%)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
    if isinstance(value, int | float):
        return _number(value, number_format or "General")
    text = str(value)
    if len(text) > LONGEST_CELL_TEXT:
        raise ValueError("a cell of more than 32,767 characters, which no spreadsheet writes")
    return text


def _number(value: float, number_format: str) -> str:
    sections = number_format[:LONGEST_FORMAT].split(";")
    if value < 0 and len(sections) > 1 and sections[1]:
        value, form = -value, sections[1]  # it says how a minus is shown
    else:
        form = sections[0]
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.', lambda match: " " * len(match[0]), form)
    digits = DIGITS.search(plain)
    if digits is None:  # General, or a date's parts
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    if "%" in plain:
        value *= 100
    places = digits[0].rstrip(",")
    value /= 1000 ** (len(digits[0]) - len(places))  # a comma behind the digits: in thousands
    decimals = places.partition(".")[2]
    number = f"{value:{',' if ',' in places else ''}.{len(decimals)}f}"
    for place in reversed(decimals):  # # shows no zero at the end
        if place != "#" or not number.endswith("0"):
            break
        number = number[:-1]
    number = number.removesuffix(".")
    return f"{_literal(form[: digits.start()])}{number}{_literal(form[digits.end() :])}".strip()


def _literal(form: str) -> str:
    """What a part of a number format without digits shows."""
    return "".join(next((part for part in match.groups() if part), "") for match in LITERAL.finditer(form))
