"""Graphs and their API twins belong together, and everything a template needs is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = sorted((ROOT / "workflows").glob("*.json"))
NODE_LIST = (ROOT / "nodes" / "__init__.py").read_text("utf-8")
KOREAN = json.loads((ROOT / "locales" / "ko" / "nodeDefs.json").read_text("utf-8"))
# Nodes that write a line under their widgets in every run, and how much higher js/notes.js makes them.
WITH_A_LINE = ("StorefrontLoadModel", "StorefrontRemoveBackground", "StorefrontPlanLayout")
LINE = 60
# Whose notes say where a model of one's own goes.
OWN_MODEL = {"text_to_image", "image_to_image", "product_composite", "sentence_to_ad"}
OWN_MODEL |= {"kontext_edit", "flux2_two_references", "zimage_turbo"}


def test_there_are_workflows():
    assert {graph.stem for graph in GRAPHS} >= {"text_to_image", "image_to_image"}


def test_the_api_twins_are_derived_from_the_graphs():
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "derive_api.py"), "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_the_blueprints_are_derived_from_the_graphs():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "derive_blueprints.py"), "--check"], capture_output=True
    )
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
        assert nodes[target]["inputs"][slot]["type"] in (kind, "*")
    for node in nodes.values():
        if node["type"].startswith("Storefront"):
            assert f"    {node['type']}," in NODE_LIST


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: path.stem)
def test_no_two_nodes_of_a_prompt_are_equal(graph):
    """ComfyUI reports the second of two equal nodes without an output, and some clients take that for the result."""
    if graph.stem == "flux2_two_references":
        return  # two photos, which are the user's own: the one bundled photo is in both places until then
    prompt = json.loads((graph.parent / "api" / graph.name).read_text("utf-8"))
    shown = [(entry["class_type"], json.dumps(entry["inputs"], sort_keys=True)) for entry in prompt.values()]
    assert len(set(shown)) == len(shown)


def test_no_type_of_a_socket_has_a_node_s_name():
    """ComfyScript writes types as class names beside the nodes: STOREFRONT_BRAND would hide StorefrontBrand."""
    types = {
        name
        for path in (ROOT / "nodes").glob("*.py")
        for name in re.findall(r'Custom\("(\w+)"\)', path.read_text("utf-8"))
    }
    assert types
    nodes = set(re.findall(r"Storefront\w+", NODE_LIST))
    assert not {"".join(part.capitalize() for part in name.split("_")) for name in types} & nodes


def bottom(node: dict) -> int:
    """Its lower edge in the graph; of a collapsed node its title alone is drawn."""
    return node["pos"][1] + (0 if node["flags"].get("collapsed") else node["size"][1])


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_nodes_do_not_overlap(path):
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    boxes = [(n["pos"][0], n["pos"][1] - 30, n["pos"][0] + n["size"][0], bottom(n)) for n in nodes]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_lines_have_room_under_their_nodes(path):
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    for n in nodes:
        left, top, right = n["pos"][0], n["pos"][1], n["pos"][0] + n["size"][0]
        below = [m for m in nodes if m["pos"][1] > top and m["pos"][0] < right and left < m["pos"][0] + m["size"][0]]
        room = min((m["pos"][1] - 30 - top for m in below), default=10_000)
        assert n["type"] not in WITH_A_LINE or room >= n["size"][1] + LINE, (n["type"], room)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_thumbnail_stands_beside_the_graph(path):
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert min(picture.size) >= 256


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_note_tells_what_to_change_in_english_and_korean(path):
    text = " ".join(
        n["widgets_values"][0] for n in json.loads(path.read_text("utf-8"))["nodes"] if n["type"] == "MarkdownNote"
    )
    english, korean = (re.findall(letters, text) for letters in ("[A-Za-z]", "[가-힣]"))
    assert len(english) > 60
    assert len(korean) > 30
    if path.stem in OWN_MODEL:
        assert "models/diffusers" in text


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_note_is_whole_in_each_language(path):
    """The editor shows one of them: English paragraphs first, then the Korean ones (js/defaults.js); others are beside."""
    graph = json.loads(path.read_text("utf-8"))
    assert set(graph["extra"]["storefront_notes"]) == {"ja", "zh"}
    notes = [node for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    assert notes
    for note in notes:
        parts = note["widgets_values"][0].split("\n\n")
        share = [len(re.findall("[가-힣]", part)) / len(re.findall(r"[^\W\d_]", part)) for part in parts]
        korean = [part > 0.3 for part in share]
        assert korean == sorted(korean)
        assert len(set(korean)) == 2
        assert not any(0.2 < part < 0.4 for part in share)  # the rule is sure of each
        assert re.fullmatch(r"[^가-힣]+ · .*[가-힣].*", note["title"])


def english_names() -> dict[str, str]:
    """English title -> Korean title, without the pack's name, of every node: as the notes call them."""
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "nodes").glob("*.py"))
    pairs = re.findall(r'node_id="(\w+)",\s*display_name="(.+?) \(Storefront\)"', code)
    assert {node_id for node_id, _ in pairs} == set(KOREAN)
    return {english: KOREAN[node_id]["display_name"].removesuffix(" (Storefront)") for node_id, english in pairs}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_korean_notes_call_nodes_as_the_korean_editor_does(path):
    titles = {"Load Image": "이미지 로드", **english_names()}
    notes = [
        n["widgets_values"][0] for n in json.loads(path.read_text("utf-8"))["nodes"] if n["type"] == "MarkdownNote"
    ]
    lines = [line for note in notes for line in note.replace("**", "").split("\n")]
    korean = [line for line in lines if re.search(r"[다요기](\.|$)", line)]  # as their sentences end
    assert korean
    assert [name for line in korean for name in re.findall(r"\*([^*]+)\*", line) if name in titles] == []
    named = [pair for line in korean for pair in re.findall(r"\*([^*]+)\*\(([^)]+)\)", line)]
    assert [(shown, name) for shown, name in named if titles.get(name, shown) != shown] == []


NAMES_IN_LATIN = {"input", "Load Image", "Batch Images", "flux-micro", "brand.yaml", "user/__storefront/brands"}
NAMES_IN_LATIN |= {"python -m serving setup", "export models/flux-micro repository", "serve repository"}


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_further_notes_call_nodes_and_inputs_as_the_editor_does(language):
    table = json.loads((ROOT / "locales" / language / "templates.json").read_text("utf-8"))
    nodes = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text("utf-8"))
    assert list(table["notes"]) == [path.stem for path in GRAPHS]
    known = {node["display_name"].removesuffix(" (Storefront)") for node in nodes.values()}
    known |= {entry["name"] for node in nodes.values() for entry in node["inputs"].values()}
    known |= {*table["names"].values(), *NAMES_IN_LATIN}
    for name, text in table["notes"].items():
        emphasised = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)
        assert set(emphasised) <= known, name
        marked = re.findall(r"\*+([^*]+)\*+", text)
        assert "*" not in re.sub(r"\*+[^*]+\*+", "", text)
        assert all(re.fullmatch(r"\w|\w.*\w", one) for one in marked), name  # else CommonMark shows the asterisks
        if name in OWN_MODEL:
            assert "models/diffusers" in text
    used = {
        text
        for graph in GRAPHS
        for text in json.loads(graph.read_text("utf-8"))["extra"]["storefront_notes"][language]["names"]
    }
    assert used == set(table["names"])


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_emphasis_in_notes_ends_where_markdown_sees_it(path):
    """Not between a bracket and Hangul, where CommonMark shows the asterisk."""
    for node in json.loads(path.read_text("utf-8"))["nodes"]:
        if node["type"] == "MarkdownNote":
            assert re.findall(r".{12}\)\*+[가-힣]", node["widgets_values"][0]) == []


def test_an_input_that_a_node_got_since_joins_the_graph_at_its_default():
    from derive_api import complete

    snapshot = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text("utf-8"))
    whole = json.loads((ROOT / "workflows" / "campaign.json").read_text("utf-8"))
    before = json.loads(json.dumps(whole))
    (node,) = [node for node in before["nodes"] if node["type"] == "StorefrontPlanLayout"]
    assert [node["inputs"].pop()["name"], node["widgets_values"].pop()] == ["arrangement", ""]
    complete(before, snapshot)
    assert before == whole
