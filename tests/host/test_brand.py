"""Brand, Logo, Badge and Call to Action on a real ComfyUI: the whole chain, a brand of the owner's, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui import node
from PIL import Image

CHAIN = {
    "1": node("StorefrontExamplePhoto", photo="coffee"),
    "2": node("StorefrontBrand", brand="example"),
    "3": node(
        "StorefrontPlanLayout",
        background=["1", 0],
        headline="한 잔의 여유",
        brand=["2", 0],
        badge="신메뉴",
        call_to_action="메뉴 보기",
    ),
    "4": node("StorefrontTextOverlay", image=["1", 0], text="한 잔의 여유", layout=["3", 0], brand=["2", 0]),
    "5": node("StorefrontLogo", image=["4", 0], layout=["4", 3], brand=["2", 0]),
    "6": node("StorefrontBadge", image=["5", 0], text="신메뉴", layout=["5", 2], brand=["2", 0]),
    "7": node("StorefrontCallToAction", image=["6", 0], text="메뉴 보기", layout=["6", 2], brand=["2", 0]),
    "8": node("SaveImage", images=["7", 0], filename_prefix="branded"),
    **{str(number + 10): node("MaskToImage", mask=[str(number), 1]) for number in (4, 5, 6, 7)},
    **{
        str(number + 20): node("SaveImage", images=[str(number + 10), 0], filename_prefix=f"mask{number}")
        for number in (4, 5, 6, 7)
    },
}


def test_nothing_lies_over_anything_else(comfyui, no_traceback):
    files = {
        path.name.partition("_")[0]: np.asarray(Image.open(path)).astype(int) for path in comfyui.run(CHAIN).files()
    }
    masks = [files[f"mask{number}"][..., 0] > 20 for number in (4, 5, 6, 7)]
    assert all(mask.sum() > 100 for mask in masks)
    assert (np.stack(masks).sum(0) <= 1).all()


def test_a_logo_of_one_s_own_needs_no_brand(comfyui, no_traceback):
    prompt = {
        "1": CHAIN["1"],
        "2": node("EmptyImage", width=60, height=20, batch_size=1, color=0x101010),
        "3": node("StorefrontLogo", image=["1", 0], logo=["2", 0], anchor="bottom right", size=20),
        "4": node("MaskToImage", mask=["3", 1]),
        "5": node("SaveImage", images=["4", 0], filename_prefix="own"),
    }
    (path,) = comfyui.run(prompt).files()
    rows, columns = np.nonzero(np.asarray(Image.open(path).convert("L")) > 128)
    height, width = np.asarray(Image.open(path)).shape[:2]
    assert rows.min() > 0.6 * height
    assert columns.min() > 0.6 * width
    assert abs(np.ptp(columns) + 1 - 0.2 * width) <= 2  # as wide as asked
    assert abs((np.ptp(columns) + 1) / (np.ptp(rows) + 1) - 3) < 0.2  # in its own proportions


@pytest.mark.parametrize(
    ("number", "change", "named"),
    [
        ("2", {"brand": "nobody"}, "brand"),
        ("5", {"brand": {"title": "a stranger's"}}, "brand"),
        ("6", {"color": "red"}, "color"),
        ("6", {"text": ""}, "text"),
        ("7", {"text": "가" * 61}, "text"),
        ("7", {"text": "가\n나"}, "text"),
        ("6", {"old_price": "[b]"}, "old_price"),
        ("3", {"call_to_action": "가\n나"}, "text"),
    ],
)
def test_a_stranger_s_value_is_named(comfyui, number, change, named):
    one_output = {
        key: entry for key, entry in CHAIN.items() if len(key) == 1
    }  # others would run without the refused one
    changed = one_output | {number: {**CHAIN[number], "inputs": CHAIN[number]["inputs"] | change}}
    result = comfyui.run(changed)
    assert f"`{named}`" in result.error
    if isinstance(change.get(named), str):  # not what is known only in the run
        assert result.refused, "before anything is drawn"
    assert "Traceback" not in result.error
