"""Why a batch in parts may differ in its last bits: diffusers' own transformer does; used by inside_memory.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from comfy_process import ROOT
from diffusers import FluxTransformer2DModel
from storefront.host import sampling

Call = tuple[dict[str, Any], torch.Tensor]  # what the transformer was given, and its answer


@contextlib.contextmanager
def watched(transformer: torch.nn.Module, rows: int) -> Iterator[list[Call]]:
    """Its calls, in a memory that suffices for so many rows."""
    calls: list[Call] = []

    def limit(_: Any, __: Any, given: dict[str, Any]) -> None:
        if len(given["hidden_states"]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def note(_: Any, __: Any, given: dict[str, Any], answer: tuple[torch.Tensor]) -> None:
        calls.append((given, answer[0].clone()))

    hooks = [
        transformer.register_forward_pre_hook(limit, with_kwargs=True),
        transformer.register_forward_hook(note, with_kwargs=True),
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@torch.inference_mode()
def compared(model: Any, positive: list, negative: list) -> dict[str, Any]:
    """4 pictures under true CFG whole, 2 rows and 1 row at a time. Every answer of our transformer beside that of diffusers' own
    class to the same call: 0 says that whatever lies between whole and parts is in diffusers itself.
    """
    reference = FluxTransformer2DModel.from_pretrained(ROOT / "models" / "flux-micro", subfolder="transformer")
    reference = reference.float().eval()
    settings = sampling.SamplerSettings(seed=7, steps=4, guidance=3.5, cfg=3.0)
    drawn, first, out = {}, {}, {}
    for rows in (8, 2, 1):
        with watched(model.model.diffusion_model.transformer, rows) as calls:
            latent = {"samples": torch.zeros(4, 16, 16, 16)}
            drawn[rows] = sampling.sample(model, positive, negative, latent, settings)[0]["samples"]
        answers = [reference(**given)[0] for given, _ in calls]
        given = [call["hidden_states"] for call, _ in calls[: 8 // rows]]
        first[rows] = torch.cat(given), torch.cat(answers[: 8 // rows])
        out[str(rows)] = {
            "calls": len(calls),
            "from diffusers": max(apart(mine, theirs) for (_, mine), theirs in zip(calls, answers, strict=True)),
            "begins": apart(first[rows][0], first[8][0]),
            "diffusers, whole and parts": apart(first[rows][1], first[8][1]),
            "drawn": apart(drawn[rows], drawn[8]),
        }
    return out | {"spread": float(drawn[8].std())}
