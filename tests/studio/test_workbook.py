"""Excel files as tables: what a spreadsheet shows is what is read; what is damaged, protected or a trap is refused."""

from __future__ import annotations

import contextlib
import datetime
import random
import zipfile

import openpyxl
import pytest
from storefront.studio import table, workbook
from storefront.studio.errors import InputError

HEADINGS = ["사진", "문구", "가격"]


def saved(path, *rows, formats=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, number_format in formats:
        book.active[place].number_format = number_format
    book.save(path)
    return path


def test_a_row_is_what_the_sheet_shows(tmp_path):
    rows = [HEADINGS, ["cup.jpg", "봄의 첫 모금\n따뜻하게", 4500], [None, None, None], ["b.jpg", None, 0.5]]
    path = saved(tmp_path / "t.xlsx", *rows, formats=[("C2", '#,##0"원"'), ("C4", "0%")])
    first, second = table.read(path).rows
    assert (first.number, first.photo, first.headline, first.price) == (
        2,
        "cup.jpg",
        "봄의 첫 모금 따뜻하게",
        "4,500원",
    )
    assert (second.number, second.photo, second.headline, second.price) == (4, "b.jpg", "", "50%")


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (None, "General", ""),
        (12900, "General", "12900"),
        (12900.0, "General", "12900"),
        (0.1 + 0.2, "General", "0.3"),
        (12900, "#,##0", "12,900"),
        (12900, "[$₩-412]#,##0", "₩12,900"),
        (12900, '"₩"#,##0;[Red]\\-"₩"#,##0', "₩12,900"),
        (12900, '_-"₩"* #,##0_-', "₩12,900"),
        (3.5, "$#,##0.00", "$3.50"),
        (3.5, "#,##0.00 [$€-407]", "3.50 €"),
        (0.125, "0.0%", "12.5%"),
        (7, "000", "7"),
        (-5, "#,##0;(#,##0)", "(5)"),
        (-5, "#,##0", "-5"),
        (1.5, "0.##", "1.5"),
        (2.0, "0.##", "2"),
        (1234567, '#,##0,"k"', "1,235k"),
        (1, "0." + "0" * 1_000_000, "1." + "0" * 253),
        (True, "General", "TRUE"),
        (datetime.datetime(2026, 11, 29), "yyyy-mm-dd", "2026-11-29"),
        ("#REF!", "General", "#REF!"),
    ],
)
def test_numbers_keep_their_format(value, number_format, text):
    assert workbook.shown(value, number_format) == text


def test_lines_above_the_headings_may_be_empty(tmp_path):
    (row,) = table.read(saved(tmp_path / "t.xlsx", [], [], HEADINGS, ["a.jpg", "x", "1"])).rows
    assert (row.number, row.photo) == (4, "a.jpg")


def test_more_rows_than_allowed_are_refused(tmp_path):
    path = saved(tmp_path / "t.xlsx", HEADINGS, *(["a.jpg", "x", 1] for _ in range(table.MOST_ROWS + 1)))
    with pytest.raises(InputError, match="at most"):
        table.read(path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path):
    path = saved(tmp_path / "t.xlsx", HEADINGS, ["a.jpg", "x", 1])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/large.xml", "w") as file:
        for _ in range(workbook.LARGEST_UNPACKED // 2**20 + 1):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match="when unpacked"):
        table.read(path)


def test_a_cell_longer_than_any_spreadsheet_writes_is_refused(tmp_path):
    path, trap = saved(tmp_path / "t.xlsx", HEADINGS, ["a.jpg", "MARK", 1]), tmp_path / "trap.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(trap, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"MARK", b"x" * 2**20))
    with pytest.raises(InputError, match="Excel file"):
        table.read(trap)


def test_the_sheet_that_was_open_is_read(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["another table"])
    for row in (HEADINGS, ["b.jpg", "x", 1]):
        second = book["Second"] if "Second" in book.sheetnames else book.create_sheet("Second")
        second.append(row)
    book.active = 1
    book.save(tmp_path / "t.xlsx")
    assert [row.photo for row in table.read(tmp_path / "t.xlsx").rows] == ["b.jpg"]


def test_entities_that_grow_without_end_are_refused(tmp_path):
    path, trap = saved(tmp_path / "t.xlsx", HEADINGS, ["a.jpg", "x", 1]), tmp_path / "trap.xlsx"
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "lol" * 10}">' for i in range(12))
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(trap, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                body = content.decode().partition("?>")[2] if content.startswith(b"<?xml") else content.decode()
                cell = '<c r="A2" t="inlineStr"><is><t>&e11;</t></is></c>'
                body = body.replace('<row r="2"', f'<row r="2">{cell}</row><row r="3"', 1)
                assert cell in body
                content = f"<!DOCTYPE worksheet [{entities}]>{body}".encode()
            target.writestr(name, content)
    with pytest.raises(InputError, match="Excel file"):
        table.read(trap)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_read_or_refused(tmp_path, seed):
    path, chance = saved(tmp_path / "t.xlsx", HEADINGS, *(["a.jpg", "x", i] for i in range(50))), random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 2:
        del content[chance.randrange(len(content)) :]
    for _ in range(chance.randrange(1, 30)):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert table.read(path).rows


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), b"photo\na.jpg\n"]
)
def test_what_is_no_excel_file_is_refused(tmp_path, content):
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="without a password"):
        table.read(path)
