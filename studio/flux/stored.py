"""Weights that lie in memory smaller than they are computed with, and how each becomes numbers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

FP8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


@dataclass(frozen=True)
class ScaledFp8:
    """8-bit floats, times a scale where there is one: ComfyUI's `fp8_scaled`."""

    kind: torch.dtype
    scale: torch.Tensor | None  # one number, or [rows, 1]

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, columns] -> the weight [rows, columns] in `dtype`, rounded as ComfyUI rounds it."""
        weight = raw.view(self.kind).to(dtype)
        return weight if self.scale is None else weight * self.scale.to(weight)

    def shrink(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as it would be stored, before rounding: [rows, columns] in its own dtype."""
        return weight if self.scale is None else weight / self.scale.to(weight)


@dataclass(frozen=True)
class GgufBlocks:
    """GGUF's blocks."""

    kind: int  # gguf.GGMLQuantizationType

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        dequantise, block, size = _gguf(self.kind)
        blocks = raw.view(torch.uint8).reshape(-1, size)
        return dequantise(blocks, block, size, torch.float32).reshape(len(raw), -1).to(dtype)


Stored = ScaledFp8 | GgufBlocks


def _gguf(kind: int) -> tuple[Any, int, int]:
    """The function for blocks of a kind, numbers in a block, bytes in a block."""
    from diffusers.quantizers.gguf.utils import GGML_QUANT_SIZES, dequantize_functions

    block, size = GGML_QUANT_SIZES[kind]
    return dequantize_functions[kind], block, size


def gguf_kinds() -> dict[str, int]:
    """Name -> kind of every sort of blocks that can be read. Raises ImportError without the `gguf` package."""
    from diffusers.quantizers.gguf.utils import dequantize_functions

    return {kind.name: kind for kind in dequantize_functions}
