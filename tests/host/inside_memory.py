"""Stages that run out of memory for real: `python tests/host/inside_memory.py COMFYUI_FOLDER` prints JSON.

Run by test_memory.py, on Linux. The process may take so many bytes more than it has (RLIMIT_AS), fewer with each try, until a stage
gives up. Nothing is injected: the allocators of torch, numpy and onnxruntime fail.
"""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comfy_process  # noqa: F401, first: it makes this process a ComfyUI
import halves
import nodes
import torch
from storefront import load_model, text_to_images
from storefront.host import model_files, opening, progress, prompt_encoding, rembg_models, sampling, vae_socket
from storefront.studio import examples
from storefront.studio.product.cutout import Edges

torch.set_num_threads(1)
MIB = 2**20
SETTINGS = sampling.SamplerSettings(seed=7, steps=1, guidance=3.5, cfg=1.0)
SIDE, LARGE = 32, 96  # cells of a canvas, and of a picture that is larger than ComfyUI's tiles
# MiB that suffice for each stage, or nearly; and how much of it is left to the next try.
BEGIN = {"Encode Prompt": 210, "Remove Background": 560, "Decode Picture": 175, "VAEDecode": 175, "VAEEncode": 105}
MICRO, LESS = 26, 0.7
MORE, MOST = 1.3, 1024


def addresses() -> int:
    """Bytes that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@contextlib.contextmanager
def with_room(size: float) -> Iterator[None]:
    """No more than so many MiB beside what there is."""
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (addresses() + round(size * MIB), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """What is said under the node meanwhile."""
    notes: list[str] = []
    said = progress.fell_back

    def both(texts: list[str], node_id: str | None) -> None:
        notes.extend(texts)
        said(texts, node_id)

    progress.fell_back = both
    try:
        yield notes
    finally:
        progress.fell_back = said


def attempt(call: Callable[[], torch.Tensor], expected: torch.Tensor, room: float) -> dict[str, Any]:
    error, kind, apart = "", "", None
    with heard() as notes:
        try:
            with with_room(room):
                drawn = call()
            apart = float((drawn - expected).abs().max())
        except Exception as raised:
            traceback.print_exc()
            error, kind = str(raised), type(raised).__name__
    return {"room": room, "apart": apart, "notes": notes, "error": error, "kind": kind}


def tries(name: str, call: Callable[[], torch.Tensor]) -> dict[str, Any]:
    """A stage with less and less room, until it gives up; and with all of it again."""
    expected = call()
    room = BEGIN.get(name, MICRO)
    # What a process needs beside its tensors differs from machine to machine.
    while (out := [attempt(call, expected, room)]) and out[0]["error"] and room < MOST:
        print(name, "begins with more than", room, file=sys.stderr, flush=True)
        room = round(room * MORE)
    while room > 1 and not out[-1]["error"]:
        room = round(room * LESS)
        out.append(attempt(call, expected, room))
        print(name, out[-1], file=sys.stderr, flush=True)
    return {"tries": out, "next": float((call() - expected).abs().max()), "spread": float(expected.std())}


def stages(loaded: opening.OpenedModel) -> dict[str, Callable[[], torch.Tensor]]:
    python = load_model(device="cpu", dtype="fp32")
    text, _ = prompt_encoding.encode_prompts(loaded.clip, [("a red mug", "a red mug")], 0)
    canvas = {"samples": torch.zeros(8, 16, SIDE, SIDE)}
    latents = torch.randn(2, 16, LARGE, LARGE, generator=torch.Generator().manual_seed(0))
    pictures = torch.rand(2, 8 * LARGE, 8 * LARGE, 3, generator=torch.Generator().manual_seed(0))
    photo = examples.photo("coffee")
    vae_socket.decode(loaded.vae, latents, "on")  # what oneDNN makes ready for a size of tiles stays

    def ksampler() -> torch.Tensor:
        out = nodes.common_ksampler(loaded.model, 7, 1, 1.0, "euler", "simple", text, text, dict(canvas))
        return out[0]["samples"]

    def decoded() -> torch.Tensor:
        picture, note = vae_socket.decode(loaded.vae, latents, "auto")
        progress.fell_back([note] if note else [], None)  # as the node does
        return picture

    def encoded() -> torch.Tensor:
        prompt_encoding.CACHE._entries.clear()
        words = "a red mug " * 900
        return prompt_encoding.encode_prompts(loaded.clip, [(words, words)], 2048)[0][0][0]

    def cut() -> torch.Tensor:
        out = rembg_models.cut_out(photo, rembg_models.BUNDLED, Edges(), False, rembg_models.BUILT_IN)
        progress.fell_back(list(out.notes), None)
        return out.alpha

    def by_python() -> torch.Tensor:
        size = 64
        drawn = list(text_to_images("a red mug", images_per_prompt=16, width=size, height=size, steps=1, model=python))
        progress.fell_back([note for note in drawn[0].report.notes if "memory" in note], None)
        return torch.cat([one.image for one in drawn])

    return {
        "FLUX Sampler": lambda: sampling.sample(loaded.model, text, None, dict(canvas), SETTINGS)[0]["samples"],
        "KSampler": ksampler,
        "Decode Picture": decoded,
        "VAEDecode": lambda: nodes.VAEDecode().decode(loaded.vae, {"samples": latents})[0],
        "VAEEncode": lambda: nodes.VAEEncode().encode(loaded.vae, pictures)[0]["samples"],
        "Encode Prompt": encoded,
        "Remove Background": cut,
        "text_to_images": by_python,
    }


def main() -> None:
    loaded = opening.load_model(model_files.BUNDLED, "fp32")
    figures = {name: tries(name, call) for name, call in stages(loaded).items()}
    texts = [prompt_encoding.encode_prompts(loaded.clip, [(words, words)], 0)[0] for words in ("a red mug", "blurry")]
    figures["halves"] = halves.compared(loaded.model, *texts)
    print("FIGURES " + json.dumps(figures))


if __name__ == "__main__":
    with torch.inference_mode():  # as ComfyUI runs nodes
        main()
