"""The planner in a running ComfyUI: its plan reaches the nodes after it, an edited one too, and strangers are answered."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from comfyui import ROOT, node
from test_prompt import put

sys.path.insert(0, str(ROOT / "tests" / "studio" / "prompt"))

from chat_server import chat_server

SIDE = 512


def table() -> dict[str, dict]:
    """A pale wall over a dark table, by stock nodes, and a mask of a box."""
    return {
        "1": node("EmptyImage", width=SIDE, height=SIDE, batch_size=1, color=0xE8E0D0),
        "2": node("EmptyImage", width=SIDE, height=200, batch_size=1, color=0x55331F),
        "3": node(
            "ImageCompositeMasked", destination=["1", 0], source=["2", 0], x=0, y=SIDE - 200, resize_source=False
        ),
        "4": node("SolidMask", value=0.0, width=200, height=200),
        "5": node("SolidMask", value=1.0, width=100, height=150),
        "6": node("MaskComposite", destination=["4", 0], source=["5", 0], x=50, y=25, operation="add"),
        "7": node("EmptyImage", width=200, height=200, batch_size=1, color=0xCC2211),
    }


def planned(**options) -> dict[str, dict]:
    inputs = {
        "background": ["3", 0],
        "product_mask": ["6", 0],
        "headline": "갓 내린 커피",
        "format": "as the picture",
        **options,
    }
    return table() | {
        "10": node("StorefrontPlanLayout", **inputs),
        "11": node("SaveImage", images=["10", 1], filename_prefix="plan"),
        "12": node("PreviewAny", source=["10", 2]),
    }


def shown_layout(result) -> dict:
    """The JSON that PreviewAny showed; nothing where the same prompt was queued before, so that headlines differ."""
    return json.loads(result.history["outputs"]["12"]["text"][0])


@pytest.mark.usefixtures("no_traceback")
def test_a_plan_is_drawn_written_and_said(comfyui):
    result = comfyui.run(planned())
    layout = shown_layout(result)
    box, text = layout["products"][0], layout["text"]["box"]
    assert layout["ground"] > SIDE - 200
    assert box["y"] + box["height"] == layout["ground"]
    assert text["y"] + text["height"] <= box["y"] or text["x"] + text["width"] <= box["x"] or text["x"] >= box["x"]
    frame = result.pixels()[0, box["y"] + box["height"] // 2, box["x"]].astype(int)
    assert frame[1] > frame[0] + 60  # green
    assert layout["reasons"]["en"] in comfyui.log()
    assert layout["reasons"]["ko"] in comfyui.log()


@pytest.mark.usefixtures("no_traceback")
def test_the_product_is_placed_where_it_was_planned(comfyui):
    workflow = planned(headline="놓인 자리")
    layout = shown_layout(comfyui.run(workflow))
    del workflow["11"]
    workflow["13"] = node(
        "StorefrontPlaceProduct",
        background=["3", 0],
        product=["7", 0],
        product_mask=["6", 0],
        layout=["10", 0],
        shadow="none",
        color_match=0.0,
    )
    workflow["14"] = node("SaveImage", images=["13", 0], filename_prefix="placed")
    red = np.nonzero(abs(comfyui.run(workflow).pixels()[0].astype(int) - [0xCC, 0x22, 0x11]).sum(-1) < 12)
    box = layout["products"][0]
    assert abs(red[0].min() - box["y"]) <= 3
    assert abs(red[0].max() + 1 - layout["ground"]) <= 2
    assert abs((red[1].min() + red[1].max()) / 2 - (box["x"] + box["width"] / 2)) <= 2


@pytest.mark.usefixtures("no_traceback")
def test_an_edited_plan_is_followed(comfyui):
    workflow = planned(headline="고친 자리")
    layout = shown_layout(comfyui.run(workflow))
    layout["products"][0] |= {"x": 20, "y": 300, "width": 100, "height": 150}
    workflow = table() | {
        "10": node("StorefrontEditLayout", layout_json=json.dumps(layout)),
        "13": node(
            "StorefrontPlaceProduct",
            background=["3", 0],
            product=["7", 0],
            product_mask=["6", 0],
            layout=["10", 0],
            shadow="none",
            color_match=0.0,
        ),
        "14": node("SaveImage", images=["13", 0], filename_prefix="edited"),
    }
    red = np.nonzero(abs(comfyui.run(workflow).pixels()[0].astype(int) - [0xCC, 0x22, 0x11]).sum(-1) < 12)
    assert abs(red[1].min() - 20) <= 2
    assert abs(red[0].max() + 1 - 450) <= 2


@pytest.mark.usefixtures("no_traceback")
def test_blank_space_is_no_plan_of_ones_own(comfyui):
    edited = planned(headline="빈칸")
    edited["20"] = node("StorefrontEditLayout", layout_json=" \n", layout=["10", 0])
    edited["13"] = node("StorefrontTextOverlay", image=["3", 0], text="빈칸", layout=["20", 0], font="Pretendard")
    edited["14"] = node("SaveImage", images=["13", 0], filename_prefix="blank")
    result = comfyui.run(edited)
    assert result.ok, result.error


def test_what_makes_no_plan_is_named(comfyui):
    cases = [
        ("background", planned(format="9:16 story, reel")),
        ("format", planned(format="A4")),
        ("product_mask", planned(product_mask=["4", 0])),
        ("margin", planned(margin=90)),
        ("product_scale", planned(product_scale=float("nan"))),
        ("text_side", planned(text_side="up")),
        ("batch", planned(batch="all")),
    ]
    for text in ("", "{", "[1]", '{"canvas": {"width": -1}}', '{"canvas": {"width": 1e99, "height": 1}}'):
        edited = table() | {"10": node("StorefrontEditLayout", layout_json=text)}
        edited["13"] = node(
            "StorefrontTextOverlay", image=["3", 0], text="x", layout=["10", 0], font="Pretendard", preset="headline"
        )
        edited["14"] = node("SaveImage", images=["13", 0], filename_prefix="x")
        cases.append(("layout", edited))
    tiny = planned()
    tiny["3"] = node("EmptyImage", width=1, height=1, batch_size=1, color=0)
    cases.append(("background", tiny))
    for named, workflow in cases:
        result = comfyui.run(workflow)
        assert not result.ok, named
        assert named in result.error, (named, result.error)
    assert comfyui.run(planned()).ok


def scaled(format: str) -> dict[str, dict]:
    """A plan for a scene that is brought to 768 x 1360 pixels on its way."""
    return planned(format=format, background=["22", 0], headline=f"형식 {format}") | {
        "21": node("ImageScale", image=["3", 0], upscale_method="bicubic", width=768, height=1360, crop="disabled"),
        "22": node("ImageBlur", image=["21", 0], blur_radius=1, sigma=1.0),
    }


def test_a_format_that_the_picture_cannot_have_is_refused_before_anything_runs(comfyui):
    result = comfyui.run(scaled("1:1 feed"))
    assert not result.ok
    assert "`background` is '768x1360'" in result.error
    assert "9:16 story, reel" in result.error
    assert result.history is None
    assert comfyui.run(scaled("9:16 story, reel")).ok
    assert comfyui.run(scaled("auto")).ok


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(("width", "height"), [(4096, 64), (64, 4096)])
def test_extreme_shapes_are_planned(comfyui, width, height):
    workflow = planned()
    workflow["3"] = node("EmptyImage", width=width, height=height, batch_size=1, color=0x808080)
    layout = shown_layout(comfyui.run(workflow))
    assert layout["canvas"] == {"width": width, "height": height}


@pytest.mark.parametrize(
    ("model", "said"),
    [("places", "placed by connection"), ("places-badly", "the text lies over a product"), ("error", "401")],
)
def test_a_vision_model_places_or_the_local_plan_stands(comfyui, model, said):
    key = "sk-layout-never-seen-again"
    with chat_server() as server:
        put(comfyui, "eyes", base_url=server.url, model=model, key=key, allow_private=True)
        result = comfyui.run(planned(headline=f"보는 {model}", connection="eyes"))
        seen = comfyui.run(planned(headline=f"보는 {model}"))
        assert server.requests
    layout, plain = shown_layout(result), shown_layout(seen)
    if model == "places":
        assert layout["reasons"]["ko"] == "오른쪽이 비어 있습니다."
        assert layout["text"]["box"]["x"] < layout["products"][0]["x"]
    else:
        assert layout == plain
    assert said in comfyui.log()
    assert key not in comfyui.log() + str(result.history)


def test_a_changed_connection_is_asked_anew_and_one_that_failed_is_asked_again(comfyui):
    workflow = planned(headline="다시 보는", connection="changing")
    asked = []
    with chat_server() as server:
        for model in ("places", "places", "error", "error", "places", "places"):
            put(comfyui, "changing", base_url=server.url, model=model, allow_private=True)
            before = len(server.requests)
            assert comfyui.run(workflow).ok
            asked.append(len(server.requests) > before)
    assert asked == [True, False, True, True, True, False]


def test_a_connection_that_is_not_set_up_is_named(comfyui):
    result = comfyui.run(planned(connection="nobody"))
    assert not result.ok
    assert "`connection` is 'nobody'" in result.error
