"""Linear layers whose weights stay 8-bit or GGUF in memory and are expanded for each use, under ComfyUI's streaming."""

from __future__ import annotations

from typing import Any

import comfy.float
import comfy.ops
import torch
from comfy.model_patcher import LowVramPatch

from ..studio.weights.stored import ScaledFp8


class StoredLinear(torch.nn.Linear, comfy.ops.CastWeightBiasOp):
    """A linear layer with `stored` (studio/weights/stored.py) and a weight of int8 bytes [rows, bytes].

    int8, because libraries that ask for a weight's dtype to cast their input to it leave that one alone.
    `set_weight` and `convert_weight` are how ComfyUI's patcher applies a LoRA to weights of a format of their own.
    """

    comfy_cast_weights = True
    weight_function: list[Any] = []  # the patcher gives each layer its own
    on_top: LowVramPatch | None = None  # a LoRA on a resident layer whose bytes stay as they are (lora_patches.py)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        # ComfyUI would apply the patches to the bytes: out of sight while they travel, they go on after expanding.
        patches, late = self.weight_function, getattr(self, "weight_lowvram_function", None)
        streamed = late is not None or any(isinstance(patch, LowVramPatch) for patch in patches)
        self.weight_function, self.weight_lowvram_function = [], None
        try:
            raw, bias, stream = comfy.ops.cast_bias_weight(
                self, dtype=self.weight.dtype, device=input.device, bias_dtype=input.dtype, offloadable=True
            )
        finally:
            self.weight_function, self.weight_lowvram_function = patches, late
        weight = self._expand(raw, input.dtype)
        for patch in (None if streamed else self.on_top, *patches, late):
            weight = weight if patch is None else patch(weight)
        out = torch.nn.functional.linear(input, weight, bias)
        comfy.ops.uncast_bias_weight(self, raw, bias, stream)
        return out

    def _expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        # A LoRA may have left numbers in place of the bytes.
        return self.stored.expand(raw, dtype) if raw.dtype == torch.int8 else raw.to(dtype)

    def convert_weight(self, weight: torch.Tensor, inplace: bool = False, **_: Any) -> torch.Tensor:
        """The patcher's copy of the weight, whose bytes it may have cast to a float dtype -> numbers."""
        if self.weight.dtype != torch.int8:
            return weight
        dtype = weight.dtype if weight.is_floating_point() else torch.float32
        return self.stored.expand(weight.to(torch.int8), dtype)

    def set_weight(
        self,
        weight: torch.Tensor,
        inplace_update: bool = False,
        seed: int | None = None,
        return_weight: bool = False,
        **_: Any,
    ) -> torch.Tensor | None:
        """Take the patched numbers: 8-bit again where the layer's scale reaches that far, else as numbers."""
        stored = self.stored
        small = stored.shrink(weight) if isinstance(stored, ScaledFp8) else None
        # A scale is that of the largest number there was; what rounds to the largest float is no farther than 1/32 beyond.
        if small is not None and small.abs().max() <= torch.finfo(stored.kind).max * (1 + 1 / 32):
            weight = comfy.float.stochastic_rounding(small, stored.kind, seed=seed or 0).view(torch.int8)
        else:
            weight = weight.to(self.compute_dtype)
        if return_weight:
            return weight
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        return None
