"""diffusers and transformers modules under ComfyUI's memory management."""

from __future__ import annotations

import functools

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
    torch.nn.RMSNorm: _OPS.RMSNorm,
    torch.nn.Embedding: _OPS.Embedding,
}


@functools.lru_cache(maxsize=1)
def _streamed_t5_norm() -> type[torch.nn.Module]:
    """transformers' T5LayerNorm with its weight brought to where its input is, as comfy.ops does for torch's layers."""
    from transformers.models.t5.modeling_t5 import T5LayerNorm

    class StreamedT5LayerNorm(T5LayerNorm, comfy.ops.CastWeightBiasOp):  # type: ignore[misc]
        comfy_cast_weights = True

        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            # In its own dtype: T5 keeps some layers in fp32, and the weight decides what the others are given.
            dtype, device = self.weight.dtype, hidden_states.device
            weight, _, stream = comfy.ops.cast_bias_weight(self, dtype=dtype, device=device, offloadable=True)
            variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
            hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
            if weight.dtype in (torch.float16, torch.bfloat16):
                hidden_states = hidden_states.to(weight.dtype)
            out = weight * hidden_states
            comfy.ops.uncast_bias_weight(self, weight, None, stream)
            return out

    return StreamedT5LayerNorm


def adopt(module: torch.nn.Module) -> torch.nn.Module:
    """Give the leaves of `module` ComfyUI's classes, in place, so that it can be loaded in part. No value changes.

    ComfyUI moves a leaf whose class it does not know to the GPU as a whole and can never stream its weights.
    """
    for leaf in module.modules():
        streamed = _streamed_t5_norm() if type(leaf).__name__ == "T5LayerNorm" else _LEAVES.get(type(leaf))
        if streamed is not None:
            leaf.__class__ = streamed
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
