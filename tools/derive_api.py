"""Derive workflows/api/NAME.json (for the prompt queue) from workflows/NAME.json (the graph). Standard library only.

    python tools/derive_api.py            write the twins
    python tools/derive_api.py --check    fail if one is out of date

An input that a node has got since, by the snapshot of nodes, first joins the graphs at its default: the editor would add
it on opening, and its export would no longer be the twin.
Works on graphs whose nodes list their widgets among their inputs, as ComfyUI's front end has saved them since 1.16.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "workflows"
SNAPSHOT = ROOT / "tests" / "host" / "object_info.json"  # python dev.py snapshot
WIDGETS = {"BOOLEAN", "COMBO", "FLOAT", "INT", "STRING"}  # types that the editor shows as fields
PHOTOS = {"LoadImage", "StorefrontExamplePhoto"}
NOTES = {"MarkdownNote", "Note", "Reroute"}
TRANSLATED = ("ja", "zh")  # beside English and Korean, which the graphs' own notes, titles and labels are in
PREVIEWS = {"PreviewImage", "MaskPreview", "PreviewAny"}  # of the graph alone: a file has one output, its result
# Inputs that have a newer name. The graph hides them; clients would take `width` for pixels, and `photo` for a photo of one's own.
OLDER_NAMES = {"StorefrontTextOverlay": {"width", "height"}, "StorefrontExamplePhoto": {"photo"}}
AFTER_GENERATE = {"fixed", "increment", "decrement", "randomize"}  # a widget of the front end alone, behind a seed


def widget_values(node: dict[str, Any]) -> dict[str, Any]:
    """Widget name -> value, in the order of the node's widgets. Raises ValueError where they do not pair up."""
    widgets = [entry for entry in node.get("inputs", ()) if "widget" in entry]
    values = list(node.get("widgets_values") or ())
    paired: dict[str, Any] = {}
    for entry in widgets:
        name = entry["widget"]["name"]
        paired[name] = values.pop(0)
        if entry["type"] == "BOUNDING_BOX":  # the editor shows its four numbers as widgets of their own
            del values[:4]
        if name in ("seed", "noise_seed", "row") and values and values[0] in AFTER_GENERATE:
            values.pop(0)
    if node["type"] in PHOTOS and values == ["image"]:  # the upload button
        values = []
    if values:
        raise ValueError(f"node {node['id']} ({node['type']}) has values left over: {values}")
    return paired


def complete(graph: dict[str, Any], snapshot: dict[str, Any]) -> None:
    """Add to the graph's nodes the widgets that they have by the snapshot and lack here, in place."""
    for node in graph["nodes"]:
        known = {entry["name"] for entry in node.get("inputs", ())}
        for name, rules in snapshot.get(node["type"], {"inputs": {}})["inputs"].items():
            if name not in known and rules["type"] in WIDGETS:
                widget = {"name": name, "type": rules["type"], "link": None, "widget": {"name": name}}
                node["inputs"].append(widget)
                node["widgets_values"].append(rules["default"])


def derive(graph: dict[str, Any]) -> dict[str, Any]:
    """The API form of a graph without subgraphs and without muted nodes; without its notes and previews."""
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    prompt = {}
    for node in sorted(graph["nodes"], key=lambda node: node["id"]):
        if node["type"] in NOTES | PREVIEWS:
            continue
        older = OLDER_NAMES.get(node["type"], set())
        inputs = {name: value for name, value in widget_values(node).items() if name not in older}
        for entry in node.get("inputs", ()):
            if entry.get("link") is not None:
                inputs[entry["name"]] = links[entry["link"]]
        title = node.get("title") or node["properties"].get("Node name for S&R", node["type"])
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return prompt


def translations(graph: dict[str, Any], name: str) -> dict[str, Any]:
    """A template's notes, titles and labels in further languages, from locales; js/defaults.js shows one and drops them."""
    nodes = graph["nodes"]
    (note,) = (str(node["id"]) for node in nodes if node["type"] == "MarkdownNote")
    shown = [node.get("title") or "" for node in nodes]
    shown += [entry.get("label", "") for node in nodes for entry in node.get("inputs", ())]
    english = sorted({text.split(" · ")[0] for text in shown if " · " in text})
    found = {}
    for language in TRANSLATED:
        table = json.loads((ROOT / "locales" / language / "templates.json").read_text("utf-8"))
        names = {text: table["names"][text] for text in english}
        found[language] = {"names": names, "notes": {note: table["notes"][name]}}
    return found


def main() -> int:
    stale = []
    snapshot = json.loads(SNAPSHOT.read_text("utf-8"))
    for path in sorted(WORKFLOWS.glob("*.json")):
        graph = json.loads(path.read_text("utf-8"))
        complete(graph, snapshot)
        graph["extra"]["storefront_notes"] = translations(graph, path.stem)
        for file, content in ((path, graph), (WORKFLOWS / "api" / path.name, derive(graph))):
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            if file.is_file() and file.read_text("utf-8") == text:
                continue
            stale.append(file.relative_to(WORKFLOWS).as_posix())
            if "--check" not in sys.argv:
                file.write_text(text, "utf-8")
    if stale:
        print(("out of date: " if "--check" in sys.argv else "written: ") + ", ".join(stale))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
