"""Every bundled workflow, queued through a client library that is not ours, as somebody else's program would."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfyui import ROOT, without_older_names
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_traceback")

WORKFLOWS = sorted((ROOT / "workflows" / "api").glob("*.json"))
NEEDS = {  # workflow: its model's folder, and what stands in for it here (a builder of tests/studio/tiny.py)
    "kontext_edit": ("FLUX.1-Kontext-dev", "FLUX.1 Kontext"),
    "flux2_two_references": ("FLUX.2-klein-4B", "FLUX.2 klein"),
    "zimage_turbo": ("Z-Image-Turbo", "Z-Image Turbo"),
}


ON_A_SERVER = {"text_to_image_server"}  # runs in tests/serving/test_comfyui.py


@pytest.mark.parametrize("name", ON_A_SERVER)
def test_a_workflow_says_that_it_needs_a_server(comfyui, name):
    workflow = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf-8"))
    assert (
        "`connection` is 'none'. No connection to a Triton server is set up yet. Add one" in comfyui.run(workflow).error
    )


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


@pytest.mark.parametrize(
    "path", [p for p in WORKFLOWS if p.stem not in {*NEEDS, *ON_A_SERVER}], ids=lambda path: path.stem
)
def test_it_runs_at_once(comfyui, path):
    (title,) = [
        n["_meta"]["title"] for n in json.loads(path.read_text("utf-8")).values() if n["class_type"] == "SaveImage"
    ]
    pictures = ComfyApiWrapper(comfyui.url).queue_and_wait_images(ComfyWorkflowWrapper(str(path)), title)
    assert pictures
    for content in pictures.values():
        assert np.asarray(Image.open(io.BytesIO(content))).std() > 20  # neither black nor one grey


def test_a_parameter_set_by_name_changes_the_picture(comfyui):
    api = ComfyApiWrapper(comfyui.url)
    workflow = ComfyWorkflowWrapper(str(ROOT / "workflows" / "api" / "text_to_image.json"))
    drawn = []
    for prompt in ("a red mug on marble", "a blue mug on marble"):
        workflow.set_node_param("Picture in words · 그림 설명", "prompt", prompt)
        drawn += api.queue_and_wait_images(workflow, "Picture · 그림").values()
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
        (content,) = api.queue_and_wait_images(workflow, "Picture · 그림").values()
        drawn = np.asarray(Image.open(io.BytesIO(content)).convert("L"), float).ravel()
        likeness.append(np.corrcoef(wanted, drawn)[0, 1])
    assert likeness[0] > likeness[1] + 0.1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_one_output_is_its_result(comfyui, path):
    known = comfyui.get("/object_info")
    workflow = json.loads(path.read_text("utf-8"))
    outputs = [node_id for node_id, entry in workflow.items() if known[entry["class_type"]]["output_node"]]
    table = json.loads((ROOT / "workflows" / "parameters" / path.name).read_text("utf-8"))
    assert outputs == [table["result"]]


@pytest.mark.parametrize("name", ["product_composite", "ad_with_brand", "catalogue"])
def test_a_client_hears_of_one_output(comfyui, name):
    """What the layout editor shows goes to the editor alone: some clients take the first output of a run for its result."""
    workflow = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text("utf-8"))
    result = json.loads((ROOT / "workflows" / "parameters" / f"{name}.json").read_text("utf-8"))["result"]
    with comfyui.listening() as (socket, client):
        finished = comfyui.wait(comfyui.queue(workflow, client_id=client))
        heard = []
        while (message := socket.recv()) and (isinstance(message, bytes) or '"execution_success"' not in message):
            if isinstance(message, str) and (body := json.loads(message))["type"] == "executed":
                heard.append(body["data"]["node"])
    assert list(finished.history["outputs"]) == [result]
    assert set(heard) == {result}


def test_comfy_cli_makes_the_same_prompts_of_the_graphs(comfyui):
    from comfy_cli.workflow_to_api import convert_ui_to_api

    previews = {"PreviewImage", "MaskPreview", "PreviewAny"}  # of the graph alone

    def told(prompt: dict) -> dict:
        return {
            node_id: (entry["class_type"], without_older_names(entry))
            for node_id, entry in prompt.items()
            if entry["class_type"] not in previews
        }

    known = comfyui.get("/object_info")
    for path in WORKFLOWS:
        graph = json.loads((ROOT / "workflows" / path.name).read_text("utf-8"))
        assert told(convert_ui_to_api(graph, known)) == told(json.loads(path.read_text("utf-8"))), path.stem


@pytest.mark.parametrize("format", ["9:16 story, reel", "2:1 banner"])
def test_one_field_decides_the_format(comfyui, format):
    from storefront.studio.canvas import FORMATS

    workflow = json.loads((ROOT / "workflows" / "api" / "product_composite.json").read_text("utf-8"))
    workflow["3"]["inputs"]["format"] = format
    width, height = FORMATS[format]
    assert comfyui.run(workflow).pixels().shape == (1, height, width, 3)


def test_a_changed_headline_does_not_draw_the_scene_again(comfyui):
    workflow = json.loads((ROOT / "workflows" / "api" / "product_composite.json").read_text("utf-8"))
    assert comfyui.run(workflow).ok
    workflow["10"]["inputs"]["value"] = "오늘만"
    messages = comfyui.run(workflow).history["status"]["messages"]
    (cached,) = [set(body["nodes"]) for kind, body in messages if kind == "execution_cached"]
    assert {"1", "2", "3", "4", "5", "6", "8", "9"} <= cached
    assert not {"10", "13", "14"} & cached


def test_they_are_listed_in_the_template_browser(comfyui):
    listed = comfyui.get("/workflow_templates")["storefront"]
    assert {path.stem for path in WORKFLOWS} == set(listed)
    for name in listed:
        assert comfyui.get(f"/api/workflow_templates/storefront/{name}.json")["nodes"]
    assert json.loads((ROOT / "workflows" / "text_to_image.json").read_text("utf-8"))["nodes"]
