"""Prompts with hostile inputs, made from what /object_info says of each node."""

from __future__ import annotations

import json
import math
from typing import Any

from comfyui import node
from hypothesis import strategies as st

# One good value for every socket, from as few nodes as can be; small, so that thousands run in minutes.
LOADER = {"m": node("StorefrontLoadModel", model="flux-micro", weight_dtype="auto")}
PICTURE = {
    "e": node("StorefrontExamplePhoto", photo="coffee"),
    "p": node("ImageScale", image=["e", 0], upscale_method="area", width=64, height=64, crop="center"),
}
MASK = {"k": node("SolidMask", value=1.0, width=64, height=64)}
CANVAS = {
    "c": node("StorefrontCanvas", format="custom (width x height)", width=32, height=32, batch_size=1),
}
WORDS = {**LOADER, "w": node("StorefrontEncode", clip=["m", 1], prompt="cup", prompt_2="", max_tokens=0)}
WORDS["w"]["inputs"]["one_prompt_per_line"] = False
LAYOUT = {**PICTURE, "l": node("StorefrontPlanLayout", background=["p", 0], headline="a", format="as the picture")}
GOOD: dict[str, tuple[dict, list]] = {
    "MODEL": (LOADER, ["m", 0]),
    "CLIP": (LOADER, ["m", 1]),
    "VAE": (LOADER, ["m", 2]),
    "IMAGE": (PICTURE, ["p", 0]),
    "MASK": (MASK, ["k", 0]),
    "LATENT": (CANVAS, ["c", 0]),
    "CONDITIONING": (WORDS, ["w", 0]),
    "STOREFRONT_LAYOUT": (LAYOUT, ["l", 0]),
    "STOREFRONT_BRAND_KIT": ({"b": node("StorefrontBrand", brand="example")}, ["b", 0]),
    "*": (PICTURE, ["p", 0]),
}
ONE_OF = {
    ("StorefrontLogo", "brand"),
    ("StorefrontLayers", "image"),
}  # optional by its schema, and one of them is needed
ON_A_SERVER = {
    "StorefrontConnectServer",
    "StorefrontDrawOnServer",
}  # refused by the connection's name where its owner has set up none
# Defaults that would take seconds each.
QUICK = {
    ("StorefrontTextOverlay", "text"): "1+1",  # what fits a picture of 64 px
    ("StorefrontCallToAction", "size"): 35.0,
    ("StorefrontWarmUp", "width"): 32,
    ("StorefrontWarmUp", "height"): 32,
    ("StorefrontSample", "steps"): 2,
    ("StorefrontBlendIntoScene", "steps"): 4,
}
BOX = {"x": 4, "y": 4, "width": 40, "height": 20}
PLAN = {
    "canvas": {"width": 64, "height": 64},
    "products": [BOX],
    "ground": 60,
    "text": {"box": BOX, "color": "#ffffff", "align": "center", "scrim": None},
    "light": {"azimuth": 0, "elevation": 45},
}
TEXTS = {"layout_json": json.dumps(PLAN), "text": "가"}

# What fits its type and is odd nevertheless: it passes the check of types and meets the node itself.
FITTING = {
    "IMAGE": ["picture", "one pixel", "grey", "whole numbers", "not a number", "thin", "film"],
    "MASK": ["mask", "mask of nan", "masks"],
    "LATENT": [
        "latent of nan",
        "latent of 5 channels",
        "empty latent",
        "film latent",
        "latent with odd mask",
        "latent with odd index",
        "latent with odd count",
    ],
    "CONDITIONING": ["narrow conditioning", "conditioning without pooled", "conditioning with junk"],
    "STOREFRONT_LAYOUT": ["dictionary", "half a pair", "long text", "empty dictionary"],
    "STRING": ["half a pair", "null character", "long text", "path", "open tag"],
}
# Allowed, and long work by right: the attack stays below.
MOST = {"steps": 8, "width": 128, "height": 128, "batch_size": 3, "tokens": 512, "longest_side": 128, "dpi": 600}

NUMBERS = [-1, 0, 1, 2**31, 2**63 - 1, -(2**63), 2**64, 0.5, float("nan"), float("inf"), True, None]
WORDS_OF_STRANGERS = [
    "",
    " ",
    "\ud83d",
    "a\0b",
    "../../etc/passwd",
    "%date:",
    "%a.b%",
    "[b]",
    "{{",
    "x" * 70_000,
    "머그컵",
]
CONTAINERS: list[Any] = [{}, {"a": 1}, {"__value__": []}, {"__value__": [1, "a"]}, {"__value__": {"samples": 5}}]


def inputs_of(info: dict) -> dict[str, tuple[str, dict]]:
    """Input id -> (type, options) of a node in /object_info, required ones first; a combo's type is COMBO."""
    found = {}
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            kind, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
            if isinstance(kind, list):
                kind, options["options"] = "COMBO", kind
            found[name] = (kind, {**options, "required": group == "required"})
    return found


def good_prompt(node_id: str, info: dict) -> dict[str, dict]:
    """A prompt of this node with every required input right, and an output node behind it."""
    prompt: dict[str, dict] = {}
    values: dict[str, Any] = {}
    for name, (kind, options) in inputs_of(info).items():
        if kind in GOOD:
            if options["required"] or (node_id, name) in ONE_OF:
                nodes, link = GOOD[kind]
                prompt |= nodes
                values[name] = link
        elif (node_id, name) in QUICK:
            values[name] = QUICK[node_id, name]
        elif options["required"] or name in TEXTS:
            values[name] = _value(name, kind, options)
    prompt["x"] = node(node_id, **values)
    if not info["output_node"]:
        prompt["out"] = node("PreviewAny", source=["x", 0])
    return prompt


def _value(name: str, kind: str, options: dict) -> Any:
    if name in TEXTS:
        return TEXTS[name]
    if options.get("default") not in ("", None):
        return options["default"]
    return options["options"][0] if kind == "COMBO" else "cup"


def values(way: str, name: str, kind: str, options: dict, said: list[str]) -> st.SearchStrategy[tuple[Any, bool]]:
    """(value, whether it is the name of one that comes over a link)."""
    strangers = st.sampled_from([*NUMBERS, *WORDS_OF_STRANGERS, *CONTAINERS])
    if way == "link" or (way == "fitting" and kind in FITTING and kind != "STRING"):
        return st.tuples(st.sampled_from(FITTING.get(kind, said) if way == "fitting" else said), st.just(True))
    if way == "fitting" and kind in ("INT", "FLOAT"):
        low, high = options.get("min", 0), min(options.get("max", 1), MOST.get(name, math.inf))
        exact = st.sampled_from([low, high, options.get("default", low)])
        between = st.integers(low, high) if kind == "INT" else st.floats(low, high)
        return st.tuples(st.one_of(exact, between), st.just(False))
    if way == "fitting" and kind == "COMBO":
        return st.tuples(st.sampled_from(options["options"]), st.just(False))
    if way == "fitting" and kind == "BOOLEAN":
        return st.tuples(st.booleans(), st.just(False))
    if way == "fitting" and kind == "STRING":
        return st.tuples(st.one_of(st.text(max_size=40), st.sampled_from(WORDS_OF_STRANGERS)), st.just(False))
    return st.tuples(strangers, st.just(False))


def hostile(info: dict[str, dict], said: list[str]) -> st.SearchStrategy[dict[str, dict]]:
    """Prompts in which one to three inputs of one of our nodes are replaced, by constants or over links."""
    ours = sorted(node_id for node_id in info if node_id.startswith("Storefront"))

    @st.composite
    def prompts(draw: st.DrawFn) -> dict[str, dict]:
        node_id = draw(st.sampled_from(ours))
        prompt = good_prompt(node_id, info[node_id])
        inputs = inputs_of(info[node_id])
        for index, name in enumerate(
            draw(st.lists(st.sampled_from(sorted(inputs)), min_size=1, max_size=3, unique=True))
        ):
            way = draw(st.sampled_from(["link", "constant", "fitting", "fitting"]))
            value, over_link = draw(values(way, name, *inputs[name], said))
            if over_link:
                prompt[f"s{index}"] = node("HoldSay", value=value)
                value = [f"s{index}", 0]
            prompt["x"]["inputs"][name] = value
        return prompt

    return prompts()
