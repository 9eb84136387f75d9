"""Weights that lie in memory smaller than they are computed with, and how each becomes numbers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

AT_ONCE = 2**22  # numbers of a GGUF's blocks
FP8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


@dataclass(frozen=True)
class ScaledFp8:
    """8-bit floats, times a scale where there is one: ComfyUI's `fp8_scaled`."""

    kind: torch.dtype
    scale: torch.Tensor | None  # one number, or [rows, 1]

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, columns] -> the weight [rows, columns] in `dtype`, rounded as ComfyUI rounds it."""
        weight = raw.view(self.kind).to(dtype)
        return weight if self.scale is None else weight.mul_(self.scale.to(weight))

    def shrink(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as it would be stored, before rounding: [rows, columns] in its own dtype."""
        return weight if self.scale is None else weight / self.scale.to(weight)


@dataclass(frozen=True)
class GgufBlocks:
    """GGUF's blocks."""

    kind: int  # gguf.GGMLQuantizationType

    def columns(self, raw: torch.Tensor) -> int:
        """Numbers in a row of int8 [rows, bytes]."""
        _, block, size = _gguf(self.kind)
        return raw.shape[1] // size * block

    def expand(self, raw: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """int8 [rows, bytes] -> the weight [rows, columns] in `dtype`."""
        dequantise, block, size = _gguf(self.kind)
        columns = self.columns(raw)
        out = torch.empty(len(raw), columns, dtype=dtype, device=raw.device)
        # A few rows at a time: on its way the arithmetic takes many times the memory of the result.
        for rows in range(0, len(raw), step := max(AT_ONCE // columns, 1)):
            blocks = raw[rows : rows + step].view(torch.uint8).reshape(-1, size)
            out[rows : rows + step] = dequantise(blocks, block, size, torch.float32).reshape(-1, columns)
        return out


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
