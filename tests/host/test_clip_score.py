"""The CLIP score in reports of a real ComfyUI: with a CLIP folder, without one, and with broken ones."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from comfyui import node

PROMPT = "a red mug on a table"


@pytest.fixture
def clip_folder(comfyui):
    """ComfyUI's models/clip_vision, empty again afterwards."""
    folder = comfyui.base / "models" / "clip_vision"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def workflow(format: str = "JSON", batch: int = 2, **inputs) -> dict:
    inputs = {"image": ["1", 0], "prompt": PROMPT} | inputs
    return {
        "1": node("EmptyImage", width=48, height=40, batch_size=batch, color=int(time.time() * 1000) % 2**24),
        "2": node("StorefrontReport", value=["1", 0], format=format, **inputs),
    }


def text_of(result) -> str:
    assert result.ok, result.error
    return result.history["outputs"]["2"]["text"][0]


def reported(result) -> dict:
    return next(entry for entry in json.loads(text_of(result))["nodes"] if entry["id"] == "2")


def expected(tiny, folder, color: int, text: str = PROMPT) -> float:
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(folder).eval()
    picture = Image.new("RGB", (48, 40), ((color >> 16) & 255, (color >> 8) & 255, color & 255))
    batch = CLIPProcessor.from_pretrained(folder)(text=[text], images=[picture], return_tensors="pt")
    with torch.no_grad():
        return float(100 * model(**batch).logits_per_image[0, 0] / model.logit_scale.exp())


@pytest.mark.usefixtures("no_traceback")
class TestWorks:
    def test_the_score_of_every_picture(self, comfyui, clip_folder, tiny):
        tiny.build_clip(clip_folder / "tiny clip")
        asked = workflow()
        prompt_id = comfyui.queue(asked)
        entry = reported(comfyui.wait(prompt_id))
        found = entry["clip_score"]
        assert found["model"] == "tiny clip"
        wanted = expected(tiny, clip_folder / "tiny clip", asked["1"]["inputs"]["color"])
        assert found["pictures"] == pytest.approx([wanted] * 2, abs=1e-3)
        assert found["mean"] == pytest.approx(wanted, abs=1e-3)
        assert entry["stages"]["CLIP score"] > 0
        assert entry["fallbacks"] == []
        later = comfyui.get(f"/storefront/report/{prompt_id}")["nodes"]
        assert next(e for e in later if e["id"] == "2")["clip_score"] == found

    def test_prometheus(self, comfyui, clip_folder, tiny):
        tiny.build_clip(clip_folder / "tiny")
        lines = text_of(comfyui.run(workflow("Prometheus", batch=1))).splitlines()
        (line,) = [line for line in lines if line.startswith("storefront_clip_score{")]
        assert 'model="tiny",picture="0"} ' in line
        assert -100 <= float(line.rsplit(" ", 1)[1]) <= 100

    def test_nothing_of_the_model_stays_loaded(self, comfyui, clip_folder, tiny):
        """A node's bytes are the difference between its end and its start: what came and went is none."""
        tiny.build_clip(clip_folder / "tiny")
        prompt_id = comfyui.queue(workflow())
        assert reported(comfyui.wait(prompt_id))["clip_score"]["model"] == "tiny"
        ended = comfyui.get(f"/storefront/report/{prompt_id}")
        entry = next(entry for entry in ended["nodes"] if entry["id"] == "2")
        assert (entry["status"], entry["loaded_bytes"]) == ("done", 0)

    def test_lists_with_a_prompt_each(self, comfyui, clip_folder, tiny):
        tiny.build_clip(clip_folder / "tiny")
        asked = workflow(batch=3, image=["3", 0])
        asked["3"] = node("RebatchImages", images=["1", 0], batch_size=1)
        assert len(reported(comfyui.run(asked))["clip_score"]["pictures"]) == 3

    def test_no_model_is_a_hint(self, comfyui, clip_folder):
        entry = reported(comfyui.run(workflow()))
        assert "clip_score" not in entry
        (hint,) = entry["fallbacks"]
        assert "hf download openai/clip-vit-large-patch14" in hint
        assert "models/clip_vision" in hint
        assert hint.endswith("clip-vit-large-patch14")

    def test_a_folder_in_text_encoders_is_found(self, comfyui, clip_folder, tiny):
        folder = comfyui.base / "models" / "text_encoders" / "elsewhere"
        tiny.build_clip(folder)
        try:
            assert reported(comfyui.run(workflow()))["clip_score"]["model"] == "elsewhere"
        finally:
            shutil.rmtree(folder)

    def test_another_kind_of_model_is_passed_over(self, comfyui, clip_folder):
        (clip_folder / "siglip").mkdir()
        (clip_folder / "siglip" / "config.json").write_text('{"model_type": "siglip"}')
        (told,) = reported(comfyui.run(workflow()))["fallbacks"]
        assert "hf download" in told

    @pytest.mark.parametrize("damage", ["truncated", "pickle", "config"])
    def test_a_broken_folder_is_named_and_the_next_one_judges(self, comfyui, clip_folder, tiny, damage):
        tiny.build_clip(clip_folder / "a broken one")
        tiny.build_clip(clip_folder / "b whole one")
        weights = clip_folder / "a broken one" / "model.safetensors"
        if damage == "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        elif damage == "pickle":
            weights.rename(weights.with_name("pytorch_model.bin"))
        else:
            (clip_folder / "a broken one" / "config.json").write_text("{")
        entry = reported(comfyui.run(workflow()))
        assert entry["clip_score"]["model"] == "b whole one"
        (told,) = entry["fallbacks"]
        assert "a broken one cannot be used" in told
        assert str(comfyui.base) not in told

    def test_long_and_korean_prompts_are_told(self, comfyui, clip_folder, tiny):
        tiny.build_clip(clip_folder / "tiny")
        entry = reported(comfyui.run(workflow(prompt="딸기라떼 " + "mug " * 90)))
        assert "clip_score" in entry
        assert any("reads no Korean" in text and "딸기라떼" in text for text in entry["fallbacks"])
        assert any("reads 77 of" in text for text in entry["fallbacks"])
        entry = reported(comfyui.run(workflow(prompt="딸기라떼 신메뉴")))
        assert "clip_score" not in entry
        assert "write the prompt in English" in entry["fallbacks"][0]

    def test_image_and_prompt_go_together(self, comfyui, clip_folder, tiny):
        tiny.build_clip(clip_folder / "tiny")
        without_prompt = reported(comfyui.run(workflow(prompt="  ")))
        asked = workflow()
        del asked["2"]["inputs"]["image"]
        for entry in (without_prompt, reported(comfyui.run(asked))):
            assert "clip_score" not in entry
            assert entry["notes"] == ["no CLIP score: it needs both image and prompt"]
        del asked["2"]["inputs"]["prompt"]
        assert reported(comfyui.run(asked))["notes"] == []


def test_a_list_of_prompts_goes_with_a_list_of_images(comfyui, clip_folder, tiny):
    """Two texts, made by a node that runs once for each of two pictures: the names of their files."""
    tiny.build_clip(clip_folder / "tiny")
    colors = [int(time.time() * 1000) % 2**23, 2**24 - 1 - int(time.time() * 1000) % 2**23]
    asked = workflow(image=["3", 0], prompt=["4", 0])
    for id, color in zip(("1", "6"), colors, strict=True):
        asked[id] = node("EmptyImage", width=48, height=40, batch_size=1, color=color)
    asked["5"] = node("ImageBatch", image1=["1", 0], image2=["6", 0])
    asked["3"] = node("RebatchImages", images=["5", 0], batch_size=1)
    asked["4"] = node("StorefrontSaveImage", image=["3", 0], kind="final", filename="a red mug %counter%")
    result = comfyui.run(asked)
    names = [path.relative_to(comfyui.base / "output").as_posix() for path in result.files()]
    assert len(set(names)) == 2
    wanted = [expected(tiny, clip_folder / "tiny", *pair) for pair in zip(colors, names, strict=True)]
    assert reported(result)["clip_score"]["pictures"] == pytest.approx(wanted, abs=1e-3)
    asked["2"]["inputs"]["image"] = ["5", 0]
    refused = comfyui.run(asked)
    assert "`prompt` is 'a list of 2'" in refused.error
    assert "each IMAGE (1)" in refused.error


def test_half_a_surrogate_is_refused_by_name(comfyui, clip_folder, tiny):
    tiny.build_clip(clip_folder / "tiny")
    refused = comfyui.run(workflow(prompt="a mug \ud83d"))
    assert "`prompt` is " in refused.error
    assert "surrogate" in refused.error
