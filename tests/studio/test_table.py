"""Tables of products: encodings, delimiters, broken rows."""

from __future__ import annotations

import pytest
from storefront.studio import canvas, table
from storefront.studio.errors import InputError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(tmp_path, encoding, delimiter, end):
    text = f'사진{delimiter}문구{delimiter}가격{end}cup.jpg{delimiter}봄의 첫 모금{delimiter}"4,500원"{end}{end}'
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    (row,) = table.read(path).rows
    assert (row.number, row.photo, row.headline, row.price) == (2, "cup.jpg", "봄의 첫 모금", "4,500원")
    assert row.text == "봄의 첫 모금\n4,500원"
    assert row.sentence == "봄의 첫 모금, 4,500원"


def test_columns_may_come_in_any_order_and_others_are_ignored():
    (row,) = table.parse("t.csv", "SKU;Price;Image File;photo;Title\n7;$3;x;a/b.jpg;Mug\n").rows
    assert (row.photo, row.price, row.headline, row.words, row.name) == ("a/b.jpg", "$3", "Mug", "", "b")


def test_a_line_break_in_quotation_marks_does_not_end_a_row():
    first, second = table.parse("t.csv", 'photo,headline\na.jpg,"two\nlines"\nb.jpg,one\n').rows
    assert (first.headline, second.photo) == ("two lines", "b.jpg")


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "headings photo"),
        ("headline,price\nx,1\n", "headings photo"),
        ("photo\n", "one row below"),
        ('photo,headline\na.jpg,"open\n', "quotation marks"),
        ("photo\n" + "a.jpg\n" * (table.MOST_ROWS + 1), "at most"),
    ],
    ids=["empty", "no photo", "no rows", "open quotes", "too long"],
)
def test_a_table_that_cannot_be_used_says_why(text, cure):
    with pytest.raises(InputError, match=cure):
        table.parse("t.csv", text)


def test_files_that_are_no_tables_are_refused(tmp_path):
    for name, content, cure in (
        ("t.xlsx", b"PK", "Save As"),
        ("t.csv", b"\xff\x00\x80", "UTF-8 or CP949"),
        ("u.csv", b"photo\0\n", "UTF-8"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=cure):
            table.read(path)


def test_rows_are_taken_in_parts_and_a_broken_one_stops_or_is_left_out():
    whole = table.parse("t.csv", "photo,headline\na.jpg,A\n,B\nc.jpg,C,D\nd.jpg,D\n")
    assert [row.photo for row in table.take(whole, 1, 1, table.STOP).rows] == ["a.jpg"]
    with pytest.raises(InputError, match="line 3: no photo"):
        table.take(whole, 1, 4, table.STOP)
    taken = table.take(whole, 1, 4, table.SKIP, {5: "the photo is missing"})
    assert [row.photo for row in taken.rows] == ["a.jpg"]
    assert [note.split(" was")[0] for note in taken.skipped] == ["line 3", "line 4", "line 5"]
    assert table.take(whole, 2, 1, table.SKIP).rows == ()
    with pytest.raises(InputError, match="all of them are done"):
        table.take(whole, 5, 1, table.SKIP)


def test_a_campaign_has_each_format_once():
    assert canvas.chosen_formats(["2:1 banner", "none", "1:1 feed", "2:1 banner"]) == ["2:1 banner", "1:1 feed"]
    for wrong in (["none"], ["5:5"]):
        with pytest.raises(InputError, match="format"):
            canvas.chosen_formats(wrong)
