"""Graphs and their API twins belong together, and everything a template needs is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = sorted((ROOT / "workflows").glob("*.json"))
NODE_LIST = (ROOT / "nodes" / "__init__.py").read_text("utf-8")


def test_there_are_workflows():
    assert {graph.stem for graph in GRAPHS} >= {"text_to_image", "image_to_image"}


def test_the_api_twins_are_derived_from_the_graphs():
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "derive_api.py"), "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_links_and_nodes_are_consistent(path):
    graph = json.loads(path.read_text("utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"])
    for number, source, output, target, slot, kind in graph["links"]:
        assert number in nodes[source]["outputs"][output]["links"]
        assert nodes[source]["outputs"][output]["type"] == kind
        assert nodes[target]["inputs"][slot]["link"] == number
        assert nodes[target]["inputs"][slot]["type"] == kind
    for node in nodes.values():
        if node["type"].startswith("Storefront"):
            assert f"    {node['type']}," in NODE_LIST


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_nodes_do_not_overlap(path):
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    boxes = [(n["pos"][0], n["pos"][1] - 30, n["pos"][0] + n["size"][0], n["pos"][1] + n["size"][1]) for n in nodes]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_thumbnail_stands_beside_the_graph(path):
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert min(picture.size) >= 256


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_note_tells_what_to_change_in_english_and_korean(path):
    text = " ".join(
        n["widgets_values"][0] for n in json.loads(path.read_text("utf-8"))["nodes"] if n["type"] == "MarkdownNote"
    )
    assert "models/diffusers" in text
    assert "모델" in text
