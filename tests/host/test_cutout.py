"""The cut-out inside a running ComfyUI: what is saved, what is listed, and what is refused by name."""

from __future__ import annotations

import math
import shutil
import time

import numpy as np
import pytest
from comfyui import ROOT, node
from PIL import Image


def cutout(**changes):
    """Example photo -> Remove Background -> all three outputs saved: foreground with alpha, alpha, preview."""
    options = {"model": "u2netp", "refine": True, "threshold": 0.5, "grow": 0.0, "feather": 0.0}
    options |= {"straight_edges": 0, "keep_loaded": False}
    return {
        "1": node("StorefrontExamplePhoto", photo="coffee"),
        "2": node("StorefrontRemoveBackground", image=["1", 0], **(options | changes)),
        "3": node("MaskToImage", mask=["2", 1]),
        "4": node("SaveImage", images=["2", 0], filename_prefix="foreground"),
        "5": node("SaveImage", images=["3", 0], filename_prefix="alpha"),
        "6": node("SaveImage", images=["2", 2], filename_prefix="preview"),
    }


def saved(result) -> dict[str, np.ndarray]:
    return {
        path.name.partition("_")[0]: np.asarray(Image.open(path).convert("RGB")).astype(int) for path in result.files()
    }


def test_the_cup_is_cut_out_and_the_table_is_gone(comfyui, no_traceback):
    pictures = saved(comfyui.run(cutout()))
    photo = np.asarray(Image.open(ROOT / "workflows" / "assets" / "coffee.jpg").convert("RGB")).astype(int)
    alpha = pictures["alpha"][..., 0]
    assert alpha[200, 280] == 255  # the cup
    assert alpha[340, 280] == 255  # the saucer
    assert alpha[20, 20] == alpha[390, 590] == alpha[200, 560] == 0  # the table
    assert 0.4 < (alpha == 255).mean() < 0.55
    solid = alpha == 255
    assert abs(pictures["foreground"] - photo)[solid].max() <= 1
    board = pictures["preview"][alpha == 0]  # light squares, seen through alphas of up to 1 / 255
    assert ((abs(board - 204) <= 2) | (abs(board - 255) <= 2)).all()
    assert "u2netp: licence Apache-2.0; free for commercial use." in comfyui.log()


OPENED, RELEASED = "Storefront: opened u2netp.onnx", "Storefront: released u2netp.onnx"


def counted(comfyui) -> tuple[int, int]:
    """How often the network was opened and released, by the log."""
    return comfyui.log().count(OPENED), comfyui.log().count(RELEASED)


def test_the_network_is_gone_after_the_run_unless_it_is_kept(comfyui, no_traceback):
    opened, released = counted(comfyui)
    assert comfyui.run(cutout(threshold=0.45)).ok
    assert counted(comfyui) == (opened + 1, released + 1)
    for threshold in (0.41, 0.42):  # changed, so that ComfyUI runs the node again
        assert comfyui.run(cutout(keep_loaded=True, threshold=threshold)).ok
        assert counted(comfyui) == (opened + 2, released + 1)
    assert comfyui.run(cutout(threshold=0.43)).ok
    assert counted(comfyui) == (opened + 2, released + 2)


def test_a_kept_network_goes_when_comfyui_unloads_its_models(comfyui, no_traceback):
    opened, released = counted(comfyui)
    assert comfyui.run(cutout(keep_loaded=True, threshold=0.46)).ok
    deadline = time.monotonic() + 60
    while counted(comfyui) != (opened + 1, released + 1) and time.monotonic() < deadline:
        # Again and again: ComfyUI sleeps through one that comes while it tidies up after a run.
        comfyui.get("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1)
    assert counted(comfyui) == (opened + 1, released + 1)
    assert comfyui.run(cutout(keep_loaded=True, threshold=0.47)).ok
    assert comfyui.run(cutout(threshold=0.48)).ok
    assert counted(comfyui) == (opened + 2, released + 2)


def test_a_network_is_listed_when_its_file_lies_in_models_rembg(comfyui, no_traceback):
    def listed() -> list[str]:
        info = comfyui.get("/object_info/StorefrontRemoveBackground")["StorefrontRemoveBackground"]
        kind, options = info["input"]["optional"]["model"][:2]
        return options["options"] if kind == "COMBO" else kind

    assert listed() == ["u2netp"]
    bundled = ROOT / "models" / "rembg" / "u2netp.onnx"
    folder = comfyui.base / "models" / "rembg"
    folder.mkdir(exist_ok=True)
    # one of the table, one that rembg alone knows, and what is never listed: unheard of, uploading, asking for points
    for name in ("silueta", "u2net_custom", "unknown", "withoutbg", "sam"):
        shutil.copy(bundled, folder / f"{name}.onnx")
    try:
        assert listed() == ["u2netp", "silueta", "u2net_custom"]
        assert comfyui.run(cutout(model="silueta")).ok
        assert comfyui.run(cutout(model="u2net_custom")).ok
        assert "u2net_custom: licence unknown; ask its author whether an ad may be made with it." in comfyui.log()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "birefnet-general"}, "birefnet-general.onnx (from rembg's releases on GitHub) in ComfyUI's models/"),
        ({"model": "../u2netp"}, "`model` is '../u2netp'"),
        ({"model": "/etc/passwd"}, "`model` is '/etc/passwd'"),
        ({"model": "withoutbg"}, "`model` is 'withoutbg'"),
        ({"model": {"u2netp": 1}}, "`model` is {'u2netp': 1}"),
        ({"matting": "vitmatte-base-composition-1k"}, "vitmatte-base-composition-1k"),
        ({"matting": "../u2netp"}, "../u2netp"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": math.nan}, "threshold"),
        ({"grow": 1000.0}, "grow"),
        ({"feather": -1.0}, "feather"),
        ({"straight_edges": 5000}, "straight_edges"),
    ],
)
def test_what_cannot_be_is_refused_by_name(comfyui, changes, named):
    result = comfyui.run(cutout(**changes))
    assert not result.ok
    assert named in result.error


def test_a_picture_of_nothing_is_refused_by_name(comfyui):
    workflow = cutout()
    workflow["1"] = node("EmptyImage", width=300, height=200, batch_size=1, color=0x808080)
    result = comfyui.run(workflow)
    assert not result.ok
    assert "`image` is '300 x 200 pixels in which the network finds no object'. Expected: a picture" in result.error


def test_a_broken_file_is_named(comfyui):
    folder = comfyui.base / "models" / "rembg"
    folder.mkdir(exist_ok=True)
    (folder / "u2net.onnx").write_bytes(b"not a network")
    try:
        result = comfyui.run(cutout(model="u2net"))
        assert not result.ok
        assert "u2net.onnx" in result.error
    finally:
        shutil.rmtree(folder)
    assert comfyui.run(cutout(threshold=0.51)).ok
