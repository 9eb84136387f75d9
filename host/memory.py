"""diffusers and transformers modules under ComfyUI's memory management."""

from __future__ import annotations

import functools
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import torch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
FP8_STORAGE = "fp8 storage"
STORED_DTYPE = torch.float8_e4m3fn
WEIGHT_DTYPES = ["auto", *DTYPES, FP8_STORAGE]

_OPS = comfy.ops.manual_cast
_LEAVES = {
    torch.nn.Linear: _OPS.Linear,
    torch.nn.LayerNorm: _OPS.LayerNorm,
    torch.nn.Conv2d: _OPS.Conv2d,
    torch.nn.GroupNorm: _OPS.GroupNorm,
    torch.nn.RMSNorm: _OPS.RMSNorm,
    torch.nn.Embedding: _OPS.Embedding,
}


class _AtHand:
    """A norm's settings and methods, with its weight where the input is."""

    def __init__(self, norm: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor | None):
        self._of, self.weight, self.bias = norm, weight, bias

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


@functools.cache
def _streamed_norm(base: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """A root-mean-square norm of transformers or diffusers, with its weight brought to where its input is.

    comfy.ops does the same for torch's layers. The norm's own forward does the arithmetic.
    """

    class Streamed(base, comfy.ops.CastWeightBiasOp):  # type: ignore[misc,valid-type]
        comfy_cast_weights = True

        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            # In its own dtype: T5 keeps some layers in fp32, and the weight decides what the others are given.
            dtype, device = self.weight.dtype, hidden_states.device
            weight, bias, stream = comfy.ops.cast_bias_weight(self, dtype=dtype, device=device, offloadable=True)
            out = base.forward(_AtHand(self, weight, bias), hidden_states)  # type: ignore[arg-type]
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)
            return out

    Streamed.__name__ = f"Streamed{base.__name__}"
    return Streamed


def _is_foreign_norm(leaf: torch.nn.Module) -> bool:
    name = type(leaf).__name__
    of_libraries = type(leaf).__module__.startswith(("transformers.", "diffusers."))
    return of_libraries and (name == "T5LayerNorm" or name.endswith("RMSNorm")) and leaf.weight is not None


def adopt(module: torch.nn.Module) -> torch.nn.Module:
    """Give the leaves of `module` ComfyUI's classes, in place, so that it can be loaded in part. No value changes.

    ComfyUI moves a leaf whose class it does not know to the GPU as a whole and can never stream its weights.
    """
    from .stored_linear import StoredLinear

    share_tied_head(module)
    share_tied_embedding(module)
    for leaf in module.modules():
        kind: Any = type(leaf)
        streamed = _streamed_norm(kind) if _is_foreign_norm(leaf) else _LEAVES.get(kind)
        streamed = StoredLinear if hasattr(leaf, "stored") else streamed
        if streamed is not None:
            leaf.__class__ = streamed
            if not hasattr(leaf, "bias"):  # ComfyUI's Embedding has one, which is None
                leaf.register_parameter("bias", None)
    mm.archive_model_dtypes(module)
    return module


class _TiedHead(torch.nn.Module):
    """The last layer of a language model whose weight is its embedding's: stored, counted and moved once."""

    def __init__(self, embedding: torch.nn.Module):
        super().__init__()
        object.__setattr__(self, "embedding", embedding)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        device, dtype = hidden_states.device, hidden_states.dtype
        weight, bias, stream = comfy.ops.cast_bias_weight(self.embedding, dtype=dtype, device=device, offloadable=True)
        out = torch.nn.functional.linear(hidden_states, weight)
        comfy.ops.uncast_bias_weight(self.embedding, weight, bias, stream)
        return out


class _TiedEmbedding(torch.nn.Module):
    """An embedding that another name of the model has too (T5's): stored, counted, moved, patched and saved once."""

    def __init__(self, embedding: torch.nn.Module):
        super().__init__()
        object.__setattr__(self, "embedding", embedding)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids)


def share_tied_embedding(module: torch.nn.Module) -> None:
    """Where an encoder's embedding is the one that the model shares, let it be no weight of its own."""
    shared, encoder = getattr(module, "shared", None), getattr(module, "encoder", None)
    inner = getattr(encoder, "embed_tokens", None)
    if encoder is not None and shared is not None and inner is not None and inner.weight is shared.weight:
        encoder.embed_tokens = _TiedEmbedding(shared)


def share_tied_head(module: torch.nn.Module) -> None:
    """Where a language model's head is its embedding, let it be no weight of its own.

    ComfyUI moves and patches weights by name, and would keep two.
    """
    head = getattr(module, "lm_head", None)
    if head is None:  # models without one need not know their embedding either
        return
    embedding = getattr(module, "get_input_embeddings", lambda: None)()
    if embedding is not None and head.weight is embedding.weight:
        module.lm_head = _TiedHead(embedding)


def patcher(module: torch.nn.Module, load_device: torch.device, offload_device: torch.device):
    """ComfyUI's patcher of the day: looked up late, because ComfyUI rebinds it at start-up."""
    return comfy.model_patcher.CoreModelPatcher(module, load_device=load_device, offload_device=offload_device)


def patcher_of_transformers(model: torch.nn.Module, load_device: torch.device, offload_device: torch.device):
    """A patcher of a box with `model` (adopted here) in it: ComfyUI writes `device`, which transformers' models forbid."""
    box = torch.nn.Module()
    box.model = adopt(model)
    return patcher(box, load_device, offload_device)


def bring_the_rest(module: torch.nn.Module, device: torch.device) -> None:
    """After a load in part: weights of layers that cannot stream (recurrent decays, convolutions), on to the device.

    They are small, and ComfyUI may have left them behind. They go back with the others when ComfyUI unloads.
    """
    for layer in module.modules():
        if not hasattr(layer, "comfy_cast_weights"):
            for weight in layer.parameters(recurse=False):
                weight.data = weight.data.to(device)


def compute_dtype(weight_dtype: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in: the one asked for, else bf16 where the device is good at it, else float32."""
    if weight_dtype in DTYPES:
        return DTYPES[weight_dtype]
    return torch.bfloat16 if mm.should_use_bf16(device) else torch.float32


def keeps_stored(weight_dtype: str) -> bool:
    """Whether weights that are small in their file stay so in memory."""
    return weight_dtype not in DTYPES


def store_as_fp8(module: torch.nn.Module, dtype: torch.dtype = STORED_DTYPE) -> None:
    """Keep the weights of the linear layers in 8 bits; ComfyUI's layers cast them up for each use."""
    from .stored_linear import StoredLinear

    for name, leaf in module.named_modules():
        # Z-Image's embedder of the time and T5's wo cast their input to the dtype that their weights are stored in.
        casts = "t_embedder" in name or name.endswith(".wo")
        if isinstance(leaf, torch.nn.Linear) and not isinstance(leaf, StoredLinear) and not casts:
            leaf.weight.data = leaf.weight.data.to(dtype)
    mm.archive_model_dtypes(module)
