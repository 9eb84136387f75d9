"""Lists in a running ComfyUI: formats planned anew for each, and a table row by row."""

from __future__ import annotations

import json
import shutil

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


def family(folder: str, **photos) -> dict[str, dict]:
    """All products of a folder in one advertisement."""
    return {
        "1": node("StorefrontPhotos", folder=folder, **photos),
        "2": node("StorefrontRemoveBackground", image=["1", 0]),
        "3": node("StorefrontGatherProducts", product=["2", 0], product_mask=["2", 1], heights="20\n10"),
        "4": node("StorefrontScene", words="커피", format="16:9 video, slide"),
        "5": node(
            *("StorefrontPlanLayout",),
            background=["4", 0],
            product_mask=["3", 1],
            scene_layout=["4", 1],
            headline="둘 다 드려요",
            batch="all in one picture",
        ),
        "6": node(
            *("StorefrontPlaceProduct",),
            background=["4", 0],
            product=["3", 0],
            product_mask=["3", 1],
            layout=["5", 0],
            batch="all in one picture",
        ),
        "7": node("SaveImage", images=["6", 0], filename_prefix="family"),
        "8": node("MaskPreview", mask=["6", 1]),
    }


def cup_and_box(folder) -> None:
    """A photo of a cup, and a larger one of a box in another shape; a text and a broken picture beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.open(ROOT / "workflows" / "assets" / "coffee.jpg").save(folder / "cup 2.jpg")
    box = Image.new("RGB", (1200, 900), "#dfe5e8")
    box.paste(Image.new("RGB", (420, 560), "#1d6b4f"), (390, 200))
    box.save(folder / "box 10.png")
    (folder / "notes.txt").write_text("no photo")
    (folder / "cup 3.jpg").write_bytes(b"\xff\xd8 no picture")


def test_the_photos_of_a_folder_become_one_ad_in_their_proportions(comfyui):
    cup_and_box(comfyui.base / "input" / "two products")
    result = comfyui.run(family("two products"))
    (picture,) = result.files()
    assert Image.open(picture).size == tuple(FORMATS["16:9 video, slide"])
    log = comfyui.log()
    assert "left out: cup 3.jpg" in log
    assert comfyui.run(family("two products", first=2)).error.count("heights")  # one photo is left, two heights


def test_the_bundled_photos_are_a_set_at_their_real_heights(comfyui):
    """They are read from the pack where the input folder lost them, and the ad's products have the heights of the graph."""
    kept = comfyui.base / "input" / "storefront" / "skincare"
    assert sorted(path.name for path in kept.iterdir()) == ["1 lotion.jpg", "2 cream.jpg", "3 soap.jpg"]
    workflow = json.loads((ROOT / "workflows" / "api" / "ad_of_a_set.json").read_text("utf-8"))
    heights = [float(line) for line in workflow["22"]["inputs"]["heights"].split()]
    workflow["report"] = node("PreviewAny", source=["11", 2])
    drawn = comfyui.run(workflow)
    tall = [box["height"] for box in json.loads(drawn.history["outputs"]["report"]["text"][0])["products"]]
    assert [one / tall[0] for one in tall] == pytest.approx([one / heights[0] for one in heights], rel=0.02)
    shutil.rmtree(kept)
    try:
        assert np.array_equal(comfyui.run(workflow).pixels(), drawn.pixels())
    finally:
        shutil.copytree(ROOT / "workflows" / "assets" / "skincare", kept)


def test_a_folder_that_is_none_is_refused(comfyui):
    for folder in ("../..", "nowhere", "/etc"):
        assert "folder" in comfyui.run(family(folder)).error
