"""Our ads in ComfyUI's own compositor: the same picture, layer by layer, and a PSD of them. Where it has none: a refusal."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from comfyui import ROOT, node
from PIL import Image
from test_editor import browser, open_template, until

__all__ = ["browser"]  # the fixture
BRANDED = json.loads((ROOT / "workflows" / "api" / "ad_with_brand.json").read_text("utf-8"))
LAST = next(key for key, entry in BRANDED.items() if entry["class_type"] == "StorefrontCallToAction")
LAYERS = {"layers": node("StorefrontLayers", layout=[LAST, 2], image=[LAST, 0])}
ORDER = ["background", "shadow", "product", "words", "logo", "badge", "call to action"]


def has_layers(comfyui) -> bool:
    return "ImageCompositor" in comfyui.get("/object_info")


def saved(comfyui, prompt: dict) -> dict[str, np.ndarray]:
    """Saved pictures by the start of their names, 0..255."""
    files = comfyui.run(prompt).files()
    return {path.name.partition("_")[0]: np.asarray(Image.open(path).convert("RGB")).astype(int) for path in files}


def compose(layers: list) -> dict[str, dict]:
    return {
        "compose": node("ImageCompositor", layers=layers, compositor={}),
        "save": node("SaveImage", images=["compose", 0], filename_prefix="composed"),
    }


def named(comfyui, prompt: dict) -> list[str]:
    """The names of the layers that ComfyUI's editor gets."""
    history = comfyui.wait(comfyui.queue(prompt)).history
    return [one["name"] for one in history["outputs"]["compose"]["compositor_bboxes"]]


@pytest.mark.usefixtures("no_traceback")
def test_the_layers_of_an_ad_are_the_ad_in_comfyui_s_compositor(comfyui):
    prompt = {**copy.deepcopy(BRANDED), **LAYERS}
    if not has_layers(comfyui):
        alone = {key: entry for key, entry in prompt.items() if entry["class_type"] != "SaveImage"}
        result = comfyui.run({**alone, "any": node("PreviewAny", source=["layers", 0])})
        assert result.refused, "it is refused before anything runs"
        assert "ComfyUI 0.20.1. Update ComfyUI" in result.error
        return
    prompt |= compose(["layers", 0])
    prompt["ad"] = node("SaveImage", images=[LAST, 0], filename_prefix="finished")
    seen = saved(comfyui, prompt)
    assert seen["composed"].shape == seen["finished"].shape
    assert np.abs(seen["composed"] - seen["finished"]).max() <= 3  # of 255; letters are mixed otherwise than layers
    assert named(comfyui, prompt) == ORDER


@pytest.mark.usefixtures("no_traceback")
def test_add_layer_takes_our_pictures_the_right_way_round(comfyui):
    """The cut-out with its inverted mask, and the words' LAYER as it is; on grey, each compared with our own picture."""
    if not has_layers(comfyui):
        assert "AddLayer" not in comfyui.get("/object_info")
        return
    grey = node("EmptyImage", width=512, height=512, batch_size=1, color=0x808080)
    prompt = {
        "photo": node("StorefrontExamplePhoto", photo="coffee"),
        "cut": node("StorefrontRemoveBackground", image=["photo", 0], model="u2netp"),
        "grey": grey,
        "small": node("ImageScale", image=["cut", 0], upscale_method="area", width=512, height=512, crop="disabled"),
        "mask": node("MaskToImage", mask=["cut", 1]),
        "matte": node("ImageScale", image=["mask", 0], upscale_method="area", width=512, height=512, crop="disabled"),
        "object": node("ImageToMask", image=["matte", 0], channel="red"),
        "clear": node("InvertMask", mask=["object", 0]),
        "words": node("StorefrontTextOverlay", image=["grey", 0], text="위", anchor="top center", color="#ffffff"),
        "base": node("AddLayer", image=["grey", 0]),
        "first": node("AddLayer", layers=["base", 0], image=["small", 0], mask=["clear", 0]),
        "second": node("AddLayer", layers=["first", 0], image=["words", 2]),
        **compose(["second", 0]),
        **{
            f"save {name}": node("SaveImage", images=link, filename_prefix=name)
            for name, link in {"cutout": ["small", 0], "matte": ["matte", 0], "lettered": ["words", 0]}.items()
        },
    }
    seen = saved(comfyui, prompt)
    letters = (seen["lettered"] == 255).all(-1)
    assert letters[:128].sum() > 200
    assert letters[256:].sum() == 0
    assert (seen["composed"][letters] >= 254).all()
    bare = (seen["lettered"] == 0x80).all(-1)  # neither letters nor the veil under them
    solid, nothing = (seen["matte"][..., 0] == 255) & bare, (seen["matte"][..., 0] == 0) & bare
    assert solid[256:].sum() > 5000
    # Of the letters' soft edge what does not show on grey shows on the dark coffee.
    assert np.percentile(np.abs(seen["composed"] - seen["cutout"])[solid], 99) <= 2
    assert np.abs(seen["composed"] - 0x80)[nothing].max() <= 1


def test_a_plan_in_which_nothing_is_drawn_is_refused_by_name(comfyui):
    prompt = {
        "1": node("StorefrontExamplePhoto", photo="coffee"),
        "2": node("StorefrontPlanLayout", background=["1", 0], headline="한 잔"),
        "3": node("StorefrontLayers", layout=["2", 0]),
        "4": node("PreviewAny", source=["3", 0]),
    }
    error = comfyui.run(prompt).error
    assert ("`layout`" if has_layers(comfyui) else "`layers`") in error
    prompt["3"]["inputs"]["image"] = ["1", 0]
    assert comfyui.run(prompt).ok == has_layers(comfyui)


def test_the_editor_exports_a_psd_with_the_layers_names(comfyui, browser, tmp_path):
    if not has_layers(comfyui):
        assert "AddLayer" not in comfyui.get("/object_info")
        return
    comfyui.get("/api/settings/Comfy.VueNodes.Enabled", True)
    try:
        browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
        open_template(browser, comfyui, "ad_with_brand")
        add = """
            const graph = window.app.graph, made = (type) => { const node = LiteGraph.createNode(type); graph.add(node); return node }
            const last = graph._nodes.find((n) => n.type === "StorefrontCallToAction")
            const layers = made("StorefrontLayers"), editor = made("ImageCompositor")
            layers.pos = [last.pos[0], last.pos[1] + 700]
            editor.pos = [last.pos[0] + 400, last.pos[1] + 700]
            last.connect(2, layers, 0)
            last.connect(0, layers, 1)
            layers.connect(0, editor, 0)
            window.app.canvas.centerOnNode(editor)
            window.app.queuePrompt(0)
            """
        browser.execute_script(add)
        click = """
            const button = document.querySelector("[data-testid=compositor-download-psd]")
            button?.click()
            return !!button
            """
        until(lambda: browser.execute_script(click))
        path = until(lambda: next(tmp_path.glob("*.psd"), None), 240)
    finally:
        comfyui.get("/api/settings/Comfy.VueNodes.Enabled", False)
    with Image.open(path) as psd:
        assert [layer[0] for layer in psd.layers] == ["Background", *ORDER]  # the first is the editor's own
        assert psd.size == (1024, 1024)
        whole = np.asarray(psd.convert("RGB")).astype(int)
    assert whole.std() > 20  # and it is a picture
