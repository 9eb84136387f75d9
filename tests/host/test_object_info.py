"""Node ids, input ids, their order, types and defaults, as clients see them, against a stored snapshot.

They stand in every saved workflow, so a change must be meant: after adding a node or an input, write the snapshot
anew with `python dev.py snapshot` and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("object_info.json")
LOCALES = Path(__file__).parents[2] / "locales"
LANGUAGES = ("ko", "ja", "zh")  # beside English, which the schemas have
NAMES = {one: json.loads((LOCALES / one / "nodeDefs.json").read_text("utf-8")) for one in LANGUAGES}
DEPENDS_ON_THE_MACHINE = {
    ("StorefrontLoadModel", "model"),
    ("StorefrontAccelerate", "attention"),
    ("StorefrontRemoveBackground", "model"),
    ("StorefrontRemoveBackground", "matting"),
    ("StorefrontTextOverlay", "font"),
    ("StorefrontSaveImage", "format"),
    ("StorefrontAdPrompt", "local_model"),
    ("StorefrontFlux3Prompt", "upsampler"),
    ("StorefrontAdPrompt", "connection"),
    ("StorefrontPlanLayout", "connection"),
    ("StorefrontConnectServer", "connection"),
    ("StorefrontDrawOnServer", "connection"),
    ("StorefrontScene", "setting"),
    ("StorefrontScene", "palette"),
    ("StorefrontScene", "scene"),
    ("StorefrontCatalogue", "table"),
    ("StorefrontPhotos", "folder"),
    ("StorefrontExamplePhoto", "image"),
    ("StorefrontBrand", "brand"),
    ("StorefrontBadge", "font"),
    ("StorefrontCallToAction", "font"),
}


def described(info: dict) -> dict:
    """What must not change by accident: no texts, which may be improved."""
    nodes = {}
    for node_id, node in sorted(info.items()):
        if not node_id.startswith("Storefront"):
            continue
        inputs = {}
        for group in ("required", "optional"):
            for name in node["input_order"].get(group, ()):
                kind, options = (*node["input"][group][name], {})[:2]
                if isinstance(kind, list):  # how ComfyUI 0.20 writes a combo
                    kind, options = "COMBO", {**options, "options": kind}
                kept = {key: options[key] for key in ("default", "min", "max", "options") if key in options}
                if (node_id, name) in DEPENDS_ON_THE_MACHINE:
                    kept.pop("options", None)
                inputs[name] = {"type": kind, "required": group == "required", **kept}
        nodes[node_id] = {"inputs": inputs, "outputs": list(zip(node["output"], node["output_name"], strict=True))}
    return json.loads(json.dumps(nodes))


def test_ids_are_permanent(comfyui):
    now = described(comfyui.get("/object_info"))
    if os.environ.get("STOREFRONT_WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert now == json.loads(SNAPSHOT.read_text("utf-8"))


def test_every_node_has_a_description_a_category_and_our_name(comfyui):
    for node_id, node in comfyui.get("/object_info").items():
        if node_id.startswith("Storefront"):
            assert len(node["description"]) > 20, node_id
            assert node["category"].split("/")[0] == "Storefront"
            assert node["display_name"].endswith("(Storefront)")


def test_every_input_and_output_has_a_tooltip_in_four_languages(comfyui):
    lacking = []
    for node_id, node in comfyui.get("/object_info").items():
        if not node_id.startswith("Storefront"):
            continue
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        told = [("inputs", name, (*spec, {})[1].get("tooltip")) for name, spec in inputs.items()]
        tooltips = node.get("output_tooltips") or [None] * len(node["output"])
        told += [("outputs", str(i), tooltip) for i, tooltip in enumerate(tooltips)]
        for language, names in NAMES.items():
            assert set(names[node_id]["outputs"]) == {str(i) for i in range(len(tooltips))}, (language, node_id)
            for group, name, tooltip in told:
                if not tooltip or not names[node_id].get(group, {}).get(name, {}).get("tooltip"):
                    lacking.append(f"{language} {node_id}.{group}.{name}: {tooltip}")
    assert lacking == []


def test_categories_are_there_in_every_language(comfyui):
    nodes = [node for node_id, node in comfyui.get("/object_info").items() if node_id.startswith("Storefront")]
    parts = {part for node in nodes for part in node["category"].split("/")}
    sent = comfyui.get("/i18n")
    for language in LANGUAGES:
        assert parts == set(json.loads((LOCALES / language / "main.json").read_text("utf-8"))["nodeCategories"])
    shown = [sent[language]["nodeCategories"]["Product"] for language in LANGUAGES]
    assert shown == ["상품", "商品", "商品"]


NAMES_OF_FORMATS = {"bf16", "fp16", "fp32", "taylorseer", "magcache"}  # the same in every language
# Lists without words: of files, of names, or of one value.
WITHOUT_WORDS = DEPENDS_ON_THE_MACHINE - {("StorefrontScene", "setting"), ("StorefrontScene", "palette")}
WITHOUT_WORDS |= {("StorefrontLoadLora", f"lora_{number}") for number in range(1, 5)}
WITHOUT_WORDS |= {
    ("StorefrontLoadComponents", name) for name in ("transformer", "text_encoder", "text_encoder_2", "vae", "edition")
}
WITHOUT_WORDS |= {
    ("StorefrontReport", "format"),
    ("StorefrontExamplePhoto", "photo"),
    ("StorefrontAccelerate", "matmul"),
}


def test_every_value_of_a_list_has_words_in_every_language(comfyui):
    lists = {}
    for node_id, node in comfyui.get("/object_info").items():
        for group in ("required", "optional"):
            for name, (kind, *rest) in node["input"].get(group, {}).items() if node_id.startswith("Storefront") else ():
                if isinstance(kind, list) or kind == "COMBO":
                    lists[node_id, name] = set(kind if isinstance(kind, list) else rest[0]["options"])
    assert set(lists) >= WITHOUT_WORDS
    for language, names in NAMES.items():
        words = {
            (node_id, name): entry["options"]
            for node_id, node in names.items()
            for name, entry in node.get("inputs", {}).items()
            if "options" in entry
        }
        assert set(words) == set(lists) - WITHOUT_WORDS, language
        for place, options in words.items():
            assert set(options) | NAMES_OF_FORMATS & lists[place] == lists[place], (language, place)
            assert len(set(options.values())) == len(options), (language, place)
