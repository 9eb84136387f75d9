"""FLUX.3 Prompt and Boxes on a real ComfyUI, with a tiny prompt upsampler as a user would install it."""

from __future__ import annotations

import json

import pytest
import torch
from comfyui import node

LAYOUT = {
    "canvas": {"width": 1000, "height": 500},
    "products": [{"x": 100, "y": 250, "width": 300, "height": 200}],
    "ground": 450,
    "text": {
        "box": {"x": 500, "y": 50, "width": 400, "height": 100},
        "color": "#ffffff",
        "align": "left",
        "scrim": None,
    },
    "light": {"azimuth": 0, "elevation": 45},
}


@pytest.fixture(scope="module")
def upsampler(comfyui, tiny):
    folder = comfyui.base / "models" / "LLM" / "tiny-pup"
    tiny.build_upsampler(folder)
    return folder


def run(comfyui, **inputs):
    return comfyui.run(
        {
            "layout": node("StorefrontEditLayout", layout_json=json.dumps(LAYOUT)),
            "photo": node("EmptyImage", width=96, height=64, batch_size=1, color=0x336699),
            "prompt": node("StorefrontFlux3Prompt", **{"prompt": "딸기라떼, a cafe", "upsampler": "none"} | inputs),
            "shown": node("PreviewAny", source=["prompt", 0]),
        }
    )


def caption(result) -> str:
    assert result.ok, result.error
    return result.history["outputs"]["shown"]["text"][0]


@pytest.mark.usefixtures("no_traceback")
def test_boxes_alone_need_no_model(comfyui):
    said = caption(run(comfyui, layout=["layout", 0], products="a glass of latte", headline="봄이 왔어요"))
    assert said.startswith(
        "딸기라떼, a cafe. The picture shows a glass of latte <product_1> and lettering <Ko_Text_1>. ["
    )
    table = json.loads(said[said.index("[{") :])
    assert [row["bbox"] for row in table] == [[500, 100, 900, 400], [100, 500, 300, 900]]


@pytest.mark.usefixtures("no_traceback")
def test_the_upsampler_of_models_llm_writes_what_the_reference_s_writes(comfyui, upsampler):
    from diffusers.modular_pipelines.flux3 import prompt_upsampler as reference
    from PIL import Image
    from transformers import AutoProcessor, Qwen3_5ForConditionalGeneration

    options = comfyui.get("/object_info/StorefrontFlux3Prompt")["StorefrontFlux3Prompt"]["input"]["optional"]
    assert "tiny-pup" in json.dumps(options["upsampler"])
    ours = caption(
        run(
            comfyui,
            upsampler="tiny-pup",
            layout=["layout", 0],
            products="a glass of latte",
            image=["photo", 0],
            max_tokens=12,
        )
    )
    model = Qwen3_5ForConditionalGeneration.from_pretrained(upsampler, dtype=torch.float32)
    row = {"id": "product_1", "desc": "a glass of latte", "from": "ref_image_0", "src_bbox": [0, 0, 1, 1]}
    photo = [Image.new("RGB", (96, 64), (0x33, 0x66, 0x99))]
    theirs = reference.upsample_prompt(
        model.eval(),
        AutoProcessor.from_pretrained(upsampler),
        "딸기라떼, a cafe",
        reference.prepare_references(photo),
        [row | {"tgt_bbox": [0.5, 0.1, 0.9, 0.4]}],
        12,
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("named", "inputs"),
    [
        ("upsampler", {"upsampler": "../../etc"}),
        ("prompt", {"prompt": " "}),
        ("headline", {"headline": "Spring"}),
        ("products", {"layout": ["layout", 0], "products": "a\nb"}),
        ("layout", {"layout": "{}", "products": "a"}),
        ("max_tokens", {"max_tokens": 0}),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(comfyui, named, inputs):
    assert named in run(comfyui, **inputs).error
