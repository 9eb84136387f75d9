"""diffusers and transformers modules under ComfyUI's memory management."""

from __future__ import annotations

import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import torch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
FP8 = "fp8 storage"
WEIGHT_DTYPES = ["auto", *DTYPES, FP8]

_OPS = comfy.ops.manual_cast
_LEAVES = {
    torch.nn.Linear: _OPS.Linear,
    torch.nn.LayerNorm: _OPS.LayerNorm,
    torch.nn.Conv2d: _OPS.Conv2d,
    torch.nn.GroupNorm: _OPS.GroupNorm,
    torch.nn.Embedding: _OPS.Embedding,
}


def adopt(module: torch.nn.Module) -> torch.nn.Module:
    """Give the leaves of `module` ComfyUI's classes, in place, so that it can be loaded in part. No value changes.

    ComfyUI moves a leaf whose class it does not know to the GPU as a whole and can never stream its weights.
    """
    for leaf in module.modules():
        if type(leaf) in _LEAVES:
            leaf.__class__ = _LEAVES[type(leaf)]
            if not hasattr(leaf, "bias"):  # ComfyUI's Embedding has one, which is None
                leaf.register_parameter("bias", None)
    mm.archive_model_dtypes(module)
    return module


def patcher(module: torch.nn.Module, load_device: torch.device, offload_device: torch.device):
    """ComfyUI's patcher of the day: looked up late, because ComfyUI rebinds it at start-up."""
    return comfy.model_patcher.CoreModelPatcher(module, load_device=load_device, offload_device=offload_device)


def compute_dtype(weight_dtype: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in: the one asked for, else bf16 where the device is good at it, else float32."""
    if weight_dtype in DTYPES:
        return DTYPES[weight_dtype]
    return torch.bfloat16 if mm.should_use_bf16(device) else torch.float32


def store_as_fp8(module: torch.nn.Module) -> None:
    """Keep the weights of the linear layers in 8 bits; ComfyUI's layers cast them up for each use."""
    for leaf in module.modules():
        if isinstance(leaf, torch.nn.Linear):
            leaf.weight.data = leaf.weight.data.to(torch.float8_e4m3fn)
    mm.archive_model_dtypes(module)
