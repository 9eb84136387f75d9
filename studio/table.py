"""A catalogue as a table: a row a product, read from XLSX, or from CSV as spreadsheets of any country write it.

CSV in UTF-8 with or without a byte order mark, UTF-16 with one, CP949 (Korean Windows); commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .errors import InputError

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx")
LARGEST_FILE = 16 * 2**20  # bytes
MOST_ROWS = 10_000
MOST_COLUMNS = 100
LONGEST_CELL = 4000  # characters
DELIMITERS = ",;\t"
STOP, SKIP = "stop", "skip the row"

# What a column may be called, in small letters without spaces.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "photo": ("photo", "image", "picture", "file", "사진", "이미지", "상품사진", "제품사진", "파일", "사진파일"),
    "headline": ("headline", "title", "text", "copy", "제목", "문구", "헤드라인", "카피", "광고문구"),
    "price": ("price", "가격", "판매가", "할인가", "금액"),
    "words": ("words", "description", "sentence", "설명", "상품설명", "문장", "상품명", "이름", "name", "product"),
    "trade": ("trade", "업종", "category", "분류"),
}


class ProductRow(NamedTuple):
    """One product. Empty text where its cell is."""

    number: int  # of the table's line, as a spreadsheet counts: the first below the headings is 2
    photo: str
    headline: str
    price: str
    words: str
    trade: str

    @property
    def sentence(self) -> str:
        """All that is told of the product, for a scene or a prompt to be chosen by."""
        return ", ".join(part for part in (self.words, self.headline, self.price) if part)

    @property
    def text(self) -> str:
        """What the ad says: the headline, else the description, and the price on a line of its own."""
        return "\n".join(part for part in (self.headline or self.words, self.price) if part)

    @property
    def name(self) -> str:
        """The photo's name without folder and ending, for the names of files."""
        return PurePosixPath(self.photo.replace("\\", "/")).stem


class Table(NamedTuple):
    """What a file holds: its rows, and which of them cannot be used."""

    rows: tuple[ProductRow, ...]
    broken: Mapping[int, str]  # number of a row -> what is wrong with it


class Taken(NamedTuple):
    """The rows of one run."""

    rows: tuple[ProductRow, ...]
    skipped: tuple[str, ...]  # a line for each broken row
    progress: str  # which rows these are, of how many


def read(path: Path) -> Table:
    """The table in a file. Raises InputError for one that cannot be read, has no photo column, or is too large."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError("table", path.name, "an Excel file (.xlsx) or a CSV file")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InputError("table", path.name, f"a file of at most {LARGEST_FILE // 2**20} MB")
    if path.suffix.lower() == ".xlsx":
        from . import workbook

        return tabled(path.name, workbook.lines(path, MOST_ROWS + 2, MOST_COLUMNS + 1))
    return parse(path.name, decoded(path.name, path.read_bytes()))


def decoded(name: str, content: bytes) -> str:
    """Text in the encoding that it is in. Raises InputError where it is in none of ours."""
    encodings = ["utf-16"] if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "cp949"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError("table", name, "text in UTF-8 or CP949; in a spreadsheet choose Save As, CSV UTF-8")


def parse(name: str, text: str) -> Table:
    """A table from its text; the first line holds the headings. Raises InputError as `read`."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError("table", name, f"a CSV file without open quotation marks ({error})") from error
    return tabled(name, lines)


def tabled(name: str, lines: Sequence[Sequence[str]]) -> Table:
    """A table from its cells; the first line that is not empty holds the headings. Raises InputError as `read`."""
    empty = next((i for i, cells in enumerate(lines) if any(cell.strip() for cell in cells)), 0)
    lines = lines[empty:]
    if len(lines) > MOST_ROWS + 1:
        raise InputError("table", f"{len(lines) - 1} rows", f"at most {MOST_ROWS}; make two tables of it")
    columns = _columns(name, lines[0] if lines else [])
    rows, broken = [], {}
    for number, cells in enumerate(lines[1:], start=empty + 2):
        if not any(cell.strip() for cell in cells):
            continue
        row = _row(number, cells, columns)
        if wrong := _wrong(row, cells, len(lines[0])):
            broken[number] = wrong
        rows.append(row)
    if not rows:
        raise InputError("table", name, "at least one row below the headings")
    return Table(tuple(rows), broken)


def _columns(name: str, headings: Sequence[str]) -> dict[str, int]:
    """What of COLUMNS is in which column; of two that mean the same the first."""
    if len(headings) > MOST_COLUMNS:
        raise InputError("table", f"{len(headings)} columns", f"at most {MOST_COLUMNS}")
    plain = ["".join(heading.lower().split()) for heading in headings]
    found: dict[str, int] = {}
    for column, names in COLUMNS.items():
        places = [place for place, heading in enumerate(plain) if heading in names]
        if places:
            found[column] = places[0]
    if "photo" not in found:
        shown = ", ".join(heading.strip()[:40] for heading in headings[:10]) or "no headings"
        raise InputError(
            "table",
            f"{name} with {shown}",
            "a first line with the headings photo (사진), headline (문구), price (가격)",
        )
    return found


def _row(number: int, cells: Sequence[str], columns: Mapping[str, int]) -> ProductRow:
    def cell(column: str) -> str:
        place = columns.get(column, len(cells))
        text = cells[place] if place < len(cells) else ""
        return " ".join(text.split()) if len(text) <= LONGEST_CELL else text[: LONGEST_CELL + 1]  # `_wrong` names it

    return ProductRow(number, *(cell(column) for column in ProductRow._fields[1:]))


def _wrong(row: ProductRow, cells: Sequence[str], wide: int) -> str:
    """What is wrong with a row; "" where nothing is."""
    if len(cells) > wide and any(cell.strip() for cell in cells[wide:]):
        return f"{len(cells)} cells for {wide} headings: put text with commas into quotation marks"
    if not row.photo:
        return "no photo"
    long = next((name for name, value in zip(ProductRow._fields[1:], row[1:]) if len(value) > LONGEST_CELL), None)
    return f"{long} has more than {LONGEST_CELL} characters" if long else ""


def take(table: Table, start: int, count: int, broken: str, wrong: Mapping[int, str] | None = None) -> Taken:
    """`count` rows from the `start`-th on (1 is the first). `wrong`: what else is wrong with a row, such as a missing photo.

    Raises InputError where the table is shorter, and for a broken row where `broken` is STOP.
    """
    if start > len(table.rows):
        raise InputError(
            "row", start, f"1 to {len(table.rows)}: the table has {len(table.rows)} rows, all of them are done"
        )
    faults = {**(wrong or {}), **table.broken}
    rows, skipped = [], []
    for row in table.rows[start - 1 : start - 1 + count]:
        if row.number not in faults:
            rows.append(row)
            continue
        if broken == STOP:
            raise InputError(
                "table",
                f"line {row.number}: {faults[row.number]}",
                f"a row that can be read, or `broken_row` set to {SKIP}",
            )
        skipped.append(f"line {row.number} was skipped: {faults[row.number]}")
    last = min(start + count - 1, len(table.rows))
    names = ", ".join(row.photo for row in rows[:3])
    done = f"row {start if count == 1 else f'{start} to {last}'} of {len(table.rows)}: {names}"
    return Taken(tuple(rows), tuple(skipped), done)
