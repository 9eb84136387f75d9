"""Words inside a running ComfyUI: what is saved, what tesseract reads in it, and what is refused by name."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from comfyui import ROOT, node
from PIL import Image

PHOTO = {"1": node("StorefrontExamplePhoto", photo="coffee")}
LAYOUT = {
    "canvas": {"width": 1200, "height": 800},
    "products": [],
    "ground": 700,
    "text": {
        "box": {"x": 100, "y": 40, "width": 500, "height": 160},
        "color": "#ffffff",
        "align": "left",
        "scrim": None,
    },
    "light": {"azimuth": 0, "elevation": 45},
}


def overlay(text: str, source: dict | None = None, **changes) -> dict[str, dict]:
    """Example photo -> Text Overlay with only what a prompt must bring -> all three outputs saved."""
    return (source or PHOTO) | {
        "2": node("StorefrontTextOverlay", **({"image": ["1", 0], "text": text, "font": "Pretendard"} | changes)),
        "3": node("MaskToImage", mask=["2", 1]),
        "4": node("SaveImage", images=["2", 0], filename_prefix="picture"),
        "5": node("SaveImage", images=["3", 0], filename_prefix="letters"),
        "6": node("SaveImage", images=["2", 2], filename_prefix="layer"),
    }


def saved(result) -> dict[str, list[np.ndarray]]:
    pictures: dict[str, list[np.ndarray]] = {"picture": [], "letters": [], "layer": []}
    for path in result.files():
        pictures[path.name.partition("_")[0]].append(np.asarray(Image.open(path)).astype(int))
    return pictures


def photo() -> np.ndarray:
    return np.asarray(Image.open(ROOT / "workflows" / "assets" / "coffee.jpg").convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [("매일 아침 직접 볶은 원두", "kor", "매일아침직접볶은원두"), ("Fresh Bread Today", "eng", "FreshBreadToday")],
)
def test_the_saved_picture_can_be_read(comfyui, no_traceback, tmp_path, text, language, expected):
    if not shutil.which("tesseract"):
        pytest.skip("!!! NO TESSERACT: NOBODY HAS READ WHAT WAS WRITTEN !!!")
    pictures = saved(comfyui.run(overlay(text, width=95.0, height=20.0)))
    rows, columns = np.nonzero(pictures["letters"][0][..., 0] > 128)
    part = pictures["picture"][0][
        max(0, rows.min() - 8) : rows.max() + 8, max(0, columns.min() - 8) : columns.max() + 8
    ]
    line = Image.fromarray(part.astype(np.uint8))
    line.resize((round(line.width * 45 / line.height), 45), Image.Resampling.LANCZOS).save(tmp_path / "line.png")
    command = ["tesseract", str(tmp_path / "line.png"), "-", "-l", language, "--psm", "7"]
    assert "".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()) == expected


def test_the_photo_is_left_alone_where_nothing_is_written(comfyui, no_traceback):
    pictures = saved(comfyui.run(overlay("할인", scrim="off", shadow=0.4, outline=0.05)))
    layer = pictures["layer"][0]
    assert layer.shape[-1] == 4
    untouched = layer[..., 3] == 0
    assert 0.5 < untouched.mean() < 0.99
    assert abs(pictures["picture"][0] - photo())[untouched].max() <= 1
    alpha = layer[..., 3:] / 255
    composed = photo() * (1 - alpha) + layer[..., :3] * alpha
    assert abs(composed - pictures["picture"][0]).max() <= 2


def test_a_layout_written_by_hand_places_the_words(comfyui, no_traceback):
    size = photo().shape[:2]
    layout = LAYOUT | {"canvas": {"width": size[1] * 2, "height": size[0] * 2}}
    for value in (json.dumps(layout, ensure_ascii=False), layout):
        letters = saved(comfyui.run(overlay("여름 세일", layout=value)))["letters"][0][..., 0]
        rows, columns = np.nonzero(letters > 128)
        assert abs(columns.min() - 50) <= 2
        assert rows.min() >= 19
        assert rows.max() <= 101


def test_a_line_for_each_picture(comfyui, no_traceback):
    three = PHOTO | {"9": node("RepeatImageBatch", image=["1", 0], amount=3)}
    pictures = saved(comfyui.run(overlay("하나\n둘\n셋", three, image=["9", 0], texts="one line a picture")))
    assert len(pictures["letters"]) == 3
    assert (pictures["letters"][0] != pictures["letters"][1]).any()
    from_one = saved(comfyui.run(overlay("하나\n둘\n셋", texts="one line a picture")))
    assert all((a == b).all() for a, b in zip(from_one["picture"], pictures["picture"], strict=True))


def test_a_scrim_is_said(comfyui, no_traceback):
    assert comfyui.run(overlay("스크림이 있는 글", shadow=0.31)).ok
    assert "was put under the words" in comfyui.log()


def test_a_font_is_listed_when_its_file_lies_in_models_fonts(comfyui):
    def listed() -> list[str]:
        info = comfyui.get("/object_info/StorefrontTextOverlay")["StorefrontTextOverlay"]
        kind, options = info["input"]["optional"]["font"][:2]
        return options["options"] if kind == "COMBO" else kind

    folder = comfyui.base / "models" / "fonts"
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "fonts" / "Pretendard-Regular.otf", folder / "HouseFont-Regular.otf")
    (folder / "Broken-Bold.ttf").write_bytes(b"no font at all")
    try:
        assert listed()[0] == "Pretendard"
        assert {"HouseFont", "Broken"} <= set(listed())
        assert not any("/" in name or "\\" in name for name in listed())
        assert comfyui.run(overlay("우리 글꼴", font="HouseFont")).ok
        refused = comfyui.run(overlay("깨진 글꼴", font="Broken"))
        assert "Broken-Bold.ttf" in refused.error
    finally:
        shutil.rmtree(folder)
    assert "HouseFont" not in listed()


REFUSED = {
    "empty": ("`text` is", overlay("")),
    "control characters": ("U+0007", overlay("할인\x07")),
    "half a pair": ("`text` is", overlay("할인 \ud83d")),
    "10,000 characters": ("at most 5000 characters", overlay("가" * 10_000)),
    "cannot fit": ("shorten it", overlay("긴 글 입니다 " * 400, height=5.0)),
    "markup": ("[/b]", overlay("[b]할인")),
    "markup value": ("[size]", overlay("[size=1e9]할인[/size]")),
    "no such character": ("U+13000", overlay("𓀀")),
    "font with a path": ("font", overlay("x", font="../../fonts/Pretendard-Bold.otf")),
    "font of the system by path": ("font", overlay("x", font="/usr/share/fonts/truetype/nanum/NanumGothic.ttf")),
    "colour": ("`color` is", overlay("x", color="red")),
    "shadow colour": ("`shadow_color` is", overlay("x", shadow_color="auto")),
    "NaN": ("rotation", overlay("x", rotation=math.nan)),
    "infinite": ("size", overlay("x", size=math.inf)),
    "huge": ("size", overlay("x", size=1e9)),
    "off the picture": ("offset_x", overlay("x", offset_x=100.0)),
    "texts": ("texts", overlay("x", texts="some")),
    "too few lines": (
        "2 texts",
        overlay(
            "a\nb",
            PHOTO | {"9": node("RepeatImageBatch", image=["1", 0], amount=3)},
            image=["9", 0],
            texts="one line a picture",
        ),
    ),
    "layout of another shape": (
        "layout",
        overlay("x", layout=json.dumps(LAYOUT | {"canvas": {"width": 9, "height": 90}})),
    ),
    "layout that is none": ("layout", overlay("x", layout="[]")),
    "layout with a wrong box": (
        "text.box",
        overlay("x", layout=json.dumps(LAYOUT | {"text": LAYOUT["text"] | {"box": {"x": -1e9}}})),
    ),
    "one pixel": ("`image` is", overlay("x", {"1": node("EmptyImage", width=1, height=1, batch_size=1, color=0)})),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_by_name(comfyui, name):
    named, workflow = REFUSED[name]
    result = comfyui.run(workflow)
    assert not result.ok
    assert named in result.error
    assert "Traceback" not in result.error


WORKS = {
    "wide": overlay("길고 낮은 배너", {"1": node("EmptyImage", width=8000, height=100, batch_size=1, color=0x336699)}),
    "tall": overlay("탑", {"1": node("EmptyImage", width=100, height=4000, batch_size=1, color=0x336699)}),
    "decomposed": overlay("할인"),
    "markup": overlay("오늘만 [size=180][color=#ffe14d]50%[/color][/size] [b]할인[/b] \\[b] [한정]"),
    "every effect": overlay("전부", outline=0.1, shadow=1.0, glow=1.0, box_opacity=0.5, scrim="on", rotation=33.0),
    "vertical": overlay("세로 「쓰기」, 50%…", vertical=True, height=90.0, width=30.0),
    "5,000 characters": overlay(
        "긴 글 " * 1250,
        {"1": node("EmptyImage", width=1600, height=1600, batch_size=1, color=0x336699)},
        preset="caption",
        height=100.0,
        width=100.0,
    ),
}


@pytest.mark.parametrize("name", WORKS)
def test_unusual_input_works(comfyui, no_traceback, name):
    pictures = saved(comfyui.run(WORKS[name]))
    assert pictures["letters"][0].max() == 255
