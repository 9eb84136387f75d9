"""The Python API draws what a running ComfyUI draws from the bundled workflows, to within one 8-bit level."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui import ROOT
from PIL import Image
from storefront import catalogue, image_to_image, poster_from_photo, product_composite, text_to_image, text_to_images
from storefront.client import SyncClient
from storefront.studio.canvas import Size
from storefront.studio.scale import covering

pytestmark = pytest.mark.usefixtures("no_traceback")

PHOTO = ROOT / "workflows" / "assets" / "coffee.jpg"


@pytest.fixture
def comfy(comfyui):
    with SyncClient(comfyui.url) as client:
        yield client


def difference(result, fetched) -> int:
    """The largest of all pixels and channels, in 8-bit levels."""
    ours, theirs = (np.asarray(picture.convert("RGB")).astype(int) for picture in (result.to_pil(), fetched.to_pil()))
    assert ours.shape == theirs.shape
    assert ours.std() > 20
    return int(abs(ours - theirs).max())


def test_text_to_image(comfy):
    (theirs,) = comfy.run("text_to_image").pictures
    assert difference(text_to_image("a red mug on a wooden table", seed=7, steps=8), theirs) <= 1


@pytest.mark.parametrize("strength", [0.5, 0.9])
def test_image_to_image(comfy, strength):
    (theirs,) = comfy.run("image_to_image", strength=strength).pictures
    ours = image_to_image(PHOTO, "a red mug on a wooden table", strength=strength, width=64, height=64, seed=7, steps=8)
    assert difference(ours, theirs) <= 1


def test_product_composite(comfy):
    (theirs,) = comfy.run("product_composite").pictures
    ours = product_composite(PHOTO, headline="갓 내린\n한 잔의 여유", seed=1, steps=8)
    assert difference(ours, theirs) <= 1


def test_product_composite_on_a_scene_of_ones_own(comfy):
    scene = Image.linear_gradient("L").resize((1024, 1024)).convert("RGB")
    words = "오늘만 [size=150]50%[/size] 할인"
    # As a PNG: ComfyUI reads JPEG with another decoder, whose chroma differs by some levels at edges.
    (theirs,) = comfy.run(
        "product_composite", photo=Image.open(PHOTO), scene=scene, headline=words, text_side="left"
    ).pictures
    assert difference(product_composite(PHOTO, scene, words, text_side="left"), theirs) <= 1


def test_catalogue(comfy):
    headlines = ["빨간 머그컵", "파란 꽃병", "노란 조명"]
    theirs = comfy.run("catalogue", headlines=headlines).pictures
    prompts = ["a red mug in a studio", "a blue vase in a studio", "a yellow lamp in a studio"]
    photos = [covering(shot.image, Size(512, 512)) for shot in text_to_images(prompts, seed=7, steps=12)]
    ours = list(catalogue(photos, headlines=headlines, seed=1, steps=8))
    assert len(ours) == len(theirs) == 3
    assert max(difference(*pair) for pair in zip(ours, theirs)) <= 1


def test_poster_from_photo(comfy):
    (theirs,) = comfy.run("poster_from_photo").pictures
    assert difference(poster_from_photo(PHOTO, "매일 아침\n갓 볶은 원두"), theirs) <= 1
