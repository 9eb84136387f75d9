"""Layers that multiply in 8 bits for the time of a sampling run, under ComfyUI's streaming."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import comfy.ops
import torch

from ..studio.kinds.velocity import Velocity
from ..studio.sampling import fp8


@contextlib.contextmanager
def multiplying(velocity: Velocity) -> Iterator[None]:
    """ComfyUI's own fp8 products (`--fast fp8_matrix_mult`) are chosen for a whole server, and clamp inputs that another
    layer reads too; these are for one MODEL, and scale a copy.
    """
    layers = fp8.layers(velocity)
    own = [layer.__dict__.get("forward") for layer in layers]  # a LoRA in bypass mode
    for layer in layers:
        layer.forward = functools.partial(_forward, layer, velocity.dtype, layer.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            layer.__dict__.pop("forward", None)
            if forward is not None:
                layer.__dict__["forward"] = forward


def _forward(
    layer: torch.nn.Linear, dtype: torch.dtype, plain: Callable[[torch.Tensor], torch.Tensor], input: torch.Tensor
) -> torch.Tensor:
    """In 8 bits where it pays and stays right: for tokens, not for one vector a picture, and without patches on the way."""
    on_the_way = ("weight_lowvram_function", "bias_lowvram_function", "on_top", "hooked")
    patched = layer.weight_function or layer.bias_function or any(getattr(layer, name, None) for name in on_the_way)
    if input.ndim < 3 or input.dtype != dtype or patched:
        return plain(input)
    raw, bias, stream = comfy.ops.cast_bias_weight(
        layer, dtype=layer.weight.dtype, device=input.device, bias_dtype=input.dtype, offloadable=True
    )
    scale = layer.stored.scale if hasattr(layer, "stored") else None  # type: ignore[union-attr]
    out = fp8.linear(input, raw.view(fp8.FP8_DTYPE), scale, bias)
    comfy.ops.uncast_bias_weight(layer, raw, bias, stream)
    return out
