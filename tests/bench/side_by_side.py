"""The same jobs by ComfyUI's core, by rembg and by us: `python tests/bench/side_by_side.py COMFYUI_FOLDER`.

Prints times of one run and writes docs/side-by-side.png. Core's RemoveBackground is not in it: it has no model of its own,
and none that could be bundled here.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, str(ROOT / "tools"))
sys.argv = ["bench", "--cpu", "--base-directory", tempfile.mkdtemp()]

import comfy.options

comfy.options.enable_args_parsing()

import utils.install_util  # noqa: F401, before nodes.py of ComfyUI 0.20 puts comfy/, which has a utils.py, on the path
import server  # noqa: F401
import numpy as np
import torch
from PIL import Image, ImageDraw
from pack import import_pack

import_pack()

from storefront.studio import examples
from storefront.studio.layout.plan import plan_pictures
from storefront.studio.layout.options import LayoutOptions
from storefront.studio.product import cutout, networks
from storefront.studio.text import design, draw, fonts

HEADLINE = "갓 내린 한 잔, 오늘만 50% 할인"
MODEL = ROOT / "models" / "rembg" / "u2netp.onnx"


def timed(call: Callable[[], torch.Tensor], rounds: int = 5) -> tuple[torch.Tensor, float]:
    """The result and the median of seconds after a first call."""
    result, row = call(), []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        row.append(time.perf_counter() - start)
    return result, statistics.median(row)


def core_text(image: torch.Tensor) -> torch.Tensor:
    from comfy_extras.nodes_text_overlay import TextOverlay

    return TextOverlay.execute(image, HEADLINE, 9.0, "#ffffff", "top", "center", True).args[0]


def our_text(image: torch.Tensor) -> torch.Tensor:
    typeface = fonts.Typeface(fonts.all_families(), fonts.BUNDLED)
    text = HEADLINE.replace("50%", "[color=#ffe14d][size=130]50%[/size][/color]")
    layout = plan_pictures(image, None, HEADLINE, LayoutOptions())
    return draw.overlay(image, [text], design.Design(outline=0.05), typeface, layout).image


def rembg_cut(image: torch.Tensor) -> torch.Tensor:
    """rembg's u2netp from our file (nothing is downloaded), with its alpha matting, over the same checkerboard."""
    import onnxruntime
    import rembg
    from rembg.sessions.u2netp import U2netpSession

    session = U2netpSession.__new__(U2netpSession)
    session.model_name = "u2netp"
    session.inner_session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    picture = Image.fromarray((image[0].numpy() * 255).round().astype(np.uint8))
    out = np.asarray(rembg.remove(picture, session=session, alpha_matting=True), np.float32) / 255
    cut = cutout.Cutout(torch.from_numpy(out[..., :3])[None], torch.from_numpy(out[..., 3])[None])
    return cutout.on_checkerboard(cut)


def our_cut(image: torch.Tensor) -> torch.Tensor:
    session = networks.open_session("u2netp", MODEL, ["CPUExecutionProvider"])
    cut = cutout.cut_out(image, lambda p: networks.saliency(session, p), cutout.Edges(), lambda: None)
    return cutout.on_checkerboard(cut)


def main() -> None:
    photo = examples.photo("coffee")
    jobs = {
        "ComfyUI's TextOverlay": core_text,
        "Storefront, plan and text": our_text,
        "rembg, alpha matting": rembg_cut,
        "Storefront, cut-out": our_cut,
    }
    sheet = Image.new("RGB", (1220, 880), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (name, job) in enumerate(jobs.items()):
        result, seconds = timed(lambda job=job: job(photo), rounds=3)
        print(f"{name:28} {seconds * 1000:7.0f} ms")
        picture = Image.fromarray((result[0].numpy().clip(0, 1) * 255).round().astype(np.uint8))
        at = (index % 2 * 620, index // 2 * 440)
        sheet.paste(picture, (at[0], at[1] + 30))
        pen.text((at[0] + 4, at[1] + 6), name, "black", fonts.sized(fonts.all_families()[fonts.BUNDLED][1], 18, 700))
    sheet.save(ROOT / "docs" / "side-by-side.png", optimize=True)


main()
