"""The tables of named parameters fit the workflows that they are for."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from storefront.client import Client, InputError, load_workflow, workflow_names
from storefront.client.workflows import WAYS, fill

ROOT = Path(__file__).resolve().parents[2]
NODES = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text("utf-8"))
RESERVED = {name for method in (Client.run, Client.queue) for name in inspect.signature(method).parameters}


def test_every_workflow_has_a_table():
    assert workflow_names() == sorted(path.stem for path in (ROOT / "workflows" / "api").glob("*.json"))


@pytest.mark.parametrize("name", workflow_names())
def test_a_table_names_inputs_that_are_there(name):
    workflow = load_workflow(name)
    assert workflow.about
    assert workflow.prompt[workflow.result]["class_type"] == "SaveImage"
    for parameter in workflow.parameters.values():
        assert parameter.name not in RESERVED
        assert parameter.about
        assert parameter.sets
        for target, way in parameter.sets.items():
            assert way in WAYS
            node, _, entry = target.partition(".")
            assert bool(entry) == (way not in ("picture", "pictures"))
            assert node in workflow.prompt
            if entry:
                assert not isinstance(workflow.prompt[node]["inputs"][entry], list), "a link, which nothing may cut"
                assert workflow.parameter_of(node, entry) == parameter.name


@pytest.mark.parametrize("name", workflow_names())
def test_no_input_has_two_names(name):
    targets = [target for parameter in load_workflow(name).parameters.values() for target in parameter.sets]
    assert len(targets) == len(set(targets))


def test_values_are_written_where_the_table_says():
    workflow = load_workflow("catalogue")
    lines = ["짧은", "더 긴 문구"]
    prompt = fill(
        workflow, {"headlines": lines, "photos": ["a.png", "b.png", "c.png"], "seed": 5}, {"12.reflection": 0.5}
    )
    assert prompt["10"]["inputs"]["value"] == "짧은\n더 긴 문구"
    assert prompt["11"]["inputs"]["headline"] == "더 긴 문구"
    assert prompt["4"]["inputs"]["seed"] == 5
    assert prompt["12"]["inputs"]["reflection"] == 0.5
    joined = prompt["24"]
    assert joined["class_type"] == "ImageBatch"
    first = prompt[joined["inputs"]["image1"][0]]
    order = [prompt[first["inputs"][side][0]]["inputs"]["image"] for side in ("image1", "image2")]
    order.append(prompt[joined["inputs"]["image2"][0]]["inputs"]["image"])
    assert order == ["a.png", "b.png", "c.png"]
    assert workflow.prompt["4"]["inputs"]["seed"] == 1, "the workflow itself is left as it is"
    assert fill(workflow, {"photos": ["a.png"]}, {})["24"]["class_type"] == "LoadImage"


def test_a_photo_goes_into_the_node_for_photos_and_a_scene_in_the_place_of_a_drawn_one():
    prompt = fill(load_workflow("product_composite"), {"photo": "a.png", "scene": "b.png"}, {})
    assert (prompt["8"]["class_type"], prompt["8"]["inputs"]["image"]) == ("StorefrontExamplePhoto", "a.png")
    assert (prompt["5"]["class_type"], prompt["5"]["inputs"]["image"]) == ("LoadImage", "b.png")


def test_an_unknown_name_lists_the_right_ones():
    with pytest.raises(InputError, match=r"`headlin` is .*photo, headline, scene"):
        fill(load_workflow("product_composite"), {"headlin": "x"}, {})
    with pytest.raises(InputError, match="a parameter of workflow: none by name"):
        fill(load_workflow({"1": {"class_type": "SaveImage", "inputs": {}}}), {"headline": "x"}, {})
