"""Every bundled workflow, queued through a client library that is not ours, as somebody else's program would."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfyui import ROOT
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_traceback")

WORKFLOWS = sorted((ROOT / "workflows" / "api").glob("*.json"))
NEEDS = {  # workflow: its model's folder, and what stands in for it here (a builder of tests/studio/tiny.py)
    "kontext_edit": ("FLUX.1-Kontext-dev", "FLUX.1 Kontext"),
    "flux2_two_references": ("FLUX.2-klein-4B", "FLUX.2 klein"),
    "zimage_turbo": ("Z-Image-Turbo", "Z-Image Turbo"),
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_workflow_says_which_model_it_needs_and_runs_with_it(comfyui, name, tiny):
    folder, builder = NEEDS[name]
    workflow = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf-8"))
    without = comfyui.run(workflow)
    assert folder in without.error
    assert "flux-micro" in without.error
    tiny.BUILDERS[builder](comfyui.base / "models" / "diffusers" / folder)
    canvas = {"format": "custom (width x height)", "width": 256, "height": 192}
    for node in workflow.values():
        if node["class_type"] == "StorefrontCanvas":
            node["inputs"] |= canvas
        if node["class_type"] == "StorefrontSample":
            assert (node["inputs"]["steps"], node["inputs"]["cfg"]) == (0, 0)  # what the model wants
            node["inputs"]["steps"] = 1  # the stand-in is random: one is enough to see that it runs
    assert comfyui.run(workflow).pixels().shape == (1, 192, 256, 3)


@pytest.mark.parametrize("path", [p for p in WORKFLOWS if p.stem not in NEEDS], ids=lambda path: path.stem)
def test_it_runs_at_once(comfyui, path):
    pictures = ComfyApiWrapper(comfyui.url).queue_and_wait_images(ComfyWorkflowWrapper(str(path)), "SaveImage")
    assert pictures
    for content in pictures.values():
        assert np.asarray(Image.open(io.BytesIO(content))).std() > 20  # neither black nor one grey


def test_a_parameter_set_by_name_changes_the_picture(comfyui):
    api = ComfyApiWrapper(comfyui.url)
    workflow = ComfyWorkflowWrapper(str(ROOT / "workflows" / "api" / "text_to_image.json"))
    drawn = []
    for prompt in ("a red mug on marble", "a blue mug on marble"):
        workflow.set_node_param("StorefrontEncode", "prompt", prompt)
        drawn += api.queue_and_wait_images(workflow, "SaveImage").values()
    assert drawn[0] != drawn[1]


def test_the_photo_shows_through_at_low_strength(comfyui):
    """The cup's red is where it is in the photo, and the darker the less is repainted."""
    api = ComfyApiWrapper(comfyui.url)
    workflow = ComfyWorkflowWrapper(str(ROOT / "workflows" / "api" / "image_to_image.json"))
    photo = Image.open(ROOT / "workflows" / "assets" / "coffee.jpg").convert("L").crop((100, 0, 500, 400))
    wanted = np.asarray(photo.resize((64, 64)), float).ravel()
    likeness = []
    for strength in (0.3, 0.9):
        workflow.set_node_param("StorefrontSample", "strength", strength)
        (content,) = api.queue_and_wait_images(workflow, "SaveImage").values()
        drawn = np.asarray(Image.open(io.BytesIO(content)).convert("L"), float).ravel()
        likeness.append(np.corrcoef(wanted, drawn)[0, 1])
    assert likeness[0] > likeness[1] + 0.1


def test_they_are_listed_in_the_template_browser(comfyui):
    listed = comfyui.get("/workflow_templates")["storefront"]
    assert {path.stem for path in WORKFLOWS} == set(listed)
    for name in listed:
        assert comfyui.get(f"/api/workflow_templates/storefront/{name}.json")["nodes"]
    assert json.loads((ROOT / "workflows" / "text_to_image.json").read_text("utf-8"))["nodes"]
