"""Derive subgraphs/NAME.json, the editor's blueprints, from parts of workflows/NAME.json. Standard library only.

    python tools/derive_blueprints.py            write them
    python tools/derive_blueprints.py --check    fail if one is out of date

ComfyUI lists a pack's `subgraphs/*.json` beside its nodes. A blueprint is a workflow of one node, whose type is the id of
a subgraph that the file defines.
"""

from __future__ import annotations

import copy
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from derive_api import widget_values

ROOT = Path(__file__).resolve().parent.parent
SUBGRAPHS = ROOT / "subgraphs"
NAMES = uuid.UUID("5d0c7a52-5c1f-4f0e-8f6b-3f2a1f1f9a10")
INPUT_NODE, OUTPUT_NODE = -10, -20  # the editor's own ids for a subgraph's two ends
SLOT = 20  # pixels between two slots


class Blueprint(NamedTuple):
    """A part of a template, and what of it is reachable from outside."""

    name: str
    category: str
    description: str
    template: str
    nodes: tuple[int, ...]
    inputs: dict[str, tuple[tuple[int, str], ...]]  # name -> the inputs (node, name) that it sets
    outputs: dict[str, tuple[int, int]]  # name -> node, slot


BLUEPRINTS = (
    Blueprint(
        "Cut Out and Place Product",
        "Storefront",
        "Cuts the product out of its photo and puts it on the background, with a shadow and the background's light.",
        "product_composite",
        (9, 12),
        {
            "background": ((12, "background"),),
            "product photo": ((9, "image"),),
            "layout": ((12, "layout"),),
            "anchor": ((12, "anchor"),),
            "scale": ((12, "scale"),),
            "shadow": ((12, "shadow"),),
            "shadow_opacity": ((12, "shadow_opacity"),),
        },
        {"IMAGE": (12, 0), "MASK": (12, 1), "layout": (12, 2)},
    ),
    Blueprint(
        "Plan and Letter",
        "Storefront",
        "Finds where words can be read on the picture and sets them there.",
        "poster_from_photo",
        (11, 13),
        {
            "image": ((11, "background"), (13, "image")),
            "headline": ((11, "headline"), (13, "text")),
            "text_side": ((11, "text_side"),),
            "preset": ((13, "preset"),),
            "font": ((13, "font"),),
            "color": ((13, "color"),),
        },
        {"IMAGE": (13, 0), "layout": (11, 0)},
    ),
    Blueprint(
        "Draw a Scene",
        "Storefront",
        "Draws a background from words with a FLUX model and brings it to an ad's format.",
        "product_composite",
        (1, 2, 3, 4, 5, 6),
        {
            "model": ((1, "model"),),
            "prompt": ((2, "prompt"),),
            "format": ((3, "format"),),
            "seed": ((4, "seed"),),
            "steps": ((4, "steps"),),
        },
        {"IMAGE": (6, 0), "WIDTH": (3, 1), "HEIGHT": (3, 2)},
    ),
)


def slot(node: dict[str, Any], name: str) -> int:
    return next(i for i, entry in enumerate(node["inputs"]) if entry["name"] == name)


def outer_inputs(blueprint: Blueprint, nodes: dict[int, dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each input of the blueprint's node, and its widget's value or None."""
    for name, targets in blueprint.inputs.items():
        node_id, inner = targets[0]
        entry = nodes[node_id]["inputs"][slot(nodes[node_id], inner)]
        made: dict[str, Any] = {"name": name, "type": entry["type"], "link": None}
        if "widget" not in entry:
            yield made, None
        else:
            yield made | {"widget": {"name": name}}, widget_values(nodes[node_id])[inner]


def inner_links(blueprint: Blueprint, graph: dict[str, Any]) -> list[tuple[int, int, int, int, str]]:
    """(origin, slot, target, slot, type): the template's between its nodes, then those from and to the two ends."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    chosen = set(blueprint.nodes)
    links = [tuple(link[1:]) for link in graph["links"] if link[1] in chosen and link[3] in chosen]
    for index, targets in enumerate(blueprint.inputs.values()):
        for node_id, name in targets:
            at = slot(nodes[node_id], name)
            links.append((INPUT_NODE, index, node_id, at, nodes[node_id]["inputs"][at]["type"]))
    for index, (node_id, at) in enumerate(blueprint.outputs.values()):
        links.append((node_id, at, OUTPUT_NODE, index, nodes[node_id]["outputs"][at]["type"]))
    return links


def connected(nodes: list[dict[str, Any]], links: list[tuple[int, int, int, int, str]]) -> list[dict[str, Any]]:
    """Copies of the nodes with the numbers of these links, counted from 1, and no others."""
    made = {node["id"]: copy.deepcopy(node) for node in nodes}
    for node in made.values():
        for entry in node["inputs"]:
            entry["link"] = None
        for entry in node["outputs"]:
            entry["links"] = []
    for number, (origin, out, target, at, _) in enumerate(links, 1):
        if origin in made:
            made[origin]["outputs"][out]["links"].append(number)
        if target in made:
            made[target]["inputs"][at]["link"] = number
    return list(made.values())


def ends(kind: str, identity: str, names: list[str], types: list[str], links: list[list[int]], x: int) -> list[dict]:
    """The slots of a subgraph's input or output end at `x`."""
    return [
        {
            "id": str(uuid.uuid5(NAMES, f"{identity}/{kind}/{name}")),
            "name": name,
            "type": type_,
            "linkIds": numbers,
            "pos": [x, 30 + SLOT * index],
        }
        for index, (name, type_, numbers) in enumerate(zip(names, types, links, strict=True))
    ]


def subgraph(blueprint: Blueprint, graph: dict[str, Any], identity: str) -> dict[str, Any]:
    """The definition of a subgraph as the editor saves it."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    links = inner_links(blueprint, graph)
    inside = connected([nodes[node_id] for node_id in blueprint.nodes], links)
    left = min(node["pos"][0] for node in inside) - 200
    right = max(node["pos"][0] + node["size"][0] for node in inside) + 80
    numbers = list(enumerate(links, 1))
    into = [[n for n, link in numbers if link[:2] == (INPUT_NODE, i)] for i in range(len(blueprint.inputs))]
    out = [[n for n, link in numbers if link[2:4] == (OUTPUT_NODE, i)] for i in range(len(blueprint.outputs))]
    input_types = [entry["type"] for entry, _ in outer_inputs(blueprint, nodes)]
    output_types = [nodes[n]["outputs"][at]["type"] for n, at in blueprint.outputs.values()]
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "id": identity,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": max(nodes), "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": blueprint.name,
        "inputNode": {"id": INPUT_NODE, "bounding": [left, 10, 120, 40 + SLOT * len(into)]},
        "outputNode": {"id": OUTPUT_NODE, "bounding": [right, 10, 120, 40 + SLOT * len(out)]},
        "inputs": ends("in", identity, list(blueprint.inputs), input_types, into, left + 100),
        "outputs": ends("out", identity, list(blueprint.outputs), output_types, out, right + 20),
        "widgets": [],
        "nodes": inside,
        "groups": [],
        "links": [dict(zip(keys, (number, *link), strict=True)) for number, link in numbers],
        "extra": {"workflowRendererVersion": "LG"},
        "category": blueprint.category,
        "description": blueprint.description,
    }


def derive(blueprint: Blueprint) -> dict[str, Any]:
    graph = json.loads((ROOT / "workflows" / f"{blueprint.template}.json").read_text("utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    identity = str(uuid.uuid5(NAMES, blueprint.name))
    given = list(outer_inputs(blueprint, nodes))
    widgets = [(entry["name"], value) for entry, value in given if "widget" in entry]
    outputs = [
        {"name": name, "type": nodes[n]["outputs"][at]["type"], "links": None}
        for name, (n, at) in blueprint.outputs.items()
    ]
    node = {
        "id": max(nodes) + 1,  # another than of any node inside
        "type": identity,
        "pos": [0, 0],
        "size": [300, 60 + 26 * len(given)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [entry for entry, _ in given],
        "outputs": outputs,
        "title": blueprint.name,
        "properties": {"proxyWidgets": [["-1", name] for name, _ in widgets]},
        "widgets_values": [value for _, value in widgets],
    }
    return {
        "revision": 0,
        "last_node_id": max(nodes) + 1,
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph(blueprint, graph, identity)]},
        "extra": {},
    }


def main() -> int:
    check = "--check" in sys.argv
    stale = []
    SUBGRAPHS.mkdir(exist_ok=True)
    for blueprint in BLUEPRINTS:
        path = SUBGRAPHS / f"{blueprint.name}.json"
        text = json.dumps(derive(blueprint), indent=2, ensure_ascii=False) + "\n"
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, "utf-8")
    if stale:
        print(("out of date: " if check else "written: ") + ", ".join(stale))
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
