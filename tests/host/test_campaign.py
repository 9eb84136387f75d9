"""Lists in a running ComfyUI: formats planned anew for each, and a table row by row."""

from __future__ import annotations

import json

import numpy as np
import pytest
from comfyui import ROOT, node
from PIL import Image
from storefront.studio.canvas import FORMATS


@pytest.mark.usefixtures("no_traceback")
def test_every_format_of_a_campaign_is_planned_anew(comfyui):
    workflow = json.loads((ROOT / "workflows" / "api" / "campaign.json").read_text("utf-8"))
    result = comfyui.run(workflow)
    pictures = [Image.open(path).convert("RGB") for path in result.files()]
    formats = [name for name in workflow["22"]["inputs"].values() if name != "none"]
    assert [picture.size for picture in pictures] == [tuple(FORMATS[name]) for name in formats]
    assert len({np.asarray(picture.resize((64, 64))).tobytes() for picture in pictures}) == len(formats)


@pytest.mark.usefixtures("no_traceback")
def test_the_rows_of_the_bundled_table_become_ads(comfyui):
    workflow = json.loads((ROOT / "workflows" / "api" / "catalogue_from_table.json").read_text("utf-8"))
    workflow["23"]["inputs"]["rows"] = 3
    pictures = comfyui.run(workflow).pixels()
    assert pictures.shape == (3, 1024, 1024, 3)
    assert len({picture.tobytes() for picture in pictures}) == 3  # of one photo, by their words


def catalogue(**inputs) -> dict[str, dict]:
    return {
        "1": node("StorefrontCatalogue", **inputs),
        "2": node("SaveImage", images=["1", 0], filename_prefix="catalogue"),
        "3": node("PreviewAny", source=["1", 1]),
    }


def test_a_table_is_read_row_by_row(comfyui):
    folder = comfyui.base / "input" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    for name, color in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (32, 24), color).save(folder / name)
    text = "사진;문구;업종\nred.png;빨강;카페\nmissing.png;없음;\nblue.png;파랑;cafe\n"
    (folder / "table.csv").write_bytes(text.encode("cp949"))
    first = comfyui.run(catalogue(table="shop/table.csv"))
    assert first.pixels()[0, 0, 0].tolist() == [255, 0, 0]
    stopped = comfyui.run(catalogue(table="shop/table.csv", row=2))
    assert "line 3" in stopped.error
    assert "missing.png" in stopped.error
    assert comfyui.run(catalogue(table="shop/table.csv", row=2, broken_row="skip the row")).files() == []
    rest = comfyui.run(catalogue(table="shop/table.csv", row=1, rows=9, broken_row="skip the row"))
    assert len(rest.files()) == 2
    assert "all of them are done" in comfyui.run(catalogue(table="shop/table.csv", row=4)).error


def test_an_excel_file_is_listed_and_read(comfyui):
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["사진", "문구", "가격"], ["storefront/coffee.jpg", "봄의 첫 모금", 4500]):
        book.active.append(row)
    book.active["C2"].number_format = '#,##0"원"'
    book.save(comfyui.base / "input" / "products.xlsx")
    assert "products.xlsx" in str(comfyui.get("/object_info/StorefrontCatalogue"))
    assert len(comfyui.run(catalogue(table="products.xlsx")).files()) == 1


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/passwd", "nowhere.csv", ""])
def test_only_tables_of_the_input_folder_are_read(comfyui, name):
    assert "input folder" in comfyui.run(catalogue(table=name)).error
