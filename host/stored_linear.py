"""Linear layers whose weights stay 8-bit or GGUF in memory and are expanded for each use, under ComfyUI's streaming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.float
import comfy.ops
import torch
from comfy.model_patcher import LowVramPatch


class StoredLinear(torch.nn.Linear, comfy.ops.CastWeightBiasOp):
    """A linear layer with `stored` (studio/weights/stored.py) and a weight of int8 bytes [rows, bytes], at all times.

    int8, because libraries that ask for a weight's dtype to cast their input to it leave that one alone.
    """

    comfy_cast_weights = True
    weight_function: list[Any] = []  # the patcher gives each layer its own
    # Changes of the numbers at each use (stored_patches.py): a LoRA on a layer that is resident, and hooks on any.
    on_top: Callable[[torch.Tensor], torch.Tensor] | None = None
    hooked: Callable[[torch.Tensor], torch.Tensor] | None = None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        # ComfyUI would apply the patches to the bytes: out of sight while they travel, they go on after expanding.
        changes, patches, late = self._changes(), self.weight_function, getattr(self, "weight_lowvram_function", None)
        self.weight_function, self.weight_lowvram_function = [], None
        try:
            raw, bias, stream = comfy.ops.cast_bias_weight(
                self, dtype=self.weight.dtype, device=input.device, bias_dtype=input.dtype, offloadable=True
            )
        finally:
            self.weight_function, self.weight_lowvram_function = patches, late
        weight = self.stored.expand(raw, input.dtype)
        for change in (*changes, self.hooked):
            weight = weight if change is None else change(weight)
        out = torch.nn.functional.linear(input, weight, bias)
        comfy.ops.uncast_bias_weight(self, raw, bias, stream)
        return out

    def _changes(self) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        late = getattr(self, "weight_lowvram_function", None)
        streamed = late is not None or any(isinstance(patch, LowVramPatch) for patch in self.weight_function)
        every = (None if streamed else self.on_top, *self.weight_function, late)
        return [change for change in every if change is not None]

    def numbers(self) -> torch.Tensor:
        """The weight [out, in] in the dtype that is computed in, with its patches, without hooks."""
        weight = self.stored.expand(self.weight, torch.float32)
        for change in self._changes():
            weight = change(weight)
        return weight.to(self.compute_dtype)

    def convert_weight(self, weight: torch.Tensor, inplace: bool = False, **_: Any) -> torch.Tensor:
        """ComfyUI's copy of the bytes, which it may have cast to a float dtype -> numbers, for merges and saving."""
        dtype = weight.dtype if weight.is_floating_point() else torch.float32
        return self.stored.expand(weight.to(torch.int8), dtype)

    def packed(self, numbers: torch.Tensor, seed: int) -> torch.Tensor | None:
        """Patched numbers as bytes again, where the format is scaled fp8 and its scale reaches that far; else None."""
        from ..studio.weights.stored import ScaledFp8

        stored = self.stored
        if not isinstance(stored, ScaledFp8):
            return None
        small = stored.shrink(numbers)
        # A scale is that of the largest number there was; what rounds to the largest float is no farther than 1/32 beyond.
        if small.abs().max() > torch.finfo(stored.kind).max * (1 + 1 / 32):
            return None
        return comfy.float.stochastic_rounding(small, stored.kind, seed=seed).view(torch.int8)
