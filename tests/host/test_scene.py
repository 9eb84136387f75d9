"""The scene bank in a running ComfyUI: the finished ad, a user's own scene, and strangers' inputs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from comfyui import ROOT, node
from PIL import Image
from storefront import ad_from_photo
from storefront.client import SyncClient
from storefront.studio.scenes import bank

PHOTO = ROOT / "workflows" / "assets" / "coffee.jpg"
SENTENCE = "갓 내린 에스프레소 한 잔의 여유"


def pixels(picture) -> np.ndarray:
    return np.asarray(picture.to_pil().convert("RGB")).astype(int)


@pytest.mark.usefixtures("no_traceback")
def test_a_photo_and_a_sentence_become_the_ad_that_python_makes(comfyui):
    with SyncClient(comfyui.url) as client:
        (theirs,) = client.run("ad_from_photo").pictures
        (wide,) = client.run("ad_from_photo", text="겨울 선물 세트", format="3:1 banner", view="auto", seed=3).pictures
    ours = ad_from_photo(PHOTO, SENTENCE)
    assert abs(pixels(ours) - pixels(theirs)).max() <= 1
    assert wide.to_pil().size == (1776, 592)
    ours = ad_from_photo(PHOTO, "겨울 선물 세트", format="3:1 banner", seed=3)
    assert abs(pixels(ours) - pixels(wide)).max() <= 1


def scene(**inputs) -> dict[str, dict]:
    return {
        "1": node("StorefrontScene", **inputs),
        "2": node("SaveImage", images=["1", 0], filename_prefix="scene"),
        "3": node("PreviewAny", source=["1", 2]),
    }


@pytest.fixture
def own(comfyui):
    """The user's folder of scenes, as it was afterwards: other tests share the server."""
    folder = comfyui.base / "user" / "__storefront" / "scenes"
    yield folder
    shutil.rmtree(folder)


@pytest.mark.usefixtures("no_traceback")
def test_a_users_scene_is_there_after_it_was_added_and_a_broken_one_is_named(comfyui, own):
    record = {
        "version": 1,
        "setting": "my counter",
        "palette": "beige",
        "trades": ["cafe"],
        "caption": "my counter",
        "light": {"azimuth": 90, "elevation": 40},
        "formats": {"1:1": {"file": "1x1.png", "stand": [0.5, 0.8], "horizon": 0.5, "support": [], "calm": []}},
    }
    for name, wrong in (("mine", {}), ("broken", {"light": "sunny"})):
        (own / name).mkdir(parents=True)
        (own / name / bank.FILE).write_text(json.dumps(record | wrong))
        Image.linear_gradient("L").resize((300, 300)).convert("RGB").save(own / name / "1x1.png")
    result = comfyui.run(scene(setting="my counter"))
    assert result.history["outputs"]["3"]["text"] == ["my counter"]
    assert "scene broken: `light` is 'sunny'" in comfyui.log()
    options = comfyui.get("/object_info")["StorefrontScene"]["input"]["optional"]["setting"]
    assert "my counter" in json.dumps(options)


WRONG = [
    ("setting", {"setting": "the moon"}),
    ("palette", {"palette": "ultraviolet"}),
    ("light", {"light": "below"}),
    ("trade", {"trade": "piracy"}),
    ("scene", {"scene": "../../etc"}),
    ("view", {"view": "sideways"}),
    ("format", {"format": "A4"}),
    ("seed", {"seed": -1}),
    ("words", {"words": "half a pair: \ud83d"}),
]


@pytest.mark.parametrize(("name", "inputs"), WRONG, ids=[name for name, _ in WRONG])
def test_a_wrong_input_is_named(comfyui, name, inputs):
    result = comfyui.run(scene(**inputs))
    assert not result.ok
    assert name in result.error


def test_a_layout_that_knows_no_ground_is_refused(comfyui):
    prompt = scene() | {
        "4": node("StorefrontPlanLayout", background=["1", 0], headline="a"),
        "5": node("StorefrontPlanLayout", background=["1", 0], headline="b", scene_layout=["4", 0]),
        "6": node("PreviewImage", images=["5", 1]),
    }
    assert "`scene_layout` is 'a layout without a known ground'" in comfyui.run(prompt).error
