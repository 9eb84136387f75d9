"""FLUX.3's captions: boxes from a layout, and the prompt upsampler against diffusers' whole pipeline."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import diffusers
import pytest
import torch
import transformers
from diffusers.modular_pipelines.flux3 import prompt_upsampler as reference
from storefront.studio import images
from storefront.studio.canvas import Box
from storefront.studio.errors import InputError
from storefront.studio.layout.layout import Layout, Light
from storefront.studio.prompt import flux3
from storefront.studio.prompt.flux3 import CaptionRequest
from storefront.studio.sampling import noise
from storefront.studio.sampling.pipeline import FluxStudio

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "tiny.py")
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

LAYOUT = Layout(
    1000,
    500,
    (Box(100, 250, 300, 200), Box(900, 100, 200, 100)),
    450,
    Box(500, 50, 400, 100),
    "#ffffff",
    "left",
    None,
    Light(0, 45),
)
DRINK = "a glass of strawberry latte"


def picture(seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (1, 64, 96, 3), generator=torch.Generator().manual_seed(seed)) / 255


def test_a_layout_becomes_the_reference_s_table():
    request = CaptionRequest("a cafe table", LAYOUT, f"{DRINK}\na straw", '따뜻한\n"봄"')
    table = reference.boxes_to_canvas(flux3.boxes(request))
    assert table == [
        {"id": "product_1", "bbox": [500, 100, 900, 400], "desc": DRINK},
        {"id": "product_2", "bbox": [200, 900, 400, 1000], "desc": "a straw"},  # it stands over the edge
        {
            "id": "Ko_Text_1",
            "bbox": [100, 500, 300, 900],
            "desc": 'lettering that reads "따뜻한\n"봄"", in #ffffff, aligned left',
        },
    ]
    said = flux3.caption(request)
    assert said == reference.reconcile_boxes(said[: said.index(" [{")], table)
    assert said.startswith(
        f"a cafe table. The picture shows {DRINK} <product_1>, a straw <product_2> and lettering <Ko_"
    )
    assert reference.split_caption(said)[1] == table


def test_an_id_that_the_user_cites_is_not_cited_again():
    request = CaptionRequest(f"A cafe table with {DRINK} <product_1>!", LAYOUT, DRINK)
    table = reference.boxes_to_canvas(flux3.boxes(request))
    assert flux3.caption(request) == f"{request.prompt} {json.dumps(table)}"
    assert flux3.caption(CaptionRequest(" a cup ")) == "a cup"


def test_products_come_from_their_references():
    mask = torch.zeros(1, 64, 96)
    mask[:, 16:48, 24:72] = 1
    request = CaptionRequest("put it there", LAYOUT, f"{DRINK}\na straw", "Spring", (picture(1),), (mask,))
    rows = flux3.boxes(request)
    assert [row["from"] for row in rows] == ["ref_image_0", "target", "target"]
    assert rows[0]["src_bbox"] == [0.25, 0.25, 0.75, 0.75]
    assert "src_bbox" not in rows[1]
    assert flux3.boxes(request._replace(masks=()))[0]["src_bbox"] == [0, 0, 1, 1]
    assert f"{DRINK} <product_1> from <ref_image_0>" in flux3.caption(request)
    for row in reference.boxes_to_canvas(rows):  # as the reference checks those that the model adds
        assert reference.valid_added_row(row, flux3.caption(request)) == row


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (CaptionRequest("  "), "prompt"),
        (CaptionRequest("x" * 20_001), "prompt"),
        (CaptionRequest("a \x00"), "prompt"),
        (CaptionRequest("a cup", None, DRINK), "products"),
        (CaptionRequest("a cup", None, "", "Spring"), "headline"),
        (CaptionRequest("a cup", LAYOUT), "products"),
        (CaptionRequest("a cup", LAYOUT, "a\nb\nc"), "products"),
        (CaptionRequest("a cup", references=(picture(1),) * 11), "image"),
        (CaptionRequest("a cup", references=(picture(1),), masks=(torch.ones(1, 4, 4),) * 2), "product_mask"),
        (CaptionRequest("a cup", LAYOUT, DRINK, "", (picture(1),), (torch.zeros(1, 4, 4),)), "product_mask"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_name(asked, named):
    with pytest.raises(InputError, match=f"^`{named}` is "):
        flux3.caption(asked)


@pytest.fixture(scope="module")
def upsampler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upsampler")
    tiny.build_upsampler(folder)
    model = transformers.Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return model, transformers.AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flux3") / "FLUX.3"
    tiny.build_flux3(folder, distilled=True)
    return folder, FluxStudio.load(folder)


@pytest.mark.parametrize(
    ("layout", "references"),
    [(None, ()), (LAYOUT, ()), (None, (picture(1),)), (LAYOUT, (picture(1), picture(2)))],
    ids=["words", "boxes", "a reference", "boxes and references"],
)
def test_the_upsampler_and_its_boxes_equal_the_whole_pipeline(studio, upsampler, layout, references):
    folder, ours = studio
    request = CaptionRequest("딸기라떼, a cafe in spring", layout, DRINK if layout else "", references=references)
    pipeline = diffusers.ModularPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.update_components(
        prompt_upsampler=upsampler[0],
        prompt_upsampler_processor=upsampler[1],
        vae=ours.vae,
        transformer=ours.velocity.transformer,
        text_encoder=ours.encoders.language_model,
        tokenizer=ours.tokenizer._template,
    )
    options = {"image": [images.to_pil(image)[0] for image in references]} if references else {}
    state = pipeline(
        prompt=request.prompt,
        boxes=flux3.boxes(request) or None,
        max_new_tokens=12,
        height=64,
        width=96,
        num_inference_steps=2,
        generator=noise.picture_generators(7, [0])[0],
        output_type="pt",
        **options,
    )
    caption = flux3.upsample(request, *upsampler, 12)
    assert caption == state.get("prompt")
    assert caption != request.prompt
    drawn = ours.sample(
        ours.encode([caption]),
        torch.zeros(1, 128, 4, 6),
        seed=7,
        steps=2,
        references=[ours.encode_image(image) for image in references],
    )
    theirs = state.get("latents")
    theirs = theirs if theirs.ndim == 4 else theirs.transpose(1, 2).reshape(1, 128, 4, 6)
    assert (drawn - theirs).abs().max() <= 1e-5


def test_the_language_model_s_own_marks_are_refused(upsampler):
    with pytest.raises(InputError, match=r"^`prompt` is "):
        flux3.upsample(CaptionRequest("a cup <|image_pad|>"), *upsampler)
    with pytest.raises(InputError, match=r"^`image` is '4x1000'"):
        flux3.upsample(CaptionRequest("a cup", references=(torch.zeros(1, 1000, 4, 3),)), *upsampler)
